//! Transfers: object bytes on their way into a Storage Element, out of it or
//! within it, as people see them and as programs name them.
//!
//! What a transfer is: at the S3 door one request that carries bytes of an
//! object; for programs with the SDK one put (all parts of an upload together)
//! or one get, however many requests it takes.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{control_element::Terminated, notices, requests};
use crate::{
    id::{BucketId, NodeId, PersonName, TransferId},
    problem::Code,
    wire::record::CallState,
};

/// The most rows that an Element tells at a time.
pub const TRANSFERS_MAX: u32 = 1000;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferDirection {
    /// Into the Element.
    Put,
    /// Out of it.
    Get,
    /// From one of its objects to another.
    Copy,
}

impl fmt::Display for TransferDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Copy => "copy",
        })
    }
}

/// By which door whoever wants them has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferDoor {
    /// The S3 door: the bytes go through the Element.
    S3,
    /// `/v1/storage`, for programs with the SDK: the bytes go between the
    /// program and the Hosts, but for those of copies.
    Sdk,
}

impl fmt::Display for TransferDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::S3 => "s3",
            Self::Sdk => "sdk",
        })
    }
}

/// What is moved, by whom, and which way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransferSubject {
    /// Which transfer. At the S3 door it is the request's `x-amz-request-id`.
    pub transfer: TransferId,
    /// Whose; absent: of somebody who has not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonName>,
    /// The Element.
    pub element: NodeId,
    /// The bucket's id.
    pub bucket: BucketId,
    /// The bucket's name.
    pub bucket_name: String,
    /// Of which object; absent: an older program has not said it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which way.
    pub direction: TransferDirection,
    /// By which door.
    pub door: TransferDoor,
    /// When it began, by the Element's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub started: OffsetDateTime,
}

/// A transfer that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransferView {
    /// What it is.
    #[serde(flatten)]
    pub subject: TransferSubject,
    /// BES state and our sub-state: `Running:Moving`, `Running:Committing`.
    pub state: String,
    /// Bytes so far. Where they go through the Element: those that it has taken
    /// in, or has handed to the connection (which holds some of them). Where they
    /// go between a program and the Hosts: those for which the Element has
    /// given out the places, of which the last ones may still be on their way.
    pub bytes: u64,
    /// All that will be, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransferEnd {
    /// A terminal state: `Finished`, `Failed`, or `Terminated` by `kill` or
    /// because its program went away.
    pub state: CallState,
    /// Why it failed or was terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A transfer that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransferRecord {
    /// What it was.
    #[serde(flatten)]
    pub subject: TransferSubject,
    /// Bytes that were moved, counted as [`TransferView::bytes`]; of a put that
    /// finished the object's, of a get of a program those that it says to have.
    pub bytes: u64,
    /// When it ended, by the Element's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub ended: OffsetDateTime,
    /// How.
    pub end: TransferEnd,
}

/// The name of a transfer, as the Element has given it to a program: said with
/// each request that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferMark {
    /// Which one.
    pub transfer: TransferId,
    /// The Element's cut epoch when it began.
    pub cut: u64,
}

// === Program → Element ===

/// A program needs no more of a transfer: it has all, or gives up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferOver {
    /// Which one.
    pub mark: TransferMark,
    /// Bytes that it has got; of a put: not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why it gives up; absent: it has what it wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

// === Controller → Element ===

/// Which transfers are under way?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferList {
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferId>,
    /// Only of this person; absent: of everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonName>,
    /// Only of the bucket of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// At most so many, the oldest first, and never more than [`TRANSFERS_MAX`].
    pub limit: u32,
}

/// Answer to [`TransferList`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TransfersTold {
    /// The oldest first.
    pub transfers: Vec<TransferView>,
}

/// End one transfer. Answered when nothing of it can become visible any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferTerminate {
    /// Which one.
    pub transfer: TransferId,
    /// Only if it is of this person; absent: whosever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonName>,
    /// Who wants it, for the record.
    pub by: PersonName,
}

// === Element → Host ===

/// These transfers have been ended: their tickets serve no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransfersEnd {
    /// Which.
    pub transfers: Vec<TransferId>,
}

notices! {
    TransferOver = "transfer-over",
}
requests! {
    TransferList = "transfer-list" => TransfersTold,
    TransferTerminate = "transfer-terminate" => Terminated,
    TransfersEnd = "transfers-end" => super::Done,
}
