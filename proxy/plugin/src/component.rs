//! From the bytes of a file to a component of our contract, and what can be read from it without running it.

use wasmparser::{Encoding, Parser, Payload};
use wit_parser::{Resolve, WorldItem, WorldKey, decoding::DecodedWasm};

use crate::{BuildError, Inspection, Manifest, circle, engine::Needs, manifest};

/// The package of the contract, its version here, and the interface that a plugin exports.
const PACKAGE: (&str, &str) = ("portcullis", "filter");
const VERSION: (u64, u64, u64) = (0, 1, 0);
const EXPORT: &str = "filter";

/// A file that is taken to be no plugin when it is larger.
pub const SIZE_MAX: usize = 256 << 20;

/// A component, with what can be read from it.
pub struct Read {
    /// The component's bytes.
    pub component: Vec<u8>,
    /// What it says of itself.
    pub inspection: Inspection,
    /// What it needs of a pool.
    pub needs: Needs,
}

/// Reads a file: a component, or a core module that is made one.
///
/// # Errors
/// When it is neither, or is not of our contract.
pub fn read(file: &[u8]) -> Result<Read, BuildError> {
    if file.len() > SIZE_MAX {
        return Err(BuildError(format!("it has {} MiB; at most {} MiB are read", file.len() >> 20, SIZE_MAX >> 20)));
    }
    let is_component = match Parser::new(0).parse_all(file).next() {
        Some(Ok(Payload::Version { encoding, .. })) => encoding == Encoding::Component,
        _ => return Err(BuildError("it is no WebAssembly: it does not begin with the four bytes `\\0asm`".into())),
    };
    // What comes next expects files that are whole.
    if let Some(Err(error)) = Parser::new(0).parse_all(file).find(Result::is_err) {
        return Err(BuildError(format!("it is broken: {error}")));
    }
    let component = if is_component {
        file.to_vec()
    } else {
        circle::check(file)?;
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(file)
            .and_then(|mut encoder| encoder.encode())
            .map_err(|error| BuildError(format!("it cannot be made a component: {error:#}")))?
    };
    let decoded = wit_component::decode(&component)
        .map_err(|error| BuildError(format!("it is no valid component: {error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(BuildError("it is a WIT package and no component: there is no code in it".into()));
    };
    let world = &resolve.worlds[world];
    let exported = world.exports.iter().find_map(|(key, item)| ours(&resolve, key, item));
    let contract = match exported {
        Some((interface, version)) if interface == EXPORT => version,
        _ => {
            return Err(BuildError(format!(
                "it does not export portcullis:filter/filter@{}.{}.{}: it is built for something else",
                VERSION.0, VERSION.1, VERSION.2
            )));
        }
    };
    let mut imports = Vec::new();
    let mut other_imports = Vec::new();
    let mut versions = vec![contract];
    for (key, item) in &world.imports {
        match ours(&resolve, key, item) {
            Some((interface, version)) => {
                versions.push(version);
                if interface != "types" {
                    imports.push(interface);
                }
            }
            None => other_imports.push(resolve.name_world_key(key)),
        }
    }
    if let Some((major, minor, patch)) = versions.into_iter().find(|version| !is_ours(*version)) {
        return Err(BuildError(format!(
            "it was built against portcullis:filter@{major}.{minor}.{patch}, and this proxy speaks 0.1: build it against a 0.1 contract, or \
             take a proxy that speaks {major}.{minor}"
        )));
    }
    imports.sort();
    other_imports.sort();
    let Walked { memory, needs, manifest } = walk(&component, file)?;
    let contract = format!("{}.{}.{}", contract.0, contract.1, contract.2);
    let size = file.len();
    let inspection = Inspection { is_component, contract, imports, other_imports, size, memory, manifest };
    Ok(Read { component, inspection, needs })
}

/// Before 1.0 the minor number is what may break (semver.org, item 4); a newer patch may have more than we know.
fn is_ours(version: (u64, u64, u64)) -> bool {
    version.0 == VERSION.0 && version.1 == VERSION.1 && version.2 <= VERSION.2
}

/// The interface and version, for items of our package.
fn ours(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> Option<(String, (u64, u64, u64))> {
    let (WorldKey::Interface(id), WorldItem::Interface { .. }) = (key, item) else { return None };
    let interface = &resolve.interfaces[*id];
    let package = &resolve.packages[interface.package?].name;
    if (package.namespace.as_str(), package.name.as_str()) != PACKAGE {
        return None;
    }
    let version = package.version.as_ref().map_or((0, 0, 0), |version| (version.major, version.minor, version.patch));
    Some((interface.name.clone()?, version))
}

struct Walked {
    memory: u64,
    needs: Needs,
    manifest: Option<Manifest>,
}

/// Looks through all core modules. The manifest may be in the file itself, or in the core module inside.
fn walk(component: &[u8], file: &[u8]) -> Result<Walked, BuildError> {
    /// Bytes of a page of linear memory.
    const PAGE: u64 = 64 << 10;
    let broken = |error: wasmparser::BinaryReaderError| BuildError(format!("it is broken: {error}"));
    let mut needs = Needs { memories: 0, tables: 0, table_elements: 0 };
    let mut memory = 0u64;
    let mut manifest = None;
    for bytes in [component, file] {
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::MemorySection(memories) if std::ptr::eq(bytes, component) => {
                    for one in memories {
                        needs.memories += 1;
                        memory = memory.saturating_add(one.map_err(broken)?.initial.saturating_mul(PAGE));
                    }
                }
                Payload::TableSection(tables) if std::ptr::eq(bytes, component) => {
                    for table in tables {
                        needs.tables += 1;
                        let initial = usize::try_from(table.map_err(broken)?.ty.initial).unwrap_or(usize::MAX);
                        needs.table_elements = needs.table_elements.max(initial);
                    }
                }
                Payload::CustomSection(section) if section.name() == manifest::SECTION => {
                    manifest = Some(manifest::parse(section.data())?);
                }
                _ => {}
            }
        }
    }
    Ok(Walked { memory, needs, manifest })
}
