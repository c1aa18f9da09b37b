//! Character classes, and the escapes that stand for one byte.

use super::{
    parser::Parser,
    syntax::{DIGIT, HORIZONTAL, LOWER, Node, Place, SPACE, UPPER, VERTICAL, WORD, fold_case},
};
use crate::bytes::ByteSet;

/// One item of a class.
enum Item {
    Byte(u8),
    Set(ByteSet),
    /// `\Q`, `\E`: nothing.
    None,
}

/// The set of `\d` and its kin, by the letter.
pub(super) fn shorthand(letter: u8) -> Option<ByteSet> {
    Some(match letter {
        b'd' => DIGIT,
        b'D' => DIGIT.complement(),
        b's' => SPACE,
        b'S' => SPACE.complement(),
        b'w' => WORD,
        b'W' => WORD.complement(),
        b'h' => HORIZONTAL,
        b'H' => HORIZONTAL.complement(),
        b'v' => VERTICAL,
        b'V' => VERTICAL.complement(),
        _ => return None,
    })
}

/// `[[:<:]]` and `[[:>:]]` after their first bracket: where words begin and end.
pub(super) fn boundary(parser: &mut Parser<'_>) -> Option<Node> {
    let behind = parser.looking_at(b"[:>:]]");
    if !behind && !parser.looking_at(b"[:<:]]") {
        return None;
    }
    parser.at += 6;
    // What PCRE makes of them: `\b(?=\w)` and `\b(?<=\w)`.
    let around = Node::Around { behind, negated: false, body: Box::new(Node::Class(WORD)) };
    Some(Node::Concat(vec![Node::Assert(Place::WordBoundary), around]))
}

/// A class after its opening bracket, which stands at `start`.
pub(super) fn parse(parser: &mut Parser<'_>, start: usize) -> Result<ByteSet, String> {
    let negated = parser.accept(b"^");
    let mut set = ByteSet::EMPTY;
    let mut first = true;
    loop {
        let Some(byte) = parser.peek() else {
            return Err(format!("the class opened at byte {start} has no `]`"));
        };
        if byte == b']' && !first && !parser.quoted {
            parser.at += 1;
            break;
        }
        if parser.flags.extended_class && !parser.quoted && matches!(byte, b' ' | b'\t') {
            parser.at += 1;
            continue;
        }
        let at = parser.at;
        match item(parser)? {
            Item::None => continue,
            Item::Set(items) => set = set.union(&items),
            Item::Byte(low) => match range_end(parser)? {
                Some(high) if high < low => {
                    let range = String::from_utf8_lossy(&parser.source[at..parser.at]).into_owned();
                    return Err(format!("the range `{range}` at byte {at} runs backwards"));
                }
                Some(high) => set = set.union(&ByteSet::range(low, high)),
                None => set.insert(low),
            },
        }
        first = false;
    }
    let set = if parser.flags.ignore_case { fold_case(&set) } else { set };
    Ok(if negated { set.complement() } else { set })
}

/// The other end of a range, if a hyphen follows that is not a character itself.
fn range_end(parser: &mut Parser<'_>) -> Result<Option<u8>, String> {
    let before = (parser.at, parser.quoted);
    while parser.accept(b"\\E") {
        parser.quoted = false;
    }
    if parser.quoted || !parser.accept(b"-") {
        (parser.at, parser.quoted) = before;
        return Ok(None);
    }
    loop {
        match parser.peek() {
            None | Some(b']') if !parser.quoted => break,
            None => break,
            Some(_) => match item(parser)? {
                Item::Byte(high) => return Ok(Some(high)),
                Item::None => {}
                // `[a-\d]`: the hyphen is a character.
                Item::Set(_) => break,
            },
        }
    }
    (parser.at, parser.quoted) = before;
    Ok(None)
}

fn item(parser: &mut Parser<'_>) -> Result<Item, String> {
    let start = parser.at;
    let byte = parser.source[start];
    parser.at += 1;
    if parser.quoted {
        if byte == b'\\' && parser.accept(b"E") {
            parser.quoted = false;
            return Ok(Item::None);
        }
        return Ok(Item::Byte(byte));
    }
    match byte {
        b'[' if matches!(parser.peek(), Some(b':' | b'.' | b'=')) => posix(parser, start),
        b'\\' => match parser.peek() {
            None => Err("the pattern ends with a lone `\\`: write `\\\\` for the character".into()),
            Some(b'Q') => {
                parser.at += 1;
                parser.quoted = true;
                Ok(Item::None)
            }
            Some(b'E') => {
                parser.at += 1;
                Ok(Item::None)
            }
            Some(b'b') => {
                parser.at += 1;
                Ok(Item::Byte(8))
            }
            Some(b'1'..=b'7') => octal(parser, start, 3).map(Item::Byte),
            Some(letter) => match shorthand(letter) {
                Some(set) => {
                    parser.at += 1;
                    Ok(Item::Set(set))
                }
                None => character(parser, start).map(Item::Byte),
            },
        },
        _ => Ok(Item::Byte(byte)),
    }
}

