//! Runs a program.

use super::{
    super::{
        Groups,
        syntax::{Place, WORD},
    },
    Label, Program, Step, TooManySteps,
};
use crate::bytes::ByteSet;

/// A slot that holds no position.
const UNSET: usize = usize::MAX;
/// Things to come back to, at most: 24 bytes each.
const MAX_STACK: usize = 1 << 18;
/// Bytes that count as a step where they are taken together.
const BYTES_PER_STEP: usize = 64;

/// What to do when a way fails.
#[derive(Debug, Clone, Copy)]
enum Memory {
    /// Go on there.
    Way { step: Label, at: usize },
    /// Give back one byte and go on, as long as more than `least` are taken.
    Fewer { step: Label, at: usize, least: usize },
    /// Take one byte more and go on, if it is one of the run's.
    More { run: Label, at: usize, taken: u32 },
    /// Undo a change.
    Slot { slot: u32, was: usize },
    /// Leave an atomic group or a look-around.
    Leave,
}

/// An atomic group or look-around that has begun.
#[derive(Debug, Clone, Copy)]
struct Entered {
    memories: usize,
    at: usize,
}

struct Machine<'a> {
    program: &'a Program,
    value: &'a [u8],
    /// Where the search began.
    start: usize,
    slots: Vec<usize>,
    memories: Vec<Memory>,
    entered: Vec<Entered>,
    steps: u64,
}

impl Program {
    /// The first match that begins at `from` or later, `start` being where the search began: its groups.
    pub(in super::super) fn search(
        &self,
        value: &[u8],
        start: usize,
        from: usize,
    ) -> Result<Option<Groups>, TooManySteps> {
        let slots = vec![UNSET; self.slots];
        let mut machine =
            Machine { program: self, value, start, slots, memories: Vec::new(), entered: Vec::new(), steps: 0 };
        let mut at = from;
        loop {
            if let Some(first) = &self.first {
                let Some(skip) = value[at..].iter().position(|&byte| first.contains(byte)) else { return Ok(None) };
                machine.count(skip)?;
                at += skip;
            }
            if machine.run(at)? {
                let groups = machine.slots[..self.groups * 2].chunks_exact(2).map(|ends| match ends {
                    [start, end] if *end != UNSET => Some(*start..*end),
                    _ => None,
                });
                return Ok(Some(Groups(groups.collect())));
            }
            at += 1;
            if at > value.len() {
                return Ok(None);
            }
        }
    }
}

