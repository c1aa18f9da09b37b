//! Request bodies, read by their type into what rules look at. Pure: bytes in, values out.
//!
//! Values are ranges: into the body where its bytes stand for themselves, else into a buffer of what was decoded
//! ([`Parsed::made`]). Both are kept by whoever calls, so that nothing is allocated for each value.

pub mod form;
pub mod json;
pub mod multipart;
pub mod xml;

use std::fmt::Write as _;

use crate::model::{BodyProcessor, Settings};

/// Some bytes: of the input, or of what was decoded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slice {
    start: u32,
    length: u32,
    made: bool,
}

impl Slice {
    /// Bytes of the input. Inputs are shorter than 4 GiB: [`Parsed::read`] sees to it.
    pub(crate) fn input(start: usize, end: usize) -> Self {
        Self { start: start as u32, length: end.saturating_sub(start) as u32, made: false }
    }

    /// Bytes of the buffer beside the input.
    pub(crate) fn made(start: usize, end: usize) -> Self {
        Self { start: start as u32, length: end.saturating_sub(start) as u32, made: true }
    }

    /// The bytes. Both arguments must be those it was made from; with others it may be empty.
    pub fn of<'a>(self, input: &'a [u8], made: &'a [u8]) -> &'a [u8] {
        let bytes = if self.made { made } else { input };
        let start = self.start as usize;
        bytes.get(start..start + self.length as usize).unwrap_or_default()
    }

    /// Bytes.
    pub fn len(self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Where it begins in the input, unless it was decoded.
    pub fn offset(self) -> Option<usize> {
        (!self.made).then_some(self.start as usize)
    }
}

/// A name with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pair {
    /// As compared with selectors.
    pub name: Slice,
    /// What operators see.
    pub value: Slice,
}

/// What bounds reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many more arguments there may be: `SecArgumentsLimit` less those of the query. More are dropped.
    pub arguments: usize,
    /// `SecArgumentSeparator`.
    pub separator: u8,
    /// `SecRequestBodyNoFilesLimit`, bytes.
    pub no_files: u64,
    /// `SecRequestBodyJsonDepthLimit`, levels.
    pub json_depth: u32,
    /// `SecUploadFileLimit`, files; `None` where files are not kept (`SecUploadKeepFiles Off`), as then there is nothing to limit.
    pub files: Option<u32>,
}

impl Limits {
    /// Those of the settings, when the query already brought `arguments`.
    pub fn of(settings: &Settings, arguments: usize) -> Self {
        Self {
            arguments: (settings.arguments_limit as usize).saturating_sub(arguments),
            separator: settings.argument_separator,
            no_files: settings.request_body_no_files_limit,
            json_depth: settings.request_body_json_depth_limit,
            files: settings.upload_keep_files.then_some(settings.upload_file_limit).filter(|limit| *limit > 0),
        }
    }
}

/// What a body says. Used again and again: [`read`](Self::read) forgets what was there, and keeps the memory.
#[derive(Debug, Default)]
pub struct Parsed {
    /// What was decoded: the second argument of [`Slice::of`].
    pub made: Vec<u8>,
    /// `ARGS_POST` (forms and fields), or `ARGS` (JSON: in neither `ARGS_GET` nor `ARGS_POST`, as in libmodsecurity).
    pub arguments: Vec<Pair>,
    /// There were more arguments than allowed.
    pub arguments_dropped: bool,
    /// `URLENCODED_ERROR`.
    pub urlencoded_error: bool,
    /// `REQBODY_ERROR` with `REQBODY_ERROR_MSG`; also `REQBODY_PROCESSOR_ERROR` unless `over_limit`.
    pub error: Option<String>,
    /// More than `SecRequestBodyNoFilesLimit`: `INBOUND_DATA_ERROR`.
    pub over_limit: bool,
    /// Where the body was multipart.
    pub multipart: multipart::Multipart,
    /// Where the body was XML.
    pub xml: xml::Xml,
}

impl Parsed {
    /// Nothing, with the memory of before.
    pub fn clear(&mut self) {
        self.made.clear();
        self.arguments.clear();
        self.arguments_dropped = false;
        self.urlencoded_error = false;
        self.error = None;
        self.over_limit = false;
        self.multipart.clear();
        self.xml.clear();
    }

    /// Reads `body`. Whatever it holds, this ends, in time and memory that grow with its length only.
    ///
    /// What is not well-formed is said in [`error`](Self::error); what was read before it is kept, for rules to see.
    /// `content_type` is the header's value: multipart bodies have their boundary there.
    pub fn read(&mut self, body: &[u8], processor: BodyProcessor, content_type: &[u8], limits: &Limits) {
        self.clear();
        let mut body = &body[..body.len().min(u32::MAX as usize)];
        // An empty body is no malformed one: it comes with every request that has the type but nothing to say.
        if body.is_empty() && processor != BodyProcessor::Multipart {
            return;
        }
        if processor != BodyProcessor::Multipart && body.len() as u64 > limits.no_files {
            // What fits is read all the same: a rule that looks for attacks is not to be blinded by the length alone.
            body = &body[..limits.no_files as usize];
            self.over_limit = true;
        }
        match processor {
            BodyProcessor::UrlEncoded => {
                let (more, invalid) =
                    form::read(body, limits.separator, limits.arguments, &mut self.made, &mut self.arguments);
                self.arguments_dropped = more;
                self.urlencoded_error = invalid;
            }
            BodyProcessor::Multipart => multipart::read(body, content_type, limits, self),
            BodyProcessor::Json => json::read(body, limits, self),
            BodyProcessor::Xml => xml::read(body, self),
        }
        if self.over_limit {
            self.error = Some("Request body excluding files is bigger than the maximum expected.".to_owned());
        }
    }

    /// Notes the first thing that is wrong.
    fn fail(&mut self, kind: &str, what: impl std::fmt::Display) {
        if self.error.is_none() {
            let mut message = String::new();
            // Writing to a string does not fail.
            let _ = write!(message, "{kind} parsing error: {what}");
            self.error = Some(message);
        }
    }
}

/// The processor that a `Content-Type` asks for by itself: forms and multipart, as in libmodsecurity. Rules choose the others.
pub fn processor_of(content_type: &[u8]) -> Option<BodyProcessor> {
    let begins =
        |prefix: &[u8]| content_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if begins(b"application/x-www-form-urlencoded") {
        Some(BodyProcessor::UrlEncoded)
    } else if begins(b"multipart/form-data") {
        Some(BodyProcessor::Multipart)
    } else {
        None
    }
}
