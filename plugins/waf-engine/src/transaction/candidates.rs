//! Which rules of a phase are visited: see [`crate::plan::candidates`].

use crate::{
    model::Phase,
    plan::candidates::Class,
    transaction::{Cx, Transaction, arena::NodeId, fill::UNNAMED, variables::Source, variables::source},
};

impl Transaction {
    /// Sets the rules to visit.
    pub(super) fn find_candidates(&mut self, cx: &Cx<'_>, phase: Phase) {
        let candidates = &cx.engine.plan.candidates;
        let classes = candidates.phase(phase);
        self.visit.copy(&classes.always);
        for (variable, class) in &classes.variables {
            match source(*variable) {
                Source::Lists { lists, names } => {
                    for list in lists {
                        for at in 0..self.lists[*list as usize].len() {
                            let entry = self.lists[*list as usize][at];
                            self.find_for_value(cx, class, if names { entry.name } else { entry.value });
                        }
                    }
                }
                _ => {
                    let mut node = self.singles[*variable as usize];
                    if node.is_none() {
                        node = self.arena.value(b"");
                        self.singles[*variable as usize] = node;
                    }
                    self.find_for_value(cx, class, node);
                }
            }
        }
        for (variable, by_name) in &classes.named {
            let Source::Lists { lists, names } = source(*variable) else { continue };
            for list in lists {
                for at in 0..self.lists[*list as usize].len() {
                    let entry = self.lists[*list as usize][at];
                    if entry.number == UNNAMED {
                        continue;
                    }
                    if let Some(class) = by_name.get(&entry.number) {
                        self.find_for_value(cx, class, if names { entry.name } else { entry.value });
                    }
                }
            }
        }
        if self.has_xml {
            for (path, class) in &classes.paths {
                let at = self.xml_nodes(path);
                for index in 0..self.xml[at].1.len() {
                    let node = self.xml[at].1[index];
                    self.find_for_value(cx, class, node);
                }
            }
        }
    }

    /// Adds the rules of a class that may match a value, or what transformations make of it.
    fn find_for_value(&mut self, cx: &Cx<'_>, class: &Class, node: NodeId) {
        // No filtered operator matches an empty value, and what is empty stays empty, but for transformations that make something
        // of nothing: those are not filtered.
        let prefilter = &cx.engine.plan.candidates.prefilter;
        let words = self.visit.words();
        let allowed = self.arena.allowed(node, words, |value, present, out| prefilter.scan(value, present, out));
        self.visit.add_common(&class.rules, allowed);
        let present = self.arena.present(node);
        if !class.triggers.meets(&present) && !class.makes_something {
            return;
        }
        let map = cx.engine.settings().unicode_map.as_deref();
        for view in &class.views {
            if !view.concerns(&present) {
                continue;
            }
            let mark = self.arena.mark();
            let seen = view.chain.iter().fold(node, |node, step| self.arena.transform(node, *step, map));
            if seen != node {
                let allowed =
                    self.arena.allowed(seen, words, |value, present, out| prefilter.scan(value, present, out));
                self.visit.add_common(&view.rules, allowed);
                if self.arena.over_budget() {
                    self.arena.truncate(mark);
                }
            }
        }
    }
}
