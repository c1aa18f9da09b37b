//! From heads and bodies to the values that rules look at.

use crate::{
    body::{Limits, Slice, form, processor_of},
    model::{BodyProcessor, Variable},
    request::{cookies, target},
    transaction::{
        Cx, RequestHead, ResponseHead, Transaction,
        arena::{NodeId, Span},
    },
    transform::Transformation,
};

/// Collections whose entries come from the request or the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    ArgsGet,
    ArgsPost,
    /// Arguments that are of neither: of a JSON body.
    ArgsOther,
    RequestHeaders,
    RequestCookies,
    ResponseHeaders,
    Files,
    FilesNames,
    FilesSizes,
    FilesTmpContent,
    MultipartFilename,
    MultipartName,
    MultipartPartHeaders,
}

/// How many there are.
pub(super) const LISTS: usize = List::MultipartPartHeaders as usize + 1;

/// An entry of a collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub name: NodeId,
    pub value: NodeId,
    /// Of the name among those that rules ask for.
    pub number: u32,
}

/// The number of a name that no rule asks for.
pub(super) const UNNAMED: u32 = u32::MAX;

impl Transaction {
    fn set(&mut self, variable: Variable, span: Span) {
        self.singles[variable as usize] = self.arena.node(span);
    }

    pub(super) fn set_text(&mut self, variable: Variable, text: &[u8]) {
        self.singles[variable as usize] = self.arena.value(text);
    }

    fn set_flag(&mut self, variable: Variable, flag: bool) {
        self.set_text(variable, if flag { b"1" } else { b"0" });
    }

    fn push(&mut self, cx: &Cx<'_>, list: List, name: Span, value: Span) {
        self.lower.clear();
        self.lower.extend(self.arena.bytes(name).iter().map(u8::to_ascii_lowercase));
        let number = cx.engine.plan.entries.find(&self.lower).unwrap_or(UNNAMED);
        let (name, value) = (self.arena.node(name), self.arena.node(value));
        self.lists[list as usize].push(Entry { name, value, number });
    }

    /// Everything that is known with the head of the request.
    pub(super) fn fill_request_head(&mut self, cx: &Cx<'_>, head: &RequestHead<'_>) {
        let settings = cx.engine.settings();
        let whole = self.arena.text(head.target);
        let line = self.arena.joined(&[head.method, b" ", head.target, b" ", head.protocol]);
        self.set(Variable::RequestLine, line);
        self.set(Variable::RequestUriRaw, whole);
        self.set_text(Variable::RequestMethod, head.method);
        self.set_text(Variable::RequestProtocol, head.protocol);

        let mut made = std::mem::take(&mut self.parsed.made);
        made.clear();
        let parts = target::read(head.target, &mut made);
        let spans =
            [parts.uri, parts.filename, parts.basename, parts.query].map(|slice| self.keep(slice, whole, &made));
        let [uri, filename, basename, query] = spans;
        self.set(Variable::RequestUri, uri);
        self.set(Variable::RequestFilename, filename);
        self.set(Variable::PathInfo, filename);
        self.set(Variable::RequestBasename, basename);
        self.set(Variable::QueryString, query);

        let mut pairs = std::mem::take(&mut self.parsed.arguments);
        pairs.clear();
        made.clear();
        let limit = settings.arguments_limit as usize;
        let input = self.arena.bytes(query);
        let (more, invalid) = form::read(input, settings.argument_separator, limit, &mut made, &mut pairs);
        for pair in &pairs {
            let (name, value) = (self.keep(pair.name, query, &made), self.keep(pair.value, query, &made));
            self.push(cx, List::ArgsGet, name, value);
        }
        self.arguments_dropped = more;
        self.set_flag(Variable::UrlencodedError, invalid);

        for (name, value) in head.fields {
            let name_at = self.arena.text(name);
            let value_at = self.arena.text(value);
            self.push(cx, List::RequestHeaders, name_at, value_at);
            if name.eq_ignore_ascii_case(b"cookie") {
                pairs.clear();
                let room = MOST_COOKIES.saturating_sub(self.lists[List::RequestCookies as usize].len());
                cookies::read(value, settings.cookie_separator, room, &mut pairs);
                for pair in &pairs {
                    let (name, value) = (self.keep(pair.name, value_at, &made), self.keep(pair.value, value_at, &made));
                    self.push(cx, List::RequestCookies, name, value);
                }
            } else if name.eq_ignore_ascii_case(b"content-type") {
                self.content_type = value_at;
                self.processor = processor_of(value);
                if let Some(processor) = self.processor {
                    self.set_text(Variable::ReqbodyProcessor, processor_name(processor).as_bytes());
                }
            } else if name.eq_ignore_ascii_case(b"host") {
                let host = host_of(value);
                let span = self.arena.part(value_at, 0, host);
                self.set(Variable::ServerName, span);
            } else if name.eq_ignore_ascii_case(b"authorization") {
                self.authorization(value);
            }
        }
        self.parsed.made = made;
        self.parsed.arguments = pairs;
        self.set_flag(Variable::InboundDataError, false);
        self.set_flag(Variable::OutboundDataError, false);
        self.set_flag(Variable::ReqbodyError, false);
        self.set_flag(Variable::ReqbodyProcessorError, false);
        self.arena.settle();
    }

