//! Appending records.

use std::sync::Arc;

use super::{
    APPEND_BYTES_MAX, LOG_BYTES_MAX, Ledger, LedgerError, LedgerRecord, Position, RECORD_BYTES_MAX,
    State, Tail,
    chain::Entry,
    epoch,
    log_file::{LogFile, end_of, log_path},
    record::{encode_head, encode_record},
};

/// Refuses records that cannot come after one another.
fn check(epoch: u64, previous: Position, records: &[LedgerRecord]) -> Result<(), LedgerError> {
    let mut before = previous;
    let mut bytes = 0usize;
    for LedgerRecord {
        position,
        bytes: content,
    } in records
    {
        let follows = before.sequence.checked_add(1) == Some(position.sequence)
            && (before.epoch..=epoch).contains(&position.epoch);
        if !follows {
            return Err(LedgerError::Malformed(format!(
                "record {position} cannot come after {before} under epoch {epoch}; send consecutive records"
            )));
        }
        bytes = bytes.saturating_add(content.len());
        if content.len() > RECORD_BYTES_MAX || bytes > APPEND_BYTES_MAX {
            return Err(LedgerError::Malformed(format!(
                "a record has at most {RECORD_BYTES_MAX} bytes and an append {APPEND_BYTES_MAX}; send less at once"
            )));
        }
        before = *position;
    }
    Ok(())
}

impl Ledger {
    /// Appends the records that come after `previous`, under an epoch; those
    /// that are there already are left alone, what differs from them gives
    /// way. On return they are durable; gives the last of them.
    pub fn append(
        &self,
        epoch: u64,
        previous: Position,
        records: &[LedgerRecord],
    ) -> Result<Position, LedgerError> {
        check(epoch, previous, records)?;
        let (file, end) = {
            let mut state = self.state.lock();
            self.admit(&mut state, epoch)?;
            let file = self.tail(&mut state)?;
            let positions = records.iter().map(|record| record.position);
            let known = state
                .chain
                .fit(previous, positions)
                .map_err(|there| LedgerError::Gap { there })?;
            if let Some(new) = records.get(known..).filter(|new| !new.is_empty()) {
                write(&mut state, &file, new)?;
            }
            let end = file.length();
            (file, end)
        };
        self.settle(&file, end)?;
        Ok(records.last().map_or(previous, |last| last.position))
    }

    /// Refuses an older epoch, and keeps a newer one.
    pub(super) fn admit(&self, state: &mut State, offered: u64) -> Result<(), LedgerError> {
        let newest = state.epoch;
        if offered < newest {
            return Err(LedgerError::StaleEpoch { offered, newest });
        }
        if offered > newest {
            let path = self.settings.folder.join("epoch");
            epoch::write(&*self.disk, &path, offered)
                .map_err(|error| LedgerError::disk("writing the epoch to", path, error))?;
            state.epoch = offered;
        }
        Ok(())
    }

    /// Returns when the file is durable up to `end`.
    pub(super) fn settle(&self, file: &Arc<LogFile>, end: u32) -> Result<(), LedgerError> {
        file.through(end).map_err(|source| {
            doubt(&mut self.state.lock(), file);
            LedgerError::disk("syncing ledger file", &file.path, source)
        })
    }

    /// The file to which records are added. After a failure, or at a start, a
    /// new one, which has what is in use of the one before.
    pub(super) fn tail(&self, state: &mut State) -> Result<Arc<LogFile>, LedgerError> {
        let replaced = match &state.tail {
            Tail::Open(file) if file.length() < self.settings.log_file_bytes => {
                return Ok(Arc::clone(file));
            }
            Tail::Open(full) => {
                let full = Arc::clone(full);
                if let Err(source) = full.through(full.length()) {
                    doubt(state, &full);
                    return Err(LedgerError::disk("syncing ledger file", &full.path, source));
                }
                None
            }
            Tail::Doubtful(number) => *number,
        };
        self.renew(state, replaced)
    }

