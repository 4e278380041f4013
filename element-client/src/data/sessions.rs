//! The SQL sessions that stand, whatever their door: seen and ended from elsewhere, and
//! recorded when they are over.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use gridmart_fabric::stream::{Incoming, reply};
use gridmart_schemas::{
    id::{DatabaseId, NodeId, PersonName, SqlSessionId},
    problem::{Code, Problem},
    scalar::DatabaseName,
    wire::{
        Request as _,
        control_element::Terminated,
        record::{CallRecords, CallState},
        sql_session::{
            SQL_SESSIONS_MAX, SqlDoor, SqlSessionCounts, SqlSessionEnd, SqlSessionList,
            SqlSessionRecord, SqlSessionSubject, SqlSessionTerminate, SqlSessionView,
            SqlSessionsTold,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::De;
use crate::element::record::outbox::{Outbox, Way};

/// When the Element ends, sessions have so long to end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const END_STEP: Duration = Duration::from_millis(50);

/// Who comes, and how.
pub(super) struct Arrival {
    pub(super) person: PersonName,
    pub(super) database: (DatabaseId, DatabaseName),
    pub(super) door: SqlDoor,
    pub(super) remote: Option<String>,
    pub(super) application: Option<String>,
}

/// One that stands.
pub(super) struct SqlSession {
    pub(super) subject: SqlSessionSubject,
    /// It is to end, statement or not.
    pub(super) end: CancellationToken,
    present: Mutex<Present>,
}

struct Present {
    /// Statements that run, and results that are open.
    running: usize,
    in_transaction: bool,
    since: OffsetDateTime,
    counts: SqlSessionCounts,
    /// How it ends, once that is known.
    how: Option<SqlSessionEnd>,
}

/// All of them; whoever ends is recorded.
pub(super) struct Sessions {
    element: NodeId,
    standing: Mutex<BTreeMap<SqlSessionId, Arc<SqlSession>>>,
    outbox: Outbox<SqlSessionRecord>,
}

/// A session, until it is dropped.
pub(super) struct Standing {
    session: Arc<SqlSession>,
    sessions: Weak<Sessions>,
}

/// A statement of a session that runs, or whose result is open, until it is dropped.
pub(super) struct RunningStatement(Arc<SqlSession>);

impl SqlSession {
    /// A statement begins.
    pub(super) fn statement(self: &Arc<Self>) -> RunningStatement {
        let mut present = self.present.lock();
        if present.running == 0 {
            present.since = OffsetDateTime::now_utc();
        }
        present.running += 1;
        present.counts.statements += 1;
        RunningStatement(Arc::clone(self))
    }

    /// A statement failed, or was refused.
    pub(super) fn on_failed(&self) {
        self.present.lock().counts.failed += 1;
    }

    /// Rows were returned, or changed.
    pub(super) fn on_rows(&self, rows: u64) {
        self.present.lock().counts.rows += rows;
    }

    /// Whether a transaction is open.
    pub(super) fn on_transaction(&self, is_open: bool) {
        let mut present = self.present.lock();
        if present.in_transaction != is_open {
            present.in_transaction = is_open;
            present.since = OffsetDateTime::now_utc();
        }
    }

    /// Says how it will have ended; who says so first counts.
    pub(super) fn ends(&self, how: SqlSessionEnd) {
        self.present.lock().how.get_or_insert(how);
    }

    /// Ends it from elsewhere.
    pub(super) fn terminate(&self, reason: impl Into<String>) {
        self.ends(terminated(reason));
        self.end.cancel();
    }

    fn view(&self) -> SqlSessionView {
        let present = self.present.lock();
        let doing = match (present.running, present.in_transaction) {
            (1.., _) => "Running:Statement",
            (0, true) => "Running:Transaction",
            (0, false) => "Running:Idle",
        };
        SqlSessionView {
            subject: self.subject.clone(),
            state: doing.to_owned(),
            since: present.since,
            counts: present.counts,
        }
    }

    fn record(&self) -> SqlSessionRecord {
        let present = self.present.lock();
        let gone = || SqlSessionEnd {
            state: CallState::Finished,
            code: None,
            reason: None,
        };
        SqlSessionRecord {
            subject: self.subject.clone(),
            counts: present.counts,
            ended: OffsetDateTime::now_utc(),
            end: present.how.clone().unwrap_or_else(gone),
        }
    }
}

impl Drop for RunningStatement {
    fn drop(&mut self) {
        let mut present = self.0.present.lock();
        present.running -= 1;
        if present.running == 0 {
            present.since = OffsetDateTime::now_utc();
        }
    }
}

impl Standing {
    pub(super) fn session(&self) -> &Arc<SqlSession> {
        &self.session
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.upgrade() {
            sessions.leave(self.session.subject.session);
        }
    }
}

impl Sessions {
    pub(super) fn new(element: NodeId) -> Arc<Self> {
        Arc::new(Self {
            element,
            standing: Mutex::default(),
            outbox: Outbox::new("SQL sessions"),
        })
    }

    /// A session begins, unless there are `most` already.
    pub(super) fn begin(
        self: &Arc<Self>,
        arrival: Arrival,
        most: Option<u32>,
    ) -> Result<Standing, Problem> {
        let Arrival {
            person,
            database: (database, database_name),
            door,
            remote,
            application,
        } = arrival;
        let session = SqlSessionId::generate();
        let now = OffsetDateTime::now_utc();
        let subject = SqlSessionSubject {
            session,
            person,
            element: self.element,
            database,
            database_name: database_name.to_string(),
            door,
            remote,
            application,
            started: now,
        };
        let begun = Arc::new(SqlSession {
            subject,
            end: CancellationToken::new(),
            present: Mutex::new(Present {
                running: 0,
                in_transaction: false,
                since: now,
                counts: SqlSessionCounts::default(),
                how: None,
            }),
        });
        let mut standing = self.standing.lock();
        if let Some(most) = most.filter(|most| standing.len() >= *most as usize) {
            let detail = format!(
                "The Element has {most} SQL sessions, which is its limit (MaxSessions): try again \
                 when some have ended."
            );
            return Err(Problem::new(Code::Busy, detail));
        }
        standing.insert(session, Arc::clone(&begun));
        Ok(Standing {
            session: begun,
            sessions: Arc::downgrade(self),
        })
    }

    /// It is over; nothing, if that is known.
    fn leave(&self, session: SqlSessionId) {
        let left = self.standing.lock().remove(&session);
        if let Some(left) = left {
            self.outbox.put([left.record()]);
        }
    }

    /// How many stand.
    pub(super) fn len(&self) -> usize {
        self.standing.lock().len()
    }

    /// Statements that run, and results that are open, in all of them.
    pub(super) fn statements(&self) -> usize {
        let standing = self.standing.lock();
        let running = standing
            .values()
            .map(|session| session.present.lock().running);
        running.sum()
    }

    fn list(&self, list: &SqlSessionList) -> SqlSessionsTold {
        let limit = list.limit.clamp(1, SQL_SESSIONS_MAX) as usize;
        let standing = self.standing.lock();
        // Their ids are in the order in which they began.
        let meant = standing.values().filter(|session| {
            let subject = &session.subject;
            list.session.is_none_or(|id| subject.session == id)
                && list
                    .person
                    .as_ref()
                    .is_none_or(|name| *name == subject.person)
                && list
                    .database
                    .as_ref()
                    .is_none_or(|name| *name == subject.database_name)
        });
        SqlSessionsTold {
            sessions: meant.take(limit).map(|session| session.view()).collect(),
        }
    }

    /// Ends one; what it runs is ended at the engine.
    fn kill(&self, terminate: &SqlSessionTerminate) -> Terminated {
        let SqlSessionTerminate {
            session,
            person,
            by,
        } = terminate;
        let found = self.standing.lock().get(session).cloned();
        let found = found.filter(|found| {
            person
                .as_ref()
                .is_none_or(|person| *person == found.subject.person)
        });
        let Some(found) = found else {
            return Terminated::default();
        };
        tracing::info!(session.id = %session, %by, "an SQL session was killed");
        found.terminate(format!("killed by {by}"));
        self.leave(*session);
        Terminated { ended: 1 }
    }

    /// Ends those of which that is true.
    pub(super) fn end(&self, reason: &str, which: impl Fn(&SqlSession) -> bool) {
        for session in self.standing.lock().values() {
            if which(session) {
                let subject = &session.subject;
                tracing::info!(session.id = %subject.session, person = %subject.person, reason, "an SQL session is ended");
                session.terminate(reason);
            }
        }
    }

    /// Those that stand have so long to end, and are recorded then.
    async fn settle(&self) {
        let left = async {
            while self.len() > 0 {
                tokio::time::sleep(END_STEP).await;
            }
        };
        // Whoever takes longer has ended with the Element.
        let _ = tokio::time::timeout(END_PATIENCE, left).await;
        let all = std::mem::take(&mut *self.standing.lock());
        self.outbox.put(all.into_values().map(|session| {
            session.ends(terminated("the Element went down"));
            session.record()
        }));
    }
}

fn terminated(reason: impl Into<String>) -> SqlSessionEnd {
    SqlSessionEnd {
        state: CallState::Terminated,
        code: Some(Code::Terminated),
        reason: Some(reason.into()),
    }
}

impl De {
    /// Begins a session, within the Element's Policy.
    pub(super) fn session_begin(&self, arrival: Arrival) -> Result<Standing, Problem> {
        let most = self.base.read().element.policy.max_sessions;
        self.goods.sessions.begin(arrival, most)
    }

    /// What the controller asks of sessions; `None`: it is about something else.
    pub(super) fn on_session_request(
        &self,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        let sessions = &self.goods.sessions;
        Some(match incoming.kind.as_str() {
            SqlSessionList::KIND => incoming
                .read()
                .and_then(|list| reply(&sessions.list(&list))),
            SqlSessionTerminate::KIND => incoming
                .read()
                .and_then(|terminate| reply(&sessions.kill(&terminate))),
            _ => return None,
        })
    }
}

/// Keeps records of sessions until the Element ends, and then what is left.
pub(super) async fn keep_records(de: Arc<De>) {
    let way = Way {
        desk: &de.goods.records,
        from: (de.id, de.incarnation),
        stop: &de.stop,
    };
    let batch = |sql_sessions| CallRecords {
        sql_sessions,
        ..CallRecords::default()
    };
    let sessions = &de.goods.sessions;
    sessions.outbox.keep(way, batch, sessions.settle()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(person: &str) -> Arrival {
        Arrival {
            person: person.parse().unwrap(),
            database: (DatabaseId::generate(), "shop".parse().unwrap()),
            door: SqlDoor::Postgres,
            remote: None,
            application: None,
        }
    }

    fn list(person: Option<&str>) -> SqlSessionList {
        SqlSessionList {
            session: None,
            person: person.map(|name| name.parse().unwrap()),
            database: None,
            limit: 10,
        }
    }

    #[test]
    fn a_session_shows_what_it_does_and_is_recorded_once() {
        let sessions = Sessions::new(NodeId::generate());
        let ada = sessions.begin(arrival("ada"), Some(2)).unwrap();
        let eve = sessions.begin(arrival("eve"), Some(2)).unwrap();
        let full = sessions.begin(arrival("eve"), Some(2)).err().unwrap();
        assert_eq!(full.code, Code::Busy);
        let state = |person| sessions.list(&list(Some(person))).sessions[0].state.clone();
        assert_eq!(state("ada"), "Running:Idle");
        let running = ada.session().statement();
        ada.session().on_rows(3);
        assert_eq!(state("ada"), "Running:Statement");
        assert_eq!((sessions.len(), sessions.statements()), (2, 1));
        ada.session().on_transaction(true);
        drop(running);
        assert_eq!(state("ada"), "Running:Transaction");
        let kill = |session: &Standing, person: &str| SqlSessionTerminate {
            session: session.session().subject.session,
            person: Some(person.parse().unwrap()),
            by: "ada".parse().unwrap(),
        };
        assert_eq!(sessions.kill(&kill(&eve, "ada")).ended, 0, "not hers");
        assert_eq!(sessions.kill(&kill(&ada, "ada")).ended, 1);
        assert!(ada.session().end.is_cancelled());
        drop((ada, eve));
        let records = sessions.outbox.take();
        let told: Vec<_> = records
            .iter()
            .map(|record| (record.subject.person.as_str(), record.end.state))
            .collect();
        let expected = [("ada", CallState::Terminated), ("eve", CallState::Finished)];
        assert_eq!(told, expected);
        let counts = records[0].counts;
        assert_eq!((counts.statements, counts.rows), (1, 3));
    }
}
