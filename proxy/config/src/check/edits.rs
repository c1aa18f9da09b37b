//! What a route changes on the way.

use std::collections::{HashMap, HashSet};

use regex::Regex;

use crate::{
    diagnostic::Sink,
    raw::{self, Field},
    route::{Edits, HeaderEdits, PrefixEdit, Rewrite},
    source::Span,
};

pub(super) fn edits(raw: &raw::Route, out: &mut Sink<'_>) -> Edits {
    forwards(raw, out);
    Edits {
        prefix: prefix(raw, out),
        rewrite: rewrite(raw, out),
        host: raw.host_header.get().map(|host| host.0.clone()),
        request_headers: header_edits(&raw.request_headers, out),
        response_headers: header_edits(&raw.response_headers, out),
    }
}

/// Edits of a request that is answered here would be lost without a word.
fn forwards(raw: &raw::Route, out: &mut Sink<'_>) {
    let Some((action, at)) = [("redirect", raw.redirect.key), ("respond", raw.respond.key)]
        .into_iter()
        .find_map(|(key, span)| Some((key, span?)))
    else {
        return;
    };
    let edits = [
        ("strip_prefix", raw.strip_prefix.key),
        ("replace_prefix", raw.replace_prefix.key),
        ("rewrite", raw.rewrite.key),
        ("host_header", raw.host_header.key),
        ("request_headers", raw.request_headers.key),
    ];
    for (key, span) in edits {
        if let Some(span) = span {
            out.error(span, format!("`{key}` has no effect: with `{action}` nothing is forwarded"))
                .other(at, format!("`{action}` is here"));
        }
    }
}

fn prefix(raw: &raw::Route, out: &mut Sink<'_>) -> Option<PrefixEdit> {
    if let (Some(strip), Some(replace)) = (raw.strip_prefix.key, raw.replace_prefix.key) {
        out.error(replace, "`replace_prefix` and `strip_prefix` cannot both be").other(strip, "`strip_prefix` is here");
    }
    if let Some(at) = &raw.strip_prefix.value {
        let from = at.value.as_prefix();
        if from.is_empty() {
            out.error(at.span, "this prefix is empty: there is nothing to strip");
        }
        return Some(PrefixEdit { from: from.to_owned(), to: String::new() });
    }
    let replace = raw.replace_prefix.get()?;
    let (from, to) = (replace.from.value.as_ref()?, replace.to.get()?);
    if from.value.as_prefix().is_empty() {
        out.error(from.span, "this prefix is empty: there is nothing to replace")
            .help("`rewrite = { regex = \"^\", to = \"/v2\" }` puts something in front of every path");
    }
    Some(PrefixEdit { from: from.value.as_prefix().to_owned(), to: to.as_prefix().to_owned() })
}

fn rewrite(raw: &raw::Route, out: &mut Sink<'_>) -> Option<Rewrite> {
    let rewrite = raw.rewrite.get()?;
    let (regex, to) = (rewrite.regex.get()?, rewrite.to.value.as_ref()?);
    for group in groups(&to.value.0) {
        let known = match group.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|name| name == group),
        };
        if !known {
            unknown_group(group, regex, to.span, out);
        }
    }
    Some(Rewrite { regex: regex.clone(), to: to.value.0.clone() })
}

fn unknown_group(group: &str, regex: &Regex, span: Span, out: &mut Sink<'_>) {
    let digits = group.len() - group.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let draft = out.error(span, format!("the regex has no group `{group}`: nothing would be put there"));
    let (number, rest) = group.split_at(digits);
    if !number.is_empty() && !rest.is_empty() {
        // The regex crate takes the longest name: `$1x` is the group `1x`.
        draft.help(format!("write `${{{number}}}{rest}` for group {number} with `{rest}` behind it"));
    } else {
        draft.expected(match regex.captures_len() {
            1 => "no groups: this regex has none".to_owned(),
            n => format!("`$0` to `${}`, or a name", n - 1),
        });
    }
}

/// The groups that a replacement names, as the regex crate reads it.
fn groups(to: &str) -> Vec<&str> {
    let mut groups = Vec::new();
    let mut rest = to;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let Some(end) = inner.find('}') else { break };
            groups.push(&inner[..end]);
            rest = &inner[end + 1..];
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            if end > 0 {
                groups.push(&rest[..end]);
            }
            rest = &rest[end..];
        }
    }
    groups
}

fn header_edits(field: &Field<raw::HeaderEdits>, out: &mut Sink<'_>) -> HeaderEdits {
    let Some(raw) = field.get() else { return HeaderEdits::default() };
    let mut edits = HeaderEdits::default();
    let mut removed = HashSet::new();
    for at in raw.remove.get().map(|list| list.0.as_slice()).unwrap_or_default() {
        if removed.insert(&at.value) {
            edits.remove.push(at.value.0.clone());
        }
    }
    for (map, into) in [(&raw.set, &mut edits.set), (&raw.add, &mut edits.add)] {
        let mut first: HashMap<_, Span> = HashMap::new();
        for entry in map.get().map(|map| map.entries.as_slice()).unwrap_or_default() {
            let name = &entry.key.value;
            if let Some(other) = first.insert(name, entry.key.span) {
                out.error(entry.key.span, format!("`{}` is here twice", name.0))
                    .other(other, "the first one is here")
                    .help("names of header fields are the same in upper and lower case");
            }
            if let Some(value) = &entry.value {
                into.push((name.0.clone(), value.0.clone()));
            }
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_as_the_regex_crate_finds_them() {
        assert_eq!(groups("/a/$1/${name}x$2b?$$3$"), ["1", "name", "2b"]);
        assert_eq!(groups("/$-/${unclosed"), [""; 0]);
    }
}
