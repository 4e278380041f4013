//! The log on its way from a core to a shadow: entries in one answer, or one that is
//! too large for that in pieces.

use std::time::{Duration, Instant};

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    data::{Entry, Position},
    id::DatabaseId,
    problem::{Code, Problem},
    wire::replica::{ENTRY_PIECE_BYTES, EntryPiece, LogEntries, LogPull, LogPulled},
};

use super::{engine::sqlite::open::RECORD_BYTES_MAX, log::history::History, pace::Pace};

/// A core's answer: what it read of its log, from `body_from` of the first entry.
pub(super) fn answer(
    mut entries: Vec<Entry>,
    body_from: u64,
    last: Position,
    bytes_max: u64,
) -> Result<LogPulled, Problem> {
    // Entries of a whole answer go as they are; so may one that is not much more.
    let piece = usize::try_from(bytes_max.saturating_mul(2)).unwrap_or(ENTRY_PIECE_BYTES);
    let piece = piece.min(ENTRY_PIECE_BYTES);
    let is_large = |entry: &Entry| entry.body.len() > piece;
    if !entries.first().is_some_and(is_large) {
        return Ok(LogPulled::Entries(LogEntries { entries, last }));
    }
    let mut entry = entries.swap_remove(0);
    let bytes = entry.body.len();
    let from = usize::try_from(body_from).ok().filter(|from| *from < bytes);
    let from = from.ok_or_else(|| {
        let detail = format!(
            "Entry {} has {bytes} bytes, and a piece after {body_from} is asked for.",
            entry.position
        );
        Problem::new(Code::InvalidRequest, detail)
    })?;
    entry.body.truncate(from.saturating_add(piece).min(bytes));
    entry.body.drain(..from);
    Ok(LogPulled::Piece(EntryPiece {
        entry,
        bytes: bytes as u64,
        last,
    }))
}

/// Asks a core for what comes after `history`; `None`: its log does not tell. Pieces
/// are put together.
pub(super) async fn pull(
    peer: &Peer,
    (database, ticket): (DatabaseId, String),
    (history, holds): (History, Option<String>),
    pace: &Pace,
    time_max: Duration,
) -> Result<Option<LogEntries>, Problem> {
    let mut asked = LogPull {
        database,
        ticket,
        epochs: history.epochs,
        last: history.last,
        body_from: 0,
        holds,
        bytes_max: Some(pace.bytes()),
    };
    let mut whole: Option<Entry> = None;
    loop {
        let begun = Instant::now();
        let answer = peer.ask(&asked, time_max).await;
        // One that waited for something to come says nothing of the way.
        let is_empty = |answer: &LogPulled| match answer {
            LogPulled::Entries(told) => told.entries.is_empty(),
            LogPulled::Piece(_) | LogPulled::SnapshotNeeded => false,
        };
        if !answer.as_ref().is_ok_and(is_empty) {
            pace.answered(answer.is_ok().then(|| begun.elapsed()));
        }
        let EntryPiece { entry, bytes, last } = match answer? {
            LogPulled::Entries(entries) => return Ok(Some(entries)),
            LogPulled::SnapshotNeeded => return Ok(None),
            LogPulled::Piece(piece) => piece,
        };
        let joined = joined(whole.take(), entry, bytes)?;
        asked.body_from = joined.body.len() as u64;
        if asked.body_from == bytes {
            return Ok(Some(LogEntries {
                entries: vec![joined],
                last,
            }));
        }
        whole = Some(joined);
    }
}

/// What has come of an entry, with the next piece of it.
fn joined(before: Option<Entry>, piece: Entry, bytes: u64) -> Result<Entry, Problem> {
    let odd = |what: &str| {
        let detail = format!("A piece of entry {} {what}.", piece.position);
        Problem::new(Code::Internal, detail)
    };
    if bytes > RECORD_BYTES_MAX as u64 || piece.body.is_empty() {
        return Err(odd("is of more bytes than an entry may have, or of none"));
    }
    let whole = match before {
        None => piece,
        Some(before) if before.point() != piece.point() => {
            return Err(odd("came where another entry was begun"));
        }
        Some(mut before) => {
            before.body.extend_from_slice(&piece.body);
            before
        }
    };
    if whole.body.len() as u64 > bytes {
        let detail = format!("Entry {} came with more than it has.", whole.position);
        return Err(Problem::new(Code::Internal, detail));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        data::{EntryKind, Epoch},
        wire::replica::ENTRIES_BYTES,
    };

    use super::*;

    fn entry(position: i64, bytes: usize) -> Entry {
        Entry {
            position: Position::new(position),
            epoch: Epoch::new(1),
            time: 0,
            kind: EntryKind::Rows,
            ends: true,
            body: (0..=250).cycle().take(bytes).collect(),
        }
    }

    fn piece(entry: &Entry, from: u64) -> EntryPiece {
        match answer(vec![entry.clone()], from, Position::new(9), ENTRIES_BYTES).unwrap() {
            LogPulled::Piece(piece) => piece,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn small_entries_come_as_they_are() {
        let entries = vec![entry(1, 10), entry(2, 0)];
        let told = answer(entries.clone(), 0, Position::new(2), ENTRIES_BYTES).unwrap();
        let LogPulled::Entries(told) = told else {
            panic!("{told:?}");
        };
        assert_eq!((told.entries, told.last), (entries, Position::new(2)));
    }

    #[test]
    fn a_large_entry_comes_in_pieces_and_is_whole_again() {
        let large = entry(3, 2 * ENTRY_PIECE_BYTES + 1);
        let mut whole = None;
        for from in [0, ENTRY_PIECE_BYTES, 2 * ENTRY_PIECE_BYTES] {
            let EntryPiece { entry, bytes, .. } = piece(&large, from as u64);
            assert!(entry.body.len() <= ENTRY_PIECE_BYTES);
            whole = Some(joined(whole, entry, bytes).unwrap());
        }
        assert_eq!(whole.as_ref(), Some(&large));
        let more = piece(&large, 0);
        assert!(joined(whole, more.entry, more.bytes).is_err());
    }

    #[test]
    fn over_a_slow_way_pieces_are_small() {
        let large = entry(3, 40_000);
        let told = answer(vec![large], 0, Position::new(9), 16 * 1024).unwrap();
        let LogPulled::Piece(EntryPiece { entry, bytes, .. }) = told else {
            panic!("{told:?}");
        };
        assert_eq!((entry.body.len(), bytes), (32 * 1024, 40_000));
    }

    #[test]
    fn pieces_of_other_entries_and_beyond_the_end_are_refused() {
        let (one, other) = (
            entry(3, ENTRY_PIECE_BYTES + 1),
            entry(4, ENTRY_PIECE_BYTES + 1),
        );
        let begun = Some(piece(&one, 0).entry);
        let foreign = piece(&other, ENTRY_PIECE_BYTES as u64);
        assert!(joined(begun, foreign.entry, foreign.bytes).is_err());
        let beyond = one.body.len() as u64;
        assert!(answer(vec![one], beyond, Position::new(9), ENTRIES_BYTES).is_err());
        assert!(joined(None, entry(5, 1), RECORD_BYTES_MAX as u64 + 1).is_err());
    }
}