    /// A slice of `whole` or of `made`, kept.
    fn keep(&mut self, slice: Slice, whole: Span, made: &[u8]) -> Span {
        match slice.offset() {
            Some(start) if start + slice.len() <= whole.len as usize => {
                self.arena.part(whole, start, start + slice.len())
            }
            Some(_) => Span::default(),
            None => self.arena.text(slice.of(&[], made)),
        }
    }

    /// `AUTH_TYPE`, and `REMOTE_USER` of the Basic scheme (RFC 7617).
    fn authorization(&mut self, value: &[u8]) {
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = value.split_at(end);
        self.set_text(Variable::AuthType, scheme);
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Some(decode) = Transformation::from_name("base64Decode")
        {
            let mut decoded = Vec::new();
            if decode.apply(rest.trim_ascii(), &mut decoded, None) {
                let user = decoded.split(|byte| *byte == b':').next().unwrap_or_default();
                self.set_text(Variable::RemoteUser, user);
            }
        }
    }

    /// Everything that is known with the body of the request. `over` says that there is more of it than the limit allows.
    pub(super) fn fill_request_body(&mut self, cx: &Cx<'_>, body: &[u8], over: bool) {
        let settings = cx.engine.settings();
        self.set_flag(Variable::InboundDataError, over);
        let multipart = self.processor == Some(BodyProcessor::Multipart);
        let there = self.request_body_access(cx) && (!body.is_empty() || (multipart && self.announces_body()));
        if !there {
            return;
        }
        let whole = self.arena.text(body);
        self.body = whole;
        // XML is looked at through its own variable, unless `ctl:forceRequestBodyVariable` says otherwise: the markup is no input, and
        // CRS has tests for it. libmodsecurity gives it all the same, as for every other type.
        if self.processor != Some(BodyProcessor::Xml) || self.force_request_body {
            self.set(Variable::RequestBody, whole);
        }
        self.set_text(Variable::RequestBodyLength, body.len().to_string().as_bytes());
        if let Some(processor) = self.processor {
            let limits = Limits::of(settings, self.lists[List::ArgsGet as usize].len());
            let mut parsed = std::mem::take(&mut self.parsed);
            parsed.read(self.arena.bytes(whole), processor, self.arena.bytes(self.content_type), &limits);
            let list = if processor == BodyProcessor::Json { List::ArgsOther } else { List::ArgsPost };
            for pair in &parsed.arguments {
                let (name, value) =
                    (self.keep(pair.name, whole, &parsed.made), self.keep(pair.value, whole, &parsed.made));
                self.push(cx, list, name, value);
            }
            self.arguments_dropped |= parsed.arguments_dropped;
            if processor == BodyProcessor::UrlEncoded && parsed.urlencoded_error {
                self.set_flag(Variable::UrlencodedError, true);
            }
            if processor == BodyProcessor::Multipart {
                self.fill_multipart(cx, whole, &parsed.multipart, &parsed.made);
            }
            if parsed.arguments_dropped && processor == BodyProcessor::Json {
                // The reference stops reading there, and says so; of other bodies it drops the rest in silence.
                let error = || "JSON parsing error: more arguments than SecArgumentsLimit allows".to_owned();
                parsed.error.get_or_insert_with(error);
            }
            if let Some(error) = &parsed.error {
                self.set_flag(Variable::ReqbodyError, true);
                self.set_text(Variable::ReqbodyErrorMsg, error.as_bytes());
                self.set_flag(Variable::ReqbodyProcessorError, !parsed.over_limit);
                self.set_text(Variable::ReqbodyProcessorErrorMsg, error.as_bytes());
            }
            if parsed.over_limit {
                self.set_flag(Variable::InboundDataError, true);
            }
            self.parsed = parsed;
            self.has_xml = processor == BodyProcessor::Xml;
        }
        self.arena.settle();
    }

    /// Whether the head says that a body follows (RFC 9112, section 6.3).
    fn announces_body(&self) -> bool {
        self.lists[List::RequestHeaders as usize].iter().any(|entry| {
            let name = self.arena.get(entry.name);
            name.eq_ignore_ascii_case(b"transfer-encoding")
                || (name.eq_ignore_ascii_case(b"content-length") && self.arena.get(entry.value) != b"0")
        })
    }

