//! What variables are at the moment they are asked for.

use std::borrow::Cow;

use crate::{
    model::{Piece, Selector, Template, Variable, XPath},
    pattern::Pattern,
    plan::{Select, Target},
    transaction::{
        Cx, Transaction,
        arena::{NodeId, Span},
        clock,
        fill::{Entry, List},
        persistent::{self, Opened},
    },
};

/// A value of a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub node: NodeId,
    pub variable: Variable,
    pub name: Name,
}

/// The name of an entry of a collection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Name {
    /// Of what is no entry.
    None,
    Text(Span),
    /// Of `TX`.
    Slot(u32),
}

/// Where a variable has its values.
pub(super) enum Source {
    /// Entries; of `..._NAMES`, their names.
    Lists {
        lists: &'static [List],
        names: bool,
    },
    Tx,
    Env,
    /// `IP` and its like.
    Persistent,
    Matched {
        names: bool,
    },
    Rule,
    Xml,
    /// One value. It is there even when it is empty.
    Single,
    /// Never anything.
    Nothing,
}

pub(super) fn source(variable: Variable) -> Source {
    const ARGS: &[List] = &[List::ArgsGet, List::ArgsPost, List::ArgsOther];
    let values = |lists| Source::Lists { lists, names: false };
    let names = |lists| Source::Lists { lists, names: true };
    match variable {
        Variable::Args => values(ARGS),
        Variable::ArgsNames => names(ARGS),
        Variable::ArgsGet => values(&[List::ArgsGet]),
        Variable::ArgsGetNames => names(&[List::ArgsGet]),
        Variable::ArgsPost => values(&[List::ArgsPost]),
        Variable::ArgsPostNames => names(&[List::ArgsPost]),
        Variable::RequestHeaders => values(&[List::RequestHeaders]),
        Variable::RequestHeadersNames => names(&[List::RequestHeaders]),
        Variable::RequestCookies => values(&[List::RequestCookies]),
        Variable::RequestCookiesNames => names(&[List::RequestCookies]),
        Variable::ResponseHeaders => values(&[List::ResponseHeaders]),
        Variable::ResponseHeadersNames => names(&[List::ResponseHeaders]),
        Variable::Files => values(&[List::Files]),
        Variable::FilesNames => values(&[List::FilesNames]),
        Variable::FilesSizes => values(&[List::FilesSizes]),
        Variable::FilesTmpContent => values(&[List::FilesTmpContent]),
        Variable::MultipartFilename => values(&[List::MultipartFilename]),
        Variable::MultipartName => values(&[List::MultipartName]),
        Variable::MultipartPartHeaders => values(&[List::MultipartPartHeaders]),
        Variable::Tx => Source::Tx,
        Variable::Env => Source::Env,
        Variable::Ip | Variable::Global | Variable::Resource | Variable::Session | Variable::User => Source::Persistent,
        Variable::MatchedVars => Source::Matched { names: false },
        Variable::MatchedVarsNames => Source::Matched { names: true },
        Variable::Rule => Source::Rule,
        Variable::Xml => Source::Xml,
        Variable::Geo | Variable::FilesTmpnames => Source::Nothing,
        _ => Source::Single,
    }
}

/// Which entries, with everything expanded.
enum Pick<'a> {
    All,
    /// Lower case.
    Name(Cow<'a, [u8]>),
    /// Lower case, and its number among those that rules ask for.
    Known(&'a [u8], u32),
    Slot(u32),
    Regex(&'a Pattern),
    /// Of `TX`: with the known names that it finds.
    SlotRegex(&'a Pattern, &'a [u32]),
}

impl Pick<'_> {
    /// The one name, in lower case.
    fn lower(&self) -> Option<&[u8]> {
        match self {
            Self::Name(lower) => Some(lower),
            Self::Known(lower, _) => Some(lower),
            _ => None,
        }
    }

    fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Name(lower) => name.eq_ignore_ascii_case(lower),
            Self::Known(lower, _) => name.eq_ignore_ascii_case(lower),
            Self::Slot(_) => false,
            Self::Regex(pattern) | Self::SlotRegex(pattern, _) => pattern.is_match(name).unwrap_or(false),
        }
    }
}

const RULE_NAMES: [&str; 7] = ["id", "rev", "ver", "severity", "msg", "logdata", "phase"];

