//! Connections by number. A number that was given back is not used again before [`Slab::sweep`], so that an event
//! which waits in the same batch cannot reach a connection that came later.

/// Values at small stable numbers.
pub(crate) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    swept: Vec<usize>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), swept: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(at) => {
                self.slots[at] = Some(value);
                at
            }
            None => {
                self.slots.push(Some(value));
                self.slots.len() - 1
            }
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.slots.get(at).and_then(Option::as_ref)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.slots.get_mut(at).and_then(Option::as_mut)
    }

    /// Takes a value out for a moment: its number stays its own until [`Slab::put`] or [`Slab::remove`].
    pub(crate) fn take(&mut self, at: usize) -> Option<T> {
        self.slots.get_mut(at).and_then(Option::take)
    }

    pub(crate) fn put(&mut self, at: usize, value: T) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(value);
        }
    }

    pub(crate) fn remove(&mut self, at: usize) -> Option<T> {
        let value = self.slots.get_mut(at).and_then(Option::take)?;
        self.swept.push(at);
        Some(value)
    }

    /// Called after each batch of events.
    pub(crate) fn sweep(&mut self) {
        self.free.append(&mut self.swept);
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn a_number_is_not_given_again_within_a_batch() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        assert_ne!(slab.insert('b'), first);
        slab.sweep();
        assert_eq!(slab.insert('c'), first);
    }
}
