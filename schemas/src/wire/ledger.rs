//! The copy of a Storage Element's metadata log on its Hosts.
//!
//! `GET /v1/ledger` answers with [`LedgerStatus`]. `POST /v1/ledger/append?epoch=E&after=P`
//! takes records one after the other, those after position `P`, and answers with
//! [`LedgerAppended`] when they are durable. `GET /v1/ledger/records?after=S&bytes=B`
//! answers with the records after sequence `S`. `PUT /v1/ledger/snapshot?epoch=E&position=P&bytes=B&hash=H`
//! takes what the records up to `P` amount to, and answers with [`LedgerStatus`];
//! `GET /v1/ledger/snapshot` gives it back, its position in [`POSITION_HEADER`] and
//! its hash in [`SNAPSHOT_HASH_HEADER`]. Records in bodies have the form of
//! `fabric`'s `ledger`. All of it is for the Host's own Element only.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The most bytes of the content of all records of one append, or of one read.
pub const APPEND_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The most bytes of the body of one append: with what stands before each record.
pub const APPEND_BODY_BYTES_MAX: usize = APPEND_BYTES_MAX + APPEND_BYTES_MAX / 4;
/// The header that names the position which a snapshot covers.
pub const POSITION_HEADER: &str = "gridmart-position";
/// The header with the BLAKE3 hash of a snapshot, 64 hex digits.
pub const SNAPSHOT_HASH_HEADER: &str = "gridmart-hash";

/// A record's place in the log: sequences are consecutive, the epoch is that
/// under which it was written. As text, `EPOCH-SEQUENCE`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct LedgerPosition {
    /// Of the process of the Element that wrote it.
    pub epoch: u64,
    /// From 1 on; 0 stands before the first record.
    pub sequence: u64,
}

/// What is no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a position in a ledger: EPOCH-SEQUENCE is expected")]
pub struct PositionError(String);

impl fmt::Display for LedgerPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.sequence)
    }
}

impl FromStr for LedgerPosition {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let read = text.split_once('-').and_then(|(epoch, sequence)| {
            Some(Self {
                epoch: epoch.parse().ok()?,
                sequence: sequence.parse().ok()?,
            })
        });
        // One position has one name.
        read.filter(|position| position.to_string() == text)
            .ok_or_else(|| PositionError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for LedgerPosition {
    type Error = PositionError;

    fn try_from(text: String) -> Result<Self, PositionError> {
        text.parse()
    }
}

impl From<LedgerPosition> for String {
    fn from(position: LedgerPosition) -> Self {
        position.to_string()
    }
}

/// What a Host's copy has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerStatus {
    /// The newest epoch that it has seen: an older one changes nothing.
    pub epoch: u64,
    /// Records after this one can be read.
    pub base: LedgerPosition,
    /// The last record, durable.
    pub last: LedgerPosition,
    /// What stands for the records up to the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<LedgerSnapshot>,
}

/// What is known of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSnapshot {
    /// The last record that it covers.
    pub position: LedgerPosition,
    /// Bytes of its content.
    pub bytes: u64,
    /// BLAKE3 of its content, 64 hex digits.
    pub hash: String,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum LedgerAppended {
    /// The records are durable.
    Appended {
        /// The last of them.
        last: LedgerPosition,
    },
    /// Nothing was taken: what comes before the records is not there, or is
    /// another. Send what comes after this, or a snapshot.
    Gap {
        /// Up to here the copy may agree with the sender.
        there: LedgerPosition,
    },
    /// Nothing was taken: somebody with a newer epoch was there.
    Stale {
        /// The newest epoch that was seen.
        newest: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_outcomes_read_back() {
        let position = LedgerPosition {
            epoch: 7,
            sequence: u64::MAX,
        };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in [
            "",
            "7",
            "-1",
            "7-",
            "07-1",
            "7-1-1",
            "+7-1",
            "7-18446744073709551616",
        ] {
            assert!(bad.parse::<LedgerPosition>().is_err(), "{bad}");
        }
        for (outcome, text) in [
            (
                LedgerAppended::Gap { there: position },
                r#"{"outcome":"gap","there":"7-18446744073709551615"}"#,
            ),
            (
                LedgerAppended::Stale { newest: 9 },
                r#"{"outcome":"stale","newest":9}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), text);
            assert_eq!(
                serde_json::from_str::<LedgerAppended>(text).unwrap(),
                outcome
            );
        }
    }
}
