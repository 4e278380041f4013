//! `GET /v1/data`: where programs run statements, alone or in transactions.
//!
//! Invariants: nothing is answered for a database without a ticket for it that is in
//! force, and each statement is judged anew by the rules as they are now.

mod transactions;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{Request, Response},
    identity::PeerIdentity,
    stream::{Handler, Incoming, Peer, StreamLimits, reply},
    ticket::AccessClaims,
};
use gridmart_schemas::{
    id::{DatabaseId, KeyHash},
    problem::{Code, Problem},
    role::Desired,
    wire::{
        Done, Request as _,
        data::{
            CURSORS_MAX, CursorNumber, DataOpen, DataOpened, RowsClose, RowsNext, StatementAnswer,
            StatementRun, TransactionBegin, TransactionControl,
        },
        sql_session::SqlDoor,
    },
};
use http::Method;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use self::transactions::Transactions;
use super::{
    De,
    order::{Outcome, Rest},
    sessions::{Arrival, RunningStatement, SqlSession, Standing},
};
use crate::element::unknown_path;

/// Where programs come.
const PATH: &str = "/v1/data";
/// Databases that may be open on one stream.
const DATABASES_MAX: usize = 1000;

/// A database that is open on a stream.
struct Grant {
    /// The ticket that was shown for it last.
    claims: Arc<AccessClaims>,
    standing: Standing,
}

impl De {
    /// Answers whoever comes with what only a Data Element knows.
    pub(super) fn on_visit(
        self: &Arc<Self>,
        peer: PeerIdentity,
        request: Request,
    ) -> Result<Response, Problem> {
        if request.method() != Method::GET || request.uri().path() != PATH {
            return Err(unknown_path(&request));
        }
        let handler = Arc::new(DataStream {
            de: Arc::clone(self),
            presenter: peer.require_key()?.clone(),
            grants: Mutex::default(),
            results: Mutex::default(),
            transactions: Transactions::default(),
            next: AtomicU64::new(1),
        });
        self.begin_stream(request, peer, handler, StreamLimits::programs().with_rows())
    }
}

/// A result that is not at its end, of which database.
type OpenResult = (DatabaseId, Rest, RunningStatement);

/// One program's stream.
struct DataStream {
    de: Arc<De>,
    presenter: KeyHash,
    /// What it has shown tickets for.
    grants: Mutex<BTreeMap<DatabaseId, Grant>>,
    results: Mutex<BTreeMap<CursorNumber, OpenResult>>,
    transactions: Transactions,
    next: AtomicU64,
}

