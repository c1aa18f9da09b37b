//! A head that is refused, as far as it was understood.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use memchr::memchr;

use super::field;
use crate::http::raw::RawTarget;

/// A head whose request line is one and whose version has a name; fields that are none are left out.
///
/// It is shown to those whose task is to judge requests (a WAF), so that their log knows of it. Nobody may act on it: it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As sent.
    pub method: Method,
    /// As sent.
    pub target: Arc<RawTarget>,
    /// As sent; 0.9 to 3.0.
    pub version: Version,
    /// As sent.
    pub fields: HeaderMap,
}

impl Shown {
    /// Reads whole lines; the first is the request line.
    pub(super) fn read(head: &[u8]) -> Option<Box<Self>> {
        let mut lines = head.split_inclusive(|&byte| byte == b'\n').map_while(|line| field::content(line).ok());
        let line = lines.next()?;
        let (method, rest) = line.split_at_checked(memchr(b' ', line)?)?;
        let rest = rest.get(1..)?;
        let (target, version) = rest.split_at_checked(memchr(b' ', rest)?)?;
        let version = match version {
            b" HTTP/0.9" => Version::HTTP_09,
            b" HTTP/1.0" => Version::HTTP_10,
            b" HTTP/1.1" => Version::HTTP_11,
            b" HTTP/2.0" => Version::HTTP_2,
            b" HTTP/3.0" => Version::HTTP_3,
            _ => return None,
        };
        let mut fields = HeaderMap::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let Ok(field) = field::parse(line) else { continue };
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value))
            else {
                continue;
            };
            if fields.try_append(name, value).is_err() {
                break;
            }
        }
        let method = Method::from_bytes(method).ok()?;
        let target = Arc::new(RawTarget::new(target, path_of(target)));
        Some(Box::new(Self { method, target, version, fields }))
    }
}

/// Where the path begins: behind the authority of an absolute target; else the whole is taken for it.
fn path_of(target: &[u8]) -> usize {
    let Some(scheme) = memchr::memmem::find(target, b"://") else { return 0 };
    if !target[..scheme].iter().all(u8::is_ascii_alphanumeric) {
        return 0;
    }
    let authority = &target[scheme + 3..];
    let length = authority.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(authority.len());
    scheme + 3 + length
}
