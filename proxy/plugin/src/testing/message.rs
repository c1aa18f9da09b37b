//! Exchanges as text: `NAME.http`.
//!
//! Sections begin with a line `### request`, `### response` or `### trailers` (of the message before). A message is HTTP/1.1 text: first
//! line, fields, an empty line, the body up to the next section; the line end before a section's line, or at the end of the file,
//! is not part of the body. After `request` or `response` may stand `base64` (the body is written so) and `cut` (the sender went away
//! before the end).

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, uri::PathAndQuery};

use super::base64;
use crate::BuildError;

/// A request with its response.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The request. Its first line is `METHOD TARGET HTTP/1.1`.
    pub request: Message<Asked>,
    /// The response, if there was one. Its first line is `HTTP/1.1 STATUS`, with or without a reason.
    pub response: Option<Message<StatusCode>>,
}

/// What a request's first line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: PathAndQuery,
    /// The version.
    pub version: Version,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<F> {
    /// What its first line says.
    pub first: F,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body, without framing.
    pub body: Vec<u8>,
    /// Its trailers, where it has a section of them.
    pub trailers: Option<HeaderMap>,
    /// Whether the sender went away before the end.
    pub is_cut: bool,
}

/// A section's line and what follows it.
struct Section<'a> {
    line: usize,
    words: Vec<&'a str>,
    content: &'a [u8],
}

impl Recorded {
    /// Reads the content of a file.
    ///
    /// # Errors
    /// When it is not of this form, with the number of the line.
    pub fn parse(file: &[u8]) -> Result<Self, BuildError> {
        let mut request = None;
        let mut response = None;
        for section in sections(file)? {
            match section.words[0] {
                "request" if request.is_none() => request = Some(section.message(asked)?),
                "response" if request.is_some() && response.is_none() => response = Some(section.message(answered)?),
                "trailers" => {
                    let trailers = match (&mut request, &mut response) {
                        (_, Some(Message { trailers: trailers @ None, is_cut: false, .. })) => trailers,
                        (Some(Message { trailers: trailers @ None, is_cut: false, .. }), None) => trailers,
                        _ => {
                            return Err(section
                                .wrong("`### trailers` stands after a message that has none yet and is not `cut`"));
                        }
                    };
                    *trailers = Some(section.trailers()?);
                }
                _ => {
                    return Err(section.wrong(
                        "sections are `### request`, then `### response` if there was one, each once, with `### trailers` after either",
                    ));
                }
            }
        }
        let request = request.ok_or_else(|| BuildError("there is no line `### request`".into()))?;
        Ok(Self { request, response })
    }

    /// The text that [`Self::parse`] reads.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Asked { method, target, version } = &self.request.first;
        self.request.write(&mut out, "request", &format!("{method} {target} {version:?}"));
        if let Some(response) = &self.response {
            response.write(&mut out, "response", &format!("HTTP/1.1 {}", response.first));
        }
        out
    }
}

impl<F> Message<F> {
    fn write(&self, out: &mut Vec<u8>, section: &str, first: &str) {
        let is_text = std::str::from_utf8(&self.body).is_ok()
            && !self.body.contains(&0)
            && !lines(&self.body).any(|line| line.starts_with(b"### "));
        out.extend_from_slice(format!("### {section}").as_bytes());
        out.extend_from_slice(if is_text { b"" } else { b" base64" });
        out.extend_from_slice(if self.is_cut { b" cut" } else { b"" });
        out.extend_from_slice(format!("\n{first}\n").as_bytes());
        write_fields(out, &self.fields);
        if !self.body.is_empty() {
            out.push(b'\n');
            if is_text {
                out.extend_from_slice(&self.body);
            } else {
                out.extend_from_slice(base64::encode(&self.body, 96).as_bytes());
            }
            out.push(b'\n');
        }
        if let Some(trailers) = &self.trailers {
            out.extend_from_slice(b"### trailers\n");
            write_fields(out, trailers);
        }
    }
}

fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.push(b'\n');
    }
}

