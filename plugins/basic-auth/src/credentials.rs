//! What a client says of itself (RFC 7617).

use base64ct::{Base64, Encoding};
use portcullis_sdk::RequestHead;

/// A name and a password. Both come from outside; nothing is known of them yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Without a colon.
    pub name: String,
    /// Any bytes but control characters.
    pub password: Vec<u8>,
}

/// Bytes of the longest password taken.
const LONGEST: usize = 256;

impl Credentials {
    /// Those of a request. None when there are none, or none that can be read, or more than one: a backend could read another one.
    pub fn of(head: &RequestHead) -> Option<Self> {
        let mut fields = head.all("authorization");
        let field = fields.next().filter(|_| fields.next().is_none())?;
        let (scheme, rest) = field.trim_ascii().split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let encoded = std::str::from_utf8(rest.trim_ascii()).ok()?;
        let mut decoded = Base64::decode_vec(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let password = decoded.split_off(colon + 1);
        decoded.pop();
        let name = String::from_utf8(decoded).ok()?;
        // RFC 7617 section 2: neither may hold control characters. NUL would end the password for bcrypt.
        let plain = |byte: &u8| !byte.is_ascii_control();
        (password.len() <= LONGEST && password.iter().all(plain) && name.bytes().all(|byte| plain(&byte)))
            .then_some(Self { name, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<(String, String)> {
        let head = RequestHead::get_request("/").field("authorization", value);
        Credentials::of(&head).map(|found| (found.name, String::from_utf8_lossy(&found.password).into_owned()))
    }

    fn basic(text: &[u8]) -> String {
        format!("Basic {}", Base64::encode_string(text))
    }

    #[test]
    fn name_and_password_are_split_at_the_first_colon() {
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        // The example of RFC 7617 section 2, and that of 2.1 in UTF-8.
        assert_eq!(of("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(of("basic  dGVzdDoxMjPCow=="), pair("test", "123£"));
        assert_eq!(of(&basic(b"a:b:c")), pair("a", "b:c"));
        assert_eq!(of(&basic(b"a:")), pair("a", ""));
    }

    #[test]
    fn what_cannot_be_read_is_as_nothing() {
        let long = [b"a:".to_vec(), vec![b'x'; 257]].concat();
        for value in [
            String::new(),
            "Basic".to_owned(),
            "Basic ".to_owned(),
            "Basic *".to_owned(),
            "Basic YTpi=".to_owned(),
            "Bearer YTpi".to_owned(),
            "BasicYTpi".to_owned(),
            basic(b"no colon"),
            basic(b"a:b\0c"),
            basic(b"a\r\nx:b"),
            basic(b"\xff:b"),
            basic(&long),
        ] {
            assert_eq!(of(&value), None, "{value}");
        }
        let twice =
            RequestHead::get_request("/").field("authorization", basic(b"a:b")).field("authorization", basic(b"c:d"));
        assert_eq!(Credentials::of(&twice), None);
    }
}
