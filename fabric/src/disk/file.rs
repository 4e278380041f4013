//! A file that stays open: what a journal, a spool or a results file needs on
//! its hot path, where opening by name would cost more than writing.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use crate::fault::FaultPoint;

/// An open file, shared by all who hold it.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Writes all bytes at this position. After an error some may be there.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Fills the buffer from this position on.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    /// Reads what is there from this position on, at most what fits.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Gives the length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends the file.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, at)
    }

    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        FaultPoint::DiskFileSync.pass()?;
        self.sync_data()
    }
}

/// Reads an open file from its start to its end.
#[derive(Debug)]
pub struct FileReader {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl FileReader {
    /// Begins at the start.
    pub fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
