//! HTTP/1 as a lenient server reads it: what rules are about must reach them.

use super::Request;

/// Most requests of one connection that are read.
const MOST: usize = 64;

/// The requests on one connection, one behind the other. A connection that is to be closed ends the reading.
pub fn requests(mut bytes: &[u8]) -> Vec<Request> {
    let mut found = Vec::new();
    while let Some((request, rest)) = request(bytes) {
        let connection = request.field("connection").unwrap_or_default().to_ascii_lowercase();
        let last = connection.windows(5).any(|word| word == b"close") || request.protocol == b"HTTP/1.0";
        found.push(request);
        if last || found.len() == MOST {
            break;
        }
        bytes = rest;
    }
    found
}

/// The first of them.
pub fn first_request(bytes: &[u8]) -> Option<Request> {
    request(bytes).map(|(request, _)| request)
}

fn request(bytes: &[u8]) -> Option<(Request, &[u8])> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let mut rest = &bytes[start..];
    let line = take_line(&mut rest)?;
    let (method, line) = split(line, b' ').unwrap_or((line, b""));
    let (target, protocol) = match line.iter().rposition(|&byte| byte == b' ') {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &b""[..]),
    };
    let mut fields = Vec::new();
    loop {
        let line = take_line(&mut rest)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = split(line, b':').unwrap_or((line, b""));
        fields.push((name.to_vec(), value.trim_ascii().to_vec()));
    }
    let mut request =
        Request { method: method.into(), target: target.into(), protocol: protocol.into(), fields, body: Vec::new() };
    let chunked = request.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
    let length = request.field("content-length").and_then(|value| str::from_utf8(value).ok()?.parse::<usize>().ok());
    if chunked {
        (request.body, rest) = unchunk(rest);
    } else if let Some(length) = length {
        let (body, behind) = rest.split_at(length.min(rest.len()));
        request.body = body.into();
        rest = behind;
    }
    Some((request, rest))
}

/// Up to the next line feed, without it and a carriage return before it.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (line, behind) = split(rest, b'\n')?;
    *rest = behind;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = memchr::memchr(at, bytes)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    while let Some(line) = take_line(&mut rest) {
        let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let size = str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok()).unwrap_or(0);
        if size == 0 {
            while take_line(&mut rest).is_some_and(|line| !line.is_empty()) {}
            break;
        }
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        body.extend_from_slice(chunk);
        rest = behind;
        take_line(&mut rest);
    }
    (body, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_behind_one_another_are_read() {
        let found = requests(
            b"POST /a b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\r\nPUT /c HTTP/1.1\n\
              Transfer-Encoding: chunked\n\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\n\
              Connection: close\r\n\r\nrest",
        );
        assert_eq!(found.len(), 3);
        assert_eq!((&found[0].target[..], &found[0].body[..]), (&b"/a b"[..], &b"abc"[..]));
        assert_eq!((&found[1].method[..], &found[1].body[..]), (&b"PUT"[..], &b"def"[..]));
        assert!(found[2].body.is_empty());
    }

    #[test]
    fn what_is_no_request_is_none() {
        assert!(requests(b"").is_empty());
        assert!(requests(b"GET / HTTP/1.1\r\nHost: a\r\n").is_empty());
        let all = first_request(b"GET / HTTP/1.1\nContent-Length: 99\n\nshort").unwrap();
        assert_eq!(all.body, b"short");
    }
}