    fn fill_multipart(&mut self, cx: &Cx<'_>, whole: Span, multipart: &crate::body::multipart::Multipart, made: &[u8]) {
        for part in &multipart.parts {
            let name = self.keep(part.name, whole, made);
            self.push(cx, List::MultipartName, name, name);
            for filename in [part.filename, part.extended_filename] {
                if !filename.is_empty() {
                    let filename = self.keep(filename, whole, made);
                    self.push(cx, List::MultipartFilename, name, filename);
                    self.push(cx, List::Files, name, filename);
                }
            }
            if part.file {
                let content = self.keep(part.content, whole, made);
                self.push(cx, List::FilesNames, name, name);
                self.push(cx, List::FilesTmpContent, name, content);
                let size = self.arena.text(part.content.len().to_string().as_bytes());
                self.push(cx, List::FilesSizes, name, size);
            }
        }
        for header in &multipart.headers {
            let (name, line) = (self.keep(header.name, whole, made), self.keep(header.value, whole, made));
            self.push(cx, List::MultipartPartHeaders, name, line);
        }
        self.set_text(Variable::FilesCombinedSize, multipart.combined_size().to_string().as_bytes());
        let flags = multipart.flags;
        for (variable, flag) in [
            (Variable::MultipartBoundaryQuoted, flags.boundary_quoted),
            (Variable::MultipartBoundaryWhitespace, flags.boundary_whitespace),
            (Variable::MultipartDataBefore, flags.data_before),
            (Variable::MultipartDataAfter, flags.data_after),
            (Variable::MultipartHeaderFolding, flags.header_folding),
            (Variable::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
            (Variable::MultipartLfLine, flags.lf_line),
            (Variable::MultipartCrlfLfLines, flags.crlf_lf_lines()),
            (Variable::MultipartMissingSemicolon, flags.missing_semicolon),
            (Variable::MultipartInvalidQuoting, flags.invalid_quoting),
            (Variable::MultipartInvalidPart, flags.invalid_part),
            (Variable::MultipartFileLimitExceeded, flags.file_limit_exceeded),
            (Variable::MultipartStrictError, flags.strict_error()),
        ] {
            self.set_flag(variable, flag);
        }
        self.set_text(Variable::MultipartUnmatchedBoundary, flags.unmatched_boundary.to_string().as_bytes());
    }

    /// Everything that is known with the head of the response.
    pub(super) fn fill_response_head(&mut self, cx: &Cx<'_>, head: &ResponseHead<'_>) {
        let status = head.status.to_string();
        self.set_text(Variable::ResponseStatus, status.as_bytes());
        self.set_text(Variable::Status, status.as_bytes());
        self.set_text(Variable::ResponseProtocol, head.protocol);
        let line = self.arena.joined(&[head.protocol, b" ", status.as_bytes()]);
        self.set(Variable::StatusLine, line);
        for (name, value) in head.fields {
            let (name_at, value_at) = (self.arena.text(name), self.arena.text(value));
            self.push(cx, List::ResponseHeaders, name_at, value_at);
            if name.eq_ignore_ascii_case(b"content-type") {
                let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
                let span = self.arena.part(value_at, 0, value[..end].trim_ascii_end().len());
                self.set(Variable::ResponseContentType, span);
            }
        }
        self.arena.settle();
    }

    /// Everything that is known with the body of the response.
    pub(super) fn fill_response_body(&mut self, body: &[u8], over: bool) {
        self.set_flag(Variable::OutboundDataError, over);
        self.set_text(Variable::ResponseBody, body);
        self.set_text(Variable::ResponseContentLength, body.len().to_string().as_bytes());
        self.arena.settle();
    }
}

/// More cookies than any browser sends; the rest is still seen in `REQUEST_HEADERS:Cookie`.
const MOST_COOKIES: usize = 1000;

/// As `REQBODY_PROCESSOR` has it.
pub(super) const fn processor_name(processor: BodyProcessor) -> &'static str {
    match processor {
        BodyProcessor::UrlEncoded => "URLENCODED",
        BodyProcessor::Multipart => "MULTIPART",
        BodyProcessor::Json => "JSON",
        BodyProcessor::Xml => "XML",
    }
}

/// Where the port begins in a `Host` field (RFC 9110, section 7.2), or the end.
fn host_of(value: &[u8]) -> usize {
    let from = if value.first() == Some(&b'[') { value.iter().position(|byte| *byte == b']').unwrap_or(0) } else { 0 };
    value[from..].iter().position(|byte| *byte == b':').map_or(value.len(), |at| from + at)
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn hosts_lose_their_port() {
        for (host, expected) in
            [("a.b", "a.b"), ("a.b:80", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", ""), ("[x", "[x")]
        {
            assert_eq!(&host[..host_of(host.as_bytes())], expected);
        }
    }
}
