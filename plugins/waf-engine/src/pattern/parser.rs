//! Reads PCRE's language. The rules are those of the manual pages pcre2pattern(3) and pcre2syntax(3) without UTF mode; where PCRE2
//! refuses what PCRE 8 and Perl read as they are (a hyphen after `\w` in a class), it is read.

use super::{
    class,
    syntax::{DIGIT, LINE_FEED, Node, Place, Repetition, SPACE, WORD, fold_case},
};
use crate::bytes::ByteSet;

/// Groups and repetitions within each other: PCRE's own limit for groups.
const MAX_DEPTH: usize = 250;
/// PCRE's limit for a number in braces.
const MAX_REPEAT: u32 = 65_535;
/// PCRE's limit for groups.
const MAX_GROUPS: u32 = 65_535;

/// A pattern as a tree.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// Capturing groups, group 0 not counted.
    pub(super) groups: u32,
}

/// Options that hold at a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    extended: bool,
    pub(super) extended_class: bool,
    no_capture: bool,
    lazy: bool,
}

#[derive(Debug)]
enum Kind {
    Whole,
    Plain,
    Capture(u32),
    Atomic,
    Around {
        behind: bool,
        negated: bool,
    },
    Conditional(u32),
    /// The assertion has been read, or is being read where `None`.
    ConditionalAround(Option<Box<Node>>),
    /// `(?|`: the number of groups before it, and the greatest number after a branch.
    Reset {
        before: u32,
        most: u32,
    },
}

/// An open group.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    /// Where it was opened.
    at: usize,
    /// Options to go back to.
    flags: Flags,
    branches: Vec<Node>,
    /// Parts of the branch, and how deep each is.
    parts: Vec<Node>,
    /// How many repetitions are around the last part.
    stacked: usize,
    /// Whether the last part may be repeated.
    repeatable: bool,
}

#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) source: &'a [u8],
    pub(super) at: usize,
    pub(super) flags: Flags,
    /// Within `\Q...\E`.
    pub(super) quoted: bool,
    groups: u32,
    names: Vec<(Vec<u8>, u32)>,
    /// Groups that are referred to, and where.
    references: Vec<(u32, usize)>,
    frames: Vec<Frame>,
}

/// Reads a whole pattern.
///
/// # Errors
/// One sentence that names the construct and its place.
pub(super) fn parse(source: &[u8], ignore_case: bool) -> Result<Parsed, String> {
    let flags = Flags {
        ignore_case,
        multi_line: false,
        dot_all: true,
        extended: false,
        extended_class: false,
        no_capture: false,
        lazy: false,
    };
    let names = Vec::new();
    let mut parser =
        Parser { source, at: 0, flags, quoted: false, groups: 0, names, references: Vec::new(), frames: Vec::new() };
    parser.open(Kind::Whole, 0)?;
    while parser.at < source.len() {
        parser.step()?;
    }
    let Some(frame) = parser.frames.pop() else { return Err("the pattern has a `)` too many".into()) };
    if !matches!(frame.kind, Kind::Whole) {
        return Err(format!("the group opened at byte {} has no `)`", frame.at));
    }
    let node = finish(frame.branches, frame.parts);
    if let Some((group, at)) = parser.references.iter().find(|(group, _)| *group > parser.groups) {
        return Err(format!("byte {at} refers to group {group}, and there are only {}", parser.groups));
    }
    Ok(Parsed { node, groups: parser.groups })
}

fn finish(mut branches: Vec<Node>, parts: Vec<Node>) -> Node {
    branches.push(concat(parts));
    if branches.len() == 1 { branches.pop().unwrap_or(Node::Empty) } else { Node::Alternate(branches) }
}

