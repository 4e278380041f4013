//! What applications print to stderr, kept for `gridmart logs`: per
//! application a few files of lines, of which the oldest goes when there are
//! too many bytes.
//!
//! Invariants: bounded per application and per call; a cursor is the number of
//! bytes ever written to the application's log, so it stays good across
//! restarts; logging never fails a call.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_schemas::{
    id::{CallId, Digest, PersonName},
    wire::element_host::{HostLogRead, LogAnswer, LogLine},
};
use parking_lot::Mutex;
use time::OffsetDateTime;

/// A new file is begun at this size; two are kept.
const FILE_BYTES_MAX: u64 = 512 * 1024;
/// Files kept per application: 1 MiB together.
const FILES_MAX: usize = 2;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 4096;
/// More of one call is not kept: one call must not push out all others.
const CALL_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that one answer carries.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Logs that are open at a time.
const OPEN_MAX: usize = 64;

/// The logs of all applications.
#[derive(Clone, Debug)]
pub(crate) struct LogBook {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    open: Mutex<HashMap<Digest, ApplicationLog>>,
}

/// The files of one application, oldest first; a file's name is the cursor of
/// its first byte.
#[derive(Debug)]
struct ApplicationLog {
    folder: PathBuf,
    bases: Vec<u64>,
    newest: File,
    newest_length: u64,
}

/// Takes what one call prints.
#[derive(Debug)]
pub(crate) struct CallLog {
    book: LogBook,
    digest: Digest,
    call: CallId,
    owner: PersonName,
    partial: Vec<u8>,
    taken: usize,
}

impl LogBook {
    /// Keeps logs in `folder`.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let shared = Shared {
            folder: folder.to_owned(),
            open: Mutex::new(HashMap::new()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Begins to take what a call prints.
    pub(crate) fn writer(&self, digest: &Digest, call: CallId, owner: &PersonName) -> CallLog {
        CallLog {
            book: self.clone(),
            digest: digest.clone(),
            call,
            owner: owner.clone(),
            partial: Vec::new(),
            taken: 0,
        }
    }

    /// Adds a line of the Host about a call.
    pub(crate) fn note(&self, digest: &Digest, call: CallId, owner: &PersonName, text: &str) {
        let line = LogLine {
            time: OffsetDateTime::now_utc(),
            call,
            owner: owner.clone(),
            text: text.to_owned(),
        };
        self.append(digest, &[line]);
    }

    /// Reads lines from a cursor on, or the last ones.
    pub(crate) fn read(&self, request: &HostLogRead) -> io::Result<LogAnswer> {
        let bases = bases(&self.folder_of(&request.digest))?;
        let bytes_max = u64::from(request.bytes_max).min(ANSWER_BYTES_MAX);
        let Some((first, last)) = bases.first().zip(bases.last()) else {
            return Ok(LogAnswer {
                cursor: request.cursor.unwrap_or(0),
                ..LogAnswer::default()
            });
        };
        let folder = self.folder_of(&request.digest);
        let end = last + fs::metadata(file_path(&folder, *last))?.len();
        let wanted = request
            .cursor
            .unwrap_or_else(|| end.saturating_sub(bytes_max));
        let mut answer = LogAnswer {
            cursor: wanted.clamp(*first, end),
            gap: request.cursor.is_some() && wanted < *first,
            ..LogAnswer::default()
        };
        let mut budget = bytes_max;
        for (at, base) in bases.iter().enumerate() {
            let file_end = bases.get(at + 1).copied().unwrap_or(end);
            if answer.cursor < file_end && budget > 0 {
                read_file(
                    &file_path(&folder, *base),
                    *base,
                    request.owner.as_deref(),
                    &mut budget,
                    &mut answer,
                )?;
            }
        }
        Ok(answer)
    }

    /// Forgets an application's log.
    pub(crate) fn remove(&self, digest: &Digest) {
        self.shared.open.lock().remove(digest);
        if let Err(error) = fs::remove_dir_all(self.folder_of(digest))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(application.digest = %digest, %error, "the log of a removed application stays");
        }
    }

    fn folder_of(&self, digest: &Digest) -> PathBuf {
        self.shared.folder.join(digest.hex())
    }

    fn append(&self, digest: &Digest, lines: &[LogLine]) {
        let mut text = Vec::new();
        for line in lines {
            if serde_json::to_writer(&mut text, line).is_ok() {
                text.push(b'\n');
            }
        }
        if let Err(error) = self.write(digest, &text) {
            tracing::warn!(application.digest = %digest, %error, "what an application printed cannot be kept");
        }
    }

    fn write(&self, digest: &Digest, text: &[u8]) -> io::Result<()> {
        let mut open = self.shared.open.lock();
        if !open.contains_key(digest) {
            if open.len() >= OPEN_MAX {
                // Rare; the others are opened again when they print.
                open.clear();
            }
            open.insert(
                digest.clone(),
                ApplicationLog::open(self.folder_of(digest))?,
            );
        }
        open.get_mut(digest).map_or(Ok(()), |log| log.append(text))
    }
}