impl Transaction {
    /// The values of a target, in order.
    pub(super) fn collect(&mut self, cx: &Cx<'_>, target: &Target, items: &mut Vec<Item>) {
        let expanded;
        let pick = match &target.select {
            Select::All => Pick::All,
            Select::Name(name, number) => Pick::Known(name.as_bytes(), *number),
            Select::Slot(slot) => Pick::Slot(*slot),
            Select::SlotRegex(pattern, slots) => Pick::SlotRegex(pattern, slots),
            Select::Regex(pattern) => Pick::Regex(pattern),
            Select::Template(template) => {
                expanded = self.expand(cx, template).to_ascii_lowercase();
                match cx.engine.plan.names.find(&expanded) {
                    Some(slot) if target.variable == Variable::Tx => Pick::Slot(slot),
                    _ => Pick::Name(Cow::Borrowed(&expanded)),
                }
            }
            Select::XPath(path) => {
                self.collect_xml(path, items);
                if target.count {
                    self.count(target, items);
                }
                return;
            }
        };
        self.collect_picked(cx, target.variable, &pick, items);
        if target.count {
            self.count(target, items);
        }
    }

    /// In place of the values, how many there are.
    fn count(&mut self, target: &Target, items: &mut Vec<Item>) {
        let count = items.len();
        items.clear();
        let node = self.transient(count.to_string().as_bytes());
        let name = match &target.select {
            Select::Name(name, _) => Name::Text(self.arena.text(name.as_bytes())),
            Select::Slot(slot) => Name::Slot(*slot),
            _ => Name::None,
        };
        items.push(Item { node, variable: target.variable, name });
    }

    fn collect_picked(&mut self, cx: &Cx<'_>, variable: Variable, pick: &Pick<'_>, items: &mut Vec<Item>) {
        match source(variable) {
            Source::Lists { lists, names } => {
                for list in lists {
                    for &Entry { name, value, number } in &self.lists[*list as usize] {
                        let taken = match pick {
                            Pick::All => true,
                            Pick::Known(_, known) => *known == number,
                            _ => pick.takes(self.arena.get(name)),
                        };
                        if taken {
                            let node = if names { name } else { value };
                            items.push(Item { node, variable, name: Name::Text(self.arena.span(name)) });
                        }
                    }
                }
            }
            Source::Tx => self.collect_tx(cx, pick, items),
            Source::Env => {
                let found: Vec<_> = self
                    .env
                    .iter(None)
                    .filter(|(name, _)| pick.takes(name))
                    .map(|(name, value)| (name.to_vec(), value.to_vec()))
                    .collect();
                self.push_made(variable, &found, items);
            }
            Source::Persistent => {
                let Some(opened) = self.opened(variable) else { return };
                let known = persistent::known(&cx.engine.plan.persistent, variable);
                let found = match pick.lower() {
                    Some(name) => opened.get(cx.world, name).map(|value| (name.to_vec(), value)).into_iter().collect(),
                    None => {
                        let mut all = opened.all(cx.world, known);
                        all.retain(|(name, _)| pick.takes(name));
                        all
                    }
                };
                self.push_made(variable, &found, items);
            }
            Source::Matched { names } => {
                for at in 0..self.matched.len() {
                    let (item, value) = self.matched[at];
                    let shown = self.shown_name(cx, &item);
                    if pick.takes(&shown) {
                        self.has_transient = true;
                        let name = self.arena.text(&shown);
                        let node = self.arena.node(if names { name } else { value });
                        items.push(Item { node, variable, name: Name::Text(name) });
                    }
                }
            }
            Source::Rule => {
                let found: Vec<_> = RULE_NAMES
                    .iter()
                    .filter(|name| pick.takes(name.as_bytes()))
                    .filter_map(|name| {
                        Some((name.as_bytes().to_vec(), self.rule_text(cx, name.as_bytes())?.into_owned()))
                    })
                    .collect();
                self.push_made(variable, &found, items);
            }
            Source::Xml => self.collect_xml(&XPath::Elements, items),
            Source::Single => {
                let node = self.single(cx, variable);
                items.push(Item { node, variable, name: Name::None });
            }
            Source::Nothing => {}
        }
    }

    fn collect_tx(&mut self, cx: &Cx<'_>, pick: &Pick<'_>, items: &mut Vec<Item>) {
        let names = &cx.engine.plan.names;
        let all: &mut dyn Iterator<Item = u32> = match pick {
            Pick::Slot(slot) => &mut std::iter::once(*slot),
            Pick::SlotRegex(_, slots) => &mut slots.iter().copied(),
            _ => &mut (0..names.len() as u32).filter(|slot| pick.takes(names.shown(*slot).as_bytes())),
        };
        for slot in all {
            if let Some(value) = self.tx.slot(slot) {
                self.has_transient = true;
                let node = self.arena.value(value);
                items.push(Item { node, variable: Variable::Tx, name: Name::Slot(slot) });
            }
        }
        if matches!(pick, Pick::Slot(_)) {
            return;
        }
        for (name, value) in self.tx.others().filter(|(name, _)| pick.takes(name)) {
            self.has_transient = true;
            let node = self.arena.value(value);
            let name = self.arena.text(name);
            items.push(Item { node, variable: Variable::Tx, name: Name::Text(name) });
        }
    }

