//! All outputs of a map in part order, read from its results.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;

use super::{results::ResultsFile, steps::blocking};
use crate::error::Error;

/// Bytes of output that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Reads all outputs in part order, many small ones at a time.
pub(crate) struct OutputReader {
    results: Arc<ResultsFile>,
    parts: u64,
    cursor: Cursor,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    part: u64,
    extent: usize,
    offset: u32,
}

impl OutputReader {
    pub(crate) const fn new(results: Arc<ResultsFile>, parts: u64) -> Self {
        Self {
            results,
            parts,
            cursor: Cursor {
                part: 0,
                extent: 0,
                offset: 0,
            },
        }
    }

    /// Gives the next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let (results, parts, mut cursor) = (Arc::clone(&self.results), self.parts, self.cursor);
        let read = blocking(move || Ok((cursor.read(&results, parts)?, cursor))).await;
        let (data, cursor) =
            read.map_err(|e| Error::local("read", Path::new("the results of the map"), e))?;
        self.cursor = cursor;
        Ok(data.map(Bytes::from))
    }
}

impl Cursor {
    /// Gives the next bytes; none at the end.
    pub(crate) fn read(
        &mut self,
        results: &ResultsFile,
        parts: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        let file = results.reader();
        let mut data = Vec::new();
        while self.part < parts && data.len() < READ_BYTES {
            let missing = || {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("part {} has no result", self.part),
                )
            };
            let extents = results.index().extents(self.part).ok_or_else(missing)?;
            let Some(extent) = extents.get(self.extent) else {
                *self = Self {
                    part: self.part + 1,
                    extent: 0,
                    offset: 0,
                };
                continue;
            };
            let room = u32::try_from(READ_BYTES - data.len()).unwrap_or(u32::MAX);
            let count = (extent.len - self.offset).min(room);
            let start = data.len();
            data.resize(start + count as usize, 0);
            file.read_exact_at(&mut data[start..], extent.at + u64::from(self.offset))?;
            self.offset += count;
            if self.offset == extent.len {
                (self.extent, self.offset) = (self.extent + 1, 0);
            }
        }
        Ok((!data.is_empty()).then_some(data))
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "sizes of tests are small")]
mod tests {
    use gridmart_fabric::disk::RealDisk;

    use super::*;
    use crate::map::results::Record;

    #[test]
    fn outputs_are_read_in_part_order_whatever_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = ResultsFile::open(&RealDisk, &folder.path().join("results")).unwrap();
        let outputs: Vec<Vec<u8>> = (0..50u64)
            .map(|p| vec![p as u8; (p as usize % 7) * 20_000])
            .collect();
        for (part, output) in outputs.iter().enumerate().rev() {
            let (first, rest) = output.split_at(output.len() / 3);
            let part = part as u64;
            results
                .append(&[Record {
                    part,
                    attempt: 1,
                    at: 0,
                    last: false,
                    data: first.to_vec(),
                }])
                .unwrap();
            let at = first.len() as u64;
            results
                .append(&[Record {
                    part,
                    attempt: 1,
                    at,
                    last: true,
                    data: rest.to_vec(),
                }])
                .unwrap();
        }
        let mut cursor = Cursor::default();
        let mut all = Vec::new();
        while let Some(data) = cursor.read(&results, 50).unwrap() {
            assert!(data.len() <= READ_BYTES);
            all.extend(data);
        }
        assert!(all == outputs.concat());
        assert!(
            Cursor {
                part: 50,
                extent: 0,
                offset: 0
            }
            .read(&results, 51)
            .is_err()
        );
    }
}