impl ApplicationLog {
    fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut bases = bases(&folder)?;
        if bases.is_empty() {
            bases.push(0);
        }
        let newest_base = bases.last().copied().unwrap_or(0);
        let newest = append_to(&file_path(&folder, newest_base))?;
        let newest_length = newest.metadata()?.len();
        Ok(Self {
            folder,
            bases,
            newest,
            newest_length,
        })
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.newest_length >= FILE_BYTES_MAX {
            self.turn()?;
        }
        let written = self.newest.write_all(text);
        if written.is_ok() {
            self.newest_length += text.len() as u64;
        } else {
            // Half a line would be glued to the next one, and cursors be wrong.
            let _ = self.newest.set_len(self.newest_length);
        }
        written
    }

    /// Begins a new file and drops the oldest.
    fn turn(&mut self) -> io::Result<()> {
        let base = self.bases.last().copied().unwrap_or(0) + self.newest_length;
        self.newest = append_to(&file_path(&self.folder, base))?;
        self.newest_length = 0;
        self.bases.push(base);
        while self.bases.len() > FILES_MAX {
            fs::remove_file(file_path(&self.folder, self.bases.remove(0)))?;
        }
        Ok(())
    }
}

impl CallLog {
    /// Takes a piece of stderr.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        let room = CALL_BYTES_MAX.saturating_sub(self.taken);
        if room == 0 {
            return;
        }
        let full = bytes.len() >= room;
        bytes = &bytes[..bytes.len().min(room)];
        self.taken += bytes.len();
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LINE_BYTES_MAX {
                lines.push(self.line());
            }
        }
        if full {
            if !self.partial.is_empty() {
                lines.push(self.line());
            }
            self.partial
                .extend_from_slice(b"(what this call prints from here on is not kept in the log)");
            lines.push(self.line());
        }
        if !lines.is_empty() {
            self.book.append(&self.digest, &lines);
        }
    }

    /// The call has ended: a last line without a line end counts as well.
    pub(crate) fn finish(mut self) {
        if !self.partial.is_empty() {
            let line = self.line();
            self.book.append(&self.digest, &[line]);
        }
    }

    fn line(&mut self) -> LogLine {
        let bytes = std::mem::take(&mut self.partial);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        LogLine {
            time: OffsetDateTime::now_utc(),
            call: self.call,
            owner: self.owner.clone(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        }
    }
}

fn file_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.jsonl"))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn bases(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bases = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let base: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_suffix(".jsonl"))
            .and_then(|base| base.parse().ok());
        bases.extend(base);
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Adds whole lines of one file to the answer, from its cursor on.
fn read_file(
    path: &Path,
    base: u64,
    owner: Option<&str>,
    budget: &mut u64,
    answer: &mut LogAnswer,
) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let skip = answer.cursor.saturating_sub(base);
    reader.seek(SeekFrom::Start(skip))?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        // A line without an end is still being written.
        if read == 0 || !line.ends_with(b"\n") || read > *budget {
            *budget = if read > *budget { 0 } else { *budget };
            return Ok(());
        }
        *budget -= read;
        answer.cursor += read;
        // A cursor in the middle of a line gives half a line first: dropped.
        if let Ok(line) = serde_json::from_slice::<LogLine>(&line)
            && owner.is_none_or(|owner| line.owner.as_str() == owner)
        {
            answer.lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::from_blake3([7; 32])
    }

    fn request(cursor: Option<u64>, owner: Option<&str>) -> HostLogRead {
        HostLogRead {
            digest: digest(),
            owner: owner.map(str::to_owned),
            cursor,
            bytes_max: 1 << 20,
        }
    }

    fn texts(answer: &LogAnswer) -> Vec<&str> {
        answer.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_kept_across_a_restart_and_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let ada: PersonName = "ada".parse().unwrap();
        let book = LogBook::open(folder.path()).unwrap();
        let mut log = book.writer(&digest(), CallId::generate(), &ada);
        log.push(b"one\ntw");
        log.push(b"o\nthree \xff");
        log.finish();
        let first = book.read(&request(None, None)).unwrap();
        assert_eq!(texts(&first), ["one", "two", "three \u{fffd}"]);

        let book = LogBook::open(folder.path()).unwrap();
        book.note(
            &digest(),
            CallId::generate(),
            &"bob".parse().unwrap(),
            "four",
        );
        assert_eq!(
            texts(&book.read(&request(Some(first.cursor), None)).unwrap()),
            ["four"]
        );
        assert_eq!(
            texts(&book.read(&request(None, Some("bob"))).unwrap()),
            ["four"]
        );
        let end = book.read(&request(None, None)).unwrap().cursor;
        assert!(
            book.read(&request(Some(end), None))
                .unwrap()
                .lines
                .is_empty()
        );
        book.remove(&digest());
        assert!(book.read(&request(None, None)).unwrap().lines.is_empty());
    }

    #[test]
    fn one_call_and_all_calls_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let ada: PersonName = "ada".parse().unwrap();
        let book = LogBook::open(folder.path()).unwrap();
        for _ in 0..60 {
            let mut log = book.writer(&digest(), CallId::generate(), &ada);
            for _ in 0..100 {
                log.push(&[b'x'; 2000]);
                log.push(b"\n");
            }
            log.finish();
        }
        let bytes: u64 = fs::read_dir(book.folder_of(&digest()))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(
            bytes < 2 * (FILE_BYTES_MAX + 2 * CALL_BYTES_MAX as u64),
            "{bytes}"
        );
        let answer = book.read(&request(Some(0), None)).unwrap();
        assert!(answer.gap);
        assert!(
            answer
                .lines
                .iter()
                .any(|line| line.text.starts_with("(what this call prints"))
        );
    }
}