/// Lines with their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// A line without its end.
fn chomp(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn sections(file: &[u8]) -> Result<Vec<Section<'_>>, BuildError> {
    let mut found: Vec<Section<'_>> = Vec::new();
    let mut at = 0;
    let mut begun = 0;
    for (index, line) in lines(file).enumerate() {
        at += line.len();
        if let Some(words) = chomp(line).strip_prefix(b"### ") {
            if let Some(last) = found.last_mut() {
                last.content = &file[begun..at - line.len()];
            }
            begun = at;
            let words: Vec<_> = std::str::from_utf8(words).unwrap_or_default().split_whitespace().collect();
            let section = Section { line: index + 1, words, content: &file[begun..] };
            if section.words.is_empty() {
                return Err(section.wrong("after `### ` stands `request`, `response` or `trailers`"));
            }
            found.push(section);
        } else if found.is_empty() && !chomp(line).is_empty() && !line.starts_with(b"#") {
            return Err(BuildError(format!(
                "line {}: before `### request` only comments may stand, which begin with #",
                index + 1
            )));
        }
    }
    Ok(found)
}

impl Section<'_> {
    fn wrong(&self, what: &str) -> BuildError {
        BuildError(format!("line {}: {what}", self.line))
    }

    fn message<F>(&self, first: impl FnOnce(&str) -> Option<F>) -> Result<Message<F>, BuildError> {
        let mut is_base64 = false;
        let mut is_cut = false;
        for word in &self.words[1..] {
            match *word {
                "base64" => is_base64 = true,
                "cut" => is_cut = true,
                other => return Err(self.wrong(&format!("`{other}`: only `base64` and `cut` may stand here"))),
            }
        }
        let mut rest = lines(self.content);
        let line = std::str::from_utf8(chomp(rest.next().unwrap_or_default())).unwrap_or_default();
        let example = match self.words[0] {
            "request" => "GET /path?query HTTP/1.1",
            _ => "HTTP/1.1 200 OK",
        };
        let first = first(line)
            .ok_or_else(|| self.wrong(&format!("{line:?} follows, where a line like `{example}` should stand")))?;
        let (fields, body) = self.fields(&self.content[self.content.len().min(line_length(self.content))..])?;
        let body = body.strip_suffix(b"\n").map_or(body, |body| body.strip_suffix(b"\r").unwrap_or(body));
        let body = match is_base64 {
            true => base64::decode(body).ok_or_else(|| self.wrong("its body is no base64"))?,
            false => body.to_vec(),
        };
        let length = fields.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if let Some(length) = length
            && length != body.len()
            && !is_cut
            && self.words[0] == "request"
        {
            return Err(self.wrong(&format!(
                "content-length says {length}, and the body has {} bytes (the line end before the next section is not part of it)",
                body.len()
            )));
        }
        Ok(Message { first, fields, body, trailers: None, is_cut })
    }

    fn trailers(&self) -> Result<HeaderMap, BuildError> {
        if self.words.len() > 1 {
            return Err(self.wrong("nothing may stand after `### trailers`"));
        }
        self.fields(self.content).map(|(fields, _)| fields)
    }

    /// Fields up to an empty line or the end, and what follows.
    fn fields<'a>(&self, content: &'a [u8]) -> Result<(HeaderMap, &'a [u8]), BuildError> {
        let mut fields = HeaderMap::new();
        let mut at = 0;
        for line in lines(content) {
            at += line.len();
            let line = chomp(line);
            if line.is_empty() {
                break;
            }
            let wrong = || {
                let line = String::from_utf8_lossy(line);
                self.wrong(&format!("{line:?} stands where a field `name: value` should"))
            };
            let colon = line.iter().position(|byte| *byte == b':').ok_or_else(wrong)?;
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| wrong())?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| wrong())?;
            fields.try_append(name, value).map_err(|_| wrong())?;
        }
        Ok((fields, &content[at..]))
    }
}

fn line_length(content: &[u8]) -> usize {
    lines(content).next().map_or(0, <[u8]>::len)
}

