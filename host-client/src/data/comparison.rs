//! Compares a shadow with its core: both sum the same ranges of keys at the same
//! position, while the one is written and the other follows.
//!
//! The core begins a view and tells its position; the shadow applies the log up to there
//! and begins a view of its own; the sums are made in these views. A shadow that differs
//! is not trusted in anything: it is marked as diverged, and made anew.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    data::Position,
    problem::{Code, Problem},
    resource::{enumeration::SyncState, host::ReplicaCheck},
    scalar::{Text, UtcTime},
    wire::replica::{RangeTold, SumsPiece, SumsRead},
};
use tokio::sync::oneshot;

use super::{
    check::{Range, RangeSum, Sums, differing},
    copy::{Copy, Opened},
    follower::{apply, failed},
    pulling,
};

/// Rows of a range: enough for its sum to cost little to send, few enough to tell
/// somebody where to look.
pub(super) const RANGE_ROWS: u64 = 4096;
/// Answers of the core that it does not have to make first.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// A comparison may take so long in all.
const SUMS_TIME_MAX: Duration = Duration::from_hours(1);
/// Differences that are told in words.
const TOLD_MAX: usize = 8;

/// Somebody who wants to know.
pub(super) struct Asked(oneshot::Sender<Result<ReplicaCheck, Problem>>);

impl Asked {
    /// One, and where the outcome comes.
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<ReplicaCheck, Problem>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    pub(super) fn fail(self, problem: Problem) {
        // Who does not wait any more need not know.
        let _ = self.0.send(Err(problem));
    }
}

/// Begins a comparison: once this gives, the log can be followed on.
pub(super) async fn compare(
    copy: &Arc<Copy>,
    peer: &Peer,
    ticket: String,
    asked: Vec<Asked>,
) -> Result<(), Problem> {
    let begun = begin(copy, peer, &ticket).await;
    let (first, told, summing) = match begun {
        Ok(begun) => begun,
        Err(problem) => {
            for one in asked {
                one.fail(problem.clone());
            }
            // Whether the log can be followed on, the next pull tells.
            return Ok(());
        }
    };
    let (copy, peer) = (Arc::clone(copy), peer.clone());
    let follower = copy.follower.ended();
    tokio::spawn(async move {
        let finished = finish(&copy, &peer, ticket, first, told, summing);
        let outcome = follower.run_until_cancelled(finished).await;
        let outcome = outcome.unwrap_or_else(|| Err(gone()));
        if let Err(problem) = &outcome {
            tracing::warn!(database.id = %copy.database, %problem, "a shadow could not be compared with its core");
        }
        for one in asked {
            let _ = one.0.send(outcome.clone());
        }
    });
    Ok(())
}

type Summing = tokio::task::JoinHandle<Result<Option<Sums>, super::engine::EngineError>>;

/// Has the core begin, and brings the shadow to the same position, in a view.
async fn begin(
    copy: &Arc<Copy>,
    peer: &Peer,
    ticket: &str,
) -> Result<(SumsPiece, std::sync::mpsc::Sender<Sums>, Summing), Problem> {
    let read = SumsRead {
        database: copy.database,
        ticket: ticket.to_owned(),
        cursor: None,
    };
    let first = peer.ask(&read, ANSWER_MAX).await?;
    reach(copy, peer, ticket, first.position).await?;
    let engine = copy.engine();
    let (tell, told) = std::sync::mpsc::channel();
    let (begun, beginning) = oneshot::channel();
    let summing = tokio::spawn(async move {
        match &*engine {
            Opened::Shadow(shadow) => shadow.sums_later(begun, told, SUMS_TIME_MAX).await,
            Opened::Core(_) | Opened::Broken(_) => Ok(None),
        }
    });
    let position = beginning.await.map_err(|_| gone())?;
    if position != first.position {
        return Err(gone());
    }
    Ok((first, tell, summing))
}

/// Applies the log up to a position of the core, and nothing beyond it.
async fn reach(
    copy: &Arc<Copy>,
    peer: &Peer,
    ticket: &str,
    position: Position,
) -> Result<(), Problem> {
    loop {
        let engine = copy.engine();
        let Opened::Shadow(shadow) = &*engine else {
            return Err(gone());
        };
        let history = shadow.history().await.map_err(|error| failed(&error))?;
        if history.last.position >= position {
            return Ok(());
        }
        let of = (copy.database, ticket.to_owned());
        let holds = copy.mark().map(|mark| mark.hash);
        let pulled =
            pulling::pull(peer, of, (history, holds), &copy.follower.pace, ANSWER_MAX).await?;
        let mut entries = pulled.ok_or_else(gone)?.entries;
        entries.retain(|entry| entry.position <= position);
        if !apply(copy, shadow, entries).await? {
            return Err(gone());
        }
    }
}

