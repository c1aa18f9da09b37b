//! Chunked bodies (RFC 9112 section 7.1), checked where they lie: nothing is copied but the lines of a trailer section.

use memchr::memchr;

use super::{
    field::{self, Field, Wrong},
    refusal::RefusalKind,
};

/// How far a chunked body has been read.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    /// Field lines so far, and their bytes.
    trailer_count: usize,
    trailer_bytes: usize,
    /// The trailer line that is not complete.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// In the size; so many digits so far.
    Size { digits: u8, size: u64 },
    /// In the extensions; so many bytes so far.
    Extension { length: u16, size: u64 },
    /// Before the LF of a size line.
    SizeEnd { size: u64 },
    /// In the data; so many bytes are to come.
    Data { left: u64 },
    /// Before the CR after the data.
    DataCr,
    /// Before the LF after the data.
    DataLf,
    /// In the trailer section.
    Trailer,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

/// 16 digits are all that 64 bits hold. Leading zeros count: there is no use for more.
const SIZE_DIGITS: u8 = 16;
/// Bytes of extensions after one size. Nobody uses them; endless ones are an attack (CVE-2023-39326).
const EXTENSION_LENGTH: u16 = 256;
/// Bytes and lines of the trailer section. hyper allows twice as many bytes and 100 lines.
const TRAILER_BYTES: usize = 8 * 1024;
const TRAILER_COUNT: usize = 64;

impl Chunked {
    /// Reads on. The number of bytes that belong to the body, and whether it ends after them.
    ///
    /// # Errors
    /// When a byte stands where it must not. The bytes before it were in order.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), Wrong> {
        let mut next = 0;
        while let Some(&byte) = bytes.get(next) {
            match self.at {
                At::Data { left } => {
                    let here = left.min((bytes.len() - next) as u64);
                    // At most the length of a slice.
                    next += here as usize;
                    self.at = if here == left { At::DataCr } else { At::Data { left: left - here } };
                    continue;
                }
                At::Trailer => {
                    let end = memchr(b'\n', &bytes[next..]).map_or(bytes.len(), |at| next + at + 1);
                    let done = self.trailer(&bytes[next..end])?;
                    next = end;
                    if done {
                        return Ok((next, true));
                    }
                    continue;
                }
                _ => self.at = self.step(byte)?,
            }
            next += 1;
        }
        Ok((next, false))
    }

    /// Takes one byte around the data.
    fn step(&self, byte: u8) -> Result<At, Wrong> {
        const SIZE: Wrong = (RefusalKind::Chunk, "a chunk size that is not 1 to 16 hexadecimal digits");
        const END: Wrong = (RefusalKind::Chunk, "chunk data that is not followed by CR LF");
        match self.at {
            At::Size { digits, size } => match (byte, char::from(byte).to_digit(16)) {
                (_, Some(digit)) if digits < SIZE_DIGITS => {
                    Ok(At::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
                }
                // Half of what 16 digits can say is more than any body; it keeps sums from overflowing elsewhere.
                _ if digits == 0 || size > u64::MAX / 2 => Err(SIZE),
                (b'\r', _) => Ok(At::SizeEnd { size }),
                (b';', _) => Ok(At::Extension { length: 0, size }),
                _ => Err(SIZE),
            },
            At::Extension { length, size } => match byte {
                b'\r' => Ok(At::SizeEnd { size }),
                0..=0x1f | 0x7f => Err((RefusalKind::Chunk, "a control byte in a chunk extension")),
                _ if length == EXTENSION_LENGTH => {
                    Err((RefusalKind::Chunk, "a chunk extension of more than 256 bytes"))
                }
                _ => Ok(At::Extension { length: length + 1, size }),
            },
            At::SizeEnd { size } => match byte {
                b'\n' if size == 0 => Ok(At::Trailer),
                b'\n' => Ok(At::Data { left: size }),
                _ => Err((RefusalKind::Chunk, "a chunk size line that does not end with CR LF")),
            },
            At::DataCr if byte == b'\r' => Ok(At::DataLf),
            At::DataLf if byte == b'\n' => Ok(At::default()),
            _ => Err(END),
        }
    }

    /// Takes a line of the trailer section, or a part of one. True when it was the last.
    fn trailer(&mut self, part: &[u8]) -> Result<bool, Wrong> {
        self.trailer_bytes += part.len();
        if self.trailer_bytes > TRAILER_BYTES {
            return Err((RefusalKind::Chunk, "a trailer section of more than 8 KiB"));
        }
        if self.line.is_empty() && part.ends_with(b"\n") {
            return self.trailer_line(part);
        }
        self.line.extend_from_slice(part);
        if !part.ends_with(b"\n") {
            return Ok(false);
        }
        let line = std::mem::take(&mut self.line);
        self.trailer_line(&line)
    }

    fn trailer_line(&mut self, line: &[u8]) -> Result<bool, Wrong> {
        let line = field::content(line)?;
        if line.is_empty() {
            return Ok(true);
        }
        self.trailer_count += 1;
        if self.trailer_count > TRAILER_COUNT {
            return Err((RefusalKind::Chunk, "more than 64 trailer fields"));
        }
        let Field { name, .. } = field::parse(line)?;
        // RFC 9110 section 6.5.1: what frames or routes a message has no place behind it.
        if [&b"content-length"[..], b"transfer-encoding", b"host", b"trailer"]
            .iter()
            .any(|n| name.eq_ignore_ascii_case(n))
        {
            return Err((RefusalKind::Chunk, "a trailer field that belongs into the head"));
        }
        Ok(false)
    }
}
