//! Records between the end of their call and their batch in the journal: each
//! is in a file before anybody hears of the end, so that a kill of the Host
//! takes none. Nothing here is synced: against a power cut stands the journal,
//! a moment later.
//!
//! The files have room of their own from the start, so that a disk that is full
//! takes records still.
//!
//! Two files in turn: while what is in one is being brought to the journal, new
//! records go to the other. A record that is found in both after a kill is told
//! twice and known by the controller.

use std::{
    io,
    path::{Path, PathBuf},
};

use gridmart_fabric::disk::{Disk, DiskFile, Secrecy};
use gridmart_schemas::wire::record::CallRecord;

/// A larger file is not ours: what one batch holds, many times over.
const SHEET_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What each file takes of the disk, whatever is in it: some thousand records.
const SHEET_ROOM: u64 = 1024 * 1024;
/// Written at a time where nothing is to stand.
static BLANK: [u8; 64 * 1024] = [0; 64 * 1024];

/// One of the files: lines, and behind them zeros.
struct Sheet {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Of the lines.
    length: u64,
}

impl Sheet {
    /// Opens the file; gives the lines that are in it.
    fn open(disk: &dyn Disk, path: PathBuf) -> io::Result<(Self, Vec<u8>)> {
        let mut bytes = disk
            .read_bounded(&path, SHEET_BYTES_MAX)?
            .unwrap_or_default();
        let file = disk.open(&path, Secrecy::Secret)?;
        let end = bytes.iter().rposition(|byte| *byte != 0);
        bytes.truncate(end.map_or(0, |last| last + 1));
        let sheet = Self {
            path,
            file,
            length: bytes.len() as u64,
        };
        sheet.make_room();
        Ok((sheet, bytes))
    }

    /// Takes its room of the disk, if there is any.
    fn make_room(&self) {
        let taken = self.file.length().and_then(|length| {
            if length < SHEET_ROOM {
                self.blank(length, SHEET_ROOM)?;
            }
            Ok(())
        });
        if let Err(error) = taken {
            tracing::warn!(path = %self.path.display(), %error, "records of calls have no room of their own");
        }
    }

    fn blank(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let piece = usize::try_from(to - at).map_or(BLANK.len(), |left| left.min(BLANK.len()));
            self.file.write_at(&BLANK[..piece], at)?;
            at += piece as u64;
        }
        Ok(())
    }

    /// Takes the lines away, and keeps the room.
    fn clear(&mut self) -> io::Result<()> {
        if self.file.length()? > SHEET_ROOM {
            self.file.set_length(SHEET_ROOM)?;
        }
        self.blank(0, self.length.min(SHEET_ROOM))?;
        self.length = 0;
        self.make_room();
        Ok(())
    }
}

/// See the module.
pub(crate) struct Draft {
    sheets: [Sheet; 2],
    /// The one that takes records now.
    current: usize,
}

impl Draft {
    /// Opens the files; gives what a Host that was killed has left in them.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path) -> io::Result<(Self, Vec<CallRecord>)> {
        let mut left = Vec::new();
        let mut sheet = |name: &str| {
            let (sheet, bytes) = Sheet::open(disk, folder.join(name))?;
            // A line that a kill has cut off has not been told to anybody.
            let lines = bytes.split(|byte| *byte == b'\n');
            left.extend(lines.filter_map(|line| serde_json::from_slice(line).ok()));
            Ok::<_, io::Error>(sheet)
        };
        let sheets = [sheet("draft-1.jsonl")?, sheet("draft-2.jsonl")?];
        let mut draft = Self { sheets, current: 0 };
        if let Err(error) = draft.gather(&left) {
            // They are in memory, and told twice at worst.
            tracing::warn!(folder = %folder.display(), %error, "records that a kill has left stay in two files");
        }
        Ok((draft, left))
    }

    /// Brings what was left in the second file to the first, which is the next
    /// to be cleared.
    fn gather(&mut self, left: &[CallRecord]) -> io::Result<()> {
        if self.sheets[1].length > 0 {
            for record in left {
                self.add(record)?;
            }
            self.clear(1);
        }
        Ok(())
    }

    /// Writes a record down.
    pub(crate) fn add(&mut self, record: &CallRecord) -> io::Result<()> {
        // The line break first: what a failed write has left stays a line of its own.
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, record)?;
        line.push(b'\n');
        let sheet = &mut self.sheets[self.current];
        if sheet.length + line.len() as u64 > SHEET_BYTES_MAX {
            // The journal takes nothing, and the next start has to read this.
            return Err(io::ErrorKind::StorageFull.into());
        }
        sheet.file.write_at(&line, sheet.length)?;
        sheet.length += line.len() as u64;
        Ok(())
    }

    /// From now on records go to the other file; gives the one before.
    pub(crate) const fn turn(&mut self) -> usize {
        let before = self.current;
        self.current = 1 - before;
        before
    }

    /// What the file has is in the journal.
    pub(crate) fn clear(&mut self, before: usize) {
        let sheet = &mut self.sheets[before];
        if sheet.length == 0 {
            return;
        }
        // What stays is told twice at worst.
        if let Err(error) = sheet.clear() {
            tracing::warn!(path = %sheet.path.display(), %error, "a draft of records cannot be cleared");
        }
    }
}
