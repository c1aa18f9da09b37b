//! Command lines, so that the many ways to write one command look the same.

/// `cmdLine`: quotes, backslashes and carets go away, separators become one space, spaces before `/` and `(` go away, and letters
/// become lower case.
pub(super) fn cmd_line(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut space = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => continue,
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !space {
                    out.push(b' ');
                }
                space = true;
                continue;
            }
            b'/' | b'(' if space => {
                out.pop();
                out.push(byte);
            }
            _ => out.push(byte.to_ascii_lowercase()),
        }
        space = false;
    }
    true
}
