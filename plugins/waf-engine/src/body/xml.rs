//! XML bodies: the text and the attributes that `XML:/*`, `XML://@*` and paths select.
//!
//! One pass over the events of `quick-xml`, into flat tables: no tree, no recursion, no entities beyond XML's own five, and nothing
//! is ever fetched.

mod encoding;
mod select;
#[cfg(test)]
mod tests;

use memchr::memmem;
use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesRef, BytesStart, Event},
};

use super::Parsed;

/// Levels of elements. As in libxml2 (`xmlParserMaxDepth`).
const DEPTH: usize = 256;
/// Elements of one document. Each costs memory; 100,000 are more than 1 MiB of ordinary markup has.
const ELEMENTS: usize = 100_000;
/// Attributes of one document. Each is a value that rules look at.
const ATTRIBUTES: usize = 20_000;

/// A document as flat tables, in document order.
#[derive(Debug, Default)]
pub struct Xml {
    /// The text of the document, without comments and instructions: an element's text is a stretch of it.
    text: Vec<u8>,
    elements: Vec<Element>,
    attributes: Vec<Attribute>,
    /// Local names, and the values of attributes.
    strings: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    name: Span,
    /// Its number in the table; that of the root is its own.
    parent: u32,
    text: Span,
}

#[derive(Debug, Clone, Copy)]
struct Attribute {
    element: u32,
    name: Span,
    value: Span,
}

/// A stretch of one of the buffers.
#[derive(Debug, Clone, Copy)]
struct Span(u32, u32);

impl Span {
    /// Buffers are bounded by the body, which is shorter than 4 GiB.
    fn new(start: usize, end: usize) -> Self {
        Self(start as u32, end as u32)
    }

    fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.0 as usize..self.1 as usize).unwrap_or_default()
    }
}

impl Xml {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.elements.clear();
        self.attributes.clear();
        self.strings.clear();
    }

    fn keep(&mut self, string: &str) -> Span {
        let begin = self.strings.len();
        self.strings.extend_from_slice(string.as_bytes());
        Span::new(begin, self.strings.len())
    }

    /// Adds an element that begins; its number.
    fn start(&mut self, tag: &BytesStart<'_>, parent: Option<u32>) -> Result<u32, String> {
        if self.elements.len() >= ELEMENTS {
            return Err(format!("more than {ELEMENTS} elements"));
        }
        if parent.is_none() && !self.elements.is_empty() {
            return Err("a second root element".to_owned());
        }
        check_name(tag.name().as_ref())?;
        let number = self.elements.len() as u32;
        let name = self.keep(tag.local_name().as_ref());
        let begin = self.text.len();
        self.elements.push(Element { name, parent: parent.unwrap_or(number), text: Span::new(begin, begin) });
        let mut names = Vec::new();
        // Duplicates are looked for below: the iterator compares each with all others.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let full = attribute.key.0;
            check_name(full)?;
            names.push(full);
            if attribute.value.contains('<') {
                return Err(format!("'<' in the value of the attribute {full}"));
            }
            // A declaration of a namespace is no attribute (XPath 1.0, section 5.3).
            if full == "xmlns" || full.starts_with("xmlns:") {
                continue;
            }
            if self.attributes.len() >= ATTRIBUTES {
                return Err(format!("more than {ATTRIBUTES} attributes"));
            }
            let value = attribute.value.replace(['\t', '\n', '\r'], " ");
            let value = unescape(&value).map_err(|error| error.to_string())?;
            let name = self.keep(attribute.key.local_name().as_ref());
            let value = self.keep(&value);
            self.attributes.push(Attribute { element: number, name, value });
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("the attribute {} twice", pair[0])),
            None => Ok(number),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), String> {
        let character = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
            Some(character) if is_character(character) => character,
            Some(_) => return Err(format!("&{}; is no character of XML", &**reference)),
            None => match &**reference {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "apos" => '\'',
                "quot" => '"',
                other => return Err(format!("the entity {}, which XML does not define", shown(other))),
            },
        };
        self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

/// Reads `body` into `parsed`. What was read before an error stays.
pub(super) fn read(body: &[u8], parsed: &mut Parsed) {
    let (text, wrong) = encoding::decode(body);
    let mut open = Vec::new();
    let done = events(&text, &mut parsed.xml, &mut open);
    // What is still open ends here.
    while let Some(number) = open.pop() {
        close(&mut parsed.xml, number);
    }
    if let Some(wrong) = wrong {
        parsed.fail("XML", format_args!("XML: {wrong}"));
    }
    if let Err(error) = done {
        parsed.fail("XML", format_args!("XML: Failed to parse document: {error}."));
    }
}

/// Reads all events; `open` are the numbers of the elements that are open.
fn events(text: &str, xml: &mut Xml, open: &mut Vec<u32>) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(tag) => {
                if open.len() >= DEPTH {
                    return Err(format!("elements in more than {DEPTH} levels"));
                }
                open.push(xml.start(&tag, open.last().copied())?);
            }
            Event::Empty(tag) => {
                let number = xml.start(&tag, open.last().copied())?;
                close(xml, number);
            }
            // The reader has compared its name.
            Event::End(_) => {
                if let Some(number) = open.pop() {
                    close(xml, number);
                }
            }
            Event::Text(content) => {
                let content = content.xml10_content();
                if open.is_empty() {
                    if !content.trim_ascii().is_empty() {
                        return Err("text outside of the root element".to_owned());
                    }
                } else {
                    if memmem::find(content.as_bytes(), b"]]>").is_some() {
                        return Err("']]>' in text".to_owned());
                    }
                    xml.text.extend_from_slice(content.as_bytes());
                }
            }
            Event::CData(_) | Event::GeneralRef(_) if open.is_empty() => {
                return Err("text outside of the root element".to_owned());
            }
            Event::CData(content) => xml.text.extend_from_slice(content.xml10_content().as_bytes()),
            Event::GeneralRef(reference) => xml.reference(&reference)?,
            Event::DocType(declaration) => {
                // Entities of the document's own are for attacks on its reader: expansion without end, files, other hosts.
                if memmem::find(declaration.as_bytes(), b"<!ENTITY").is_some() {
                    return Err("the declaration of an entity".to_owned());
                }
                if !xml.elements.is_empty() {
                    return Err("a DOCTYPE after the root element".to_owned());
                }
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof if !open.is_empty() => return Err("an element that does not end".to_owned()),
            Event::Eof if xml.elements.is_empty() => return Err("no root element".to_owned()),
            Event::Eof => return Ok(()),
        }
    }
}

fn close(xml: &mut Xml, number: u32) {
    let end = xml.text.len() as u32;
    if let Some(element) = xml.elements.get_mut(number as usize) {
        element.text.1 = end;
    }
}

/// XML 1.0, section 2.3, as far as ASCII goes.
fn check_name(name: &str) -> Result<(), String> {
    let valid =
        |character: char| !character.is_ascii() || character.is_ascii_alphanumeric() || "_:-.".contains(character);
    let first = name.chars().next().is_some_and(|first| !first.is_ascii_digit() && first != '-' && first != '.');
    if first && name.chars().all(valid) { Ok(()) } else { Err(format!("{} is no name", shown(name))) }
}

/// XML 1.0, section 2.2.
fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// As much of a name as fits a message.
fn shown(name: &str) -> String {
    name.chars().take(50).collect()
}
