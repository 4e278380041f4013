//! The one writer: each change is all or nothing, and is shown when it is
//! durable.
//!
//! Changes that wait for the writer share one transaction and one sync of the
//! disk; each has a savepoint of its own in it, so that one that is refused
//! takes back nothing but itself.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use gridmart_fabric::{causes::with_causes, fault::FaultPoint};
use gridmart_schemas::{
    id::{Digest, NodeId, PersonName, TokenId},
    problem::{Code, Problem},
    wire::desired::Wish,
};
use rusqlite::{Connection, Savepoint, TransactionBehavior, ffi};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

use super::{
    Catalogue, Shared, Snapshot,
    application::Application,
    audit::AuditEntry,
    event::EventEntry,
    node::{Element, Host, JoinTokenRecord, Node},
    person::{ApiToken, Person, SESSION_IDLE},
    snapshot::GENERATION,
};
use crate::{
    failure::Failure,
    store::{self, During as _, StoreError},
};

/// The result of an act that was not refused.
pub(crate) const DONE: &str = "done";

/// Changes that share one commit: enough for its cost to be small beside
/// theirs, and few enough for nobody to wait long for others' changes.
const GROUP_MAX: usize = 256;

/// A change that the writer thread makes, or cannot even begin. It gives what
/// answers whoever asked, once the group is durable or has failed; nothing if
/// it has answered already, because it was refused.
type Change = Box<dyn FnOnce(Result<&mut Update<'_>, Failure>) -> Option<Answer> + Send>;
type Answer = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// What the writer thread is asked to do.
pub(super) enum Job {
    /// Apply one change.
    Change(Change),
    /// End, after what was asked before.
    Stop(
        #[expect(dead_code, reason = "dropped by the writer to say that it ends")]
        oneshot::Sender<()>,
    ),
}

/// A change in the making: its part of the store's transaction, and the
/// snapshot that is shown once it is committed. Its functions write both.
pub struct Update<'a> {
    transaction: Savepoint<'a>,
    snapshot: Snapshot,
    now: OffsetDateTime,
}

