//! What an XPath selects.

use super::{Element, Xml};
use crate::model::{XPath, XStep};

/// Steps of a path. Each is a bit of a word; longer ones select nothing, and no rule has one.
const STEPS: usize = 127;

impl Xml {
    /// Gives each value that `path` selects to `found`, in document order: of an element all its text, with that of the elements in
    /// it, as XPath has it (XPath 1.0, section 5.2).
    pub fn select<'a>(&'a self, path: &XPath, mut found: impl FnMut(&'a [u8])) {
        match path {
            XPath::Elements => {
                if let Some(root) = self.elements.first() {
                    found(root.text.of(&self.text));
                }
            }
            XPath::Attributes => self.attributes.iter().for_each(|attribute| found(attribute.value.of(&self.strings))),
            XPath::Path(steps) if steps.is_empty() || steps.len() > STEPS => {}
            XPath::Path(steps) => self.walk(steps, found),
        }
    }

    /// One pass over the elements. Parents come before their children, so that what is known of them is at hand.
    fn walk<'a>(&'a self, steps: &[XStep], mut found: impl FnMut(&'a [u8])) {
        let last: u128 = 1 << steps.len();
        let mut reached = Vec::with_capacity(self.elements.len());
        let mut attributes = self.attributes.iter().peekable();
        for (number, element) in self.elements.iter().enumerate() {
            let above =
                if element.parent as usize == number { Reached::DOCUMENT } else { reached[element.parent as usize] };
            let here = self.enter(element, above, steps);
            reached.push(here);
            if here.exactly & last != 0 {
                found(element.text.of(&self.text));
            }
            while let Some(attribute) = attributes.next_if(|attribute| attribute.element as usize == number) {
                let Some(step) = steps.last().filter(|step| step.attribute) else { continue };
                let before = if step.anywhere { here.above } else { here.exactly };
                if before & last >> 1 != 0 && named(step, attribute.name.of(&self.strings)) {
                    found(attribute.value.of(&self.strings));
                }
            }
        }
    }

    fn enter(&self, element: &Element, parent: Reached, steps: &[XStep]) -> Reached {
        let name = element.name.of(&self.strings);
        let exactly = steps.iter().enumerate().fold(0, |set, (at, step)| {
            let before = if step.anywhere { parent.above } else { parent.exactly };
            let reached = before & 1 << at != 0 && !step.attribute && named(step, name);
            set | u128::from(reached) << (at + 1)
        });
        Reached { exactly, above: parent.above | exactly }
    }
}

/// How many steps are done: bit n for n of them.
#[derive(Clone, Copy)]
struct Reached {
    /// With the last of them at this very node.
    exactly: u128,
    /// With the last of them here or above.
    above: u128,
}

impl Reached {
    const DOCUMENT: Self = Self { exactly: 1, above: 1 };
}

fn named(step: &XStep, name: &[u8]) -> bool {
    step.name.as_ref().is_none_or(|wanted| wanted.as_bytes() == name)
}
