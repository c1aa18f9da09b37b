//! Core modules written by hand, with what no compiler would make of the contract: each function returns a constant, and memory holds
//! what the constants point at.

use bytes::Bytes;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, InstructionSink, MemorySection, MemoryType, Module, RefType, StartSection, TableSection, TableType,
    TypeSection, ValType,
};
use wit_component::StringEncoding;
use wit_parser::Resolve;

use crate::repository;

/// Where [`Raw::declaration`] and [`Raw::verdict`] lie in memory, and where there is room for more.
const DECLARATION: u32 = 0x100;
/// Where [`Raw::verdict`] lies.
pub const VERDICT: u32 = 0x200;
/// Where [`Raw::room`] lies.
pub const ROOM: u32 = 0x1000;

/// The contract's files, and the name of what a plugin exports.
const VERSION: &str = "0.1.0";

/// A module to be.
pub struct Raw {
    /// Pages of memory in the beginning.
    pub pages: u64,
    /// What `configure` points at: by default `ok` of a declaration that wants the request's head.
    pub declaration: Vec<u8>,
    /// What `request-head` points at: by default `continue`.
    pub verdict: Vec<u8>,
    /// What lies at [`ROOM`].
    pub room: Vec<u8>,
    /// What `configure` and `request-head` return.
    pub returns: (u32, u32),
    /// What `cabi_realloc` returns.
    pub realloc: u32,
    /// A handle that the constructor makes up; `None`: it asks for a real one.
    pub handle: Option<u32>,
    /// A start function.
    pub start: Option<fn(&mut InstructionSink<'_>)>,
    /// An import beside the contract's, by module and name, from nothing to nothing unless `import_types` says otherwise, and what the
    /// start of `request-head` does with it, being function 1.
    pub import: Option<(&'static str, &'static str)>,
    /// What the import takes and returns.
    pub import_types: (Vec<ValType>, Vec<ValType>),
    /// What `request-head` does first.
    pub calls: Option<fn(&mut InstructionSink<'_>)>,
    /// Elements of a table in the beginning.
    pub table: u64,
    /// Functions that nobody calls.
    pub more_functions: u32,
    /// Another version of the contract.
    pub version: &'static str,
    /// What is added to the contract's world.
    pub world: &'static str,
    /// Packages that `world` takes it from.
    pub packages: &'static [&'static str],
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            pages: 1,
            // ok; phases = request-head; both bodies none.
            declaration: {
                let mut bytes = vec![0; 64];
                bytes[8] = 1;
                bytes
            },
            verdict: vec![0; 64],
            room: Vec::new(),
            returns: (DECLARATION, VERDICT),
            realloc: 0x8000,
            handle: None,
            start: None,
            import: None,
            import_types: (vec![], vec![]),
            calls: None,
            table: 0,
            more_functions: 0,
            version: VERSION,
            world: "",
            packages: &[],
        }
    }
}

