//! Characters beyond ASCII.

use super::escape::narrow;

/// Code points above 0xFF that a code page shows as a byte of ASCII (`SecUnicodeMapFile`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnicodeMap {
    /// By code point, each once.
    bytes: Vec<(u16, u8)>,
}

impl UnicodeMap {
    /// Reads one code page of a file in the format of ModSecurity's `unicode.mapping`: a line that begins with the number of a code
    /// page, then lines of pairs like `00a1:21`, both hexadecimal.
    ///
    /// # Errors
    /// When the code page is not there, or something in it is no pair.
    pub fn parse(file: &[u8], code_page: u32) -> Result<Self, String> {
        let mut current = None;
        let mut found = false;
        let mut bytes = Vec::new();
        for (at, line) in file.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let words = line.split_ascii_whitespace();
            let Some(first) = words.clone().next().filter(|word| !word.starts_with('#')) else { continue };
            let heading = !first.contains(':');
            if heading {
                current = first.parse::<u32>().ok();
                found |= current == Some(code_page);
            }
            if current != Some(code_page) {
                continue;
            }
            // Pairs may follow the number at once; its name, in parentheses, is none.
            for word in words.filter(|word| !heading || word.contains(':')) {
                let pair = word.split_once(':').and_then(|(code, byte)| {
                    Some((u16::from_str_radix(code, 16).ok()?, u8::from_str_radix(byte, 16).ok()?))
                });
                bytes.push(pair.ok_or_else(|| format!("line {}: {word} is not a pair like 00a1:21", at + 1))?);
            }
        }
        if !found {
            return Err(format!("there is no code page {code_page}"));
        }
        // Of a code point that comes twice, the last counts.
        bytes.reverse();
        bytes.sort_by_key(|(code, _)| *code);
        bytes.dedup_by_key(|(code, _)| *code);
        Ok(Self { bytes })
    }

    fn get(&self, code: u16) -> Option<u8> {
        let at = self.bytes.binary_search_by_key(&code, |(known, _)| *known).ok()?;
        Some(self.bytes[at].1)
    }
}

/// The byte that a character of the basic plane, given in two halves, is taken for.
pub(super) fn to_byte(high: u8, low: u8, map: Option<&UnicodeMap>) -> u8 {
    let code = u16::from_be_bytes([high, low]);
    map.map_or_else(|| best_fit(code), |map| map.get(code)).unwrap_or_else(|| narrow(high, low))
}

