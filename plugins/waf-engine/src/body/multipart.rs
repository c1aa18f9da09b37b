//! `multipart/form-data` bodies (RFC 7578), judged as strictly as libmodsecurity judges them.

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
    /// Has a file name. The others are arguments.
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

/// Reads `body` into `parsed`.
pub(super) fn read(_body: &[u8], _content_type: &[u8], _limits: &Limits, _parsed: &mut Parsed) {}
