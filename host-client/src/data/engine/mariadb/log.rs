//! Follows the server's binary log as a replica does, and applies to the mirror what it
//! tells of one database.
//!
//! One stream tells of all databases of the server; what is of others is passed over by the
//! name that stands before the rows.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _};
use gridmart_schemas::resource::enumeration::DataEngine;
use mysql_async::{BinlogStream, BinlogStreamRequest, Error, prelude::Queryable as _};

use super::{
    Access,
    failure::{Failure as _, Phase},
    gtid::Gtids,
    reading::{MariaRow, Reading},
};
use crate::data::engine::{
    EngineError, SqlState,
    mirror::{self, Place as _, Source},
};

type Log = mirror::Log<MariaSource>;
pub(super) type Taken = mirror::Taken<MariaSource>;

/// Without anything else to tell, the server says so often that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A server that says nothing for so long is lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Bytes of transactions that are applied together, about.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How far the log is, is written down so often while it tells of others alone: the server
/// may drop what is older.
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// Numbers of servers that are none: of this one.
const REPLICA_NUMBERS: u32 = 0x8000_0000;
/// The server refuses a place that its log does not have.
const PLACE_GONE: &[u16] = &[1236, 1945, 1951, 1955];
/// Says so inside of the Host.
const GONE: SqlState = SqlState("58P01");

/// The log of a database.
pub(super) struct MariaSource {
    access: Access,
    database: String,
}

impl MariaSource {
    pub(super) fn new(access: &Access, database: &str) -> Self {
        Self {
            access: access.clone(),
            database: database.to_owned(),
        }
    }

    /// The log after a place.
    async fn stream(&self, place: &Gtids) -> Result<BinlogStream, EngineError> {
        let mut conn = self.access.replica().await?;
        // A server whose log was emptied would give it from its new beginning.
        let told = conn
            .query_first::<String, _>("SELECT @@gtid_binlog_pos")
            .await;
        let told = told.during(Phase::Statement)?.unwrap_or_default();
        let is_there = told.parse().is_ok_and(|told: Gtids| told.has(place));
        if !is_there {
            return Err(gone(&format!("it is at {told:?}, before {place}")));
        }
        let heartbeat = HEARTBEAT.as_nanos();
        let text = format!(
            "SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 1, \
             @slave_gtid_ignore_duplicates = 0, @master_heartbeat_period = {heartbeat}, \
             @slave_connect_state = '{place}'"
        );
        conn.query_drop(text).await.during(Phase::Statement)?;
        // One of the same number that the server still has is ended by it.
        let number = self
            .database
            .as_bytes()
            .iter()
            .rev()
            .take(7)
            .fold(0, |number, digit| {
                number << 4 | char::from(*digit).to_digit(16).unwrap_or_default()
            });
        let request = BinlogStreamRequest::new(REPLICA_NUMBERS | number);
        let stream = conn.get_binlog_stream(request).await;
        stream.map_err(failed)
    }
}

/// What following the log failed with.
fn failed(error: Error) -> EngineError {
    match error {
        Error::Server(told) if PLACE_GONE.contains(&told.code) => {
            let why: String = told.message.chars().take(300).collect();
            gone(&why)
        }
        other => Err::<(), _>(other)
            .during(Phase::Statement)
            .err()
            .unwrap_or(EngineError::Stopping),
    }
}

fn gone(why: &str) -> EngineError {
    let message = format!("its binary log does not go on from where it was: {why}");
    EngineError::refused(GONE, message)
}

#[async_trait]
impl Source for MariaSource {
    type Place = Gtids;
    type Row = MariaRow;
    const NAME: &'static str = "MariaDB";
    const ENGINE: DataEngine = DataEngine::Mariadb;

    /// Applies what there is, and what comes, until it fails.
    async fn follow(&self, log: &Log) -> Result<(), EngineError> {
        let begin = log.applied()?;
        let connecting = tokio::time::timeout(SILENCE_MAX, self.stream(&begin));
        let mut stream = connecting.await.map_err(|_| silent())??;
        let mut reading = Reading::new(self.database.as_bytes().to_vec(), begin);
        let mut taken = Batch::default();
        loop {
            let next = if taken.is_empty() {
                let next = tokio::time::timeout(SILENCE_MAX, stream.next()).await;
                Some(next.map_err(|_| silent())?)
            } else if taken.bytes < BATCH_BYTES {
                stream.next().now_or_never()
            } else {
                None
            };
            let Some(next) = next else {
                // Nothing more is there at once.
                taken.apply(log).await?;
                log.look(reading.place.clone());
                continue;
            };
            let event = next.ok_or_else(silent)?.map_err(failed)?;
            let header = event.header();
            let seconds = i64::from(header.timestamp());
            let source = (header.server_id(), seconds.saturating_mul(1_000_000));
            let ended = reading.take(header.event_type_raw(), source, event.data())?;
            if let Some((transaction, bytes)) = ended {
                taken.add(transaction, bytes);
            }
            if taken.is_empty() && !reading.is_open {
                taken.note(&reading.place, log).await?;
                log.look(reading.place.clone());
            }
        }
    }

    fn is_gone(error: &EngineError) -> bool {
        matches!(error, EngineError::Refused { state, .. } if *state == GONE)
    }
}

fn silent() -> EngineError {
    EngineError::Unreachable {
        why: "its binary log tells nothing any more".to_owned(),
    }
}

/// Transactions that are applied together.
struct Batch {
    transactions: Vec<Taken>,
    bytes: usize,
    noted: Instant,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            transactions: Vec::new(),
            bytes: 0,
            noted: Instant::now(),
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    fn add(&mut self, transaction: Taken, bytes: usize) {
        self.transactions.push(transaction);
        self.bytes += bytes;
    }

    async fn apply(&mut self, log: &Log) -> Result<(), EngineError> {
        self.bytes = 0;
        self.noted = Instant::now();
        log.apply(std::mem::take(&mut self.transactions)).await
    }

    /// Writes down how far the log is, where nothing is to be applied.
    async fn note(&mut self, place: &Gtids, log: &Log) -> Result<(), EngineError> {
        if self.noted.elapsed() < NOTE_EVERY || log.applied()? == *place {
            return Ok(());
        }
        let nothing = Taken {
            changes: Vec::new(),
            end: place.clone(),
            time: 0,
        };
        self.add(nothing, 0);
        self.apply(log).await
    }
}
