//! Which bytes may stand where: one table, looked up by every scanner of this folder.

/// RFC 9110 section 5.6.2: a byte of a token (method, field name).
const TOKEN: u8 = 1;
/// A byte of a request path as we take it: what RFC 3986 allows, and `"`, `{`, `|`, `}`, `[`, `]`, `^`, which clients send
/// unencoded. Never `\`, `#`, `<`, `>`, a space, a control byte or a byte above 0x7e.
const PATH: u8 = 2;
/// The same for a query.
const QUERY: u8 = 4;
/// A byte of a host name. The underscore is in no host name standard and in many container names.
const HOST: u8 = 8;
/// RFC 3986 section 2.3.
const UNRESERVED: u8 = 16;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            )
        {
            class |= TOKEN;
        }
        if matches!(b, b'!' | b'"' | b'$'..=b';' | b'=' | b'@'..=b'[' | b']'..=b'_' | b'a'..=b'~') {
            class |= PATH;
        }
        if matches!(b, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~') {
            class |= QUERY;
        }
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.') {
            class |= HOST;
        }
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') {
            class |= UNRESERVED;
        }
        table[byte] = class;
        byte += 1;
    }
    table
}

/// Whether `byte` may stand in a token.
#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// Whether `byte` may stand in a path, sent or normalised.
#[inline]
pub(crate) fn is_path(byte: u8) -> bool {
    CLASSES[byte as usize] & PATH != 0
}

/// Whether `byte` may stand in a query.
#[inline]
pub(crate) fn is_query(byte: u8) -> bool {
    CLASSES[byte as usize] & QUERY != 0
}

/// Whether `byte` may be sent in a target, encoded by us where no URI holds it: no space, no control byte, no `#`.
#[inline]
pub(crate) fn is_sent(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && byte != b'#'
}

/// Whether `byte` may stand in a host name.
#[inline]
pub(crate) fn is_host(byte: u8) -> bool {
    CLASSES[byte as usize] & HOST != 0
}

/// Whether `byte` means the same with and without percent-encoding.
#[inline]
pub(crate) fn is_unreserved(byte: u8) -> bool {
    CLASSES[byte as usize] & UNRESERVED != 0
}

/// Whether `value` holds a control byte other than a tab (RFC 9110 section 5.5). Written as a fold, which compiles to
/// vector instructions; leaving early would cost more than it saves.
#[inline]
pub(crate) fn has_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, &b| found | ((b < 0x20) & (b != b'\t')) | (b == 0x7f))
}

/// `value` without spaces and tabs at its end (RFC 9110 section 5.6.3).
#[inline]
pub(crate) fn trim_end(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_byte_that_we_take_is_one_that_uri_takes() {
        for b in 0..=255u8 {
            if is_path(b) {
                assert!(http::Uri::try_from(&[b'/', b][..]).is_ok(), "{b:#x}");
            }
            if is_query(b) {
                assert!(http::Uri::try_from(&[b'/', b'?', b][..]).is_ok(), "{b:#x}");
            }
        }
        assert!(!is_path(b'\\') && !is_path(b'#') && !is_path(b'?') && !is_path(b' ') && !is_path(0x80));
        assert!(is_query(b'?') && is_query(b'\\') && !is_query(b'#'));
    }

    #[test]
    fn control_bytes_are_found_anywhere() {
        for len in [1, 7, 8, 31, 64] {
            for at in 0..len {
                for b in [0, 1, b'\r', b'\n', 0x1f, 0x7f] {
                    let mut value = vec![b'a'; len];
                    value[at] = b;
                    assert!(has_control(&value));
                }
                let mut value = vec![b'a'; len];
                value[at] = b'\t';
                assert!(!has_control(&value));
                value[at] = 0xff;
                assert!(!has_control(&value));
            }
        }
    }
}
