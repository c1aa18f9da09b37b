//! Numbers, addresses and strings as bytes of a log line, without an allocation for each.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `address:port`, an IPv6 address in brackets.
pub(super) fn socket_address(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            ip_address(out, IpAddr::V4(*v4.ip()));
            out.push(b':');
            number(out, u64::from(v4.port()));
        }
        // Zone identifiers are the standard library's business; IPv6 text has no fast way worth its code.
        SocketAddr::V6(v6) => _ = write!(out, "{v6}"),
    }
}

/// Appends an address without port.
pub(super) fn ip_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            number(out, u64::from(a));
            for octet in [b, c, d] {
                out.push(b'.');
                number(out, u64::from(octet));
            }
        }
        IpAddr::V6(v6) => _ = write!(out, "{v6}"),
    }
}

/// Appends `text` as a JSON string, quotes included.
///
/// Beyond what RFC 8259 section 7 asks for, DEL, the C1 controls and the characters that reorder text are escaped too: a terminal
/// would obey them.
pub(super) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text, |out, c| match c {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        // Every character that `is_plain` refuses lies in the basic plane: four digits are enough.
        c => _ = write!(out, "\\u{:04x}", u32::from(c)),
    });
    out.push(b'"');
}

/// Appends `text` in quotes for eyes: what could end the line, end the quotes or move the cursor is escaped.
pub(super) fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text, |out, c| match c {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        c => _ = write!(out, "{}", c.escape_unicode()),
    });
    out.push(b'"');
}

/// Appends `text` as one word for eyes: bare when it is one, in quotes when it has spaces, `-` when it is empty.
pub(super) fn word(out: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        out.push(b'-');
    } else if text.contains(char::is_whitespace) || text == "-" {
        quoted(out, text);
    } else {
        escape(out, text, |out, c| _ = write!(out, "{}", c.escape_default()));
    }
}

/// Copies `text`, handing each character that may not be written as it is to `escaped`. Clean runs are copied whole.
fn escape(out: &mut Vec<u8>, text: &str, mut escaped: impl FnMut(&mut Vec<u8>, char)) {
    // Nearly every string is plain ASCII: one pass over the bytes settles it.
    if text.bytes().all(is_plain_ascii) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut clean_from = 0;
    for (at, c) in text.char_indices() {
        if is_plain(c) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[clean_from..at]);
        escaped(out, c);
        clean_from = at + c.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[clean_from..]);
}

fn is_plain_ascii(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn is_plain(c: char) -> bool {
    match c {
        '\0'..='\x7f' => is_plain_ascii(c as u8),
        // C1 controls, line and paragraph separators, and the marks that reorder text (bidirectional controls).
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => false,
        _ => true,
    }
}
