//! What all statements of a client share: tickets, streams to Data Elements, and how
//! far the client has written.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    stream::{Backoff, Handler, Incoming, Peer, StreamLimits, dial},
    tls::ClientTls,
};
use gridmart_schemas::{
    api::{
        access::{AccessDecision, ElementAccess},
        database::{DatabaseAccess, DatabaseAccessRequest},
    },
    data::{Position, Value},
    id::{DatabaseId, KeyHash, NodeId},
    problem::{Code, Problem},
    role::{NodeKind, Operation},
    wire::{
        data::{
            DataOpen, ReadFrom, StatementAnswer, StatementRun, TransactionAnswer, TransactionBegin,
        },
        replica::TransactionNumber,
    },
};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;

use super::{
    rows::{ANSWER_TIMEOUT, Rows},
    transaction::TransactionModes,
};
use crate::{error::Error, http::Http};

/// The Element's door for data.
const DATA_PATH: &str = "/v1/data";
/// Time for the answer to a ticket.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A ticket is used no more so long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(15);
/// A statement is sent so often, at most, while it might help.
const TRIES_MAX: u32 = 8;
/// Pauses between: nine seconds to twenty in all, in which an Element or a Host starts.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    most: Duration::from_secs(8),
};

/// The permission to use a database.
struct Pass {
    database: DatabaseAccess,
    element: ElementAccess,
    expires: Instant,
}

/// A stream, and with which passes databases were opened on it.
struct Opened {
    peer: Peer,
    databases: Mutex<HashMap<DatabaseId, Arc<Pass>>>,
}

/// See the module.
pub(crate) struct DataPlane {
    http: Http,
    presenter: KeyHash,
    tls: ClientTls,
    passes: Mutex<HashMap<String, Arc<Pass>>>,
    streams: tokio::sync::Mutex<HashMap<NodeId, Arc<Opened>>>,
    /// By the database, as the user names it.
    written: Mutex<HashMap<String, Position>>,
    tasks: TaskTracker,
}

impl DataPlane {
    pub(crate) fn new(http: Http, presenter: KeyHash, tls: ClientTls, tasks: TaskTracker) -> Self {
        Self {
            http,
            presenter,
            tls,
            passes: Mutex::default(),
            streams: tokio::sync::Mutex::default(),
            written: Mutex::default(),
            tasks,
        }
    }

    /// The position at which this client has written last.
    pub(super) fn written(&self, database: &str) -> Position {
        let written = self.written.lock();
        written.get(database).copied().unwrap_or_default()
    }

    /// This client has written there.
    pub(super) fn wrote(&self, database: &str, position: Position) {
        let mut written = self.written.lock();
        let known = written.entry(database.to_owned()).or_default();
        *known = position.max(*known);
    }

