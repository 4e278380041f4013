//! The parts of a map on disk: one file with all of them, one with their ends.
//! Memory holds the ends alone, eight bytes a part.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

/// The most parts of one map.
pub(crate) const PARTS_MAX: usize = 16 * 1024 * 1024;

/// Parts being collected.
pub(crate) struct PartsWriter {
    parts: BufWriter<File>,
    ends: BufWriter<File>,
    length: u64,
    count: usize,
    /// Bytes since the last end.
    open: bool,
}

impl PartsWriter {
    /// Begins anew.
    pub(crate) fn create(parts: &Path, ends: &Path) -> io::Result<Self> {
        Ok(Self {
            parts: BufWriter::with_capacity(256 * 1024, File::create(parts)?),
            ends: BufWriter::new(File::create(ends)?),
            length: 0,
            count: 0,
            open: false,
        })
    }

    /// Adds one whole part.
    pub(crate) fn part(&mut self, data: &[u8]) -> io::Result<()> {
        self.write(data)?;
        self.end()
    }

    /// Adds bytes whose lines are parts.
    pub(crate) fn lines(&mut self, mut data: &[u8]) -> io::Result<()> {
        while let Some(at) = data.iter().position(|byte| *byte == b'\n') {
            self.write(&data[..at])?;
            self.end()?;
            data = &data[at + 1..];
        }
        self.open |= !data.is_empty();
        self.write(data)
    }

    /// Ends a last line that has no newline.
    pub(crate) fn lines_end(&mut self) -> io::Result<()> {
        if self.open { self.end() } else { Ok(()) }
    }

    /// Adds a file's bytes to the open part.
    pub(crate) fn copy(&mut self, from: &mut impl io::Read) -> io::Result<()> {
        self.length += io::copy(from, &mut self.parts)?;
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.length += data.len() as u64;
        self.parts.write_all(data)
    }

    /// Ends the open part.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.count >= PARTS_MAX {
            return Err(io::Error::other(format!(
                "a map has at most {PARTS_MAX} parts"
            )));
        }
        self.count += 1;
        self.open = false;
        self.ends.write_all(&self.length.to_le_bytes())
    }

    /// Makes all of it durable; gives the count.
    pub(crate) fn seal(self) -> io::Result<usize> {
        for file in [self.parts, self.ends] {
            file.into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .sync_all()?;
        }
        Ok(self.count)
    }
}

/// Parts to run.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    file: Arc<File>,
    ends: Arc<[u64]>,
}

impl Parts {
    /// Opens what was sealed with `count` parts.
    pub(crate) fn open(parts: &Path, ends: &Path, count: u64) -> io::Result<Self> {
        let file = File::open(parts)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        File::open(ends)?
            .take(PARTS_MAX as u64 * 8)
            .read_to_end(&mut bytes)?;
        let ends: Arc<[u64]> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|end| u64::from_le_bytes(*end))
            .collect();
        let rising = ends.is_sorted() && ends.last().is_none_or(|end| *end <= length);
        if ends.len() as u64 != count || !rising {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the parts are damaged: run the map anew",
            ));
        }
        Ok(Self {
            file: Arc::new(file),
            ends,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Where a part begins, and its length.
    pub(crate) fn range(&self, part: u64) -> (u64, u64) {
        let Ok(index) = usize::try_from(part) else {
            return (0, 0);
        };
        let end = self.ends.get(index).copied().unwrap_or_default();
        let start = index
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or_default();
        (start, end - start)
    }

    /// Reads `len` bytes of the file.
    pub(crate) fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; len];
        self.file.read_exact_at(&mut data, at)?;
        Ok(data)
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "sizes of tests are small")]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut PartsWriter)) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let (parts, ends) = (folder.path().join("parts"), folder.path().join("ends"));
        let mut writer = PartsWriter::create(&parts, &ends).unwrap();
        write(&mut writer);
        let count = writer.seal().unwrap() as u64;
        assert!(Parts::open(&parts, &ends, count + 1).is_err());
        let parts = Parts::open(&parts, &ends, count).unwrap();
        (0..count)
            .map(|part| {
                let (at, len) = parts.range(part);
                parts.read(at, len as usize).unwrap()
            })
            .collect()
    }

    #[test]
    fn lines_are_parts_however_they_are_cut() {
        let text = b"one\ntwo\n\nlast";
        for size in 1..=text.len() {
            let parts = written(|writer| {
                for piece in text.chunks(size) {
                    writer.lines(piece).unwrap();
                }
                writer.lines_end().unwrap();
            });
            assert_eq!(
                parts,
                [&b"one"[..], b"two", b"", b"last"],
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn a_trailing_newline_makes_no_part() {
        let parts = written(|writer| {
            writer.lines(b"a\nb\n").unwrap();
            writer.lines_end().unwrap();
        });
        assert_eq!(parts, [b"a", b"b"]);
        assert!(written(|_| ()).is_empty());
    }

    #[test]
    fn whole_parts_keep_their_newlines() {
        let parts = written(|writer| {
            writer.part(b"a\nb\n").unwrap();
            writer.part(b"").unwrap();
            writer.copy(&mut &b"file"[..]).unwrap();
            writer.end().unwrap();
        });
        assert_eq!(parts, [&b"a\nb\n"[..], b"", b"file"]);
    }
}
