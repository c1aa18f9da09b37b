//! Rule files, read into a [`RuleSet`].
//!
//! The language is that of libmodsecurity 3 and its reference manual. What cannot be done as written is a [`Problem`] and nothing is
//! loaded; what has no effect in a proxy is a [`Note`].

mod action;
mod check;
mod ctl;
mod directive;
pub mod exception;
mod finish;
mod include;
mod line;
mod patterns;
mod report;
mod rule;
mod setting;
mod target;
mod update;
mod variable;
mod word;
mod written;
mod xpath;

use std::{rc::Rc, sync::Arc};

use self::{
    directive::Kind,
    include::Budget,
    line::{Read, Reader},
    patterns::Patterns,
    report::{Mistake, Report, clip},
    rule::{Draft, Place},
    setting::Choices,
    word::Words,
};
pub use self::{
    exception::Exception,
    report::{Note, NoteKind, Problem},
};
use crate::{
    model::{Location, RuleSet, Settings},
    transform::UnicodeMap,
    world::Files,
};

/// What loading gives.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// Remarks, at most 1000.
    pub notes: Vec<Note>,
}

/// Reads rule files, in the order in which they are given.
pub struct Loader<'a> {
    files: &'a dyn Files,
    budget: Budget,
    patterns: Rc<Patterns>,
    settings: Settings,
    choices: Choices,
    /// Where the file of the Unicode map was named, and the folder of that file.
    unicode_place: Option<(Location, Arc<str>)>,
    draft: Draft,
    /// Rules of routes: evaluated before all others.
    exceptions: Draft,
    next_exception: u64,
    updates: Vec<update::Update>,
    report: Report,
}

