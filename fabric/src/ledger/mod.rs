//! Records of a Storage Element's metadata log, as bodies of requests and
//! answers carry them one after the other: length (4 bytes), zeros (4), epoch
//! (8), sequence (8), all little-endian, and the content; and the client by which
//! the Element writes and reads them.

mod client;

use bytes::{Buf as _, Bytes};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::ledger::LedgerPosition,
};

pub use self::client::{LedgerClient, SnapshotPieces};

/// The most bytes of a record's content.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most records of one body.
pub const RECORDS_MAX: usize = 65_536;
const HEAD_BYTES: usize = 24;

/// Adds a record to what is to be sent; its content is not copied.
pub fn push_record(pieces: &mut Vec<Bytes>, position: LedgerPosition, content: Bytes) {
    // Content has a few MiB at most.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(&u64::from(length).to_le_bytes());
    head.extend_from_slice(&position.epoch.to_le_bytes());
    head.extend_from_slice(&position.sequence.to_le_bytes());
    pieces.push(head.into());
    if !content.is_empty() {
        pieces.push(content);
    }
}

/// Reads the records of a whole body; nothing is copied.
pub fn records_of(mut body: Bytes) -> Result<Vec<(LedgerPosition, Bytes)>, Problem> {
    let mut records = Vec::new();
    while !body.is_empty() {
        if records.len() == RECORDS_MAX {
            return Err(formless("it has more records than one body may have"));
        }
        if body.len() < HEAD_BYTES {
            return Err(formless("it ends within the head of a record"));
        }
        let length = body.get_u64_le();
        let position = LedgerPosition {
            epoch: body.get_u64_le(),
            sequence: body.get_u64_le(),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > RECORD_BYTES_MAX {
            return Err(formless("it has a record that is longer than records are"));
        }
        if length > body.len() {
            return Err(formless("it ends within a record"));
        }
        records.push((position, body.split_to(length)));
    }
    Ok(records)
}

fn formless(what: &str) -> Problem {
    Problem::new(
        Code::InvalidRequest,
        format!("The records of the ledger are not of their form: {what}."),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_read_back_and_cut_ones_do_not(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            epoch in any::<u64>(),
            cut in 1usize..24,
        ) {
            let mut pieces = Vec::new();
            let mut sent = Vec::new();
            for (sequence, content) in (1..).zip(contents) {
                let position = LedgerPosition { epoch, sequence };
                let content = Bytes::from(content);
                push_record(&mut pieces, position, content.clone());
                sent.push((position, content));
            }
            let body = Bytes::from(pieces.concat());
            prop_assert_eq!(&records_of(body.clone()).unwrap(), &sent);
            if let Some(shorter) = body.len().checked_sub(cut) {
                prop_assert!(records_of(body.slice(..shorter)).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = records_of(bytes.into());
        }
    }
}
