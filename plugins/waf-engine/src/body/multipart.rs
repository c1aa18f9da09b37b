//! `multipart/form-data` bodies (RFC 7578), judged as strictly as libmodsecurity judges them.

mod boundary;
mod disposition;
#[cfg(test)]
mod tests;

use memchr::{memchr, memmem};

use super::{Limits, Pair, Parsed, Slice};

/// What a multipart body held beside its fields, which are arguments.
#[derive(Debug, Default)]
pub struct Multipart {
    /// The parts that were read, in order: `MULTIPART_NAME`, `MULTIPART_FILENAME`, `FILES` and so on.
    pub parts: Vec<Part>,
    /// `MULTIPART_PART_HEADERS`: the part's name (empty where it has none) and a line of its header, folded lines joined.
    pub headers: Vec<Pair>,
    /// `MULTIPART_*` that are 0 or 1.
    pub flags: Flags,
}

impl Multipart {
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.headers.clear();
        self.flags = Flags::default();
    }

    /// The parts that are files.
    pub fn files(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.file)
    }

    /// `FILES_COMBINED_SIZE`, bytes.
    pub fn combined_size(&self) -> u64 {
        self.files().map(|part| part.content.len() as u64).sum()
    }
}

/// One part with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// The field: `MULTIPART_NAME`, `FILES_NAMES`, and the name of entries in the other collections.
    pub name: Slice,
    /// `filename`: `FILES`, `MULTIPART_FILENAME`. Empty where there is none.
    pub filename: Slice,
    /// `filename*` (RFC 8187), decoded: one more value of the same collections. Empty where there is none.
    pub extended_filename: Slice,
    /// Without the line end before the boundary: `FILES_TMP_CONTENT`, its length `FILES_SIZES`.
    pub content: Slice,
    /// Has a file name. The others are arguments, and so are those that have an extended one only.
    pub file: bool,
}

/// The variables `MULTIPART_*` that are 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Flags {
    pub boundary_quoted: bool,
    pub boundary_whitespace: bool,
    pub data_before: bool,
    pub data_after: bool,
    pub header_folding: bool,
    pub invalid_header_folding: bool,
    pub lf_line: bool,
    pub crlf_line: bool,
    pub missing_semicolon: bool,
    pub invalid_quoting: bool,
    pub invalid_part: bool,
    pub file_limit_exceeded: bool,
    /// `MULTIPART_UNMATCHED_BOUNDARY`: 1 for a line that looks like a boundary and is none, 2 where the right one came after it.
    pub unmatched_boundary: u8,
    /// The body could not be read to its end.
    pub error: bool,
}

