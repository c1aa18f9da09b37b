//! Bulk memory instructions in pieces.
//!
//! `memory.fill`, `memory.copy` and `memory.init` are one step for wasmtime however many bytes they move: a guest that fills its whole
//! memory holds its thread for tens of milliseconds, and no tick gets in between. Here each of these instructions becomes the call of
//! a function, added to the module, that does the same in pieces of 64 KiB with a loop around them, where the epoch is looked at. What is
//! smaller than a piece costs one call more than before.
//!
//! Should the instruction be out of bounds, pieces before the bound are done before it traps. Nobody can see them: a guest that has
//! trapped is not run again.

use std::convert::Infallible;

use wasm_encoder::{
    BlockType, CodeSection, Component, Function, FunctionSection, Instruction, Module, ModuleSection, TypeSection,
    ValType,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{CodeSectionReader, FunctionSectionReader, Operator, Parser, Payload, TypeRef, TypeSectionReader};

use crate::BuildError;

/// Bytes of a piece: some microseconds, also where each page of it is touched for the first time.
const PIECE: i32 = 64 << 10;

/// The component with its bulk instructions in pieces.
///
/// # Errors
/// When it cannot be read.
pub fn in_pieces(component: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut rewritten = Component::new();
    Rewriter::default()
        .parse_component(&mut rewritten, Parser::new(0), component)
        .map_err(|error| BuildError(format!("its code cannot be read: {error}")))?;
    Ok(rewritten.finish())
}

/// An instruction that moves any number of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bulk {
    Fill { memory: u32 },
    Copy { to: u32, from: u32 },
    Init { segment: u32, memory: u32 },
}

impl Bulk {
    fn of(operator: &Operator<'_>) -> Option<Self> {
        match *operator {
            Operator::MemoryFill { mem } => Some(Self::Fill { memory: mem }),
            Operator::MemoryCopy { dst_mem, src_mem } => Some(Self::Copy { to: dst_mem, from: src_mem }),
            Operator::MemoryInit { data_index, mem } => Some(Self::Init { segment: data_index, memory: mem }),
            _ => None,
        }
    }

    fn instruction(self) -> Instruction<'static> {
        match self {
            Self::Fill { memory } => Instruction::MemoryFill(memory),
            Self::Copy { to, from } => Instruction::MemoryCopy { src_mem: from, dst_mem: to },
            Self::Init { segment, memory } => Instruction::MemoryInit { mem: memory, data_index: segment },
        }
    }
}