    fn push_made(&mut self, variable: Variable, found: &[(Vec<u8>, Vec<u8>)], items: &mut Vec<Item>) {
        for (name, value) in found {
            let node = self.transient(value);
            let name = self.arena.text(name);
            items.push(Item { node, variable, name: Name::Text(name) });
        }
    }

    fn collect_xml(&mut self, path: &XPath, items: &mut Vec<Item>) {
        if !self.has_xml {
            return;
        }
        let at = self.xml_nodes(path);
        items.extend(self.xml[at].1.iter().map(|node| Item { node: *node, variable: Variable::Xml, name: Name::None }));
    }

    /// The place among [`Transaction::xml`] of what a path picks.
    pub(super) fn xml_nodes(&mut self, path: &XPath) -> usize {
        if let Some(at) = self.xml.iter().position(|(known, _)| known == path) {
            return at;
        }
        let mut texts = Vec::new();
        self.parsed.xml.select(path, |text| texts.push(text.to_vec()));
        let nodes = texts.iter().map(|text| self.arena.value(text)).collect();
        self.has_pinned = true;
        self.xml.push((path.clone(), nodes));
        self.xml.len() - 1
    }

    /// A value for the rule at hand only.
    fn transient(&mut self, value: &[u8]) -> NodeId {
        self.has_transient = true;
        self.arena.value(value)
    }

    /// The value of a variable that is no collection.
    fn single(&mut self, cx: &Cx<'_>, variable: Variable) -> NodeId {
        let known = self.singles[variable as usize];
        if !known.is_none() {
            return known;
        }
        let text = self.text_of(cx, variable).into_owned();
        match variable {
            // Asked for in each phase anew: the body comes later.
            Variable::FullRequest | Variable::FullRequestLength | Variable::ArgsCombinedSize
                if self.request_complete =>
            {
                self.has_pinned = true;
                let node = self.arena.value(&text);
                self.singles[variable as usize] = node;
                node
            }
            _ => self.transient(&text),
        }
    }

