//! Operators: what a rule asks of a value.
//!
//! The manual of ModSecurity 3 says what each one does; where it is silent, libmodsecurity 3 decides.

mod addresses;
mod identity;
mod injection;
mod number;
mod phrases;
mod regex;
mod sqli;
mod text;
mod validate;
mod xss;

use std::{borrow::Cow, ops::Range};

pub use self::{
    addresses::Addresses,
    identity::{Identity, Kind},
    number::{Comparison, Number},
    phrases::Phrases,
    regex::Regex,
    text::{Text, Where},
};
pub(crate) use number::leading_number;

use crate::{
    bytes::ByteSet,
    model::Template,
    needs::{Clause, Needs},
    pattern::{Groups, LimitExceeded},
    world::Files,
};

/// An operator with its argument, ready to be asked.
#[derive(Debug)]
pub enum Operator {
    /// `@unconditionalMatch`.
    UnconditionalMatch,
    /// `@noMatch`.
    NoMatch,
    /// `@geoLookup`, `@rbl`: nothing to look up in, so nothing ever matches.
    Inert(&'static str),
    /// `@contains`, `@beginsWith`, `@endsWith`, `@streq`, `@strmatch`, `@containsWord`, `@within`.
    Text(Text),
    /// `@eq`, `@ge`, `@gt`, `@le`, `@lt`.
    Number(Number),
    /// `@pm`, `@pmFromFile`.
    Phrases(Phrases),
    /// `@ipMatch`, `@ipMatchFromFile`.
    Addresses(Addresses),
    /// `@rx`, `@rxGlobal`.
    Regex(Regex),
    /// `@validateByteRange`: these are wrong.
    ForbiddenBytes(ByteSet),
    /// `@validateUrlEncoding`.
    UrlEncoding,
    /// `@validateUtf8Encoding`.
    Utf8Encoding,
    /// `@verifyCC`, `@verifyCPF`, `@verifySSN`, `@verifySVNR`, `@validateNid`.
    Identity(Identity),
    /// `@detectSQLi`.
    SqlInjection,
    /// `@detectXSS`.
    CrossSiteScripting,
}

/// What [`Operator::new`] may use.
pub struct Making<'a> {
    /// For `@pmFromFile` and `@ipMatchFromFile`.
    pub files: &'a dyn Files,
    /// The folder of the rule file, with its `/`, empty for rules that stand in the configuration: relative names begin there.
    pub folder: &'a str,
    /// `SecPcreMatchLimit`.
    pub backtrack_limit: u64,
}

/// Groups and what was found, of the last question asked.
#[derive(Debug, Default)]
pub struct Found {
    /// Of `@rx`: for `capture`. Of `@pm` and `@within` and others: group 0 is what was found.
    pub groups: Groups,
    /// Where it is not part of the value (a fingerprint of `@detectSQLi`): takes the place of group 0.
    pub text: Option<Vec<u8>>,
}

impl Found {
    /// Makes a part of the value group 0, the only one.
    fn set(&mut self, part: Range<usize>) {
        self.groups.0.clear();
        self.groups.0.push(Some(part));
    }
}

/// Why operators that exist elsewhere are refused.
const REFUSED: &[(&str, &str)] = &[
    (
        "fuzzyHash",
        "it compares with ssdeep signatures, which need a library in C; compare digests: t:sha1,t:hexEncode with @pmFromFile",
    ),
    ("gsbLookup", "the Google Safe Browsing service for it ended"),
    ("inspectFile", "it runs a program, and rules run in a sandbox; inspect FILES_TMP_CONTENT with other operators"),
    ("rsub", "it rewrites bodies; use the plugin rewrite-body"),
    ("validateDTD", "documents are read without DTDs; check values with XPath targets"),
    ("validateHash", "links are not signed; leave out SecHashEngine and its rules"),
    ("validateSchema", "there is no validator for schemas; check values with XPath targets"),
];

impl Operator {
    /// `name` without `@` and `!`, in any case; `argument` as written, quotes and escapes of the rule taken off.
    ///
    /// # Errors
    /// One sentence that names the word in question, when there is no such operator or the argument is not one for it.
    pub fn new(name: &str, argument: &str, making: &Making<'_>) -> Result<Self, String> {
        Self::make(name, argument, making).map_err(|why| format!("@{name}: {why}"))
    }

