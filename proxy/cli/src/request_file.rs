//! A raw HTTP/1 request in a file, as a request to explain.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail, ensure};
use portcullis_server::control::ExplainRequest;

/// Most bytes of a file that are looked at. A body is read past: only the head is explained.
const MOST: u64 = 1 << 20;

/// Most header fields.
const FIELDS: usize = 1024;

/// Reads the head of the request in `path`.
///
/// # Errors
/// Where the file cannot be read or does not start with a request head; a head like that is answered with 400.
pub(crate) fn read(path: &Path, tls: bool) -> anyhow::Result<ExplainRequest> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes, tls).with_context(|| format!("{} is not a request that would be served", path.display()))
}

fn parse(bytes: &[u8], tls: bool) -> anyhow::Result<ExplainRequest> {
    // A file written in an editor has bare line feeds. On the wire they would be refused; that is not what is asked here.
    let normalised;
    let bytes = if bytes.contains(&b'\r') {
        bytes
    } else {
        normalised = with_crlf(bytes);
        &normalised
    };
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => &bytes[..length],
        Ok(httparse::Status::Partial) => {
            bail!("it would be answered with 408: its head does not end (is the empty line there?)")
        }
        Err(error) => bail!("it would be answered with 400: {error}"),
    };
    // Both are there once parsing is complete.
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let headers: Vec<_> = request.headers.iter().map(|field| (field.name.to_owned(), latin1(field.value))).collect();
    let scheme = if tls { "https" } else { "http" };
    let url = if target.starts_with('/') || target == "*" {
        let hosts: Vec<_> = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).collect();
        ensure!(hosts.len() == 1, "it would be answered with 400: it has {} Host fields, not one", hosts.len());
        format!("{scheme}://{}{}", hosts[0].1, if target == "*" { "/*" } else { target })
    } else {
        target.to_owned()
    };
    Ok(ExplainRequest { method: method.into(), url, headers, head: Some(latin1(head)), ..ExplainRequest::default() })
}

/// Every byte as the character of the same number: nothing is lost on the way through JSON.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_typed_in_an_editor_is_read() {
        let request =
            parse(b"POST /api/cart?x=1 HTTP/1.1\nHost: shop.example.com:8443\nX-Env: blue\n\nbody", true).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.url, "https://shop.example.com:8443/api/cart?x=1");
        assert_eq!(request.headers[1], ("X-Env".into(), "blue".into()));
        assert!(request.head.unwrap().ends_with("X-Env: blue\r\n\r\n"));
    }

    #[test]
    fn request_from_the_wire_is_kept_byte_for_byte() {
        let wire = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nX: \xff\r\n\r\n";
        let request = parse(wire, false).unwrap();
        assert_eq!(request.url, "http://a.example/");
        let back: Vec<u8> = request.head.unwrap().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        assert_eq!(back, wire);
    }

    #[test]
    fn what_is_no_request_says_what_it_would_get() {
        for (bytes, status) in [
            (&b"GET / HTTP/1.1\n"[..], "408"),
            (b"GET /\x01 HTTP/1.1\n\n", "400"),
            (b"GET / HTTP/1.1\n\n", "400"),
            (b"GET / HTTP/1.1\nHost: a\nHost: b\n\n", "400"),
            (b"", "408"),
        ] {
            let error = parse(bytes, false).unwrap_err().to_string();
            assert!(error.contains(status), "{error}");
        }
    }
}