/// Of the module that is being rewritten.
#[derive(Default)]
struct Rewriter {
    /// Each instruction that the module has; its function comes at `functions` plus its position here.
    bulks: Vec<Bulk>,
    functions: u32,
    types: u32,
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn parse_core_module(&mut self, module: &mut Module, parser: Parser, data: &[u8]) -> Result<(), Error> {
        *self = Self::default();
        for payload in parser.clone().parse_all(data) {
            match payload.map_err(Error::ParseError)? {
                Payload::TypeSection(types) => {
                    for group in types {
                        self.types += group.map_err(Error::ParseError)?.types().len() as u32;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.map_err(Error::ParseError)?;
                        self.functions += u32::from(matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                    }
                }
                Payload::FunctionSection(functions) => self.functions += functions.count(),
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader().map_err(Error::ParseError)? {
                        if let Some(bulk) = Bulk::of(&operator.map_err(Error::ParseError)?)
                            && !self.bulks.contains(&bulk)
                        {
                            self.bulks.push(bulk);
                        }
                    }
                }
                _ => {}
            }
        }
        wasm_encoder::reencode::utils::parse_core_module(self, module, parser, data)
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Result<(), Error> {
        wasm_encoder::reencode::utils::parse_type_section(self, types, section)?;
        if !self.bulks.is_empty() {
            types.ty().function([ValType::I32; 3], []);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        wasm_encoder::reencode::utils::parse_function_section(self, functions, section)?;
        for _ in &self.bulks {
            functions.function(self.types);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        wasm_encoder::reencode::utils::parse_code_section(self, code, section)?;
        for bulk in &self.bulks {
            code.function(&piecemeal(*bulk));
        }
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        let at = Bulk::of(&operator).and_then(|bulk| self.bulks.iter().position(|known| *known == bulk));
        match at {
            Some(at) => Ok(Instruction::Call(self.functions + at as u32)),
            None => wasm_encoder::reencode::utils::instruction(self, operator),
        }
    }
}

impl ReencodeComponent for Rewriter {
    /// The crate's own goes past [`Reencode::parse_core_module`].
    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        parser: Parser,
        module: &[u8],
    ) -> Result<(), Error> {
        let mut rewritten = Module::new();
        self.parse_core_module(&mut rewritten, parser, module)?;
        component.section(&ModuleSection(&rewritten));
        Ok(())
    }
}

/// The function in place of `bulk`: its operands are the parameters.
fn piecemeal(bulk: Bulk) -> Function {
    let mut body = Body { bulk, function: Function::new([]) };
    match bulk {
        Bulk::Fill { .. } => body.upwards(false),
        Bulk::Init { .. } => body.upwards(true),
        Bulk::Copy { to, from } if to != from => body.upwards(true),
        Bulk::Copy { .. } => {
            // Where the two ranges overlap, no byte may be written before it was read.
            body.add(&[Instruction::LocalGet(TO), Instruction::LocalGet(FROM), Instruction::I32LeU]);
            body.add(&[Instruction::If(BlockType::Empty)]);
            body.upwards(true);
            body.add(&[Instruction::Else]);
            body.downwards();
            body.add(&[Instruction::End]);
        }
    }
    body.add(&[Instruction::End]);
    body.function
}

/// The parameters: where to; where from, or the byte to fill with; how many.
const TO: u32 = 0;
const FROM: u32 = 1;
const LENGTH: u32 = 2;

struct Body {
    bulk: Bulk,
    function: Function,
}

impl Body {
    fn add(&mut self, instructions: &[Instruction<'_>]) {
        for instruction in instructions {
            self.function.instruction(instruction);
        }
    }

    /// Pieces from the lowest address on, and the rest. `moves`: the second operand is an address too.
    fn upwards(&mut self, moves: bool) {
        self.while_longer(|body| {
            body.add(&[Instruction::LocalGet(TO), Instruction::LocalGet(FROM), Instruction::I32Const(PIECE)]);
            body.add(&[body.bulk.instruction()]);
            body.step(TO, Instruction::I32Add);
            if moves {
                body.step(FROM, Instruction::I32Add);
            }
            body.step(LENGTH, Instruction::I32Sub);
        });
    }

    /// Pieces from the highest address on, and the rest.
    fn downwards(&mut self) {
        self.while_longer(|body| {
            body.step(LENGTH, Instruction::I32Sub);
            for address in [TO, FROM] {
                body.add(&[Instruction::LocalGet(address), Instruction::LocalGet(LENGTH), Instruction::I32Add]);
            }
            body.add(&[Instruction::I32Const(PIECE), body.bulk.instruction()]);
        });
    }

    /// `piece` while there is more than one, then the rest.
    fn while_longer(&mut self, piece: impl FnOnce(&mut Self)) {
        self.add(&[
            Instruction::Loop(BlockType::Empty),
            Instruction::LocalGet(LENGTH),
            Instruction::I32Const(PIECE),
            Instruction::I32GtU,
            Instruction::If(BlockType::Empty),
        ]);
        piece(self);
        self.add(&[Instruction::Br(1), Instruction::End, Instruction::End]);
        self.add(&[Instruction::LocalGet(TO), Instruction::LocalGet(FROM), Instruction::LocalGet(LENGTH)]);
        self.add(&[self.bulk.instruction()]);
    }

    fn step(&mut self, local: u32, by: Instruction<'_>) {
        self.add(&[Instruction::LocalGet(local), Instruction::I32Const(PIECE), by, Instruction::LocalSet(local)]);
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module as Compiled, Store};

    use super::*;

    const SOURCE: &str = r#"(module
        (memory (export "memory") 8)
        (data $passive "0123456789")
        (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
        (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init") (param i32 i32 i32) (memory.init $passive (local.get 0) (local.get 1) (local.get 2))))"#;

    /// Runs the calls in both, and compares what they leave behind.
    fn same(calls: &[(&str, [i32; 3])]) {
        let plain = wat::parse_str(SOURCE).unwrap();
        let mut module = Module::new();
        Rewriter::default().parse_core_module(&mut module, Parser::new(0), &plain).unwrap();
        let pieces = module.finish();
        assert!(pieces.len() > plain.len() + 100, "there are functions in it that were not");
        let engine = Engine::default();
        let results = [plain, pieces].map(|wasm| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &Compiled::new(&engine, wasm).unwrap(), &[]).unwrap();
            let memory = instance.get_memory(&mut store, "memory").unwrap();
            let all = memory.data_mut(&mut store);
            all.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 + i / 251) as u8);
            let ends: Vec<bool> = calls
                .iter()
                .map(|(name, [a, b, c])| {
                    let call = instance.get_typed_func::<(i32, i32, i32), ()>(&mut store, name).unwrap();
                    call.call(&mut store, (*a, *b, *c)).is_ok()
                })
                .collect();
            let left = ends.iter().all(|ended| *ended).then(|| memory.data(&store).to_vec());
            (ends, left)
        });
        assert!(results[0] == results[1], "{calls:?}");
    }

    /// A component has its modules inside: it is there that the instructions are.
    #[test]
    fn the_modules_of_a_component_are_rewritten() {
        let component =
            wat::parse_str(format!("(component (core module $m {}", &SOURCE["(module".len()..]) + ")").unwrap();
        let pieces = in_pieces(&component).unwrap();
        let bulks = |wasm: &[u8]| {
            let operators = Parser::new(0).parse_all(wasm).flat_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => body.get_operators_reader().unwrap().into_iter().collect(),
                _ => Vec::new(),
            });
            operators.filter(|operator| Bulk::of(operator.as_ref().unwrap()).is_some()).count()
        };
        assert_eq!(bulks(&component), 3);
        assert_eq!(bulks(&pieces), 2 + 2 + 4, "each piece and rest; a copy goes up or down");
    }

    #[test]
    fn pieces_do_what_the_whole_does() {
        const P: i32 = PIECE;
        for length in [0, 1, P - 1, P, P + 1, 2 * P, 3 * P + 17] {
            same(&[("fill", [5, 0xab, length])]);
            // Apart, and overlapping either way by little and by much.
            for (to, from) in [(0, 4 * P), (4 * P, 0), (1, 0), (0, 1), (P, 0), (0, P), (P + 3, 2), (2, P + 3), (9, 9)] {
                same(&[("copy", [to, from, length])]);
            }
        }
        same(&[("init", [P, 2, 8]), ("copy", [0, P, 8])]);
    }

    #[test]
    fn what_is_out_of_bounds_traps() {
        let end = 8 * (64 << 10);
        for length in [1, PIECE, 3 * PIECE] {
            same(&[("fill", [end - length + 1, 0, length])]);
            same(&[("copy", [end - length + 1, 0, length])]);
            same(&[("copy", [0, end - length + 1, length])]);
            same(&[("fill", [end - length, 0, length])]);
        }
        same(&[("init", [0, 5, 6])]);
        same(&[("fill", [end + 1, 0, 0])]);
        same(&[("fill", [-1, 0, -1])]);
    }
}
