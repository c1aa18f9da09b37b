//! Random bytes into everything that parses what strangers send: no panic, and one answer however they come.
//!
//! The fuzz targets (`make fuzz`) look far and take long; these scenarios call the same functions with their seeds and with
//! a bounded number of mutations of them, the same in every run.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::collections::BTreeSet;

use portcullis_tests::repository::{blocks, read, root};

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = root().join("tests/fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    if target == "config" {
        files.extend(std::fs::read_dir(root().join("config")).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    if target == "config" {
        seeds.extend(blocks(&read("docs/configuration.md"), "toml").into_iter().map(String::into_bytes));
    }
    assert!(seeds.len() >= 10, "{target} has {} seeds", seeds.len());
    seeds
}

/// Prints its input when the check fails: that is the next seed.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn run(target: &str, input: &[u8]) {
    let _shown = Shown(input);
    checks::check(target, input);
}

/// One to a few changes, as a fuzzer makes them.
fn mutate(random: &mut fastrand::Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    const ODD: [u8; 16] = *b"\x00\xff\x7f\x80\r\n\t :,;%/.[\"";
    let mut bytes = seed.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(1..9)).min(bytes.len());
        match random.u8(..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(if random.bool() { 1 } else { 255 }),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.insert(at, ODD[random.usize(..ODD.len())]),
            5 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            6 => bytes.truncate(at),
            _ if !other.is_empty() => {
                let from = random.usize(..other.len());
                let to = (from + random.usize(1..40)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => {}
        }
    }
    bytes
}

/// The seeds and `count` mutations of them.
fn feed(target: &str, count: usize) {
    let seeds = seeds(target);
    for seed in &seeds {
        run(target, seed);
    }
    let mut random = fastrand::Rng::with_seed(0x706f_7274);
    for _ in 0..count {
        let seed = &seeds[random.usize(..seeds.len())];
        let other = &seeds[random.usize(..seeds.len())];
        run(target, &mutate(&mut random, seed, other));
    }
}

#[test]
fn client_hellos_have_one_meaning_however_they_are_cut() {
    feed("client_hello", 20_000);
}

#[test]
fn configurations_get_an_answer_that_can_be_shown() {
    feed("config", 2000);
}

#[test]
fn heads_that_are_let_through_mean_the_same_to_the_parser_behind() {
    feed("head", 30_000);
}

#[test]
fn paths_are_normal_after_being_made_so() {
    feed("path", 40_000);
}

#[test]
fn files_of_plugins_get_an_answer() {
    feed("plugin", 3000);
}

#[test]
fn proxy_headers_have_one_meaning_however_they_are_cut() {
    feed("proxy_protocol", 40_000);
}

#[test]
fn rules_of_strangers_get_an_answer() {
    feed("seclang", 1500);
}

#[test]
fn shortcuts_of_the_waf_change_nothing() {
    feed("waf", 1500);
}

#[test]
fn every_target_is_fed_here_too() {
    let names = |path: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root().join("tests/fuzz").join(path)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let fed: BTreeSet<String> = checks::CHECKS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), fed);
    assert_eq!(names("seeds"), fed);
}