    /// The text of a variable that is no collection.
    fn text_of<'a>(&'a self, cx: &'a Cx<'_>, variable: Variable) -> Cow<'a, [u8]> {
        let known = self.singles[variable as usize];
        if !known.is_none() {
            return Cow::Borrowed(self.arena.get(known));
        }
        let owned = |text: String| Cow::Owned(text.into_bytes());
        match variable {
            Variable::MatchedVar => Cow::Borrowed(self.matched_var()),
            Variable::MatchedVarName => match (&self.matched_last, self.matched_kept_slot) {
                (Some((item, _)), _) => Cow::Owned(self.shown_name(cx, item)),
                (None, Some(slot)) => owned(format!("TX:{}", cx.engine.plan.names.shown(slot))),
                (None, None) => Cow::Borrowed(&self.matched_kept_name),
            },
            Variable::HighestSeverity => owned(self.highest_severity.map_or(255, u32::from).to_string()),
            Variable::Duration => owned((cx.world.now().saturating_sub(self.began) / 1_000_000).to_string()),
            Variable::ArgsCombinedSize => owned(self.args_combined_size().to_string()),
            Variable::FullRequest => Cow::Owned(self.full_request()),
            Variable::FullRequestLength => owned(self.full_request().len().to_string()),
            Variable::RemoteAddr | Variable::RemoteHost => owned(self.ends.client.to_canonical().to_string()),
            Variable::RemotePort => owned(self.ends.client_port.to_string()),
            Variable::ServerAddr => owned(self.ends.server.to_canonical().to_string()),
            Variable::ServerPort => owned(self.ends.server_port.to_string()),
            Variable::UniqueId => Cow::Borrowed(self.id.as_bytes()),
            Variable::SessionId => Cow::Borrowed(self.key_of(Variable::Session)),
            Variable::UserId => Cow::Borrowed(self.key_of(Variable::User)),
            Variable::WebAppId => Cow::Borrowed(cx.engine.settings().web_app_id.as_bytes()),
            Variable::MscPcreError | Variable::MscPcreLimitsExceeded => {
                Cow::Borrowed(if self.limits_exceeded { b"1" } else { b"0" })
            }
            // The reference's number for 3.0.0: major, minor, patch and tag, two digits each.
            Variable::ModsecBuild => Cow::Borrowed(b"030000050"),
            _ => match clock::text(variable, cx.world.now()) {
                Some(text) => owned(text),
                None => Cow::Borrowed(b""),
            },
        }
    }

    fn key_of(&self, collection: Variable) -> &[u8] {
        self.opened(collection).map_or(b"", |opened| &opened.key)
    }

    pub(super) fn opened(&self, collection: Variable) -> Option<&Opened> {
        self.opened.iter().find(|opened| opened.collection == collection)
    }

    pub(super) fn matched_var(&self) -> &[u8] {
        match self.matched_last {
            Some((_, span)) => self.arena.bytes(span),
            None => &self.matched_kept,
        }
    }

    /// Names and values of all arguments, bytes.
    fn args_combined_size(&self) -> usize {
        [List::ArgsGet, List::ArgsPost, List::ArgsOther]
            .iter()
            .flat_map(|list| &self.lists[*list as usize])
            .map(|entry| self.arena.get(entry.name).len() + self.arena.get(entry.value).len())
            .sum()
    }

    fn full_request(&self) -> Vec<u8> {
        let mut text = Vec::new();
        text.extend_from_slice(self.arena.get(self.singles[Variable::RequestLine as usize]));
        text.push(b'\n');
        for entry in &self.lists[List::RequestHeaders as usize] {
            text.extend_from_slice(self.arena.get(entry.name));
            text.extend_from_slice(b": ");
            text.extend_from_slice(self.arena.get(entry.value));
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.arena.bytes(self.body));
        text
    }

    /// `RULE`: of the rule at hand.
    fn rule_text<'a>(&'a self, cx: &'a Cx<'_>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        let rule = cx.engine.rule(self.rule?);
        let owned = |text: String| Cow::Owned(text.into_bytes());
        match name {
            b"id" => Some(owned(rule.id.to_string())),
            b"rev" => rule.revision.as_ref().map(|text| Cow::Borrowed(text.as_bytes())),
            b"ver" => rule.version.as_ref().map(|text| Cow::Borrowed(text.as_bytes())),
            b"severity" => rule.severity.map(|severity| owned(severity.to_string())),
            b"phase" => Some(owned((rule.phase as u8).to_string())),
            // What they contain of RULE is not looked at again: a rule could name itself.
            b"msg" => rule.message.as_ref().map(|template| self.expand_outside_rule(cx, template)),
            b"logdata" => {
                let template = rule.links.iter().find_map(|link| link.log_data.as_ref())?;
                Some(self.expand_outside_rule(cx, template))
            }
            _ => None,
        }
    }

    /// The text of a template.
    pub(super) fn expand<'a>(&'a self, cx: &'a Cx<'_>, template: &'a Template) -> Cow<'a, [u8]> {
        match &*template.0 {
            [] => Cow::Borrowed(b""),
            [piece] => self.piece(cx, piece),
            _ => {
                let mut text = Vec::new();
                self.write(cx, template, &mut text);
                Cow::Owned(text)
            }
        }
    }

    /// Appends the text of a template.
    pub(super) fn write(&self, cx: &Cx<'_>, template: &Template, text: &mut Vec<u8>) {
        for piece in template.0.iter() {
            let part = self.piece(cx, piece);
            let room = LONGEST_TEXT.saturating_sub(text.len());
            text.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn expand_outside_rule<'a>(&'a self, cx: &'a Cx<'_>, template: &'a Template) -> Cow<'a, [u8]> {
        let mut text = Vec::new();
        for piece in template.0.iter() {
            if !matches!(
                piece,
                Piece::Value { variable: Variable::Rule, .. } | Piece::Search { variable: Variable::Rule, .. }
            ) {
                text.extend_from_slice(&self.piece(cx, piece));
            }
        }
        text.truncate(LONGEST_TEXT);
        Cow::Owned(text)
    }

    fn piece<'a>(&'a self, cx: &'a Cx<'_>, piece: &'a Piece) -> Cow<'a, [u8]> {
        match piece {
            Piece::Text(text) => Cow::Borrowed(text.as_bytes()),
            Piece::Value { variable, name: None } => self.first(cx, *variable, &Pick::All),
            Piece::Value { variable, name: Some(name) } => match cx.engine.plan.names.find(name.as_bytes()) {
                Some(slot) if *variable == Variable::Tx => self.first(cx, *variable, &Pick::Slot(slot)),
                _ => self.first(cx, *variable, &Pick::Name(Cow::Borrowed(name.as_bytes()))),
            },
            Piece::Search { variable, selector: Selector::Regex { pattern, .. } } => {
                self.first(cx, *variable, &Pick::Regex(pattern))
            }
            Piece::Search { .. } => Cow::Borrowed(b""),
        }
    }

    /// The first value, empty if there is none.
    fn first<'a>(&'a self, cx: &'a Cx<'_>, variable: Variable, pick: &Pick<'_>) -> Cow<'a, [u8]> {
        let found = match source(variable) {
            Source::Lists { lists, names } => lists
                .iter()
                .flat_map(|list| &self.lists[*list as usize])
                .find(|entry| pick.takes(self.arena.get(entry.name)))
                .map(|entry| Cow::Borrowed(self.arena.get(if names { entry.name } else { entry.value }))),
            Source::Tx => match pick {
                Pick::Slot(slot) => self.tx.slot(*slot),
                Pick::Name(name) => self.tx.get(None, name),
                _ => {
                    self.tx.iter(Some(&cx.engine.plan.names)).find(|(name, _)| pick.takes(name)).map(|(_, value)| value)
                }
            }
            .map(Cow::Borrowed),
            Source::Env => {
                self.env.iter(None).find(|(name, _)| pick.takes(name)).map(|(_, value)| Cow::Borrowed(value))
            }
            Source::Persistent => self.opened(variable).and_then(|opened| match pick.lower() {
                Some(name) => opened.get(cx.world, name).map(Cow::Owned),
                None => {
                    let known = persistent::known(&cx.engine.plan.persistent, variable);
                    let all = opened.all(cx.world, known);
                    all.into_iter().find(|(name, _)| pick.takes(name)).map(|(_, value)| Cow::Owned(value))
                }
            }),
            Source::Matched { names } => self.matched.iter().find_map(|(item, value)| {
                let shown = self.shown_name(cx, item);
                let taken = pick.takes(&shown);
                taken.then(|| if names { Cow::Owned(shown) } else { Cow::Borrowed(self.arena.bytes(*value)) })
            }),
            Source::Rule => RULE_NAMES
                .iter()
                .filter(|name| pick.takes(name.as_bytes()))
                .find_map(|name| self.rule_text(cx, name.as_bytes())),
            Source::Xml => self.first_xml(),
            Source::Single => Some(self.text_of(cx, variable)),
            Source::Nothing => None,
        };
        found.unwrap_or_default()
    }

    fn first_xml(&self) -> Option<Cow<'_, [u8]>> {
        if !self.has_xml {
            return None;
        }
        let mut first = None;
        self.parsed.xml.select(&XPath::Elements, |text| {
            first.get_or_insert_with(|| text.to_vec());
        });
        first.map(Cow::Owned)
    }

    /// The name of an entry.
    pub(super) fn name_of<'a>(&'a self, cx: &Cx<'a>, item: &Item) -> &'a [u8] {
        match item.name {
            Name::None => b"",
            Name::Text(span) => self.arena.bytes(span),
            Name::Slot(slot) => cx.engine.plan.names.shown(slot).as_bytes(),
        }
    }

    /// Whether a selector of a `!` target or of a `ctl` means this value.
    pub(super) fn selects(&self, cx: &Cx<'_>, select: &Select, item: &Item) -> bool {
        let name = self.name_of(cx, item);
        match select {
            Select::All => true,
            Select::Name(lower, _) => name.eq_ignore_ascii_case(lower.as_bytes()),
            Select::Slot(slot) => name.eq_ignore_ascii_case(cx.engine.plan.names.shown(*slot).as_bytes()),
            Select::Regex(pattern) | Select::SlotRegex(pattern, _) => pattern.is_match(name).unwrap_or(false),
            Select::Template(template) => name.eq_ignore_ascii_case(&self.expand(cx, template)),
            // Which values a path picks is not known of the value; the paths themselves are compared by the caller.
            Select::XPath(_) => false,
        }
    }

    /// As `MATCHED_VAR_NAME` shows it.
    pub(super) fn shown_name(&self, cx: &Cx<'_>, item: &Item) -> Vec<u8> {
        let mut shown = item.variable.name().as_bytes().to_vec();
        if !matches!(item.name, Name::None) {
            shown.push(b':');
            shown.extend_from_slice(self.name_of(cx, item));
        }
        shown
    }
}

/// Texts made of templates are cut here.
const LONGEST_TEXT: usize = 1 << 20;
