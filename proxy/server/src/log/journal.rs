//! Files that plugins write lines to: the access log's writer, one for each file.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use portcullis_plugin::Journal;

use super::{
    Target, Writer,
    writer::{Lines, Queue},
};

/// The open ones by path: plugins before and after a reload, and different ones that name one file, write to it through one thread.
#[derive(Debug, Default)]
pub struct Journals(Mutex<BTreeMap<PathBuf, Weak<File>>>);

/// One file. Its last lines are written when the last plugin that has it is gone.
#[derive(Debug)]
pub struct File {
    queue: Queue,
    /// Until [`Journals::close`].
    writer: Mutex<Option<Writer>>,
}

impl Journals {
    /// Opens a file, or gives the one that is open.
    ///
    /// # Errors
    /// Where it cannot be opened; the message names it.
    pub fn open(&self, path: &Path) -> io::Result<Arc<File>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = open.get(path).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let writer = Writer::named("journal", Target::File(path.to_owned()))?;
        let file = Arc::new(File { queue: writer.queue().clone(), writer: Mutex::new(Some(writer)) });
        open.insert(path.to_owned(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Writes what is still queued. What comes later is lost, and counted.
    pub fn close(&self) {
        let open = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for file in open.values().filter_map(Weak::upgrade) {
            drop(file.writer.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

impl Journal for File {
    fn append(&self, line: Vec<u8>) {
        // What is lost is counted there.
        _ = self.queue.send(Lines { bytes: line, count: 1 });
    }

    fn dropped(&self) -> u64 {
        self.queue.dropped()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn plugins_that_name_one_file_share_it_and_the_last_lines_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let journals = Journals::default();
        let first = journals.open(&path).unwrap();
        let second = journals.open(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        first.append(b"one\n".to_vec());
        second.append(b"two\n".to_vec());
        journals.close();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        first.append(b"late\n".to_vec());
        assert_eq!((first.dropped(), fs::read_to_string(&path).unwrap().lines().count()), (1, 2));
    }

    #[test]
    fn it_ends_with_its_last_plugin_and_can_be_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let journals = Journals::default();
        for _ in 0..2 {
            journals.open(&path).unwrap().append(b"line\n".to_vec());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "line\nline\n");
    }

    #[test]
    fn one_that_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/audit.log");
        let error = Journals::default().open(&path).unwrap_err().to_string();
        assert!(error.contains("the journal") && error.contains("none/audit.log"), "{error}");
    }

    #[test]
    fn what_waits_is_bounded_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        // Nobody reads it, so that the thread waits in its first write.
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let held = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let file = Journals::default().open(&pipe).unwrap();
        let line = vec![b'x'; 1 << 20];
        (0..64).for_each(|_| file.append(line.clone()));
        assert!(file.dropped() >= 64 - 18, "{}", file.dropped());
        // The thread gives up with nobody to read.
        drop(held);
    }
}