impl DataStream {
    async fn answer(&self, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            DataOpen::KIND => reply(&self.on_open(&incoming.read()?)?),
            StatementRun::KIND => reply(&self.on_statement(incoming.read()?).await?),
            TransactionBegin::KIND => reply(&self.on_begin(incoming.read()?)?),
            TransactionControl::KIND => reply(&self.on_control(incoming.read()?).await?),
            RowsNext::KIND => reply(&self.on_next(incoming.read()?).await?),
            RowsClose::KIND => reply(&self.on_close(incoming.read()?).await),
            _ => Err(incoming.unknown()),
        }
    }

    fn on_open(&self, open: &DataOpen) -> Result<DataOpened, Problem> {
        let now = OffsetDateTime::now_utc();
        let keys = self.de.ticket_keys.read();
        let judged = keys.verify_access(&open.ticket, self.de.id, &self.presenter, now);
        let explain = |problem| {
            let clock = &self.de.parent_clock;
            clock.explain(problem, "the Element", "the controller")
        };
        let claims = judged.map_err(explain)?;
        let database = claims.database.ok_or_else(|| {
            Problem::new(
                Code::TicketForeign,
                "The ticket names no database; ask for access to one.",
            )
        })?;
        let found = self.de.database(database)?;
        let mut grants = self.grants.lock();
        if grants.len() >= DATABASES_MAX && !grants.contains_key(&database) {
            let detail = format!("At most {DATABASES_MAX} databases are open on one stream.");
            return Err(Problem::new(Code::LimitExceeded, detail));
        }
        let claims = Arc::new(claims);
        match grants.get_mut(&database) {
            // Another ticket for what is open: the session goes on.
            Some(grant)
                if grant.claims.sub == claims.sub
                    && !grant.standing.session().end.is_cancelled() =>
            {
                grant.claims = claims;
            }
            _ => {
                let standing = self.de.session_begin(Arrival {
                    person: claims.sub.clone(),
                    database: (database, found.name.clone()),
                    door: SqlDoor::Sdk,
                    remote: None,
                    application: None,
                })?;
                grants.insert(database, Grant { claims, standing });
            }
        }
        Ok(DataOpened {
            database,
            name: found.name,
        })
    }

    /// The ticket with which a database was opened, if it is in force.
    fn admitted(&self, database: DatabaseId, goes_on: bool) -> Result<Admitted, Problem> {
        let admitted = self.grants.lock().get(&database).map(|grant| Admitted {
            claims: Arc::clone(&grant.claims),
            session: Arc::clone(grant.standing.session()),
        });
        let admitted = admitted.ok_or_else(|| {
            let detail = format!(
                "The database {database} is not open on this stream: show a ticket for it."
            );
            Problem::new(Code::NotAuthorized, detail)
        })?;
        if admitted.session.end.is_cancelled() {
            return Err(killed());
        }
        let claims = &admitted.claims;
        let wish = self.de.goods.pool.lock().wish();
        if claims.cut.element < wish.cut_epoch {
            return Err(Problem::new(
                Code::TicketCut,
                "The ticket was made before statements were ended here; ask for a new one.",
            ));
        }
        if goes_on {
            return Ok(admitted);
        }
        if claims.exp <= OffsetDateTime::now_utc().unix_timestamp() {
            return Err(Problem::new(
                Code::TicketExpired,
                "The ticket with which the database was opened has ended; show a new one.",
            ));
        }
        if wish.desired != Desired::Production {
            return Err(Problem::new(Code::NotAccepting, "The Element is stopped."));
        }
        Ok(admitted)
    }

    async fn on_statement(&self, asked: StatementRun) -> Result<StatementAnswer, Problem> {
        let database = asked.database;
        let Admitted { claims, session } = self.admitted(database, false)?;
        if self.results.lock().len() >= CURSORS_MAX {
            let detail = format!("{CURSORS_MAX} results are open on this stream: close some.");
            return Err(Problem::new(Code::LimitExceeded, detail));
        }
        let running = session.statement();
        // What was committed before a kill is told as such.
        let outcome = if let Some(number) = asked.transaction {
            self.run_within(number, &claims, asked, &session).await?
        } else {
            let running_there = self.de.run_statement(&claims, asked, &session.end, None);
            running_there.await?
        };
        note(&session, &outcome.0);
        let number = CursorNumber(self.next.fetch_add(1, Ordering::Relaxed));
        Ok(self.kept(database, number, outcome, running))
    }

    /// Keeps a result that is not at its end.
    fn kept(
        &self,
        database: DatabaseId,
        number: CursorNumber,
        (mut answer, rest): Outcome,
        running: RunningStatement,
    ) -> StatementAnswer {
        if let (StatementAnswer::Rows(rows), Some(rest)) = (&mut answer, rest) {
            rows.cursor = Some(number);
            self.results
                .lock()
                .insert(number, (database, rest, running));
        }
        answer
    }

    async fn on_next(&self, asked: RowsNext) -> Result<StatementAnswer, Problem> {
        // Taken out while it is read, so that nobody reads it twice.
        let open = self.results.lock().remove(&asked.cursor);
        let (database, rest, running) = open.ok_or_else(|| {
            Problem::new(Code::NotFound, "There is no such result, or it was closed.")
        })?;
        let session = match self.admitted(database, true) {
            Ok(admitted) => admitted.session,
            Err(problem) => {
                rest.close().await;
                return Err(problem);
            }
        };
        let next = session.end.run_until_cancelled(rest.next()).await;
        let outcome = next.unwrap_or_else(|| Err(killed()))?;
        note(&session, &outcome.0);
        Ok(self.kept(database, asked.cursor, outcome, running))
    }

    async fn on_close(&self, asked: RowsClose) -> Done {
        let open = self.results.lock().remove(&asked.cursor);
        if let Some((_, rest, _)) = open {
            rest.close().await;
        }
        Done {}
    }
}

/// Who may run statements, and in which session.
struct Admitted {
    claims: Arc<AccessClaims>,
    session: Arc<SqlSession>,
}

fn killed() -> Problem {
    Problem::new(
        Code::Terminated,
        "The session was ended: `gridmart sessions --ended` tells by whom.",
    )
}

/// Counts what a statement came to.
fn note(session: &SqlSession, answer: &StatementAnswer) {
    match answer {
        StatementAnswer::Rows(rows) => {
            session.on_rows(rows.rows_changed.unwrap_or(rows.rows.len() as u64));
        }
        StatementAnswer::Refused(_) => session.on_failed(),
    }
}

impl Handler for DataStream {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        self.answer(incoming).boxed()
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        tracing::debug!(kind = incoming.kind, "a program's notice is left out");
        Box::pin(std::future::ready(()))
    }

    fn on_closed<'a>(&'a self, _: &'a Peer) -> BoxFuture<'a, ()> {
        self.transactions.abandon(&self.de);
        let open = std::mem::take(&mut *self.results.lock());
        self.grants.lock().clear();
        let tasks = self.de.tasks.clone();
        async move {
            for (_, rest, _) in open.into_values() {
                tasks.spawn(rest.close());
            }
        }
        .boxed()
    }
}
