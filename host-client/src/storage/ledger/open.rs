//! Opening a ledger: what is there.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use gridmart_fabric::disk::Disk;
use parking_lot::Mutex;

use super::{
    Ledger, LedgerError, LedgerSettings, Position, State, Tail,
    chain::{Chain, Entry},
    epoch,
    log_file::LogFile,
    snapshot,
};

/// The numbers of the log files, ascending.
fn log_numbers(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u32>> {
    let paths = disk.list(folder)?;
    let numbers = paths.iter().filter_map(|path| {
        let number = path.file_name()?.to_str()?.strip_suffix(".log")?;
        let plain = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| plain)
    });
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Adds what a file has to the chain.
fn replay(chain: &mut Chain, file: &LogFile, is_first: bool) -> io::Result<bool> {
    let after = file.after();
    match after {
        Some(after) if is_first => *chain = Chain::after(after),
        Some(after) if chain.position(after.sequence) == Some(after) => {
            chain.cut_after(after.sequence);
        }
        Some(after) => *chain = Chain::after(after),
        None => {}
    }
    let (records, is_whole) = file.scan()?;
    for found in records {
        let entry = Entry {
            epoch: found.head.position.epoch,
            file: file.number,
            at: found.at,
            bytes: found.head.bytes,
        };
        chain.push(found.head.position.sequence, entry);
    }
    Ok(is_whole && after.is_some())
}

impl Ledger {
    /// Opens the ledger in its folder, or makes an empty one.
    pub fn open(disk: Arc<dyn Disk>, settings: LedgerSettings) -> Result<Self, LedgerError> {
        let folder = &settings.folder;
        let failed = |error| LedgerError::disk("opening the ledger in", folder, error);
        let made = disk.create_folder(folder).and_then(|()| {
            folder
                .parent()
                .map_or(Ok(()), |above| disk.sync_folder(above))
        });
        if let Err(error) = made {
            tracing::error!(folder = %folder.display(), %error, "the ledger's disk refuses: it can be read");
        }
        let epoch_path = folder.join("epoch");
        let seen = epoch::read(&*disk, &epoch_path)
            .map_err(|error| LedgerError::disk("reading the epoch in", epoch_path, error))?;
        let numbers = log_numbers(&*disk, folder).map_err(failed)?;
        let snapshot = snapshot::find(&*disk, folder).map_err(failed)?;
        let covered = snapshot.map_or(Position::ORIGIN, |snapshot| snapshot.position);
        let mut chain = Chain::after(covered);
        let mut files = BTreeMap::new();
        for (place, number) in numbers.iter().enumerate() {
            let file = LogFile::open(&*disk, folder, *number).map_err(failed)?;
            let is_whole = replay(&mut chain, &file, place == 0).map_err(failed)?;
            if !is_whole && place + 1 < numbers.len() {
                tracing::error!(path = %file.path.display(), "a file of the ledger is damaged: what it lacks is asked for again");
            }
            files.insert(*number, Arc::new(file));
        }
        if chain.base().sequence > covered.sequence {
            tracing::error!(folder = %folder.display(), "records between the ledger's snapshot and its log are gone: they are asked for again");
            chain = Chain::after(covered);
        } else {
            chain.cover(covered);
        }
        let last_number = numbers.last().copied();
        let state = State {
            epoch: seen.max(chain.last().epoch),
            chain,
            files,
            tail: Tail::Doubtful(last_number),
            last_number: last_number.unwrap_or(0),
            snapshot,
        };
        Ok(Self {
            disk,
            settings,
            state: Mutex::new(state),
            takes_snapshot: false.into(),
        })
    }
}
