//! Kernel pipes for splice(2), lent from a small cache of this thread's.

use std::{cell::RefCell, io, os::fd::OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// A pipe on loan. It goes back to the cache when dropped empty; with bytes inside it is closed, for they must never
/// reach another connection.
#[derive(Debug)]
pub(super) struct Pipe {
    /// `None` only once `drop` has taken them.
    ends: Option<Ends>,
    /// Bytes inside.
    pub(super) filled: usize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// A pipe from the cache, or a new one. Fails when the process or the user has too many descriptors or pipe pages.
    pub(super) fn lend() -> io::Result<Self> {
        let cached = CACHE.with_borrow_mut(Vec::pop);
        let ends = match cached {
            Some(ends) => ends,
            None => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                // Above the user's share (/proc/sys/fs/pipe-user-pages-soft) the kernel refuses; the default of 64 KiB works too.
                let _ = fcntl_setpipe_size(&write, CAPACITY);
                Ends { read, write }
            }
        };
        Ok(Self { ends: Some(ends), filled: 0 })
    }

    pub(super) fn read_end(&self) -> &OwnedFd {
        &self.ends.as_ref().expect("taken only by drop").read
    }

    pub(super) fn write_end(&self) -> &OwnedFd {
        &self.ends.as_ref().expect("taken only by drop").write
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.filled == 0
            && let Some(ends) = self.ends.take()
        {
            // At the end of the thread the cache may be gone already: then the pipe is closed.
            let _ = CACHE.try_with(|cache| {
                if let Ok(mut cache) = cache.try_borrow_mut()
                    && cache.len() < KEPT
                {
                    cache.push(ends);
                }
            });
        }
    }
}

thread_local! {
    static CACHE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// What one splice moves at most, and a connection holds in the kernel besides its socket buffers. Larger ones no longer save
/// system calls that are felt beside the bytes.
pub(super) const CAPACITY: usize = 256 * 1024;
/// Pipes kept per thread: as many as are in use at once where splices take turns on one worker, and few enough
/// descriptors to leave lying about.
const KEPT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_pipe_is_lent_again_and_a_filled_one_never() {
        let first = Pipe::lend().unwrap();
        let number = format!("{:?}", first.read_end());
        drop(first);
        let mut second = Pipe::lend().unwrap();
        assert_eq!(format!("{:?}", second.read_end()), number);
        rustix::io::write(second.write_end(), b"secret").unwrap();
        second.filled = 6;
        drop(second);
        let third = Pipe::lend().unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::read(third.read_end(), &mut byte), Err(rustix::io::Errno::AGAIN));
    }
}
