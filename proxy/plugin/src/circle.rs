//! Packages of interfaces that need each other in a circle.
//!
//! A core module says in custom sections which interfaces it uses. What makes it a component follows packages to those that they need,
//! by recursion: without an end where there is a circle, and too deep where the chain is long. Neither can be caught once it happens.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{Parser, Payload};
use wit_parser::{PackageName, decoding::decode_world};

use crate::BuildError;

/// How such sections' names begin.
const SECTIONS: &str = "component-type";

/// The contract and all of WASI are about ten.
const PACKAGES_MAX: usize = 256;

/// Refuses a core module whose packages cannot be followed.
///
/// # Errors
/// When there is a circle, when there are more than [`PACKAGES_MAX`], or when a section cannot be read.
pub fn check(module: &[u8]) -> Result<(), BuildError> {
    let mut needs: BTreeMap<PackageName, BTreeSet<PackageName>> = BTreeMap::new();
    for payload in Parser::new(0).parse_all(module) {
        let Ok(Payload::CustomSection(section)) = payload else { continue };
        if !section.name().starts_with(SECTIONS) {
            continue;
        }
        let (resolve, _) = decode_world(section.data())
            .map_err(|error| BuildError(format!("its section `{}` cannot be read: {error:#}", section.name())))?;
        for (id, package) in resolve.packages.iter() {
            let needed = resolve.package_direct_deps(id).map(|needed| resolve.packages[needed].name.clone());
            needs.entry(package.name.clone()).or_default().extend(needed);
        }
        if needs.len() > PACKAGES_MAX {
            return Err(BuildError(format!("it uses more than {PACKAGES_MAX} packages of interfaces")));
        }
    }
    match in_circle(needs) {
        None => Ok(()),
        Some(name) => Err(BuildError(format!("it is broken: package {name} needs itself, over others that it needs"))),
    }
}

/// One that is in a circle or needs one that is.
fn in_circle<T: Ord + Clone>(mut needs: BTreeMap<T, BTreeSet<T>>) -> Option<T> {
    loop {
        let is_free = |needed: &BTreeSet<T>| !needed.iter().any(|needed| needs.contains_key(needed));
        let free: Vec<T> = needs.iter().filter(|(_, needed)| is_free(needed)).map(|(name, _)| name.clone()).collect();
        if free.is_empty() {
            return needs.into_keys().next();
        }
        for name in free {
            needs.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(pairs: &[(u8, &[u8])]) -> BTreeMap<u8, BTreeSet<u8>> {
        pairs.iter().map(|(name, needed)| (*name, needed.iter().copied().collect())).collect()
    }

    #[test]
    fn circles_are_found_and_others_are_not() {
        assert_eq!(in_circle(needs(&[])), None);
        assert_eq!(in_circle(needs(&[(1, &[2, 3]), (2, &[3]), (3, &[])])), None);
        assert_eq!(in_circle(needs(&[(1, &[9])])), None, "what is not there needs nothing");
        assert_eq!(in_circle(needs(&[(1, &[2]), (2, &[1])])), Some(1));
        assert_eq!(in_circle(needs(&[(1, &[]), (2, &[3]), (3, &[4]), (4, &[2, 1])])), Some(2));
    }

    #[test]
    fn a_module_with_a_circle_is_refused() {
        let module = include_bytes!("../../../tests/fuzz/seeds/plugin/circle");
        let error = check(module).expect_err("its packages need each other");
        assert!(error.0.contains("needs itself"), "{error:?}");
        assert!(crate::inspect(module).is_err());
    }
}