fn concat(mut parts: Vec<Node>) -> Node {
    match parts.len() {
        0 => Node::Empty,
        1 => parts.pop().unwrap_or(Node::Empty),
        _ => Node::Concat(parts),
    }
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    pub(super) fn looking_at(&self, text: &[u8]) -> bool {
        self.source[self.at..].starts_with(text)
    }

    pub(super) fn accept(&mut self, text: &[u8]) -> bool {
        let there = self.looking_at(text);
        if there {
            self.at += text.len();
        }
        there
    }

    /// The text up to `end`, which is taken too.
    pub(super) fn until(&mut self, end: u8) -> Option<Vec<u8>> {
        let rest = &self.source[self.at..];
        let length = rest.iter().position(|&byte| byte == end)?;
        self.at += length + 1;
        Some(rest[..length].to_vec())
    }

    fn open(&mut self, kind: Kind, at: usize) -> Result<(), String> {
        if self.frames.len() > MAX_DEPTH {
            return Err(format!("groups are nested more than {MAX_DEPTH} deep at byte {at}"));
        }
        let (branches, parts) = (Vec::new(), Vec::new());
        self.frames.push(Frame { kind, at, flags: self.flags, branches, parts, stacked: 0, repeatable: false });
        Ok(())
    }

    fn push(&mut self, node: Node, repeatable: bool) {
        if let Some(frame) = self.frames.last_mut() {
            frame.parts.push(node);
            frame.stacked = 0;
            frame.repeatable = repeatable;
        }
    }

    fn literal(&mut self, byte: u8) {
        let set = ByteSet::range(byte, byte);
        let set = if self.flags.ignore_case { fold_case(&set) } else { set };
        self.push(Node::Class(set), true);
    }

    fn step(&mut self) -> Result<(), String> {
        let start = self.at;
        let byte = self.source[start];
        if self.quoted {
            if self.accept(b"\\E") {
                self.quoted = false;
            } else {
                self.at += 1;
                self.literal(byte);
            }
            return Ok(());
        }
        if self.flags.extended {
            // PCRE's white space of `(?x)`; a vertical tab is one of them since 8.34.
            if SPACE.contains(byte) {
                self.at += 1;
                return Ok(());
            }
            if byte == b'#' {
                let rest = &self.source[start..];
                self.at += rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |length| length + 1);
                return Ok(());
            }
        }
        self.at += 1;
        match byte {
            b'\\' => self.escape(start)?,
            b'[' => match class::boundary(self) {
                Some(node) => self.push(node, true),
                None => {
                    let set = class::parse(self, start)?;
                    self.push(Node::Class(set), true);
                }
            },
            b'(' => self.group(start)?,
            b')' => self.close(start)?,
            b'|' => {
                if let Some(frame) = self.frames.last_mut() {
                    let parts = std::mem::take(&mut frame.parts);
                    frame.branches.push(concat(parts));
                    frame.repeatable = false;
                    if let Kind::Reset { before, most } = &mut frame.kind {
                        *most = self.groups.max(*most);
                        self.groups = *before;
                    }
                }
            }
            b'.' if self.flags.dot_all => self.push(Node::Class(ByteSet::ALL), true),
            b'.' => self.push(Node::Class(LINE_FEED.complement()), true),
            b'^' => {
                let place = if self.flags.multi_line { Place::LineStart } else { Place::Start };
                self.push(Node::Assert(place), true);
            }
            b'$' => {
                let place = if self.flags.multi_line { Place::LineEnd } else { Place::End };
                self.push(Node::Assert(place), true);
            }
            b'*' => self.repeat(start, 0, None)?,
            b'+' => self.repeat(start, 1, None)?,
            b'?' => self.repeat(start, 0, Some(1))?,
            b'{' => match self.braces(start)? {
                Some((min, max)) => self.repeat(start, min, max)?,
                None => self.literal(b'{'),
            },
            _ => self.literal(byte),
        }
        Ok(())
    }

    /// After `{`: `n}`, `n,}` or `n,m}`. Anything else is an ordinary brace.
    fn braces(&mut self, start: usize) -> Result<Option<(u32, Option<u32>)>, String> {
        let rest = &self.source[self.at..];
        let number = |from: usize| -> (Option<u32>, usize) {
            let digits = rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let mut value = 0_u32;
            for &digit in &rest[from..from + digits] {
                value = value.saturating_mul(10).saturating_add(u32::from(digit - b'0'));
            }
            ((digits > 0).then_some(value), from + digits)
        };
        let (Some(min), mut end) = number(0) else { return Ok(None) };
        let mut max = Some(min);
        if rest.get(end) == Some(&b',') {
            (max, end) = number(end + 1);
        }
        if rest.get(end) != Some(&b'}') {
            return Ok(None);
        }
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT) {
            return Err(format!("the number of repetitions at byte {start} is over {MAX_REPEAT}"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(format!("the numbers of repetitions at byte {start} are in the wrong order"));
        }
        self.at += end + 1;
        Ok(Some((min, max)))
    }

    fn repeat(&mut self, start: usize, min: u32, max: Option<u32>) -> Result<(), String> {
        let kind = if self.accept(b"+") {
            Repetition::Possessive
        } else if self.accept(b"?") != self.flags.lazy {
            Repetition::Lazy
        } else {
            Repetition::Greedy
        };
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let Some(body) = frame.parts.pop().filter(|_| frame.repeatable) else {
            return Err(format!(
                "there is nothing to repeat before `{}` at byte {start}: write \\{0} for the character",
                self.source[start] as char
            ));
        };
        frame.stacked += 1;
        if depth + frame.stacked > MAX_DEPTH {
            return Err(format!("repetitions are nested more than {MAX_DEPTH} deep at byte {start}"));
        }
        // PCRE2 refuses `a**`, `a{2}{3}` and `^*`; PCRE 8 reads the second as `(?:a{2}){3}`, and so on.
        frame.repeatable = true;
        // A repeated look-around counts as one that is there once or not at all: more cannot tell anything new.
        let (min, max) = match &body {
            Node::Around { .. } | Node::Assert(_) => (min.min(1), max.map_or(Some(1), |max| Some(max.min(1)))),
            _ => (min, max),
        };
        frame.parts.push(Node::Repeat { min, max, kind, body: Box::new(body) });
        Ok(())
    }

    fn close(&mut self, start: usize) -> Result<(), String> {
        if self.frames.len() < 2 {
            return Err(format!("`)` at byte {start} closes nothing: write \\) for the character"));
        }
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        self.flags = frame.flags;
        let (branches, parts) = (frame.branches, frame.parts);
        let node = match frame.kind {
            Kind::Whole | Kind::Plain => finish(branches, parts),
            Kind::Capture(group) => Node::Capture(group, Box::new(finish(branches, parts))),
            Kind::Atomic => Node::Atomic(Box::new(finish(branches, parts))),
            Kind::Around { behind, negated } => {
                let around = Node::Around { behind, negated, body: Box::new(finish(branches, parts)) };
                if let Some(Frame { kind: Kind::ConditionalAround(condition @ None), .. }) = self.frames.last_mut() {
                    *condition = Some(Box::new(around));
                    return Ok(());
                }
                around
            }
            Kind::Reset { most, .. } => {
                self.groups = self.groups.max(most);
                finish(branches, parts)
            }
            Kind::Conditional(group) => {
                let (yes, no) = two_branches(branches, parts, start)?;
                Node::Conditional { group, yes: Box::new(yes), no: Box::new(no) }
            }
            Kind::ConditionalAround(condition) => {
                let (yes, no) = two_branches(branches, parts, start)?;
                let Some(Node::Around { behind, negated, body }) = condition.map(|around| *around) else {
                    return Err(format!("the condition at byte {} is none", frame.at));
                };
                let otherwise = Node::Around { behind, negated: !negated, body: body.clone() };
                let condition = Node::Around { behind, negated, body };
                Node::Alternate(vec![Node::Concat(vec![condition, yes]), Node::Concat(vec![otherwise, no])])
            }
        };
        self.push(node, true);
        Ok(())
    }

    /// After `(`.
    fn group(&mut self, start: usize) -> Result<(), String> {
        if self.looking_at(b"*") {
            return Err(format!("verbs as at byte {start} are not supported: leave `(*...)` out"));
        }
        if !self.accept(b"?") {
            if self.flags.no_capture {
                return self.open(Kind::Plain, start);
            }
            return self.open_capture(start, None);
        }
        let Some(byte) = self.peek() else { return Err(format!("the group opened at byte {start} has no `)`")) };
        self.at += 1;
        match byte {
            b':' => self.open(Kind::Plain, start),
            b'|' => {
                let before = self.groups;
                self.open(Kind::Reset { before, most: before }, start)
            }
            b'>' => self.open(Kind::Atomic, start),
            b'=' => self.open(Kind::Around { behind: false, negated: false }, start),
            b'!' => self.open(Kind::Around { behind: false, negated: true }, start),
            b'<' if self.accept(b"=") => self.open(Kind::Around { behind: true, negated: false }, start),
            b'<' if self.accept(b"!") => self.open(Kind::Around { behind: true, negated: true }, start),
            b'<' => self.open_named(start, b'>'),
            b'\'' => self.open_named(start, b'\''),
            b'P' if self.accept(b"<") => self.open_named(start, b'>'),
            b'P' if self.accept(b"=") => {
                let name = self.until(b')').ok_or_else(|| format!("the reference at byte {start} has no `)`"))?;
                self.reference_by_name(&name, start)
            }
            b'#' => {
                self.until(b')').ok_or_else(|| format!("the comment at byte {start} has no `)`"))?;
                Ok(())
            }
            b'(' => self.conditional(start),
            b'R' | b'&' | b'P' | b'0'..=b'9' | b'+' => Err(recursion(start)),
            b'-' if self.peek().is_some_and(|byte| byte.is_ascii_digit()) => Err(recursion(start)),
            b'C' => Err(format!("the callout at byte {start} is not supported: leave it out")),
            _ => {
                self.at -= 1;
                self.options(start)
            }
        }
    }

    fn open_capture(&mut self, start: usize, name: Option<Vec<u8>>) -> Result<(), String> {
        if self.groups >= MAX_GROUPS {
            return Err(format!("there are more than {MAX_GROUPS} groups"));
        }
        self.groups += 1;
        if let Some(name) = name {
            self.names.push((name, self.groups));
        }
        self.open(Kind::Capture(self.groups), start)
    }

    fn open_named(&mut self, start: usize, end: u8) -> Result<(), String> {
        let name = self.name(start, end)?;
        if self.names.iter().any(|(known, _)| *known == name) {
            return Err(format!("two groups are named {}", String::from_utf8_lossy(&name)));
        }
        self.open_capture(start, Some(name))
    }

    fn name(&mut self, start: usize, end: u8) -> Result<Vec<u8>, String> {
        let name = self.until(end).ok_or_else(|| format!("the name at byte {start} has no `{}`", end as char))?;
        let well = name.first().is_some_and(|&byte| WORD.contains(byte) && !DIGIT.contains(byte))
            && name.iter().all(|&byte| WORD.contains(byte));
        if well { Ok(name) } else { Err(format!("`{}` is no name for a group", String::from_utf8_lossy(&name))) }
    }

    /// After `(?(`.
    fn conditional(&mut self, start: usize) -> Result<(), String> {
        if self.looking_at(b"?") {
            self.open(Kind::ConditionalAround(None), start)?;
            let inner = self.at;
            for (text, behind, negated) in
                [(&b"?="[..], false, false), (b"?!", false, true), (b"?<=", true, false), (b"?<!", true, true)]
            {
                if self.accept(text) {
                    return self.open(Kind::Around { behind, negated }, inner);
                }
            }
            return Err(format!("the condition at byte {inner} is no look-around"));
        }
        let condition = self.until(b')').ok_or_else(|| format!("the condition at byte {start} has no `)`"))?;
        let group = if let Some(number) = number(&condition) {
            number
        } else {
            let name = match condition.as_slice() {
                [b'<', name @ .., b'>'] | [b'\'', name @ .., b'\''] => name,
                name => name,
            };
            match self.names.iter().find(|(known, _)| known == name) {
                Some((_, group)) => *group,
                None => {
                    return Err(format!(
                        "the condition `{}` at byte {start} is not supported: it names no group before it",
                        String::from_utf8_lossy(&condition)
                    ));
                }
            }
        };
        self.references.push((group, start));
        self.open(Kind::Conditional(group), start)
    }

    /// `(?i)`, `(?i:`, `(?^)`, `(?s-m:`.
    fn options(&mut self, start: usize) -> Result<(), String> {
        let before = self.flags;
        let mut on = true;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'i' => self.flags.ignore_case = on,
                b'm' => self.flags.multi_line = on,
                b's' => self.flags.dot_all = on,
                b'x' => {
                    self.flags.extended = on;
                    self.flags.extended_class = on && self.accept(b"x");
                }
                b'n' => self.flags.no_capture = on,
                b'U' => self.flags.lazy = on,
                // Unsets i, m, n, s and x, PCRE2's meaning.
                b'^' => {
                    self.flags = Flags {
                        ignore_case: false,
                        multi_line: false,
                        dot_all: false,
                        extended: false,
                        extended_class: false,
                        no_capture: false,
                        lazy: before.lazy,
                    };
                }
                b'-' if on => on = false,
                // Unlike other changes, it holds for the rest of the group around it.
                b')' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.repeatable = false;
                    }
                    return Ok(());
                }
                b':' => {
                    let inner = std::mem::replace(&mut self.flags, before);
                    self.open(Kind::Plain, start)?;
                    self.flags = inner;
                    return Ok(());
                }
                _ => {
                    let text = String::from_utf8_lossy(&self.source[start..self.at]);
                    return Err(format!("`{text}` at byte {start} begins no kind of group that is known"));
                }
            }
        }
        Err(format!("the group opened at byte {start} has no `)`"))
    }

    /// After a backslash, outside classes.
    fn escape(&mut self, start: usize) -> Result<(), String> {
        let Some(byte) = self.peek() else {
            return Err("the pattern ends with a lone `\\`: write `\\\\` for the character".into());
        };
        if let Some(set) = class::shorthand(byte) {
            self.at += 1;
            self.push(Node::Class(set), true);
            return Ok(());
        }
        let place = match byte {
            b'A' => Some(Place::Start),
            b'z' => Some(Place::End),
            b'Z' => Some(Place::EndOrLastNewline),
            b'b' => Some(Place::WordBoundary),
            b'B' => Some(Place::NoWordBoundary),
            b'G' => Some(Place::SearchStart),
            _ => None,
        };
        if let Some(place) = place {
            self.at += 1;
            self.push(Node::Assert(place), true);
            return Ok(());
        }
        match byte {
            b'Q' => {
                self.at += 1;
                self.quoted = true;
            }
            b'E' => self.at += 1,
            b'N' if !self.looking_at(b"N{U") => {
                self.at += 1;
                self.push(Node::Class(LINE_FEED.complement()), true);
            }
            b'C' => {
                self.at += 1;
                self.push(Node::Class(ByteSet::ALL), true);
            }
            b'R' => {
                self.at += 1;
                self.push(Node::Newline, true);
            }
            b'K' => {
                self.at += 1;
                if self.frames.iter().any(|frame| matches!(frame.kind, Kind::Around { .. })) {
                    return Err(format!("\\K at byte {start} stands in a look-around: take it out"));
                }
                self.push(Node::KeepOut, false);
            }
            b'1'..=b'9' => return self.number_escape(start),
            b'g' => {
                self.at += 1;
                let text = match self.peek() {
                    Some(b'{') => {
                        self.at += 1;
                        self.until(b'}').unwrap_or_default()
                    }
                    Some(b'<' | b'\'') => return Err(recursion(start)),
                    _ => {
                        let rest = &self.source[self.at..];
                        let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
                        let digits = rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                        self.at += sign + digits;
                        rest[..sign + digits].to_vec()
                    }
                };
                return self.reference(&text, start);
            }
            b'k' => {
                self.at += 1;
                let end = match self.peek() {
                    Some(b'{') => b'}',
                    Some(b'<') => b'>',
                    Some(b'\'') => b'\'',
                    _ => return Err(format!("\\k at byte {start} wants a name: write \\k{{name}}")),
                };
                self.at += 1;
                let name = self.name(start, end)?;
                return self.reference_by_name(&name, start);
            }
            _ => {
                let byte = class::character(self, start)?;
                self.literal(byte);
            }
        }
        Ok(())
    }

    /// `\1`, or an octal number where so many groups have not been opened.
    fn number_escape(&mut self, start: usize) -> Result<(), String> {
        let rest = &self.source[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let group = number(&rest[..digits]).unwrap_or(u32::MAX);
        if group < 10 || rest[0] >= b'8' || group <= self.groups {
            self.at += digits;
            return self.refer_to(group, start);
        }
        let byte = class::octal(self, start, 3)?;
        self.literal(byte);
        Ok(())
    }

    fn reference(&mut self, text: &[u8], start: usize) -> Result<(), String> {
        let (sign, digits) = match text {
            [sign @ (b'-' | b'+'), digits @ ..] => (Some(*sign), digits),
            digits => (None, digits),
        };
        let Some(number) = number(digits) else { return self.reference_by_name(text, start) };
        let group = match sign {
            Some(b'-') => (self.groups + 1).checked_sub(number).filter(|_| number > 0),
            Some(_) => self.groups.checked_add(number),
            None => Some(number),
        };
        match group {
            Some(group @ 1..) => self.refer_to(group, start),
            _ => Err(format!("the reference at byte {start} is to no group")),
        }
    }

    fn reference_by_name(&mut self, name: &[u8], start: usize) -> Result<(), String> {
        match self.names.iter().find(|(known, _)| known == name) {
            Some((_, group)) => self.refer_to(*group, start),
            None => {
                let name = String::from_utf8_lossy(name);
                Err(format!("byte {start} refers to the group `{name}`, and there is none of that name before it"))
            }
        }
    }

    fn refer_to(&mut self, group: u32, start: usize) -> Result<(), String> {
        self.references.push((group, start));
        self.push(Node::BackReference { group, ignore_case: self.flags.ignore_case }, true);
        Ok(())
    }
}

fn two_branches(mut branches: Vec<Node>, parts: Vec<Node>, at: usize) -> Result<(Node, Node), String> {
    let last = concat(parts);
    match branches.len() {
        0 => Ok((last, Node::Empty)),
        1 => Ok((branches.pop().unwrap_or(Node::Empty), last)),
        _ => Err(format!("the condition that ends at byte {at} has more than two branches")),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, digit| {
        digit.is_ascii_digit().then(|| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
    })
}

fn recursion(at: usize) -> String {
    format!("the call of a group at byte {at} is not supported: write the group's pattern out")
}
