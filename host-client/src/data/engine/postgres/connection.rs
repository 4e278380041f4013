//! One connection to a database at the server, with the statements that are prepared
//! on it.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use tokio_postgres::{Client, Error, Statement};

use super::{
    access::Access,
    failure::{When, failure, words},
};
use crate::data::engine::EngineError;

/// Statements that one connection keeps prepared; who was not used for longest goes.
const PREPARED_MAX: usize = 256;
/// Texts that are remembered to have come once.
const ONCE_MAX: usize = 256;
/// Connecting may take so long.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How every session is, whatever the account's settings say. The two limits end what is
/// left of a Host that was lost; what the engine limits, it ends before.
const OPTIONS: &str = "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres \
    -c standard_conforming_strings=on -c search_path=public -c bytea_output=hex \
    -c synchronous_commit=on -c extra_float_digits=1 -c client_min_messages=error -c statement_timeout=360s \
    -c idle_in_transaction_session_timeout=60s -c client_connection_check_interval=10s";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its transactions change nothing.
    Read,
    /// They may.
    Write,
}

/// See the module.
pub(super) struct Connection {
    pub(super) client: Client,
    prepared: HashMap<String, (Statement, u64)>,
    /// Texts that came once, by their hashes, newest last.
    once: VecDeque<u64>,
    uses: u64,
    /// Which version of the schema its statements were prepared for.
    generation: u64,
    /// What makes it that of whom it is for; `None`: it is not known.
    standing: Option<String>,
}

impl Connection {
    /// Connects; says what is wrong where it cannot.
    pub(super) async fn open(
        access: &Access,
        database: &str,
        purpose: Purpose,
    ) -> Result<Self, EngineError> {
        let read_only = match purpose {
            Purpose::Read => " -c default_transaction_read_only=on",
            Purpose::Write => " -c default_transaction_read_only=off",
        };
        let connected = access.connect(|config| {
            config
                .dbname(database)
                .application_name("gridmart")
                .connect_timeout(CONNECT_MAX)
                .options(format!("{OPTIONS}{read_only}"));
        });
        let connecting = tokio::time::timeout(CONNECT_MAX, connected);
        let connected = connecting.await.map_err(|_| EngineError::Unreachable {
            why: format!("it does not answer within {} s", CONNECT_MAX.as_secs()),
        })?;
        let client = connected.map_err(|error| match error.as_db_error() {
            Some(_) => match failure(&error, When::Undone, false) {
                EngineError::Busy => EngineError::Busy,
                _ => unreachable(&error),
            },
            None => unreachable(&error),
        })?;
        Ok(Self {
            client,
            prepared: HashMap::new(),
            once: VecDeque::new(),
            uses: 0,
            generation: 0,
            standing: Some(String::new()),
        })
    }

    /// Whether it is as this makes it.
    pub(super) fn stands(&self, standing: &str) -> bool {
        self.standing.as_deref() == Some(standing)
    }

    /// Has it be as this makes it, and nothing of whom it was for before.
    pub(super) async fn stand(&mut self, standing: &str) -> Result<(), Error> {
        if self.stands(standing) {
            return Ok(());
        }
        // Whatever ends this, nobody takes it for what it was.
        self.standing = None;
        let text = format!("RESET ROLE; RESET ALL; {standing}");
        self.client.batch_execute(&text).await?;
        self.standing = Some(standing.to_owned());
        Ok(())
    }

    /// Forgets what was prepared for another version of the schema.
    pub(super) fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            self.prepared.clear();
            self.generation = generation;
        }
    }

    /// Forgets one.
    pub(super) fn forget(&mut self, text: &str) {
        self.prepared.remove(text);
    }

    /// Whether a text comes for the first time, as far as is remembered.
    pub(super) fn is_new(&mut self, text: &str) -> bool {
        if self.prepared.contains_key(text) {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.once.contains(&hash) {
            return false;
        }
        if self.once.len() >= ONCE_MAX {
            self.once.pop_front();
        }
        self.once.push_back(hash);
        true
    }

    /// A statement, prepared now or before.
    pub(super) async fn prepare(&mut self, text: &str) -> Result<Statement, Error> {
        self.uses += 1;
        if let Some((statement, used)) = self.prepared.get_mut(text) {
            *used = self.uses;
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(text).await?;
        if self.prepared.len() >= PREPARED_MAX {
            let oldest = self.prepared.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(text, _)| text.clone()) {
                self.prepared.remove(&oldest);
            }
        }
        let kept = (statement.clone(), self.uses);
        self.prepared.insert(text.to_owned(), kept);
        Ok(statement)
    }
}

fn unreachable(error: &Error) -> EngineError {
    EngineError::Unreachable { why: words(error) }
}