impl Catalogue {
    /// Applies a change: all of it or nothing. It is decided on the newest
    /// snapshot, durable when this returns, and goes on if the caller leaves.
    pub async fn update<T, F>(&self, change: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Update<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        // Whoever asked may have left; the change stands all the same.
        let job = Job::Change(Box::new(move |update| match update.and_then(change) {
            Ok(value) => Some(Box::new(move |durable: Result<(), Failure>| {
                let _ = answer.send(durable.map(|()| value));
            }) as Answer),
            Err(refusal) => {
                // The commit of the others does not meet what this one has met.
                if let Failure::Store(error) = &refusal {
                    shared.health.on_failure(error);
                }
                let _ = answer.send(Err(refusal));
                None
            }
        }));
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Problem::new(
                Code::Busy,
                "Too many changes wait for the controller's disk.",
            ),
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        answered.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Problem {
    Problem::new(Code::Unavailable, "The controller is going down.")
}

pub(super) fn spawn_writer(
    mut connection: Connection,
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Job>,
) -> Result<std::thread::JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name("catalogue".to_owned())
        .spawn(move || {
            let mut group = Vec::with_capacity(GROUP_MAX);
            while let Some(Job::Change(first)) = queue.blocking_recv() {
                group.push(first);
                let mut stops = false;
                while group.len() < GROUP_MAX && !stops {
                    match queue.try_recv() {
                        Ok(Job::Change(next)) => group.push(next),
                        Ok(Job::Stop(_)) => stops = true,
                        Err(_) => break,
                    }
                }
                apply(&mut connection, &shared, group.drain(..));
                if stops {
                    break;
                }
            }
        })
        .map_err(|error| StoreError::Open {
            path: format!("(writer thread: {error})"),
            source: rusqlite::Error::InvalidQuery,
        })
}

/// Makes a group of changes durable together, shows them, and answers.
fn apply(connection: &mut Connection, shared: &Shared, mut group: impl Iterator<Item = Change>) {
    if let Some(failure) = shared.health.closed() {
        let problem = failure.into_problem();
        for change in group {
            change(Err(problem.clone().into()));
        }
        return;
    }
    let mut answers = Vec::new();
    match make(connection, shared, &mut group, &mut answers) {
        Ok(Some(snapshot)) => {
            shared.snapshot.store(Arc::new(snapshot));
            shared.changed.send_modify(|version| *version += 1);
            shared.health.on_success();
            FaultPoint::StoreShown.pass_or_die();
            for answer in answers {
                answer(Ok(()));
            }
        }
        Ok(None) => {}
        Err(error) => {
            shared.health.on_failure(&error);
            let cause = with_causes(&error);
            let failure = || Failure::Group {
                cause: cause.clone(),
            };
            for answer in answers {
                answer(Err(failure()));
            }
            for change in group {
                change(Err(failure()));
            }
        }
    }
}

/// Gives the snapshot that the group leaves, if any of it was not refused.
fn make(
    connection: &mut Connection,
    shared: &Shared,
    group: &mut impl Iterator<Item = Change>,
    answers: &mut Vec<Answer>,
) -> Result<Option<Snapshot>, StoreError> {
    let mut transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .during("begin")?;
    let mut snapshot = Snapshot::clone(&shared.snapshot.load());
    loop {
        require_standing(&transaction, shared)?;
        let Some(change) = group.next() else { break };
        let savepoint = transaction.savepoint().during("savepoint")?;
        let mut update = Update {
            transaction: savepoint,
            snapshot: snapshot.clone(),
            // The store keeps whole seconds; memory shows what a restart would.
            now: OffsetDateTime::now_utc().truncate_to_second(),
        };
        // A refused change, and one that panics, drops its savepoint, which
        // takes it back; the next one goes on.
        let Ok(made) = catch_unwind(AssertUnwindSafe(|| change(Ok(&mut update)))) else {
            tracing::error!("a change of the catalogue has panicked, and was rolled back");
            continue;
        };
        let Some(answer) = made else { continue };
        answers.push(answer);
        require_standing(&update.transaction, shared)?;
        update.transaction.commit().during("release")?;
        snapshot = update.snapshot;
    }
    if answers.is_empty() {
        return Ok(None);
    }
    FaultPoint::StoreCommit
        .pass()
        .map_err(|error| as_sqlite_says(&error))
        .during("commit")?;
    transaction.commit().during("commit")?;
    FaultPoint::StoreCommitted.pass_or_die();
    Ok(Some(snapshot))
}

/// A fault of the disk as it comes through the database: one without a name of
/// its own stands for a failed sync.
fn as_sqlite_says(error: &std::io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull => ffi::SQLITE_FULL,
        std::io::ErrorKind::ReadOnlyFilesystem => ffi::SQLITE_READONLY,
        _ => ffi::SQLITE_IOERR_FSYNC,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(error.to_string()))
}

/// Whether what the group has changed so far still stands: a full disk, among
/// other faults, makes SQLite take back the whole transaction by itself, and
/// after a failed sync nothing is to be committed.
fn require_standing(connection: &Connection, shared: &Shared) -> Result<(), StoreError> {
    let code = if shared.health.closed().is_some() {
        ffi::SQLITE_IOERR_FSYNC
    } else if connection.is_autocommit() {
        ffi::SQLITE_ABORT_ROLLBACK
    } else {
        return Ok(());
    };
    let fault = ffi::Error::new(code);
    Err(rusqlite::Error::SqliteFailure(fault, None)).during("a change of the group")
}