/// What a server that only knows ASCII makes of a character: what looks like it.
///
/// Windows does so (`WideCharToMultiByte` with code page 20127), which is how quotes and brackets came past filters in front of IIS.
/// The characters are named as in the Unicode charts; letters follow their canonical decompositions.
fn best_fit(code: u16) -> Option<u8> {
    Some(match char::from_u32(u32::from(code))? {
        '\u{a0}' | '\u{2000}'..='\u{2006}' | '\u{3000}' => b' ',
        '¡' => b'!',
        '¢' => b'c',
        '¤' => b'$',
        '¥' => b'Y',
        '¦' => b'|',
        '©' => b'C',
        'ª' => b'a',
        '«' | '‹' | '〈' => b'<',
        '»' | '›' | '〉' => b'>',
        '\u{ad}' | '\u{2010}' | '\u{2011}' | '–' | '—' => b'-',
        '®' => b'R',
        '²' => b'2',
        '³' => b'3',
        '·' | '•' | '…' => b'.',
        '¸' | '‚' => b',',
        '¹' => b'1',
        'º' => b'o',
        '‘' | '’' | 'ʹ' | 'ʼ' | 'ˈ' | '′' => b'\'',
        '“' | '”' | '„' | 'ʺ' => b'"',
        'ˋ' | '‵' => b'`',
        'ˆ' => b'^',
        '˜' => b'~',
        '∕' | '⁄' => b'/',
        '∖' => b'\\',
        '∗' => b'*',
        '∣' => b'|',
        '∶' => b':',
        '∼' => b'~',
        '〚' => b'[',
        '〛' => b']',
        'À'..='Æ' | 'Ā' | 'Ă' | 'Ą' | 'Ǎ' | 'Ǟ' => b'A',
        'à'..='æ' | 'ā' | 'ă' | 'ą' | 'ǎ' | 'ǟ' => b'a',
        'Ç' | 'Ć' | 'Ĉ' | 'Ċ' | 'Č' => b'C',
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => b'c',
        'Ð' | 'Ď' | 'Đ' => b'D',
        'ď' | 'đ' => b'd',
        'È'..='Ë' | 'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => b'E',
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => b'e',
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' | 'Ǥ' | 'Ǧ' => b'G',
        'ĝ' | 'ğ' | 'ġ' | 'ģ' | 'ǥ' | 'ǧ' => b'g',
        'Ĥ' | 'Ħ' => b'H',
        'ĥ' | 'ħ' => b'h',
        'Ì'..='Ï' | 'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' | 'Ǐ' => b'I',
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' | 'ǐ' => b'i',
        'Ĵ' => b'J',
        'ĵ' | 'ǰ' => b'j',
        'Ķ' | 'Ǩ' => b'K',
        'ķ' | 'ǩ' => b'k',
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ł' => b'L',
        'ĺ' | 'ļ' | 'ľ' | 'ł' => b'l',
        'Ñ' | 'Ń' | 'Ņ' | 'Ň' => b'N',
        'ñ' | 'ń' | 'ņ' | 'ň' => b'n',
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ŏ' | 'Ő' | 'Œ' | 'Ơ' | 'Ǒ' | 'Ǫ' | 'Ǭ' => b'O',
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'œ' | 'ơ' | 'ǒ' | 'ǫ' | 'ǭ' => b'o',
        'Ŕ' | 'Ŗ' | 'Ř' => b'R',
        'ŕ' | 'ŗ' | 'ř' => b'r',
        'Ś' | 'Ŝ' | 'Ş' | 'Š' => b'S',
        'ś' | 'ŝ' | 'ş' | 'š' => b's',
        'Ţ' | 'Ť' | 'Ŧ' => b'T',
        'ţ' | 'ť' | 'ŧ' => b't',
        'Ù'..='Ü' | 'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ű' | 'Ų' | 'Ư' | 'Ǔ' => b'U',
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' | 'ǔ' => b'u',
        'Ŵ' => b'W',
        'ŵ' => b'w',
        'Ý' | 'Ŷ' | 'Ÿ' => b'Y',
        'ý' | 'ÿ' | 'ŷ' => b'y',
        'Ź' | 'Ż' | 'Ž' => b'Z',
        'ź' | 'ż' | 'ž' => b'z',
        _ => return None,
    })
}

/// `utf8toUnicode`: each character of more than one byte becomes `%uHHHH`, with more digits where it needs them.
///
/// What is not UTF-8 goes as in libmodsecurity: the first byte of a sequence that is not finished is dropped, other stray bytes stay;
/// after an overlong form or a surrogate, its first byte comes once more. Zero bytes are dropped.
pub(super) fn from_utf8(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    while let Some(at) = rest.iter().position(|byte| *byte >= 0x80 || *byte == 0) {
        out.extend_from_slice(&rest[..at]);
        let first = rest[at];
        rest = &rest[at..];
        // The lead's own bits, the number of bytes, the lowest code point that needs so many.
        let (lead, length, lowest) = match first {
            0xc0..=0xdf => (first & 0x1f, 2, 0x80),
            0xe0..=0xef => (first & 0x0f, 3, 0x800),
            0xf0..=0xf7 => (first & 0x07, 4, 0x1_0000),
            _ => {
                if first != 0 {
                    out.push(first);
                }
                rest = &rest[1..];
                continue;
            }
        };
        if first >= 0xf5 {
            out.push(first);
        }
        match rest.get(1..length) {
            Some(tail) if tail.iter().all(|byte| byte & 0xc0 == 0x80) => {
                let code = tail.iter().fold(u32::from(lead), |code, byte| code << 6 | u32::from(byte & 0x3f));
                push_code(code, out);
                if (0xd800..0xe000).contains(&code) {
                    out.push(first);
                }
                if code < lowest {
                    out.push(first);
                }
                rest = &rest[length..];
            }
            _ => rest = &rest[1..],
        }
    }
    out.extend_from_slice(rest);
    true
}

/// `%u` and at least four lower case digits.
fn push_code(code: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"%u");
    let digits = code.checked_ilog(16).map_or(1, |top| top + 1).max(4);
    out.extend((0..digits).rev().map(|at| b"0123456789abcdef"[(code >> (4 * at) & 15) as usize]));
}
