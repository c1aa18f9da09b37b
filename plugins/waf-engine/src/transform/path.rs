//! Paths of file systems.

/// `normalizePath`: no empty segments, no `.`, and `..` takes the segment before it away. Above the root there is nothing; a relative
/// path keeps the `..` at its beginning. With `windows`, a backslash is a slash, and becomes one.
///
/// A slash at the end stays if there was one, and does not come if there was none: of `/a/..`, nothing is left.
///
/// libmodsecurity also takes a segment that merely ends in two dots (`a/b../c`) for a way back. It is a name like others.
pub(super) fn normalize(input: &[u8], out: &mut Vec<u8>, windows: bool) -> bool {
    let is_slash = |byte: &u8| *byte == b'/' || windows && *byte == b'\\';
    let (Some(first), Some(last)) = (input.first(), input.last()) else { return false };
    let absolute = is_slash(first);
    // Up to here, `out` has no segment that could be taken away.
    let mut fixed = 0;
    if absolute {
        out.push(b'/');
        fixed = 1;
    }
    for segment in input.split(is_slash) {
        match segment {
            b"" | b"." => {}
            b".." if out.len() > fixed => {
                let begin = memchr::memrchr(b'/', &out[fixed..]).map_or(fixed, |slash| fixed + slash);
                out.truncate(begin);
            }
            b".." if absolute => {}
            b".." => {
                join(out, segment);
                fixed = out.len();
            }
            name => join(out, name),
        }
    }
    let ends_in_slash = out.last() == Some(&b'/');
    match is_slash(last) {
        true if !out.is_empty() && !ends_in_slash => out.push(b'/'),
        false if ends_in_slash => {
            out.pop();
        }
        _ => {}
    }
    true
}

/// Adds a segment, with a slash where something comes before it.
fn join(out: &mut Vec<u8>, segment: &[u8]) {
    if out.last().is_some_and(|byte| *byte != b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(segment);
}
