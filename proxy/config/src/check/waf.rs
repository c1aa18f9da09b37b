//! `[route.waf]`: that there is a WAF to tell, and that exceptions say what they except.

use super::plugins::Plugins;
use crate::{
    diagnostic::Sink,
    raw::{self, At},
    waf::{Except, Waf},
};

pub(super) fn waf(raw: &raw::Route, plugins: &Plugins, out: &mut Sink<'_>) -> Option<Waf> {
    let (key, waf) = (raw.waf.key?, raw.waf.get()?);
    if !raw.plugins.is_broken() && !plugins.judge(raw) {
        let draft = out.error(key, "`waf` has no effect: the WAF is not among this route's plugins");
        match (raw.plugins.key, plugins.waf()) {
            (Some(written), Some(name)) => {
                draft.other(written, "which are here").help(format!("add \"{name}\" to them"))
            }
            (None, Some(name)) => draft.help(format!("write `plugins = [\"{name}\"]`")),
            (_, None) => draft
                .help("the WAF is a plugin: `[plugin.waf]` with `module = \"builtin:waf\"`, and `plugins = [\"waf\"]`"),
        };
    }
    let except = waf.except.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
    Some(Waf {
        mode: waf.mode.get().copied(),
        sample: waf.sample.get().map(|share| share.0),
        except: except.iter().map(|at| exception(at, out)).collect(),
    })
}

fn exception(at: &At<raw::Except>, out: &mut Sink<'_>) -> Except {
    let raw = &at.value;
    if !raw.rules.is_written() && !raw.tags.is_written() {
        let draft = out.error(at.span, "an exception needs `rules` or `tags`");
        draft.absence();
        if raw.path.is_written() && !raw.target.is_written() {
            draft.help("to look at nothing below a path, write a route for it with `waf.mode = \"off\"`");
        }
    }
    let list = |field: &raw::Field<raw::Filled<raw::Tag>>| {
        field.get().map(|list| list.0.iter().map(|at| at.value.0.clone()).collect()).unwrap_or_default()
    };
    Except {
        rules: raw
            .rules
            .get()
            .map(|list| list.0.iter().map(|at| (at.value.0, at.value.1)).collect())
            .unwrap_or_default(),
        tags: list(&raw.tags),
        target: raw.target.get().map(|target| target.0.clone()),
        path: raw.path.get().map(|path| path.0.clone()),
    }
}
