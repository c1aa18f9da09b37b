//! Lines that a plugin writes to a file of its own. Who writes them is not known here: see [`Settings`](crate::Settings).

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Bytes of a line.
const LINE_MAX: usize = 1 << 20;

/// A file that takes lines.
pub trait Journal: Send + Sync {
    /// Takes a line, with its end. Never waits; what cannot be taken is dropped and counted.
    fn append(&self, line: Vec<u8>);

    /// Lines that were dropped.
    fn dropped(&self) -> u64;
}

/// Opens the file of that path.
pub type OpenJournal = Arc<dyn Fn(&Path) -> io::Result<Arc<dyn Journal>> + Send + Sync>;

/// What plugins of one name write, for their figures.
#[derive(Default)]
pub struct Journaled {
    /// The one that was opened last.
    current: Mutex<Option<Weak<dyn Journal>>>,
    too_long: AtomicU64,
}

impl Journaled {
    /// `journal` is the one in force.
    pub fn set(&self, journal: Option<&Arc<dyn Journal>>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = journal.map(Arc::downgrade);
    }

    /// Lines that are not in the file.
    pub fn dropped(&self) -> u64 {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = current.as_ref().and_then(Weak::upgrade).map_or(0, |journal| journal.dropped());
        journal + self.too_long.load(Relaxed)
    }

    /// Adds a line to `journal`; ends of lines within become blanks.
    pub fn append(&self, journal: &dyn Journal, mut line: Vec<u8>) {
        if line.len() > LINE_MAX {
            self.too_long.fetch_add(1, Relaxed);
            return;
        }
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        line.push(b'\n');
        journal.append(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Vec<u8>>>);

    impl Journal for Kept {
        fn append(&self, line: Vec<u8>) {
            self.0.lock().unwrap().push(line);
        }

        fn dropped(&self) -> u64 {
            3
        }
    }

    #[test]
    fn a_line_is_one_line_and_not_endless() {
        let (kept, journaled) = (Arc::new(Kept::default()), Journaled::default());
        journaled.append(&*kept, b"a\r\nb\n".to_vec());
        journaled.append(&*kept, vec![b'x'; LINE_MAX + 1]);
        assert_eq!(*kept.0.lock().unwrap(), [b"a  b \n"]);
        assert_eq!(journaled.dropped(), 1);
        let kept: Arc<dyn Journal> = kept;
        journaled.set(Some(&kept));
        assert_eq!(journaled.dropped(), 4);
        drop(kept);
        assert_eq!(journaled.dropped(), 1);
    }
}
