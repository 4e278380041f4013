//! The views through which guarded persons reach tables: made when a statement needs
//! them, known by their names, which are made of their definitions.
//!
//! Invariant: a view was made for the schema as it is. Each change of the schema removes
//! all of them in its own transaction, and nobody makes one meanwhile (`Making` is held):
//! a table that was renamed is never reached through a view that was made for another.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_schemas::wire::replica::{GuardTold, StatementRules};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio_postgres::{Client, Error};

use super::{
    failure::{When, failure},
    pool::Pool,
    quoted_name,
};
use crate::data::engine::EngineError;

/// Views that are kept; beyond, those that were not used for longest go.
const GUARDS_MAX: usize = 512;
/// So many go at once.
const GUARDS_DROPPED: usize = 64;
/// What their names begin with.
pub(super) const PREFIX: &str = "gridmart_guard_";
/// Whether there is a role, and the account may become it.
const READER: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles r
    WHERE r.rolname = $1 AND pg_catalog.pg_has_role(r.oid, 'MEMBER'))";
/// What their definitions begin with.
const CREATE: &str = "CREATE VIEW ";

/// Held by who makes or removes views.
pub(super) type Making = OwnedMutexGuard<()>;

/// See the module.
pub(super) struct Guards {
    making: Arc<tokio::sync::Mutex<()>>,
    /// Which are there, and when each was used last.
    known: Mutex<HashMap<String, u64>>,
    uses: AtomicU64,
    /// The role that may use the views and nothing else, and whether there is one.
    reader: String,
    has_reader: OnceLock<bool>,
}

impl Guards {
    pub(super) fn new(reader: String) -> Self {
        Self {
            making: Arc::default(),
            known: Mutex::default(),
            uses: AtomicU64::new(0),
            reader,
            has_reader: OnceLock::new(),
        }
    }

    /// The role under which statements run that touch nothing but views.
    pub(super) fn role(&self, rules: &StatementRules) -> Option<&str> {
        (rules.is_guarded && self.has_reader()).then_some(&*self.reader)
    }

    fn has_reader(&self) -> bool {
        self.has_reader.get().copied().unwrap_or_default()
    }

    /// Makes what a statement needs and is not there.
    pub(super) async fn ensure(
        &self,
        rules: &StatementRules,
        makers: &Arc<Pool>,
    ) -> Result<(), EngineError> {
        if self.has(&rules.guards) {
            return Ok(());
        }
        let _making = self.making().await;
        if self.has(&rules.guards) {
            return Ok(());
        }
        let mut connection = makers.take().await?;
        let made = self.make(&connection.get()?.client, &rules.guards).await;
        if made.is_ok() {
            connection.keep();
        }
        made.map_err(|error| failure(&error, When::Undone, true))
    }

    /// Keeps others from making and removing views.
    pub(super) async fn making(&self) -> Making {
        Arc::clone(&self.making).lock_owned().await
    }

    /// All are gone, or may be.
    pub(super) fn forget(&self) {
        self.known.lock().clear();
    }

    fn has(&self, guards: &[GuardTold]) -> bool {
        if guards.is_empty() {
            return true;
        }
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut known = self.known.lock();
        guards.iter().all(|guard| {
            let found = known.get_mut(&guard.name);
            found.map(|used| *used = now).is_some()
        })
    }

    async fn make(&self, client: &Client, guards: &[GuardTold]) -> Result<(), Error> {
        if self.known.lock().is_empty() {
            let there = names(client).await?;
            if self.learn_reader(client).await? && !there.is_empty() {
                // They may have been made before there was one.
                client.batch_execute(&self.grant_text(&there)).await?;
            }
            let mut known = self.known.lock();
            known.extend(there.into_iter().map(|name| (name, 0)));
        }
        for guard in guards {
            if self.known.lock().contains_key(&guard.name) {
                continue;
            }
            let mut text = format!("BEGIN; {}; ", guard.definition);
            text.push_str(&self.grant(guard));
            text.push_str("COMMIT");
            if let Err(error) = client.batch_execute(&text).await {
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(error);
            }
            let now = self.uses.load(Ordering::Relaxed);
            self.known.lock().insert(guard.name.clone(), now);
        }
        self.drop_unused(client, guards).await
    }

    /// Whether there is a role with rights on views alone: looked for once.
    async fn learn_reader(&self, client: &Client) -> Result<bool, Error> {
        if let Some(has_reader) = self.has_reader.get() {
            return Ok(*has_reader);
        }
        let found = client.query_one(READER, &[&self.reader]).await?;
        let has_reader = found.try_get(0)?;
        Ok(*self.has_reader.get_or_init(|| has_reader))
    }

    /// Makes views within a transaction that has changed the schema; nobody else knows of
    /// them. `before` is run first.
    pub(super) async fn make_within(
        &self,
        client: &Client,
        before: &str,
        guards: &[GuardTold],
    ) -> Result<(), Error> {
        let mut text = before.to_owned();
        if !guards.is_empty() {
            client.batch_execute(before).await?;
            self.learn_reader(client).await?;
            text.clear();
        }
        for guard in guards {
            if let Some(rest) = guard.definition.strip_prefix(CREATE) {
                let _ = write!(text, "CREATE OR REPLACE VIEW {rest}; ");
                text.push_str(&self.grant(guard));
            }
        }
        client.batch_execute(&text).await
    }

    fn grant(&self, guard: &GuardTold) -> String {
        if !self.has_reader() {
            return String::new();
        }
        let mut text = self.grant_text(std::slice::from_ref(&guard.name));
        text.push_str("; ");
        text
    }

    fn grant_text(&self, names: &[String]) -> String {
        let names: Vec<String> = names.iter().map(|name| quoted_name(name)).collect();
        let (names, reader) = (names.join(", "), quoted_name(&self.reader));
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {names} TO {reader}")
    }

    async fn drop_unused(&self, client: &Client, needed: &[GuardTold]) -> Result<(), Error> {
        let oldest: Vec<String> = {
            let known = self.known.lock();
            if known.len() <= GUARDS_MAX {
                return Ok(());
            }
            let free = known.iter().filter(|(name, _)| {
                let mut needed = needed.iter();
                !needed.any(|guard| guard.name == **name)
            });
            let mut free: Vec<_> = free.map(|(name, used)| (*used, name.clone())).collect();
            free.sort_unstable();
            let oldest = free.into_iter().take(GUARDS_DROPPED);
            oldest.map(|(_, name)| name).collect()
        };
        // Whoever needs one again makes it again.
        for name in &oldest {
            self.known.lock().remove(name);
        }
        let text = format!(
            "BEGIN; SET LOCAL lock_timeout = '1s'; {}; COMMIT",
            drop_text(&oldest)
        );
        if let Err(error) = client.batch_execute(&text).await {
            tracing::debug!(%error, "views of rules are in use, and stay");
            client.batch_execute("ROLLBACK").await?;
        }
        Ok(())
    }
}

/// Removes all views, in the transaction that is open.
pub(super) async fn drop_all(client: &Client) -> Result<(), Error> {
    let names = names(client).await?;
    if names.is_empty() {
        return Ok(());
    }
    client.batch_execute(&drop_text(&names)).await
}

async fn names(client: &Client) -> Result<Vec<String>, Error> {
    let text = "SELECT c.relname::text FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'public'::pg_catalog.regnamespace AND c.relkind = 'v'
            AND pg_catalog.starts_with(c.relname::text, $1)";
    let rows = client.query(text, &[&PREFIX]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

fn drop_text(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted_name(name)).collect();
    format!("DROP VIEW IF EXISTS {}", names.join(", "))
}