impl Machine<'_> {
    fn count(&mut self, bytes: usize) -> Result<(), TooManySteps> {
        self.steps += 1 + (bytes / BYTES_PER_STEP) as u64;
        if self.steps > self.program.limit || self.memories.len() >= MAX_STACK { Err(TooManySteps) } else { Ok(()) }
    }

    fn remember(&mut self, memory: Memory) -> Result<(), TooManySteps> {
        self.memories.push(memory);
        self.count(0)
    }

    fn set(&mut self, slot: u32, value: usize) -> Result<(), TooManySteps> {
        let was = std::mem::replace(&mut self.slots[slot as usize], value);
        self.remember(Memory::Slot { slot, was })
    }

    fn run(&mut self, begin: usize) -> Result<bool, TooManySteps> {
        self.slots.fill(UNSET);
        self.memories.clear();
        self.entered.clear();
        self.count(0)?;
        self.slots[0] = begin;
        let program = self.program;
        let (mut step, mut at) = (0_usize, begin);
        loop {
            let passed = match program.steps[step] {
                Step::Class(set) => {
                    let passed = self.value.get(at).is_some_and(|&byte| program.sets[set as usize].contains(byte));
                    at += 1;
                    passed
                }
                Step::Run { set, min, max, greedy } => {
                    let set = &program.sets[set as usize];
                    let most = if greedy { max } else { min };
                    let taken = run_length(&self.value[at..], set, most as usize);
                    self.count(taken)?;
                    let (least, from) = (at + min as usize, at);
                    at += taken;
                    if taken < min as usize {
                        false
                    } else {
                        if !greedy && max > min {
                            self.remember(Memory::More { run: step as Label, at, taken: min })?;
                        } else if at > least {
                            debug_assert!(least >= from);
                            self.remember(Memory::Fewer { step: step as Label + 1, at, least })?;
                        }
                        true
                    }
                }
                Step::Split(first, second) => {
                    self.remember(Memory::Way { step: second, at })?;
                    step = first as usize;
                    continue;
                }
                Step::Jump(to) => {
                    step = to as usize;
                    continue;
                }
                Step::Save(slot) => {
                    self.set(slot, at)?;
                    true
                }
                Step::Close { kept, group } => {
                    let start = self.slots[kept as usize];
                    self.set(group * 2, start)?;
                    self.set(group * 2 + 1, at)?;
                    true
                }
                Step::Unmoved(slot, to) => {
                    if self.slots[slot as usize] == at {
                        step = to as usize;
                        continue;
                    }
                    true
                }
                Step::Assert(place) => self.holds(place, at),
                Step::Newline => {
                    let taken = match self.value.get(at) {
                        Some(b'\r') if self.value.get(at + 1) == Some(&b'\n') => 2,
                        Some(b'\n'..=b'\r' | 0x85) => 1,
                        _ => 0,
                    };
                    at += taken;
                    taken > 0
                }
                Step::BackReference { group, ignore_case } => {
                    let ends = (self.slots[group as usize * 2], self.slots[group as usize * 2 + 1]);
                    let same = self.value.get(ends.0..ends.1).is_some_and(|text| {
                        let here = self.value.get(at..at + text.len());
                        here.is_some_and(
                            |here| if ignore_case { here.eq_ignore_ascii_case(text) } else { here == text },
                        )
                    });
                    if same {
                        let length = ends.1 - ends.0;
                        self.count(length)?;
                        at += length;
                    }
                    same
                }
                Step::Unless(group, to) => {
                    if self.slots[group as usize * 2 + 1] == UNSET {
                        step = to as usize;
                        continue;
                    }
                    true
                }
                Step::Back(length) => match at.checked_sub(length as usize) {
                    Some(back) => {
                        at = back;
                        true
                    }
                    None => false,
                },
                Step::Atomic => {
                    self.entered.push(Entered { memories: self.memories.len(), at });
                    self.remember(Memory::Leave)?;
                    true
                }
                Step::AtomicEnd | Step::AheadEnd => {
                    if let Some(entered) = self.entered.pop() {
                        self.forget_ways(entered.memories);
                        if matches!(program.steps[step], Step::AheadEnd) {
                            at = entered.at;
                        }
                    }
                    true
                }
                Step::Not(to) => {
                    self.entered.push(Entered { memories: self.memories.len(), at });
                    self.remember(Memory::Way { step: to, at })?;
                    self.remember(Memory::Leave)?;
                    true
                }
                Step::NotEnd => {
                    let height = self.entered.last().map_or(0, |entered| entered.memories);
                    while self.memories.len() > height {
                        if let Some(memory) = self.memories.pop() {
                            self.undo(memory);
                        }
                    }
                    false
                }
                Step::KeepOut => {
                    self.set(0, at)?;
                    true
                }
                Step::Match => {
                    self.slots[1] = at;
                    return Ok(true);
                }
            };
            if passed {
                step += 1;
                continue;
            }
            match self.back()? {
                Some((to, there)) => (step, at) = (to as usize, there),
                None => return Ok(false),
            }
        }
    }

    /// Where to go on after a failure.
    fn back(&mut self) -> Result<Option<(Label, usize)>, TooManySteps> {
        while let Some(memory) = self.memories.pop() {
            match memory {
                Memory::Way { step, at } => return Ok(Some((step, at))),
                Memory::Fewer { step, at, least } => {
                    let at = at - 1;
                    if at > least {
                        self.remember(Memory::Fewer { step, at, least })?;
                    }
                    return Ok(Some((step, at)));
                }
                Memory::More { run, at, taken } => {
                    let Step::Run { set, max, .. } = self.program.steps[run as usize] else { continue };
                    let set = &self.program.sets[set as usize];
                    if self.value.get(at).is_some_and(|&byte| set.contains(byte)) {
                        if taken + 1 < max {
                            self.remember(Memory::More { run, at: at + 1, taken: taken + 1 })?;
                        }
                        return Ok(Some((run + 1, at + 1)));
                    }
                }
                other => self.undo(other),
            }
        }
        Ok(None)
    }

    fn undo(&mut self, memory: Memory) {
        match memory {
            Memory::Slot { slot, was } => self.slots[slot as usize] = was,
            Memory::Leave => drop(self.entered.pop()),
            Memory::Way { .. } | Memory::Fewer { .. } | Memory::More { .. } => {}
        }
    }

    /// Drops the ways remembered above a height. Changes stay remembered: an earlier way undoes them.
    fn forget_ways(&mut self, height: usize) {
        let mut kept = height;
        for index in height..self.memories.len() {
            if let memory @ Memory::Slot { .. } = self.memories[index] {
                self.memories[kept] = memory;
                kept += 1;
            }
        }
        self.memories.truncate(kept);
    }

    fn holds(&self, place: Place, at: usize) -> bool {
        let value = self.value;
        let word = |at: usize| value.get(at).is_some_and(|&byte| WORD.contains(byte));
        let boundary = || (at > 0 && word(at - 1)) != word(at);
        match place {
            Place::Start => at == 0,
            Place::End => at == value.len(),
            Place::EndOrLastNewline => at == value.len() || value[at..] == *b"\n",
            Place::LineStart => at == 0 || (at < value.len() && value[at - 1] == b'\n'),
            Place::LineEnd => at == value.len() || value[at] == b'\n',
            Place::WordBoundary => boundary(),
            Place::NoWordBoundary => !boundary(),
            Place::SearchStart => at == self.start,
        }
    }
}

fn run_length(value: &[u8], set: &ByteSet, most: usize) -> usize {
    value.iter().take(most).take_while(|&&byte| set.contains(byte)).count()
}