impl Flags {
    /// `MULTIPART_CRLF_LF_LINES`.
    pub fn crlf_lf_lines(self) -> bool {
        self.crlf_line && self.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`: whether any of the others is set, but for those that tell of an unmatched boundary and mixed lines.
    pub fn strict_error(self) -> bool {
        self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.invalid_header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.file_limit_exceeded
    }
}

/// Bytes of a header line of a part, with its line end; also of a folded one when joined. As in libmodsecurity.
const HEADER_LINE: usize = 4096;
/// Header lines of one part. Browsers send at most three; each is compared with the others.
const HEADER_LINES: usize = 128;

/// Reads `body` into `parsed`.
pub(super) fn read(body: &[u8], content_type: &[u8], limits: &Limits, parsed: &mut Parsed) {
    let boundary = match boundary::read(content_type, &mut parsed.multipart.flags) {
        Ok(boundary) => boundary,
        Err(error) => {
            parsed.multipart.flags.error = true;
            return parsed.fail("Multipart", error);
        }
    };
    if body.is_empty() {
        return;
    }
    let delimiter = [b"--", boundary].concat();
    let unmatched = memmem::Finder::new(&delimiter);
    let mut reader =
        Reader { body, boundary, unmatched, limits, parsed, state: State::Before, boundaries: 0, no_files: 0 };
    let done = reader.lines();
    if matches!(reader.state, State::Content(_)) {
        // What there is of the last part is for rules to see, though it will be an error that the boundary is missing.
        reader.end_part();
    }
    if let Err(error) = done {
        reader.parsed.multipart.flags.error = true;
        return parsed.fail("Multipart", error);
    }
    if !matches!(reader.state, State::Done) && !reader.parsed.over_limit {
        let error = if reader.boundaries > 0 {
            "Multipart: Final boundary missing."
        } else {
            "Multipart: No boundaries found in payload."
        };
        parsed.fail("Multipart", error);
    }
}

enum State {
    /// The first boundary.
    Before,
    /// In a part's header.
    Header(Draft),
    /// In a part's content.
    Content(Draft),
    /// The last boundary was there.
    Done,
}

/// A part in the making.
#[derive(Clone, Copy, Default)]
struct Draft {
    part: Part,
    /// The first of its lines in [`Multipart::headers`].
    headers: usize,
    /// Where its content begins and where the last line of it ends, without and with that line's end.
    content: (usize, usize, usize),
}

struct Reader<'a> {
    body: &'a [u8],
    boundary: &'a [u8],
    unmatched: memmem::Finder<'a>,
    limits: &'a Limits,
    parsed: &'a mut Parsed,
    state: State,
    boundaries: usize,
    /// Bytes of header lines and of fields.
    no_files: u64,
}

impl<'a> Reader<'a> {
    fn lines(&mut self) -> Result<(), String> {
        let mut at = 0;
        while at < self.body.len() {
            if matches!(self.state, State::Done) {
                self.parsed.multipart.flags.data_after = true;
                break;
            }
            if self.no_files > self.limits.no_files {
                self.parsed.over_limit = true;
                break;
            }
            let end = memchr(b'\n', &self.body[at..]).map_or(self.body.len(), |length| at + length + 1);
            if !self.boundary_line(at, end)? {
                match self.state {
                    State::Before => self.parsed.multipart.flags.data_before = true,
                    State::Header(mut draft) => {
                        let headers_end = self.header_line(at, end, &mut draft)?;
                        self.state = if headers_end { State::Content(draft) } else { State::Header(draft) };
                    }
                    State::Content(ref mut draft) => {
                        let line = &self.body[at..end];
                        let kept = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(line);
                        draft.content.1 = at + kept.len();
                        draft.content.2 = end;
                    }
                    State::Done => {}
                }
            }
            at = end;
        }
        if let State::Content(draft) = &mut self.state {
            // No boundary follows, so the last line end is the content's own.
            draft.content.1 = draft.content.2;
        }
        Ok(())
    }

    /// Whether the line was a boundary; then it is done with.
    fn boundary_line(&mut self, at: usize, end: usize) -> Result<bool, String> {
        let line = &self.body[at..end];
        let flags = &mut self.parsed.multipart.flags;
        let Some(rest) = line.strip_prefix(b"--").filter(|_| line.len() > 3) else {
            // A boundary in the middle of a line is none, but some reader might think so.
            if self.unmatched.find(line).is_some() {
                flags.unmatched_boundary = 1;
            }
            return Ok(false);
        };
        let Some(rest) = rest.strip_prefix(self.boundary) else {
            if flags.boundary_quoted && rest.strip_prefix(b"\"").is_some_and(|rest| rest.starts_with(self.boundary)) {
                return Err("Multipart: Invalid boundary (quotes).".to_owned());
            }
            let trimmed = trim_space(rest);
            if trimmed.len() < rest.len() && trimmed.starts_with(self.boundary) {
                return Err("Multipart: Invalid boundary (whitespace).".to_owned());
            }
            flags.unmatched_boundary = 1;
            return Ok(false);
        };
        let (last, line_end) = match rest.strip_prefix(b"--") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        match line_end {
            b"\r\n" => flags.crlf_line = true,
            b"\n" => flags.lf_line = true,
            // Nothing follows: no line end is missed after the last boundary.
            b"" | b"\r" if last => {}
            // Cut off in the middle of a boundary.
            b"" | b"\r" => return Ok(false),
            _ => {
                let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
                return Err(format!("Multipart: Invalid boundary: {}", shown.trim_end()));
            }
        }
        if flags.unmatched_boundary == 1 {
            flags.unmatched_boundary = 2;
        }
        self.end_part();
        self.boundaries += 1;
        self.state = if last {
            State::Done
        } else {
            State::Header(Draft { headers: self.parsed.multipart.headers.len(), ..Draft::default() })
        };
        Ok(true)
    }

    /// The part in hand is over.
    fn end_part(&mut self) {
        let mut draft = match std::mem::replace(&mut self.state, State::Before) {
            State::Content(draft) | State::Header(draft) => draft,
            other => {
                self.state = other;
                return;
            }
        };
        if draft.part.name.is_empty() {
            self.parsed.multipart.flags.invalid_part = true;
            return;
        }
        draft.part.content = Slice::input(draft.content.0, draft.content.1);
        self.parsed.multipart.parts.push(draft.part);
        if !draft.part.filename.is_empty() {
            return;
        }
        // Also with `filename*` alone: a backend that does not know it takes the part for a field (RFC 7578, section 4.2).
        self.no_files += draft.part.content.len() as u64;
        if self.parsed.arguments.len() < self.limits.arguments {
            self.parsed.arguments.push(Pair { name: draft.part.name, value: draft.part.content });
        } else {
            self.parsed.arguments_dropped = true;
        }
    }

    /// One line of a part's header. Whether it was the empty one at its end.
    fn header_line(&mut self, at: usize, end: usize, draft: &mut Draft) -> Result<bool, String> {
        let line = &self.body[at..end];
        let Some(text) = line.strip_suffix(b"\n") else {
            // The body ends here: that the last boundary is missing will be said.
            return Ok(false);
        };
        if line.len() > HEADER_LINE {
            return Err(format!("Multipart: Part header line over {HEADER_LINE} bytes long"));
        }
        if memchr(0, line).is_some() {
            return Err("Multipart: Nul byte in part headers.".to_owned());
        }
        self.no_files += line.len() as u64;
        let flags = &mut self.parsed.multipart.flags;
        let text = match text.strip_suffix(b"\r") {
            Some(text) => {
                flags.crlf_line = true;
                text
            }
            None => {
                flags.lf_line = true;
                text
            }
        };
        if text.is_empty() {
            self.header_end(draft)?;
            draft.content = (end, end, end);
            return Ok(true);
        }
        let text_end = at + without_line_ends(text);
        if is_space(text[0]) {
            self.folded(at, text_end, draft)?;
            return Ok(false);
        }
        let text = &self.body[at..text_end];
        let Some(colon) = memchr(b':', text) else {
            let shown = String::from_utf8_lossy(&text[..text.len().min(200)]);
            return Err(format!("Multipart: Invalid part header (colon missing): {shown}"));
        };
        // Kept before it is judged: rules about headers are to see the bad ones as well.
        let lines = &mut self.parsed.multipart.headers;
        lines.push(Pair { name: Slice::default(), value: Slice::input(at, text_end) });
        let name = &text[..colon];
        if name.is_empty() {
            return Err("Multipart: Invalid part header (header name missing).".to_owned());
        }
        if !name.iter().all(u8::is_ascii_graphic) {
            return Err("Multipart: Invalid part header (contains invalid character).".to_owned());
        }
        let before = &lines[draft.headers..lines.len() - 1];
        if before.len() >= HEADER_LINES {
            return Err(format!("Multipart: More than {HEADER_LINES} headers in a part."));
        }
        let made = &self.parsed.made;
        let same = |line: &Pair| header(line.value.of(self.body, made)).0.eq_ignore_ascii_case(name);
        if before.iter().any(same) {
            return Err(format!("Multipart: Duplicate part header: {}.", String::from_utf8_lossy(name)));
        }
        Ok(false)
    }

    /// A line that goes on with the header before it.
    fn folded(&mut self, at: usize, end: usize, draft: &Draft) -> Result<(), String> {
        let Parsed { multipart: Multipart { headers, flags, .. }, made, .. } = &mut *self.parsed;
        let line = &self.body[at..end];
        let text = trim_space(line);
        flags.header_folding = true;
        // RFC 5322, section 2.2.3: folding is a space or a tab. Some readers take any white space.
        if line[..line.len() - text.len()].iter().any(|byte| !matches!(byte, b' ' | b'\t')) {
            flags.invalid_header_folding = true;
        }
        let Some(last) = headers[draft.headers..].last_mut() else {
            return Err("Multipart: Invalid part header (folding error).".to_owned());
        };
        if last.value.len() + 1 + text.len() > HEADER_LINE {
            return Err("Multipart: Part header too long.".to_owned());
        }
        let begin = match last.value.offset() {
            // While a header is read nothing else is decoded, so a line that was joined before is the buffer's end.
            None => made.len() - last.value.len(),
            Some(_) => {
                let begin = made.len();
                made.extend_from_slice(last.value.of(self.body, b""));
                begin
            }
        };
        made.push(b' ');
        made.extend_from_slice(text);
        last.value = Slice::made(begin, made.len());
        Ok(())
    }

    /// The header is complete: names the part.
    fn header_end(&mut self, draft: &mut Draft) -> Result<(), String> {
        let Parsed { multipart: Multipart { headers, flags, parts, .. }, made, .. } = &mut *self.parsed;
        let lines = &mut headers[draft.headers..];
        let disposition = lines
            .iter()
            .map(|line| line.value)
            .find(|line| header(line.of(self.body, made)).0.eq_ignore_ascii_case(b"Content-Disposition"));
        let Some(line) = disposition else {
            return Err("Multipart: Part missing Content-Disposition header.".to_owned());
        };
        let read = match line.offset() {
            Some(offset) => {
                let text = line.of(self.body, b"");
                let value = header(text).1;
                disposition::read(value, Some(offset + text.len() - value.len()), made, flags)
            }
            None => {
                let text = line.of(self.body, made).to_vec();
                disposition::read(header(&text).1, None, made, flags)
            }
        };
        draft.part = read.map_err(|error| {
            let value = header(line.of(self.body, made)).1;
            let shown = String::from_utf8_lossy(&value[..value.len().min(200)]);
            format!("Multipart: Invalid Content-Disposition header ({error}): {shown}")
        })?;
        for line in lines {
            line.name = draft.part.name;
        }
        if draft.part.name.is_empty() {
            return Err("Multipart: Content-Disposition header missing name field.".to_owned());
        }
        if draft.part.file
            && self.limits.files.is_some_and(|limit| {
                parts.iter().rev().filter(|part| part.file).take(limit as usize).count() >= limit as usize
            })
        {
            flags.file_limit_exceeded = true;
            let limit = self.limits.files.unwrap_or_default();
            self.parsed.fail(
                "Multipart",
                format_args!("Multipart: Upload file limit exceeded {limit}. Use SecUploadFileLimit to change it."),
            );
        }
        Ok(())
    }
}

/// Name and value of a header line, the value without white space before it.
fn header(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr(b':', line).unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    let blank = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (&line[..colon], &value[blank..])
}

/// White space as C's `isspace` has it: with vertical tab.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trim_space(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().take_while(|byte| is_space(**byte)).count();
    &bytes[blank..]
}

/// The length without line ends at the end.
fn without_line_ends(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1)
}
