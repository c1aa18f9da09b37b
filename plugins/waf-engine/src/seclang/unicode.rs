//! `unicode.mapping`: what code points look like in a code page.

/// Reads the pairs of one code page. The file has, for each page, a line that begins with its number (`20127  (US-ASCII)`), and then
/// lines of pairs, both hexadecimal: `00a0:20 00a1:21`.
pub(super) fn pairs(file: &[u8], page: u32) -> Result<Vec<(u32, u8)>, String> {
    let mut pairs = Vec::new();
    let mut found = false;
    let mut wanted = false;
    for (number, line) in (1u32..).zip(file.split(|byte| *byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_ascii_whitespace().peekable();
        let Some(first) = words.peek() else { continue };
        if first.starts_with('#') {
            continue;
        }
        if !first.contains(':') {
            // A heading; names without a number are of pages that nobody has asked for.
            wanted = first.parse() == Ok(page);
            found |= wanted;
            continue;
        }
        if !wanted {
            continue;
        }
        for word in words {
            let pair = word.split_once(':').and_then(|(point, byte)| {
                Some((u32::from_str_radix(point, 16).ok()?, u8::from_str_radix(byte, 16).ok()?))
            });
            match pair {
                Some(pair) => pairs.push(pair),
                None => {
                    return Err(format!("in line {number}, {} is not a pair like 00a1:21", super::report::clip(word)));
                }
            }
        }
    }
    if found { Ok(pairs) } else { Err(format!("there is no code page {page} in it")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"(MAC - Roman)\n\n1250  (ANSI)\n00a1:21 00a2:63\n00a3:4c \n\n20127 (US-ASCII)\r\nff0e:2e\r\n";

    #[test]
    fn the_pairs_of_a_page() {
        assert_eq!(pairs(FILE, 1250).unwrap(), [(0xA1, b'!'), (0xA2, b'c'), (0xA3, b'L')]);
        assert_eq!(pairs(FILE, 20127).unwrap(), [(0xFF0E, b'.')]);
        assert!(pairs(FILE, 7).unwrap_err().contains("no code page 7"));
        assert!(pairs(b"7\n00a1:123", 7).unwrap_err().contains("line 2"));
    }
}