    fn renew(&self, state: &mut State, replaced: Option<u32>) -> Result<Arc<LogFile>, LedgerError> {
        let folder = &self.settings.folder;
        let number = state.last_number.checked_add(1).ok_or_else(|| {
            LedgerError::Malformed("the ledger has no file numbers left".to_owned())
        })?;
        state.last_number = number;
        let carried = carry(state, number, replaced)?;
        let file =
            LogFile::begin(&*self.disk, folder, number, &carried.content).map_err(|error| {
                let path = log_path(folder, number);
                LedgerError::disk("beginning ledger file", path, error)
            })?;
        let file = Arc::new(file);
        for (sequence, entry) in carried.entries {
            state.chain.push(sequence, entry);
        }
        state.files.insert(number, Arc::clone(&file));
        state.tail = Tail::Open(Arc::clone(&file));
        if let Some(replaced) = replaced {
            self.remove_file(state, replaced);
        }
        Ok(file)
    }

    /// Removes a log file that is not needed any more; a best effort, a later
    /// start removes it or reads past it.
    pub(super) fn remove_file(&self, state: &mut State, number: u32) {
        if let Some(file) = state.files.remove(&number)
            && let Err(error) = self.disk.remove(&file.path)
        {
            tracing::warn!(path = %file.path.display(), %error, "an old file of the ledger stays");
        }
    }
}

/// What a new file begins with, and where the records in it are.
struct Carried {
    content: Vec<u8>,
    entries: Vec<(u64, Entry)>,
}

/// The content of a new file that takes the place of another: its head,
/// and the records of the other that are in use.
fn carry(state: &mut State, number: u32, replaced: Option<u32>) -> Result<Carried, LedgerError> {
    let old = replaced.and_then(|replaced| state.files.get(&replaced).cloned());
    let records: Vec<_> = replaced
        .map(|replaced| state.chain.in_file(replaced).collect())
        .unwrap_or_default();
    let first = records.first().map(|(sequence, _)| sequence - 1);
    let after = first.and_then(|before| state.chain.position(before));
    let mut content = encode_head(number, after.unwrap_or(state.chain.last())).to_vec();
    let mut carried = Vec::with_capacity(records.len());
    for (sequence, entry) in records {
        let read = match &old {
            Some(old) => old
                .read(entry.at)
                .map_err(|error| LedgerError::disk("reading ledger file", &old.path, error))?,
            None => None,
        };
        let position = Position {
            epoch: entry.epoch,
            sequence,
        };
        let Some((_, bytes)) = read.filter(|(head, _)| head.position == position) else {
            tracing::error!(%position, "a record of the ledger is damaged: it and those after it are asked for again");
            state.chain.cut_after(sequence - 1);
            break;
        };
        let at = u32::try_from(content.len()).unwrap_or(u32::MAX);
        encode_record(&mut content, number, at, position, &bytes);
        let file = number;
        carried.push((sequence, Entry { file, at, ..entry }));
    }
    Ok(Carried {
        content,
        entries: carried,
    })
}

/// Writes records to the tail, and takes them into the chain.
fn write(
    state: &mut State,
    file: &Arc<LogFile>,
    records: &[LedgerRecord],
) -> Result<(), LedgerError> {
    let mut at = file.length();
    let mut buffer = Vec::new();
    let mut entries = Vec::with_capacity(records.len());
    for LedgerRecord { position, bytes } in records {
        encode_record(&mut buffer, file.number, at, *position, bytes);
        let entry = Entry {
            epoch: position.epoch,
            file: file.number,
            at,
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        at = end_of(at, entry.bytes);
        entries.push((position.sequence, entry));
    }
    let all: u64 = state
        .files
        .values()
        .map(|file| u64::from(file.length()))
        .sum();
    if all.saturating_add(buffer.len() as u64) > LOG_BYTES_MAX {
        return Err(LedgerError::Full(all));
    }
    if let Err(error) = file.add(&buffer) {
        doubt(state, file);
        return Err(LedgerError::disk(
            "writing to ledger file",
            &file.path,
            error,
        ));
    }
    for (sequence, entry) in entries {
        state.chain.push(sequence, entry);
    }
    Ok(())
}

/// A write or a sync of a file has failed: the next record goes to a new one,
/// with what is in use of this one, as far as it can be read.
fn doubt(state: &mut State, file: &Arc<LogFile>) {
    let is_tail = matches!(&state.tail, Tail::Open(tail) if tail.number == file.number);
    if is_tail {
        state.tail = Tail::Doubtful(Some(file.number));
        tracing::error!(path = %file.path.display(), "a file of the ledger takes nothing more");
    }
}