/// `[:alpha:]` after its bracket. Without `:]` before the next `]`, the bracket is a character.
fn posix(parser: &mut Parser<'_>, start: usize) -> Result<Item, String> {
    let kind = parser.source[parser.at];
    let rest = &parser.source[parser.at + 1..];
    // As PCRE finds the end: a closing bracket or a new beginning comes first, and it is no such class.
    let mut length = None;
    for (at, pair) in rest.windows(2).enumerate() {
        match pair {
            [first, b']'] if *first == kind => {
                length = Some(at);
                break;
            }
            [b'\\', b']' | b'\\'] | [b']', _] => break,
            [b'[', next] if *next == kind => break,
            _ => {}
        }
    }
    let Some(length) = length else { return Ok(Item::Byte(b'[')) };
    let name = &rest[..length];
    if kind != b':' {
        let name = String::from_utf8_lossy(name);
        return Err(format!("the collating element `{name}` at byte {start} is not supported: write the characters"));
    }
    let (negated, name) = match name {
        [b'^', name @ ..] => (true, name),
        name => (false, name),
    };
    let set = match name {
        // Under `(?i)` both mean all letters.
        b"lower" | b"upper" if parser.flags.ignore_case => UPPER.union(&LOWER),
        b"lower" => LOWER,
        b"upper" => UPPER,
        b"alpha" => UPPER.union(&LOWER),
        b"alnum" => UPPER.union(&LOWER).union(&DIGIT),
        b"ascii" => ByteSet::range(0, 0x7f),
        b"blank" => ByteSet::range(b'\t', b'\t').union(&ByteSet::range(b' ', b' ')),
        b"cntrl" => ByteSet::range(0, 0x1f).union(&ByteSet::range(0x7f, 0x7f)),
        b"digit" => DIGIT,
        b"graph" => ByteSet::range(0x21, 0x7e),
        b"print" => ByteSet::range(0x20, 0x7e),
        b"punct" => ByteSet::range(0x21, 0x2f)
            .union(&ByteSet::range(0x3a, 0x40))
            .union(&ByteSet::range(0x5b, 0x60))
            .union(&ByteSet::range(0x7b, 0x7e)),
        b"space" => SPACE,
        b"word" => WORD,
        b"xdigit" => DIGIT.union(&ByteSet::range(b'A', b'F')).union(&ByteSet::range(b'a', b'f')),
        _ => {
            let name = String::from_utf8_lossy(name);
            return Err(format!("there is no class `[:{name}:]`, as at byte {start}"));
        }
    };
    parser.at += 1 + length + 2;
    Ok(Item::Set(if negated { set.complement() } else { set }))
}

/// One byte, after the backslash at `start`.
pub(super) fn character(parser: &mut Parser<'_>, start: usize) -> Result<u8, String> {
    let Some(byte) = parser.peek() else {
        return Err("the pattern ends with a lone `\\`: write `\\\\` for the character".into());
    };
    if byte == b'0' {
        return octal(parser, start, 3);
    }
    parser.at += 1;
    Ok(match byte {
        b'a' => 0x07,
        b'e' => 0x1b,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'c' => match parser.peek() {
            Some(control @ 0x20..=0x7e) => {
                parser.at += 1;
                control.to_ascii_uppercase() ^ 0x40
            }
            _ => return Err(format!("\\c at byte {start} wants a printable ASCII character after it")),
        },
        b'o' if parser.accept(b"{") => braced(parser, start, 8)?,
        b'x' if parser.accept(b"{") => braced(parser, start, 16)?,
        b'x' => {
            let rest = &parser.source[parser.at..];
            let digits = rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let mut value = 0;
            for &digit in &rest[..digits] {
                value = value * 16 + (digit as char).to_digit(16).unwrap_or(0) as u8;
            }
            parser.at += digits;
            value
        }
        b'p' | b'P' | b'X' => {
            return Err(format!(
                "\\{} at byte {start} asks for Unicode, and values are bytes: write a class",
                byte as char
            ));
        }
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            let byte = byte as char;
            return Err(format!(
                "\\{byte} at byte {start} is no escape that is known here: write {byte} for the character"
            ));
        }
        _ => byte,
    })
}

fn braced(parser: &mut Parser<'_>, start: usize, base: u32) -> Result<u8, String> {
    let text = parser.until(b'}').ok_or_else(|| format!("the number at byte {start} has no `}}`"))?;
    let mut value = 0_u32;
    for &digit in &text {
        match (digit as char).to_digit(base) {
            Some(digit) => value = value.saturating_mul(base).saturating_add(digit),
            None => return Err(format!("`{}` at byte {start} is no number", String::from_utf8_lossy(&text))),
        }
    }
    match u8::try_from(value) {
        Ok(value) if !text.is_empty() => Ok(value),
        _ => Err(format!(
            "`{}` at byte {start} is no byte: write the bytes of its UTF-8, each as \\xHH",
            String::from_utf8_lossy(&text)
        )),
    }
}

/// Up to `most` octal digits.
pub(super) fn octal(parser: &mut Parser<'_>, start: usize, most: usize) -> Result<u8, String> {
    let rest = &parser.source[parser.at..];
    let digits = rest.iter().take(most).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let value = rest[..digits].iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
    parser.at += digits;
    u8::try_from(value).map_err(|_| format!("the octal number at byte {start} is over 377"))
}