    /// Runs a statement; again, if it was not begun and that may help.
    pub(super) async fn run(
        &self,
        database: &str,
        text: &str,
        parameters: &[Value],
        from: ReadFrom,
    ) -> Result<Rows, Error> {
        let mut tries = Tries::default();
        loop {
            match self.run_once(database, text, parameters, from).await {
                Ok(rows) => return Ok(rows),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    /// Begins a transaction; again, if that may help.
    pub(super) async fn begin(
        &self,
        database: &str,
        modes: TransactionModes,
    ) -> Result<(Peer, DatabaseId, TransactionNumber), Error> {
        let mut tries = Tries::default();
        loop {
            match self.begin_once(database, modes).await {
                Ok(begun) => return Ok(begun),
                Err(error) => tries.again(error).await?,
            }
        }
    }

    async fn begin_once(
        &self,
        database: &str,
        modes: TransactionModes,
    ) -> Result<(Peer, DatabaseId, TransactionNumber), Error> {
        let pass = self.pass(database).await?;
        let id = pass.database.id;
        let wanted = TransactionBegin {
            database: id,
            read_only: modes.read_only,
            strict: modes.strict,
        };
        let begun = match self.opened(&pass).await {
            Ok(peer) => {
                let asked = peer.ask(&wanted, OPEN_TIMEOUT).await;
                asked.map(|answer| (peer, answer)).map_err(away)
            }
            Err(problem) => Err(problem),
        };
        match begun {
            Ok((peer, TransactionAnswer::Begun(number))) => Ok((peer, id, number)),
            Ok((_, TransactionAnswer::Refused(fault))) => Err(Error::Statement(Box::new(fault))),
            Ok((_, TransactionAnswer::Done(_))) => Err(Error::refused(
                Code::VersionUnsupported,
                "the Element has ended a transaction that it was to begin",
            )),
            Err(problem) => Err(self.refused(database, &pass, problem).await),
        }
    }

    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    async fn run_once(
        &self,
        database: &str,
        text: &str,
        parameters: &[Value],
        from: ReadFrom,
    ) -> Result<Rows, Error> {
        let pass = self.pass(database).await?;
        let peer = match self.opened(&pass).await {
            Ok(peer) => peer,
            Err(problem) => return Err(self.refused(database, &pass, problem).await),
        };
        let run = StatementRun {
            database: pass.database.id,
            text: text.to_owned(),
            parameters: parameters.to_vec(),
            after: self.written(database),
            from,
            transaction: None,
        };
        match peer.ask(&run, ANSWER_TIMEOUT).await {
            Ok(StatementAnswer::Refused(fault)) => Err(Error::Statement(Box::new(fault))),
            Ok(StatementAnswer::Rows(rows)) => {
                if rows.rows_changed.is_some() {
                    self.wrote(database, rows.position);
                }
                Ok(Rows::new(rows, peer, self.tasks.clone()))
            }
            // Whether it was begun is not known.
            Err(problem)
                if matches!(problem.code, Code::Unavailable | Code::TimedOut)
                    && !only_reads(text) =>
            {
                Err(in_doubt(&problem))
            }
            Err(problem) if problem.code == Code::Unavailable => {
                Err(self.refused(database, &pass, away(problem)).await)
            }
            Err(problem) => Err(self.refused(database, &pass, problem).await),
        }
    }

    /// Forgets a ticket that is refused.
    async fn refused(&self, database: &str, pass: &Arc<Pass>, problem: Problem) -> Error {
        if is_of_ticket(problem.code) || problem.code == Code::ElementDown {
            let mut passes = self.passes.lock();
            if passes
                .get(database)
                .is_some_and(|known| Arc::ptr_eq(known, pass))
            {
                passes.remove(database);
            }
        }
        if is_of_ticket(problem.code) {
            let streams = self.streams.lock().await;
            if let Some(opened) = streams.get(&pass.element.element) {
                opened.databases.lock().remove(&pass.database.id);
            }
        }
        problem.into()
    }

    /// A ticket for as much as the person may: writing, or else reading alone.
    async fn pass(&self, database: &str) -> Result<Arc<Pass>, Error> {
        let known = self.passes.lock().get(database).cloned();
        if let Some(pass) = known.filter(|pass| Instant::now() < pass.expires) {
            return Ok(pass);
        }
        let both = vec![Operation::Read, Operation::Write];
        let pass = match self.ask_for(database, both).await {
            Err(error) if error.code() == Some(Code::NotAuthorized) => {
                self.ask_for(database, vec![Operation::Read]).await?
            }
            asked => asked?,
        };
        let pass = Arc::new(pass);
        let mut passes = self.passes.lock();
        let now = Instant::now();
        passes.retain(|_, pass| now < pass.expires);
        passes.insert(database.to_owned(), Arc::clone(&pass));
        Ok(pass)
    }

    async fn ask_for(&self, database: &str, operations: Vec<Operation>) -> Result<Pass, Error> {
        let request = DatabaseAccessRequest {
            database: database.to_owned(),
            operations,
            presenter: self.presenter.clone(),
        };
        let asked = Instant::now();
        let decision: AccessDecision = self
            .http
            .request(Method::POST, "access/databases", &[], Some(&request))
            .await?;
        let (Some(database), Some(element)) =
            (decision.database, decision.elements.into_iter().next())
        else {
            return Err(Error::refused(
                Code::VersionUnsupported,
                "the controller's decision names no database and Element",
            ));
        };
        let life = Duration::from_secs(decision.expires_in.into());
        Ok(Pass {
            database,
            element,
            expires: asked + life.saturating_sub(EXPIRY_MARGIN.min(life / 4)),
        })
    }

    /// A stream on which the pass's database is open.
    async fn opened(&self, pass: &Arc<Pass>) -> Result<Peer, Problem> {
        let opened = self.connected(&pass.element).await?;
        let id = pass.database.id;
        let is_open = {
            let databases = opened.databases.lock();
            databases
                .get(&id)
                .is_some_and(|known| Arc::ptr_eq(known, pass))
        };
        if !is_open {
            let open = DataOpen {
                ticket: pass.element.ticket.clone(),
            };
            opened.peer.ask(&open, OPEN_TIMEOUT).await.map_err(away)?;
            opened.databases.lock().insert(id, Arc::clone(pass));
        }
        Ok(opened.peer.clone())
    }

    async fn connected(&self, element: &ElementAccess) -> Result<Arc<Opened>, Problem> {
        // One is dialled at a time: a burst of statements dials once.
        let mut streams = self.streams.lock().await;
        if let Some(opened) = streams.get(&element.element)
            && !opened.peer.is_closed()
        {
            return Ok(Arc::clone(opened));
        }
        let dialled = dial(
            &element.endpoints,
            (element.element, NodeKind::DataElement),
            &self.tls,
            DATA_PATH,
            Arc::new(Silence),
            StreamLimits::default().with_rows(),
        )
        .await;
        let peer = dialled.map_err(|problem| match problem.code {
            Code::CertificateRefused | Code::NodeRevoked => problem,
            _ => away(problem),
        })?;
        let opened = Arc::new(Opened {
            peer,
            databases: Mutex::default(),
        });
        streams.insert(element.element, Arc::clone(&opened));
        Ok(opened)
    }

    pub(crate) async fn close(&self) {
        let streams: Vec<_> = self.streams.lock().await.drain().collect();
        for (_, opened) in streams {
            opened.peer.close();
            opened.peer.finished().await;
        }
    }
}

/// Tries of something that was not begun.
#[derive(Default)]
struct Tries {
    failures: u32,
}

impl Tries {
    /// Waits for the next one; the error, if that would not help.
    async fn again(&mut self, error: Error) -> Result<(), Error> {
        self.failures += 1;
        let may_help = error.code().is_some_and(passes_by);
        if !may_help || self.failures >= TRIES_MAX {
            return Err(error);
        }
        tracing::debug!(%error, failures = self.failures, "trying again");
        tokio::time::sleep(BACKOFF.pause(self.failures)).await;
        Ok(())
    }
}

/// Whether a statement can be run again whatever became of it: what begins so changes
/// nothing.
fn only_reads(text: &str) -> bool {
    let word: String = text
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("values")
}

/// Nothing was begun: the Element was not reached.
fn away(problem: Problem) -> Problem {
    match problem.code {
        Code::Unavailable | Code::TimedOut => Problem::new(
            Code::ElementDown,
            format!("The Data Element cannot be reached: {}", problem.detail),
        ),
        _ => problem,
    }
}

pub(super) fn in_doubt(problem: &Problem) -> Error {
    Error::Statement(Box::new(gridmart_schemas::wire::data::SqlFault {
        state: "08007".to_owned(),
        message: format!(
            "whether it was done is not known, its Element was lost meanwhile: look \
             before you run it again ({})",
            problem.detail
        ),
        position: None,
    }))
}

/// Whether what was refused so may be granted soon, nothing having been begun.
fn passes_by(code: Code) -> bool {
    is_of_ticket(code)
        || matches!(
            code,
            Code::ElementDown
                | Code::HostDown
                | Code::NotAccepting
                | Code::Busy
                | Code::RateLimited
        )
}

/// Whether a new ticket helps.
const fn is_of_ticket(code: Code) -> bool {
    matches!(
        code,
        Code::TicketExpired | Code::TicketInvalid | Code::TicketCut | Code::TicketForeign
    )
}

/// An Element says nothing on its own account.
struct Silence;

impl Handler for Silence {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        request: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(async move { Err(request.unknown()) })
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, notice: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            tracing::debug!(kind = notice.kind, "a notice of a newer Element is ignored");
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_for_certain_is_run_again() {
        assert!(only_reads(" \nSelect 1"));
        assert!(only_reads("VALUES (1)"));
        for other in [
            "INSERT INTO a VALUES (1)",
            "WITH a AS (SELECT 1) SELECT 1",
            "",
            "selection",
        ] {
            assert!(!only_reads(other), "{other}");
        }
    }
}