fn asked(line: &str) -> Option<Asked> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let version = match version {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/1.1" => Version::HTTP_11,
        "HTTP/2" | "HTTP/2.0" => Version::HTTP_2,
        "HTTP/3" | "HTTP/3.0" => Version::HTTP_3,
        _ => return None,
    };
    let target = target.parse().ok().filter(|_| target.starts_with('/') || target == "*")?;
    words.next().is_none().then_some(())?;
    Some(Asked { method: method.parse().ok()?, target, version })
}

fn answered(line: &str) -> Option<StatusCode> {
    let mut words = line.splitn(3, ' ');
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    let status: u16 = words.next()?.parse().ok()?;
    (200..=599).contains(&status).then(|| StatusCode::from_u16(status).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = b"# a comment\n\n### request\nPOST /a?b=c HTTP/1.1\nHost: example.com\nx-a: 1\nx-a: 2\n\none\ntwo\n### trailers\nx-sum: 7\n\n### response\nHTTP/1.1 404 Not Found\n\nno\n";

    #[test]
    fn reads_an_exchange() {
        let read = Recorded::parse(BOTH).unwrap();
        assert_eq!(read.request.first.method, "POST");
        assert_eq!(read.request.first.target, "/a?b=c");
        assert_eq!(read.request.fields.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(read.request.body, b"one\ntwo");
        assert_eq!(read.request.trailers.as_ref().unwrap()["x-sum"], "7");
        let response = read.response.unwrap();
        assert_eq!(response.first, 404);
        assert_eq!(response.body, b"no");
        assert!(response.trailers.is_none() && !response.is_cut);
    }

    #[test]
    fn an_empty_line_and_nothing_more_is_no_body() {
        for text in [
            &b"### request\nGET / HTTP/1.1\n### response\nHTTP/1.1 200\n"[..],
            b"### request\r\nGET / HTTP/1.1\r\n\r\n### response\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"### request\nGET / HTTP/1.1\n\n\n### response\nHTTP/1.1 200 OK",
        ] {
            let read = Recorded::parse(text).unwrap();
            assert_eq!((read.request.body.len(), read.response.unwrap().body.len()), (0, 0));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut read = Recorded::parse(BOTH).unwrap();
        for body in [&b"text\n\n"[..], b"", b"\n", b"\xff\x00 binary", b"a\n### request\n"] {
            read.request.body = body.to_vec();
            read.response.as_mut().unwrap().body = body.repeat(100);
            read.response.as_mut().unwrap().is_cut = true;
            assert_eq!(Recorded::parse(&read.write()).unwrap(), read, "{}", String::from_utf8_lossy(&read.write()));
        }
    }

    #[test]
    fn says_in_which_line_it_is_wrong() {
        let error = |text: &str| Recorded::parse(text.as_bytes()).unwrap_err().0;
        assert_eq!(error(""), "there is no line `### request`");
        assert!(error("GET / HTTP/1.1\n").starts_with("line 1: before `### request`"));
        assert!(error("### request\nGET /\n").contains("line like `GET /path?query HTTP/1.1`"));
        assert!(error("### request\nGET / HTTP/1.1\nnonsense\n").contains("field `name: value`"));
        assert!(error("### request\nGET / HTTP/1.1\n### request\nGET / HTTP/1.1\n").starts_with("line 3: sections"));
        assert!(error("### response\nHTTP/1.1 200\n").starts_with("line 1: sections"));
        assert!(error("### request\nGET / HTTP/1.1\n### response\nHTTP/1.1 101\n").contains("HTTP/1.1 200 OK"));
        assert!(error("### request gzip\nGET / HTTP/1.1\n").contains("`gzip`"));
        assert!(error("### request base64\nGET / HTTP/1.1\n\n!!\n").contains("no base64"));
        assert!(error("### request cut\nGET / HTTP/1.1\n### trailers\na: b\n").starts_with("line 3: `### trailers`"));
        let length = "### request\nPUT / HTTP/1.1\ncontent-length: 5\n\nfour\n";
        assert!(error(length).contains("content-length says 5, and the body has 4 bytes"));
    }
}
