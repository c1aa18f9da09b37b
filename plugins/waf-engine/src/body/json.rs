//! JSON bodies (RFC 8259) as arguments: `json.a.b`, `json.list.array_0.c`.
//!
//! One pass, without recursion and without a tree: what is open is a stack of small records, and the name of the argument in hand is
//! one buffer that grows and shrinks with it.

#[cfg(test)]
mod tests;

use memchr::memchr2;

use super::{Limits, Pair, Parsed, Slice, form};

/// How many times its own length a body may grow into names and values, beside [`GROWTH_FREE`]. Names repeat their whole path, so
/// that a deep, broad document would otherwise fill the memory.
const GROWTH: usize = 32;
/// Bytes of names and values that any body may have.
const GROWTH_FREE: usize = 64 * 1024;

/// Reads `body` into `parsed`.
///
/// Names as libmodsecurity gives them: `json`, then `.key` for each object and `.array_N` for each array on the way; `empty-key` for an
/// empty key. Strings are decoded, `null` is empty, everything else is as written. A key that comes twice gives two arguments.
pub(super) fn read(body: &[u8], limits: &Limits, parsed: &mut Parsed) {
    // Once for all is faster than for each string; outside strings everything is ASCII anyway.
    let valid = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    let mut scan = Scan { body, valid, at: 0, name: b"json".to_vec(), open: Vec::new(), limits, parsed };
    if let Err(error) = scan.document() {
        scan.parsed.fail("JSON", error);
    }
}

/// Something that is open.
struct Container {
    /// How long the name was outside.
    name: u32,
    /// Of an array: the next element's number.
    index: Option<u32>,
}