/// Fetches the core's sums, and draws the conclusion.
async fn finish(
    copy: &Arc<Copy>,
    peer: &Peer,
    ticket: String,
    first: SumsPiece,
    told: std::sync::mpsc::Sender<Sums>,
    summing: Summing,
) -> Result<ReplicaCheck, Problem> {
    let core = fetch(copy, peer, ticket, first).await?;
    told.send(core.clone()).map_err(|_| gone())?;
    let shadow = summing.await.map_err(|_| gone())?;
    let shadow = shadow.map_err(|error| failed(&error))?.ok_or_else(gone)?;
    let differing = differing(&core, &shadow).ok_or_else(gone)?;
    let words = differing.iter().take(TOLD_MAX).map(Range::words);
    let words: Vec<String> = words.collect();
    let check = ReplicaCheck {
        creation_time: UtcTime::now(),
        log_position: u64::try_from(core.position.number()).unwrap_or_default(),
        row_count: core.ranges.iter().map(|range| range.rows).sum(),
        difference_count: differing.len() as u64,
        differences: words
            .iter()
            .filter_map(|words| Text::new(words).ok())
            .collect(),
    };
    if !differing.is_empty() {
        let why = format!("it differs from its core in {}", words.join(", "));
        tracing::error!(database.id = %copy.database, position = %core.position, ranges = differing.len(), why, "a shadow is not what its core is, and is made anew");
        diverge(copy, why).await?;
    }
    *copy.checked.lock() = Some(check.clone());
    Ok(check)
}

/// The shadow answers nobody any more, and is made anew.
async fn diverge(copy: &Arc<Copy>, why: String) -> Result<(), Problem> {
    let diverging = Arc::clone(copy);
    crate::member::blocking(move || {
        let _one_at_a_time = diverging.changing.blocking_lock();
        if let Opened::Shadow(shadow) = &*diverging.engine() {
            shadow.diverge(&why);
            diverging.follower.stands(SyncState::Diverged);
            diverging.close();
        }
        Ok(())
    })
    .await?;
    copy.follower.wake();
    Ok(())
}

async fn fetch(
    copy: &Arc<Copy>,
    peer: &Peer,
    ticket: String,
    first: SumsPiece,
) -> Result<Sums, Problem> {
    let mut sums = Sums {
        position: first.position,
        ranges: Vec::new(),
    };
    let mut read = SumsRead {
        database: copy.database,
        ticket,
        cursor: first.cursor,
    };
    while read.cursor.is_some() {
        let piece = peer.ask(&read, ANSWER_MAX).await?;
        for told in piece.sums {
            sums.ranges.push(range_of(told)?);
        }
        read.cursor = piece.cursor;
    }
    Ok(sums)
}

fn range_of(told: RangeTold) -> Result<RangeSum, Problem> {
    let key = |text: Option<String>| {
        let bytes = text.map(|text| STANDARD_NO_PAD.decode(text)).transpose();
        bytes.map_err(|error| {
            let detail = format!("A key of a sum is no base64: {error}.");
            Problem::new(Code::DigestMismatch, detail)
        })
    };
    Ok(RangeSum {
        range: Range {
            table: told.table,
            after: key(told.after)?,
            through: key(told.through)?,
        },
        rows: told.rows,
        hash: told.hash,
    })
}

/// A sum as it travels.
pub(super) fn told(sum: RangeSum) -> RangeTold {
    let RangeSum { range, rows, hash } = sum;
    let Range {
        table,
        after,
        through,
    } = range;
    RangeTold {
        table,
        after: after.map(|key| STANDARD_NO_PAD.encode(key)),
        through: through.map(|key| STANDARD_NO_PAD.encode(key)),
        rows,
        hash,
    }
}

fn gone() -> Problem {
    Problem::new(
        Code::Unavailable,
        "The shadow was made anew, or its core has changed, while it was compared: try again.",
    )
}