impl<'a> Loader<'a> {
    /// Nothing is read yet.
    pub fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            budget: Budget::default(),
            patterns: Rc::default(),
            settings: Settings::default(),
            choices: Choices::default(),
            unicode_place: None,
            draft: Draft::default(),
            exceptions: Draft::default(),
            next_exception: exception::FIRST_ID,
            updates: Vec::new(),
            report: Report::default(),
        }
    }

    /// Reads a file, or all files that match a pattern with `*`, `?` or `[...]`, in the order of their names.
    pub fn file(&mut self, pattern: &str) -> &mut Self {
        let from = Location { file: pattern.into(), line: 1 };
        if let Err(why) = self.include(pattern, false, &from) {
            self.report.at(&from, pattern, why);
        }
        self
    }

    /// Reads text. `name` stands in the place of a file's name in messages; files that the text names begin at the beginning of
    /// [`Files`].
    pub fn text(&mut self, name: &str, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        let name: Arc<str> = name.into();
        match self.budget.take(text.len()) {
            Ok(()) => self.read(&name, &Arc::from(""), text),
            Err(why) => self.report.at(&Location { file: name, line: 1 }, "", why),
        }
        self
    }

    /// Adds the exceptions of a route: rules that are judged before all others. See [`exception::seclang`] for their text; their ids
    /// go on from where those of the last route ended.
    pub fn exceptions(&mut self, route: &str, exceptions: &[Exception]) -> &mut Self {
        let name: Arc<str> = format!("exceptions of route {route}").into();
        self.report.begin(&name);
        match exception::seclang(route, exceptions, self.next_exception) {
            Ok(text) => {
                self.next_exception += exceptions.len() as u64;
                std::mem::swap(&mut self.draft, &mut self.exceptions);
                self.read(&name, &Arc::from(""), text.as_bytes());
                std::mem::swap(&mut self.draft, &mut self.exceptions);
            }
            Err(wrong) => {
                for (at, why) in wrong {
                    let location = Location { file: name.clone(), line: 1 };
                    self.report.at(&location, "", format!("exception {}: {why}", at + 1));
                }
            }
        }
        self
    }

    /// Resolves what could not be resolved before all was read. The loader is as new afterwards.
    ///
    /// # Errors
    /// All mistakes, at most a hundred, in the order of files and lines.
    pub fn finish(&mut self) -> Result<Loaded, Vec<Problem>> {
        let new = Self::new(self.files);
        std::mem::replace(self, new).end()
    }

    fn end(mut self) -> Result<Loaded, Vec<Problem>> {
        self.draft.end(&mut self.report);
        self.unicode_map();
        update::apply(std::mem::take(&mut self.updates), &mut self.draft, &mut self.report);
        let files = include::Bounded::new(self.files);
        let backtrack_limit = self.settings.backtrack_limit;
        let sources = finish::Sources { files: &files, backtrack_limit, patterns: &self.patterns };
        let mut entries = finish::entries(self.exceptions, &sources, &mut self.report);
        let own = entries.len();
        entries.extend(finish::entries(self.draft, &sources, &mut self.report));
        check::ids(&entries, own, &mut self.report);
        check::references(&entries, &mut self.report);
        check::empty_variables(&entries, &mut self.report);
        check::backtracking(&entries, &mut self.report);
        let notes = self.report.finish()?;
        Ok(Loaded { rules: RuleSet { settings: self.settings, entries }, notes })
    }

    /// Reads the directives of a file. `folder` is where relative names begin.
    fn read(&mut self, name: &Arc<str>, folder: &Arc<str>, bytes: &[u8]) {
        self.report.begin(name);
        let patterns = self.patterns.clone();
        for read in Reader::new(bytes) {
            if self.budget.is_spent() {
                return;
            }
            match read {
                Read::Line(line) => {
                    let location = Location { file: name.clone(), line: line.number };
                    let place = Place { line: &line, location, folder, patterns: &patterns };
                    self.directive(&place);
                }
                Read::Swallowed(line) => self.report.note(
                    &Location { file: name.clone(), line },
                    NoteKind::Suspicious,
                    "this line belongs to the comment above, which ends in a backslash: it has no effect",
                ),
                Read::NotText(line, byte) => self.report.at(
                    &Location { file: name.clone(), line },
                    "",
                    format!(
                        "the byte {byte:#04x} is not UTF-8: save the file as UTF-8, or write \\x{byte:02x} in a pattern"
                    ),
                ),
            }
        }
    }

    fn directive(&mut self, place: &Place<'_>) {
        let span = place.line.span();
        let end = span.text.find(char::is_whitespace).unwrap_or(span.text.len());
        let (word, rest) = (span.to(end), span.from(end));
        let words = Words::new(rest);
        let Some((name, kind)) = directive::find(word.text) else {
            let mistake = match directive::of_a_server(word.text) {
                Some(why) => word.mistake(format!("{} is not read here: {why}", clip(word.text))),
                None => word.mistake(format!("there is no directive {}", clip(word.text))).near(directive::names()),
            };
            self.mistakes(place, [mistake]);
            return;
        };
        match kind {
            Kind::Rule => self.draft.rule(words, true, place, &mut self.report),
            Kind::Action => self.draft.rule(words, false, place, &mut self.report),
            Kind::Refused(why) => self.mistakes(place, [word.mistake(format!("{name} is not supported: {why}"))]),
            Kind::Inert(why) => {
                self.report.note(&place.location, NoteKind::Inert, format!("{name} has no effect: {why}"));
            }
            _ => {
                if let Err(mistakes) = self.other(name, kind, word, words, place) {
                    self.mistakes(place, mistakes);
                }
            }
        }
    }

    /// What takes plain words.
    fn other(
        &mut self,
        name: &'static str,
        kind: Kind,
        written: line::Span<'_>,
        words: Words<'_>,
        place: &Place<'_>,
    ) -> Result<(), Vec<Mistake>> {
        let one = |mistake| vec![mistake];
        let words = words.all().map_err(one)?;
        let needs = |what: &str| vec![written.mistake(format!("{name} needs {what}"))];
        match kind {
            Kind::Include { optional } => {
                let first = words.first().ok_or_else(|| needs("the name of a file"))?;
                setting::expect(&words, 1, name).map_err(one)?;
                let path = include::join(place.folder, &first.text());
                self.include(&path, optional, &place.location).map_err(|why| vec![first.mistake(why)])
            }
            Kind::DefaultAction => {
                let first = words.first().ok_or_else(|| needs("actions"))?;
                setting::expect(&words, 1, name).map_err(one)?;
                self.draft.default_action(*first, place)
            }
            Kind::Marker => {
                let first = words.first().ok_or_else(|| needs("a name"))?;
                setting::expect(&words, 1, name).map_err(one)?;
                self.draft.marker(&first.text(), &place.location, &mut self.report);
                Ok(())
            }
            Kind::Update(kind) => {
                self.updates.push(update::parse(kind, name, &words, place)?);
                Ok(())
            }
            Kind::OffOnly(why) if setting::is_off(&words) => {
                self.report.note(&place.location, NoteKind::Inert, format!("{name} Off is how it is anyway: {why}"));
                Ok(())
            }
            Kind::OffOnly(why) => Err(vec![written.mistake(format!("{name} is not supported, save Off: {why}"))]),
            _ => {
                if matches!(name, "SecUnicodeMapFile" | "SecUnicodeMap") {
                    self.unicode_place = Some((place.location.clone(), place.folder.clone()));
                }
                setting::apply(name, &words, &mut self.settings, &mut self.choices).map_err(one)
            }
        }
    }

    fn mistakes(&mut self, place: &Place<'_>, mistakes: impl IntoIterator<Item = Mistake>) {
        for mistake in mistakes {
            self.report.mistake(&place.location.file, place.line, mistake);
        }
    }

    /// Reads the file of the Unicode map, now that the code page is known.
    fn unicode_map(&mut self) {
        let (Some(file), Some((location, folder))) = (&self.choices.unicode_file, &self.unicode_place) else { return };
        let Some(page) = self.choices.unicode_page else {
            self.report.at(
                location,
                file,
                "no code page is named: write its number behind the file, for example 20127",
            );
            return;
        };
        let path = include::join(folder, file);
        let map = self.files.read(&path).and_then(|bytes| {
            self.budget.take(bytes.len())?;
            UnicodeMap::parse(&bytes, page)
        });
        match map {
            Ok(map) => self.settings.unicode_map = Some(Arc::new(map)),
            Err(why) => {
                self.report.at(location, file, format!("the Unicode map {} cannot be used: {why}", clip(&path)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
