//! What is known of one transfer, and what becomes of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use gridmart_schemas::{
    id::{NodeId, StripeId, UploadId, VersionId},
    problem::Code,
    wire::{
        record::CallState,
        transfer::{TransferEnd, TransferMark, TransferRecord, TransferSubject, TransferView},
    },
};
use tokio_util::sync::CancellationToken;

/// Which stream a program's word came on.
pub(in crate::storage) type StreamNumber = u64;

/// What ends a request that the Element itself serves.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct Ends {
    /// The work.
    pub(in crate::storage) work: CancellationToken,
    /// The connection, where an answer is on its way already.
    pub(in crate::storage) connection: Option<CancellationToken>,
}

/// Who carries the bytes.
#[derive(Debug)]
pub(super) enum Carrier {
    /// The Element, for one request.
    Element(Ends),
    /// A program and Hosts.
    Program(Program),
}

/// What is known of a program's transfer.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) stream: StreamNumber,
    /// Since when its stream is lost.
    pub(super) lost: Option<Instant>,
    pub(super) heard: Instant,
    /// The program names it, and so says when it is over.
    pub(super) is_named: bool,
    pub(super) version: Option<VersionId>,
    pub(super) upload: Option<UploadId>,
    pub(super) planned: Vec<(StripeId, Vec<NodeId>)>,
    /// What became of a commit is not known.
    pub(super) is_doubtful: bool,
}

#[derive(Debug)]
pub(super) struct Present {
    pub(super) subject: TransferSubject,
    pub(super) cut: u64,
    pub(super) bytes: Arc<AtomicU64>,
    pub(super) total: Option<u64>,
    pub(super) is_committing: bool,
    pub(super) carrier: Carrier,
}

/// A program says something of a transfer.
#[derive(Debug)]
pub(in crate::storage) struct Word {
    /// What it is, if it begins with this.
    pub(in crate::storage) subject: TransferSubject,
    pub(in crate::storage) mark: Option<TransferMark>,
    /// Of a put: the version that the blocks name.
    pub(in crate::storage) version: Option<VersionId>,
    pub(in crate::storage) upload: Option<UploadId>,
    pub(in crate::storage) stream: StreamNumber,
    /// The program knows of transfers, and says when this one is over.
    pub(in crate::storage) is_named: bool,
}

/// What a kill leaves to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Leftover {
    /// Its parts are to be forgotten.
    pub(super) upload: Option<UploadId>,
    /// Stripes that were planned and not committed, by position.
    pub(super) planned: Vec<(StripeId, Vec<NodeId>)>,
}

/// What became of a kill.
#[derive(Debug)]
pub(super) enum Kill {
    /// There is no such transfer, or it is not theirs who ask.
    Unknown,
    /// It is being committed, or has ended by itself.
    TooLate,
    /// A request of the Element's own; all is done.
    Request(TransferRecord),
    /// A program's: it is in the list of killed ones, which has to be kept.
    Program(TransferRecord, Leftover),
}

impl Present {
    /// As people see it.
    pub(super) fn view(&self) -> TransferView {
        let doing = match (self.is_committing, &self.carrier) {
            (true, _) => "Running:Committing",
            (false, Carrier::Program(program)) if program.lost.is_some() => "Running:Silent",
            (false, _) => "Running:Moving",
        };
        TransferView {
            subject: self.subject.clone(),
            state: doing.to_owned(),
            bytes: self.bytes.load(Ordering::Relaxed),
            bytes_total: self.total,
        }
    }
}

impl Ends {
    /// Ends it.
    pub(super) fn end(&self) {
        self.work.cancel();
        if let Some(connection) = &self.connection {
            connection.cancel();
        }
    }
}

/// How what went well ends.
pub(super) const fn finished() -> TransferEnd {
    TransferEnd {
        state: CallState::Finished,
        code: None,
        reason: None,
    }
}

/// How what did not go well ends.
pub(super) fn ended(code: Code, reason: String) -> TransferEnd {
    TransferEnd {
        state: match code {
            Code::Terminated => CallState::Terminated,
            _ => CallState::Failed,
        },
        code: Some(code),
        reason: Some(reason),
    }
}