    fn make(name: &str, argument: &str, making: &Making<'_>) -> Result<Self, String> {
        let text = |place| Text::new(place, argument).map(Self::Text);
        let number = |comparison| Number::new(comparison, argument).map(Self::Number);
        let identity = |kind| Identity::new(kind, argument, making.backtrack_limit).map(Self::Identity);
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "unconditionalmatch" => Ok(Self::UnconditionalMatch),
            "nomatch" => Ok(Self::NoMatch),
            "geolookup" => Ok(Self::Inert("there is no geographical database: it never matches, and GEO stays empty")),
            "rbl" => Ok(Self::Inert("rules cannot ask name servers: it never matches")),
            "beginswith" => text(Where::Begin),
            "contains" | "strmatch" => text(Where::Anywhere),
            "containsword" => text(Where::Word),
            "endswith" => text(Where::End),
            "streq" => text(Where::Whole),
            "within" => text(Where::Around),
            "eq" => number(Comparison::Equal),
            "ge" => number(Comparison::AtLeast),
            "gt" => number(Comparison::More),
            "le" => number(Comparison::AtMost),
            "lt" => number(Comparison::Less),
            "pm" => Phrases::new(argument).map(Self::Phrases),
            "pmf" | "pmfromfile" => Phrases::from_files(argument, making).map(Self::Phrases),
            "ipmatch" => Addresses::new(argument).map(Self::Addresses),
            "ipmatchf" | "ipmatchfromfile" => Addresses::from_files(argument, making).map(Self::Addresses),
            "rx" => Regex::new(argument, false, making.backtrack_limit).map(Self::Regex),
            "rxglobal" => Regex::new(argument, true, making.backtrack_limit).map(Self::Regex),
            "validatebyterange" => validate::forbidden_bytes(argument).map(Self::ForbiddenBytes),
            "validateurlencoding" => Ok(Self::UrlEncoding),
            "validateutf8encoding" => Ok(Self::Utf8Encoding),
            "verifycc" => identity(Kind::CreditCard),
            "verifycpf" => identity(Kind::Cpf),
            "verifyssn" => identity(Kind::Ssn),
            "verifysvnr" => identity(Kind::Svnr),
            "validatenid" => Identity::national(argument, making.backtrack_limit).map(Self::Identity),
            "detectsqli" => {
                sqli::prepare();
                Ok(Self::SqlInjection)
            }
            "detectxss" => Ok(Self::CrossSiteScripting),
            _ => Err(match REFUSED.iter().find(|(refused, _)| refused.eq_ignore_ascii_case(&name)) {
                Some((_, why)) => format!("not supported: {why}"),
                None => "there is no such operator".to_owned(),
            }),
        }
    }

    /// Whether the value is what the operator looks for. `expand` gives the text of a template of the argument.
    ///
    /// # Errors
    /// When a pattern's step limit was reached.
    pub fn judge<'a>(
        &self,
        value: &[u8],
        expand: &mut dyn FnMut(&Template) -> Cow<'a, [u8]>,
        found: &mut Found,
    ) -> Result<bool, LimitExceeded> {
        found.groups.0.clear();
        found.text = None;
        Ok(match self {
            Self::UnconditionalMatch => true,
            Self::NoMatch | Self::Inert(_) => false,
            Self::Text(text) => text.judge(value, expand, found),
            Self::Number(number) => number.judge(value, expand),
            Self::Phrases(phrases) => phrases.judge(value, found),
            Self::Addresses(addresses) => addresses.judge(value),
            Self::Regex(regex) => return regex.judge(value, expand, found),
            Self::ForbiddenBytes(forbidden) => value.iter().any(|byte| forbidden.contains(*byte)),
            Self::UrlEncoding => validate::is_badly_encoded(value),
            Self::Utf8Encoding => std::str::from_utf8(value).is_err(),
            Self::Identity(identity) => return identity.judge(value, found),
            Self::SqlInjection => injection::is_sql(value, found),
            Self::CrossSiteScripting => injection::is_script(value, found),
        })
    }

    /// What every value contains for which [`judge`](Self::judge) says yes.
    pub fn needs(&self) -> Needs {
        let bytes = |set| Needs { clauses: vec![Clause::Bytes(set)], length: 1 };
        match self {
            Self::UnconditionalMatch | Self::Number(_) => Needs::default(),
            Self::NoMatch | Self::Inert(_) => bytes(ByteSet::EMPTY),
            Self::Text(text) => text.needs(),
            Self::Phrases(phrases) => phrases.needs(),
            // The shortest address is `::`.
            Self::Addresses(_) => Needs { length: 2, ..bytes(ByteSet::list(b".:")) },
            Self::Regex(regex) => regex.needs(),
            Self::ForbiddenBytes(forbidden) => bytes(*forbidden),
            Self::UrlEncoding => bytes(ByteSet::list(b"%")),
            Self::Utf8Encoding => bytes(ByteSet::range(0x80, 0xff)),
            Self::Identity(identity) => identity.needs(),
            Self::SqlInjection => injection::sql_needs(),
            Self::CrossSiteScripting => injection::script_needs(),
        }
    }

    /// Why it has no effect, where it has none.
    pub fn note(&self) -> Option<&'static str> {
        match self {
            Self::Inert(why) => Some(why),
            _ => None,
        }
    }
}

/// The contents of the files that an argument names, each with its path.
fn read_files<'a>(argument: &'a str, making: &Making<'_>) -> Result<Vec<(&'a str, Vec<u8>)>, String> {
    let mut files = Vec::new();
    for name in argument.split_ascii_whitespace() {
        if name.contains("://") {
            return Err(format!("{name}: files are not fetched from elsewhere; name a file of this machine"));
        }
        let path = if name.starts_with('/') { name.to_owned() } else { format!("{}{name}", making.folder) };
        files.push((name, making.files.read(&path).map_err(|why| format!("{name}: {why}"))?));
    }
    if files.is_empty() { Err("the name of a file is missing".to_owned()) } else { Ok(files) }
}

/// The lines of a file that are neither empty nor comments, with their numbers.
fn lines(file: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = file.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line.trim_ascii()));
    lines.filter(|(_, line)| !line.is_empty() && line[0] != b'#')
}

#[cfg(test)]
mod tests;
