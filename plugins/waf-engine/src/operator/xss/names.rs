//! Names of what can run: tags, attributes, schemes of URLs.

/// What an attribute's value may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Harmless,
    /// Runs, whatever it is: event handlers, styles, name spaces.
    Active,
    /// It is a URL.
    Url,
    /// It is the name of an attribute.
    Name,
}

/// No name in the lists is longer, in bytes.
const LONGEST: usize = 13;

/// Without NULs, which old browsers skip, and in capitals; nothing where it is too long to be in a list.
fn plain(name: &[u8], buffer: &mut [u8; LONGEST]) -> usize {
    let mut length = 0;
    for byte in name.iter().filter(|byte| **byte != 0) {
        let Some(place) = buffer.get_mut(length) else { return 0 };
        *place = byte.to_ascii_uppercase();
        length += 1;
    }
    length
}

fn begins(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// A tag that runs something, loads something, or changes what the page means.
pub(super) fn is_active_tag(name: &[u8]) -> bool {
    if name.len() < 3 {
        return false;
    }
    let mut buffer = [0; LONGEST];
    let length = plain(name, &mut buffer);
    begins(name, b"SVG")
        || begins(name, b"XSL")
        || matches!(
            &buffer[..length],
            b"APPLET"
                | b"BASE"
                | b"COMMENT"
                | b"EMBED"
                | b"FRAME"
                | b"FRAMESET"
                | b"HANDLER"
                | b"IFRAME"
                | b"IMPORT"
                | b"ISINDEX"
                | b"LINK"
                | b"LISTENER"
                | b"META"
                | b"NOSCRIPT"
                | b"OBJECT"
                | b"SCRIPT"
                | b"STYLE"
                | b"VMLFRAME"
                | b"XML"
                | b"XSS"
        )
}

/// Every `on...` of five characters or more counts as an event, as in the libinjection of libmodsecurity 3.0.9:
/// browsers get new ones.
pub(super) fn attribute(name: &[u8]) -> Attribute {
    if name.len() < 2 {
        return Attribute::Harmless;
    }
    if name.len() >= 5 && [b"ON".as_slice(), b"XMLNS", b"XLINK"].into_iter().any(|prefix| begins(name, prefix)) {
        return Attribute::Active;
    }
    let mut buffer = [0; LONGEST];
    let length = plain(name, &mut buffer);
    match &buffer[..length] {
        b"DATAFORMATAS" | b"DATASRC" | b"FILTER" | b"STYLE" => Attribute::Active,
        b"ACTION" | b"BY" | b"BACKGROUND" | b"DYNSRC" | b"FORMACTION" | b"FOLDER" | b"FROM" | b"HANDLER" | b"HREF"
        | b"LOWSRC" | b"POSTER" | b"SRC" | b"TO" | b"VALUES" | b"XLINK:HREF" => Attribute::Url,
        b"ATTRIBUTENAME" => Attribute::Name,
        _ => Attribute::Harmless,
    }
}

/// A scheme that carries its own content. Browsers skip white space and control characters before it, and whatever is
/// not ASCII.
pub(super) fn is_active_url(url: &[u8]) -> bool {
    let start = url.iter().position(|byte| (b'!'..0x7f).contains(byte)).unwrap_or(url.len());
    // `JAVA` is `JAVASCRIPT` too.
    [b"DATA".as_slice(), b"VIEW-SOURCE", b"VBSCRIPT", b"JAVA"].iter().any(|scheme| decodes_to(&url[start..], scheme))
}

/// Whether the text begins with a word once its character references are decoded. NULs and line feeds in it do not
/// count, nor does white space before it.
fn decodes_to(text: &[u8], word: &[u8]) -> bool {
    let mut rest = text;
    let mut word = word.iter();
    let mut wanted = word.next();
    let mut first = true;
    while let Some(letter) = wanted {
        let Some((character, behind)) = decode(rest) else { return false };
        rest = behind;
        if first && character <= u32::from(b' ') || character == 0 || character == u32::from(b'\n') {
            continue;
        }
        first = false;
        // libinjection compares eight bits.
        if (character as u8).to_ascii_uppercase() != *letter {
            return false;
        }
        wanted = word.next();
    }
    true
}

/// The first character, a numeric reference decoded, and what is behind it. What is no such reference, or of too large
/// a number, is just `&`.
fn decode(text: &[u8]) -> Option<(u32, &[u8])> {
    /// libinjection's bound.
    const HIGHEST: u32 = 0x10_00ff;
    let (byte, behind) = text.split_first()?;
    let one = Some((u32::from(*byte), behind));
    let (radix, digits) = match text {
        [b'&', b'#', b'x' | b'X', digits @ ..] => (16, digits),
        [b'&', b'#', digits @ ..] => (10, digits),
        _ => return one,
    };
    let mut number = 0;
    let mut length = 0;
    while let Some(digit) = digits.get(length).and_then(|digit| char::from(*digit).to_digit(radix)) {
        number = number * radix + digit;
        if number > HIGHEST {
            return one;
        }
        length += 1;
    }
    if length == 0 {
        return one;
    }
    let end = length + usize::from(digits.get(length) == Some(&b';'));
    Some((number, &digits[end..]))
}

/// A comment that Internet Explorer does not take for one: a back quote ends it, or it is a condition, XML, an import
/// or an entity.
pub(super) fn is_active_comment(text: &[u8]) -> bool {
    memchr::memchr(b'`', text).is_some()
        || text.len() > 3 && (begins(text, b"[IF") || begins(text, b"XML"))
        || begins(text, b"IMPORT")
        || begins(text, b"ENTITY")
}