impl Raw {
    /// The module, with its component type inside.
    pub fn module(&self) -> Bytes {
        let mut module = self.core();
        let resolve_and_world = self.resolve();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve_and_world.0,
            resolve_and_world.1,
            StringEncoding::UTF8,
        )
        .expect("a component type can be embedded");
        module.into()
    }

    fn resolve(&self) -> (Resolve, wit_parser::WorldId) {
        let folder = tempfile::tempdir().expect("a folder");
        let contract = repository::root().join("wit");
        for file in std::fs::read_dir(contract).expect("the contract").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("a file of the contract");
            let text = text.replace(&format!("@{VERSION}"), &format!("@{}", self.version));
            let text = text.replace("world plugin {", &format!("world plugin {{ {}", self.world));
            std::fs::write(folder.path().join(file.file_name()), text).expect("a copy");
        }
        std::fs::create_dir(folder.path().join("deps")).expect("a folder");
        for (i, package) in self.packages.iter().enumerate() {
            std::fs::write(folder.path().join(format!("deps/package{i}.wit")), package).expect("a package");
        }
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(folder.path()).unwrap_or_else(|error| panic!("{error:#}"));
        let world = resolve.select_world(&[package], Some("plugin")).expect("the contract's world");
        (resolve, world)
    }

    fn core(&self) -> Vec<u8> {
        use ValType::{I32, I64};
        let interface = format!("portcullis:filter/filter@{}", self.version);
        let mut types = TypeSection::new();
        let mut functions = FunctionSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        let mut imports = ImportSection::new();

        types.ty().function([I32], [I32]);
        imports.import(&format!("[export]{interface}"), "[resource-new]exchange", EntityType::Function(0));
        types.ty().function(self.import_types.0.iter().copied(), self.import_types.1.iter().copied());
        if let Some((module, name)) = self.import {
            imports.import(module, name, EntityType::Function(1));
        }
        let mut next_type = 2;
        let mut next = imports.len();
        let mut add =
            |name: Option<String>, takes: &[ValType], gives: &[ValType], body: &dyn Fn(&mut InstructionSink<'_>)| {
                types.ty().function(takes.iter().copied(), gives.iter().copied());
                functions.function(next_type);
                let mut function = Function::new([]);
                body(&mut function.instructions());
                function.instructions().end();
                code.function(&function);
                if let Some(name) = name {
                    exports.export(&name, ExportKind::Func, next);
                }
                next_type += 1;
                next += 1;
                next - 1
            };
        let constant = |value: u32| {
            move |sink: &mut InstructionSink<'_>| {
                sink.i32_const(value.cast_signed());
            }
        };
        let named = |name: &str| Some(format!("{interface}#{name}"));
        let body = [I32, I32, I32, I32, I32, I32, I32];
        add(Some("cabi_realloc".into()), &[I32; 4], &[I32], &constant(self.realloc));
        add(named("configure"), &[I32, I32], &[I32], &constant(self.returns.0));
        add(named("[constructor]exchange"), &[], &[I32], &|sink| match self.handle {
            Some(handle) => {
                sink.i32_const(handle.cast_signed());
            }
            None => {
                sink.i32_const(1).call(0);
            }
        });
        add(named("[method]exchange.request-head"), &[I32; 11], &[I32], &|sink| {
            if let Some(calls) = self.calls {
                calls(sink);
            }
            sink.i32_const(self.returns.1.cast_signed());
        });
        add(named("[method]exchange.request-body"), &body, &[I32], &constant(self.returns.1));
        add(named("[method]exchange.response-head"), &[I32; 4], &[I32], &constant(self.returns.1));
        add(named("[method]exchange.response-body"), &body, &[I32], &constant(self.returns.1));
        // More than sixteen values: they come in memory.
        add(named("[method]exchange.log"), &[I32], &[], &|_| {});
        for _ in 0..self.more_functions {
            add(None, &[I64], &[I64], &|sink| {
                sink.local_get(0).i64_const(3).i64_mul().i64_const(7).i64_xor();
            });
        }
        let start = self.start.map(|start| add(None, &[], &[], &start));
        exports.export("memory", ExportKind::Memory, 0);

        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: self.pages,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut data = DataSection::new();
        for (at, bytes) in [(DECLARATION, &self.declaration), (VERDICT, &self.verdict), (ROOM, &self.room)] {
            data.active(0, &ConstExpr::i32_const(at.cast_signed()), bytes.iter().copied());
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions);
        if self.table > 0 {
            let mut tables = TableSection::new();
            let element_type = RefType::FUNCREF;
            tables.table(TableType { element_type, minimum: self.table, maximum: None, table64: false, shared: false });
            module.section(&tables);
        }
        module.section(&memories).section(&exports);
        if let Some(function_index) = start {
            module.section(&StartSection { function_index });
        }
        module.section(&code).section(&data);
        module.finish()
    }
}

/// A verdict `edit` with these bytes of a list of fields, by pointer and length, and of the option `status`.
pub fn edit(pointer: u32, length: u32, status: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[0] = 1;
    bytes[4..8].copy_from_slice(&pointer.to_le_bytes());
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    bytes[24..28].copy_from_slice(&status);
    bytes
}

/// Bytes of one `field-edit`: its case, and name and value by pointer and length.
pub fn field_edit(case: u8, words: [u32; 4]) -> Vec<u8> {
    let mut bytes = vec![case, 0, 0, 0];
    bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
    bytes
}