struct Scan<'a> {
    body: &'a [u8],
    /// So many bytes are UTF-8.
    valid: usize,
    at: usize,
    name: Vec<u8>,
    open: Vec<Container>,
    limits: &'a Limits,
    parsed: &'a mut Parsed,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), String> {
        loop {
            self.value()?;
            // After a value: close what ends here, and go on to the next one.
            loop {
                self.space();
                let Some(container) = self.open.last() else {
                    return match self.peek() {
                        None => Ok(()),
                        Some(_) => Err(self.wrong("trailing garbage")),
                    };
                };
                let array = container.index.is_some();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        self.next_name()?;
                        break;
                    }
                    Some(b']') if array => self.close(),
                    Some(b'}') if !array => self.close(),
                    None => return Err(self.wrong("premature EOF")),
                    Some(_) if array => return Err(self.wrong("after array element, I expect ',' or ']'")),
                    Some(_) => return Err(self.wrong("after key and value, inside map, I expect ',' or '}'")),
                }
            }
        }
    }

    /// Reads a value, or opens as many containers as begin here, up to a first value or an empty container, which it closes.
    fn value(&mut self) -> Result<(), String> {
        loop {
            self.space();
            match self.peek() {
                Some(b'{') => self.enter(None)?,
                Some(b'[') => self.enter(Some(0))?,
                Some(b'"') => {
                    let value = self.string()?;
                    return self.argument(value);
                }
                Some(b't') => return self.word("true"),
                Some(b'f') => return self.word("false"),
                Some(b'n') => return self.word("null"),
                Some(b'-' | b'0'..=b'9') => return self.number(),
                None => return Err(self.wrong("premature EOF")),
                Some(_) => return Err(self.wrong("invalid char in json text")),
            }
            self.space();
            let array = self.open.last().is_some_and(|container| container.index.is_some());
            match self.peek() {
                Some(b']') if array => {
                    self.close();
                    return Ok(());
                }
                Some(b'}') if !array => {
                    self.close();
                    return Ok(());
                }
                _ => self.next_name()?,
            }
        }
    }

    fn enter(&mut self, index: Option<u32>) -> Result<(), String> {
        self.at += 1;
        if self.open.len() >= self.limits.json_depth as usize {
            return Err(format!(
                "JSON depth limit exceeded ({} levels, at byte {})",
                self.limits.json_depth,
                self.at - 1
            ));
        }
        self.open.push(Container { name: self.name.len() as u32, index });
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        if let Some(container) = self.open.pop() {
            self.name.truncate(container.name as usize);
        }
    }

    /// The name of the value that comes next in the innermost container: reads a key, or counts.
    fn next_name(&mut self) -> Result<(), String> {
        let Some(container) = self.open.last_mut() else { return Ok(()) };
        self.name.truncate(container.name as usize);
        if let Some(index) = &mut container.index {
            self.name.extend_from_slice(b".array_");
            push_number(&mut self.name, *index);
            *index += 1;
            return Ok(());
        }
        if self.peek() != Some(b'"') {
            return Err(self.wrong(if self.at < self.body.len() {
                "invalid object key (must be a string)"
            } else {
                "premature EOF"
            }));
        }
        let begin = self.parsed.made.len();
        let key = self.string()?;
        self.name.push(b'.');
        if key.is_empty() {
            self.name.extend_from_slice(b"empty-key");
        } else {
            self.name.extend_from_slice(key.of(self.body, &self.parsed.made));
        }
        // A decoded key is in the name now.
        self.parsed.made.truncate(begin);
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.wrong("object key and value must be separated by a colon (':')"));
        }
        self.at += 1;
        Ok(())
    }

    fn argument(&mut self, value: Slice) -> Result<(), String> {
        if self.parsed.arguments.len() >= self.limits.arguments {
            self.parsed.arguments_dropped = true;
            return Ok(());
        }
        let made = &mut self.parsed.made;
        if made.len() + self.name.len() > self.body.len().saturating_mul(GROWTH).saturating_add(GROWTH_FREE) {
            return Err(format!("names of arguments take more than {GROWTH} times the body (at byte {})", self.at));
        }
        let begin = made.len();
        made.extend_from_slice(&self.name);
        self.parsed.arguments.push(Pair { name: Slice::made(begin, made.len()), value });
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), String> {
        if !self.body[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("invalid string in json text"));
        }
        let start = self.at;
        self.at += word.len();
        self.argument(Slice::input(start, if word == "null" { start } else { self.at }))
    }

    fn number(&mut self) -> Result<(), String> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            // No digit may follow a leading zero.
            Some(b'0') => self.at += 1,
            _ => self.digits("malformed number, a digit is required after the minus sign")?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("malformed number, a digit is required after the decimal point")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits("malformed number, a digit is required after the exponent")?;
        }
        self.argument(Slice::input(start, self.at))
    }

    fn digits(&mut self, missing: &str) -> Result<(), String> {
        let count = self.body[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.wrong(missing)) } else { Ok(()) }
    }

    /// A string, from its quote to after its other one.
    fn string(&mut self) -> Result<Slice, String> {
        self.at += 1;
        let start = self.at;
        let begin = self.parsed.made.len();
        // Where the stretch began that is not yet copied; nothing is, while there is no escape.
        let mut copied = start;
        loop {
            let Some(length) = memchr2(b'"', b'\\', &self.body[self.at..]) else {
                self.at = self.body.len();
                return Err(self.wrong("premature EOF"));
            };
            let stop = self.at + length;
            let stretch = &self.body[self.at..stop];
            // Without an early exit the compiler makes this a few vector instructions.
            if stretch.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
                self.at += stretch.iter().position(|byte| *byte < 0x20).unwrap_or(0);
                return Err(self.wrong("invalid character inside string"));
            }
            if stop > self.valid {
                self.at = self.valid;
                return Err(self.wrong("invalid bytes in UTF8 string"));
            }
            self.at = stop + 1;
            if self.body[stop] == b'"' {
                if copied == start {
                    return Ok(Slice::input(start, stop));
                }
                self.parsed.made.extend_from_slice(&self.body[copied..stop]);
                return Ok(Slice::made(begin, self.parsed.made.len()));
            }
            self.parsed.made.extend_from_slice(&self.body[copied..stop]);
            self.escape()?;
            copied = self.at;
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<(), String> {
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let code = self.code_unit()?;
                return self.code_point(code);
            }
            _ => return Err(self.wrong("inside a string, '\\' occurs before a character which it may not")),
        };
        self.at += 1;
        self.parsed.made.push(byte);
        Ok(())
    }

    fn code_unit(&mut self) -> Result<u32, String> {
        match (form::escape(self.body, self.at), form::escape(self.body, self.at + 2)) {
            (Some(high), Some(low)) => {
                self.at += 4;
                Ok(u32::from(high) << 8 | u32::from(low))
            }
            _ => Err(self.wrong("invalid (non-hex) character occurs after '\\u' inside string")),
        }
    }

    /// Half a surrogate pair stands for no character: it becomes `?`, as in the parser of libmodsecurity (yajl).
    fn code_point(&mut self, mut code: u32) -> Result<(), String> {
        if (0xd800..0xdc00).contains(&code) && self.body[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.code_unit()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            } else {
                self.at = before;
            }
        }
        let mut buffer = [0; 4];
        let text = char::from_u32(code).unwrap_or('?').encode_utf8(&mut buffer);
        self.parsed.made.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn wrong(&self, what: &str) -> String {
        format!("{what} (at byte {})", self.at)
    }
}

/// Appends a number in decimal.
fn push_number(to: &mut Vec<u8>, number: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}