impl Update<'_> {
    /// The catalogue as this change leaves it so far.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// When the change is made.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Takes the next generation: newer than every command before.
    pub fn next_generation(&mut self) -> Result<u64, StoreError> {
        self.snapshot.generation += 1;
        let generation = self.snapshot.generation;
        store::meta_put(&self.transaction, GENERATION, &generation.to_string())?;
        Ok(generation)
    }

    /// Records an administrative act.
    pub fn audit(&mut self, entry: &AuditEntry, result: &str) -> Result<(), StoreError> {
        store::audit::audit_insert(&self.transaction, self.now, entry, result)?;
        // What was refused has not happened.
        if result == DONE
            && let Some(event) = EventEntry::of_act(&self.snapshot, entry)
        {
            self.put_event(&event)?;
        }
        Ok(())
    }

    /// Records what happened.
    pub(crate) fn put_event(&mut self, event: &EventEntry) -> Result<(), StoreError> {
        self.snapshot.newest_event =
            store::event::event_insert(&self.transaction, self.now, event)?;
        Ok(())
    }

    /// Writes a person, new or changed.
    pub fn put_person(&mut self, person: Person) -> Result<(), StoreError> {
        store::person::person_put(&self.transaction, &person)?;
        self.snapshot.put_person(person);
        Ok(())
    }

    /// Writes an API token or a session, new or with another secret.
    pub fn put_api_token(&mut self, token: ApiToken) -> Result<(), StoreError> {
        store::person::api_token_put(&self.transaction, &token)?;
        self.snapshot.put_api_token(token);
        Ok(())
    }

    /// Removes an API token, and the sessions that were begun with it.
    pub fn remove_api_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        store::person::api_token_delete(&self.transaction, id)?;
        self.snapshot.api_tokens.retain(|other, token| {
            let parent = token.session.as_ref().and_then(|session| session.parent);
            *other != id && parent != Some(id)
        });
        Ok(())
    }

    /// Removes all API tokens of a person.
    pub fn remove_api_tokens_of(&mut self, person: &PersonName) -> Result<(), StoreError> {
        store::person::api_token_delete_of(&self.transaction, person)?;
        self.snapshot
            .api_tokens
            .retain(|_, token| token.person != *person);
        Ok(())
    }

    /// Removes API tokens whose time is over, and join tokens a day later (so
    /// that a late joiner is told that it expired, not that it is unknown).
    pub fn remove_expired_tokens(&mut self) -> Result<(), StoreError> {
        let now = self.now;
        let before = now - time::Duration::days(1);
        store::person::api_token_delete_expired(&self.transaction, now, now - SESSION_IDLE)?;
        store::join_token::join_token_delete_expired(&self.transaction, before)?;
        self.snapshot
            .api_tokens
            .retain(|_, token| !token.is_over(now));
        let old: Vec<TokenId> = self
            .snapshot
            .join_tokens
            .values()
            .filter(|token| token.expires <= before)
            .map(|token| token.id)
            .collect();
        for id in old {
            self.snapshot.join_tokens.remove(&id);
        }
        Ok(())
    }

    /// Writes a join token, new or with fewer uses.
    pub fn put_join_token(&mut self, token: JoinTokenRecord) -> Result<(), StoreError> {
        store::join_token::join_token_put(&self.transaction, &token)?;
        self.snapshot.put_join_token(token);
        Ok(())
    }

    /// Removes a join token.
    pub fn remove_join_token(&mut self, id: TokenId) -> Result<(), StoreError> {
        store::join_token::join_token_delete(&self.transaction, id)?;
        self.snapshot.join_tokens.remove(&id);
        Ok(())
    }

    /// Writes a node, new or changed.
    pub fn put_node(&mut self, node: Node) -> Result<(), StoreError> {
        store::node::node_put(&self.transaction, &node)?;
        self.snapshot.put_node(node);
        Ok(())
    }

    /// Writes what an Element says of itself.
    pub fn put_element(&mut self, element: Element) -> Result<(), StoreError> {
        store::node::element_put(&self.transaction, &element)?;
        self.snapshot.put_element(element);
        Ok(())
    }

    /// Writes what a Host says of itself.
    pub fn put_host(&mut self, host: Host) -> Result<(), StoreError> {
        store::node::host_put(&self.transaction, &host)?;
        self.snapshot.put_host(host);
        Ok(())
    }

    /// Writes an application version, new or changed.
    pub fn put_application(&mut self, application: Application) -> Result<(), StoreError> {
        store::application::application_put(&self.transaction, &application)?;
        self.snapshot.put_application(application);
        Ok(())
    }

    /// Writes the wish for an application on one Host.
    pub fn put_host_wish(
        &mut self,
        digest: &Digest,
        host: NodeId,
        wish: Wish,
    ) -> Result<(), StoreError> {
        store::application::host_application_put(&self.transaction, digest, host, wish)?;
        self.snapshot.put_host_wish(digest, host, wish);
        Ok(())
    }

    /// The transaction, for what is kept in the store alone (records of calls).
    pub(crate) fn transaction(&self) -> &Connection {
        &self.transaction
    }
}
