//! Attacks on processor and memory, and the way to the others.

use std::{cell::RefCell, hint::black_box};

use crate::{
    answers, calls,
    config::Attack,
    portcullis::filter::{clock, types::Verdict},
};

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that a [`Attack::Grow`] asks for at once in the beginning.
const BITE: usize = 1 << 20;

pub fn run(attack: Option<&Attack>) -> Verdict {
    match attack {
        None | Some(Attack::Nothing) => {}
        Some(Attack::Trap) => panic!("as it was told"),
        Some(Attack::Spin) => spin(),
        Some(Attack::SpinClock) => spin_clock(),
        Some(Attack::Recurse) => {
            black_box(recurse(0));
        }
        Some(Attack::Grow) => grow(),
        Some(Attack::Allocate { bytes }) => keep(vec![1; *bytes]),
        Some(Attack::Leak { bytes }) => keep(vec![1; *bytes]),
        Some(Attack::Fill { bytes }) => fill(*bytes),
        Some(Attack::Copy { bytes }) => copy(*bytes),
        Some(answer @ (Attack::Edit { .. } | Attack::Respond { .. })) => return answers::of(answer),
        Some(call) => calls::run(call),
    }
    Verdict::Continue
}

fn spin() -> ! {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn spin_clock() -> ! {
    loop {
        black_box(clock::monotonic());
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { recurse(black_box(depth + 1)).wrapping_add(1) }
}

fn keep(bytes: Vec<u8>) {
    KEPT.with_borrow_mut(|kept| kept.push(bytes));
}

fn grow() {
    let mut bite = BITE;
    while bite > 0 {
        let mut more: Vec<u8> = Vec::new();
        if more.try_reserve_exact(bite).is_err() {
            bite /= 2;
            continue;
        }
        more.resize(bite, 1);
        keep(more);
    }
}

fn fill(bytes: usize) -> ! {
    let mut all = vec![0u8; bytes];
    let mut value = 0u8;
    loop {
        value = value.wrapping_add(1);
        black_box(&mut all[..]).fill(black_box(value));
    }
}

fn copy(bytes: usize) -> ! {
    let mut all = vec![1u8; bytes];
    loop {
        black_box(&mut all[..]).copy_within(..bytes / 2, bytes - bytes / 2);
    }
}
