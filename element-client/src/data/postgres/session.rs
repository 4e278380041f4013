//! One client's session: its messages, one after the other.

use std::{collections::HashMap, sync::Arc};

use bytes::BytesMut;
use gridmart_schemas::{
    data::Position,
    id::{DatabaseId, PersonName},
    problem::{Code, Problem},
    scalar::DatabaseName,
    wire::{record::CallState, sql_session::SqlSessionEnd},
};
use tokio::{
    io::{ReadHalf, WriteHalf, split},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    entry::Channel,
    extended::{Portal, Prepared},
    sessions::Known,
    settings::{Settings, TOLD},
    wire::{
        Inbox, Outbox, Weight, WireError,
        backend::{self, Fault, Severity, Word},
        frontend::Message,
    },
};
use crate::data::{De, asker::Asker, block::Block, sql::Statements};

/// Messages that are read ahead of the one that is answered.
const AHEAD: usize = 8;

/// Messages as they are read.
type Messages = mpsc::Receiver<Result<(Message, Weight), WireError>>;

/// Where the answers go.
pub(super) type Out = Outbox<WriteHalf<Channel>>;

/// What ends a session, beside its client's wish.
#[derive(Debug)]
pub(super) enum End {
    /// The connection.
    Wire(WireError),
    /// It is told so.
    Fatal(Fault),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Wire(error.into())
    }
}

/// Why a message was not answered as it was meant.
#[derive(Debug)]
pub(super) enum Stop {
    /// The statement failed; the session goes on.
    Fault(Fault),
    /// The session ends.
    End(End),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::End(error.into())
    }
}

/// See the module.
pub(super) struct Session {
    pub(super) de: Arc<De>,
    pub(super) known: Arc<Known>,
    pub(super) person: PersonName,
    pub(super) database: DatabaseId,
    pub(super) database_name: DatabaseName,
    pub(super) settings: Settings,
    /// The transaction that is open, or has failed.
    pub(super) block: Option<Block>,
    /// Settings that hold until its end, and what they were given as before.
    pub(super) locals: Vec<(&'static str, Option<String>)>,
    pub(super) statements: HashMap<String, Prepared>,
    pub(super) portals: HashMap<String, Portal>,
    /// The session's own writes.
    pub(super) after: Position,
    /// What is said before the first message is answered.
    greeting: BytesMut,
}

impl Session {
    pub(super) fn new(
        de: Arc<De>,
        known: Arc<Known>,
        person: PersonName,
        (database, database_name): (DatabaseId, DatabaseName),
        settings: Settings,
        warnings: Vec<Fault>,
    ) -> Self {
        let mut greeting = BytesMut::new();
        for warning in warnings {
            backend::fault(&mut greeting, Severity::Warning, &warning);
        }
        Self {
            de,
            known,
            person,
            database,
            database_name,
            settings,
            block: None,
            locals: Vec::new(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            after: Position::ZERO,
            greeting,
        }
    }

    /// Welcomes the client, whose secret is proved; `said`: the server's proof.
    pub(super) fn greet(&mut self, said: &str) {
        let mut out = BytesMut::new();
        backend::sasl_final(&mut out, said);
        backend::welcome(&mut out);
        for (name, setting) in TOLD {
            let value = match *setting {
                "session_authorization" => self.person.as_str(),
                setting => self.settings.get(setting),
            };
            backend::parameter(&mut out, name, value);
        }
        backend::cancel_key(&mut out, self.known.key);
        out.extend_from_slice(&self.greeting);
        backend::ready(&mut out, self.standing());
        self.greeting = out;
    }

    /// Answers until the client leaves, or has to.
    pub(super) async fn serve(mut self, channel: Channel) -> Result<(), WireError> {
        let (from, to) = split(channel);
        let mut out = Outbox::new(to);
        out.messages().extend_from_slice(&self.greeting);
        self.greeting = BytesMut::new();
        let (inbox, reader) = self.read_on(from);
        let ended = match self.answer_all(inbox, &mut out).await {
            Ok(()) => Ok(()),
            Err(End::Wire(error)) => {
                if let WireError::Malformed(_) | WireError::TooLarge { .. } = error {
                    let fault = Fault::new("08P01", error.to_string());
                    backend::fault(out.messages(), Severity::Fatal, &fault);
                }
                self.known.session.ends(broken(&error));
                Err(error)
            }
            Err(End::Fatal(fault)) => {
                self.known.session.terminate("the Element went down");
                backend::fault(out.messages(), Severity::Fatal, &fault);
                Ok(())
            }
        };
        drop(reader);
        self.close().await;
        // Whoever does not listen any more is not waited for.
        let flushing = tokio::time::timeout(std::time::Duration::from_secs(1), out.flush());
        let _ = flushing.await;
        ended
    }

    /// Reads messages beside the session, so that the end of the connection is noticed
    /// while a statement runs.
    fn read_on(&self, from: ReadHalf<Channel>) -> (Messages, AbortOnDropHandle<()>) {
        let (told, inbox) = mpsc::channel(AHEAD);
        let gone = self.known.gone.clone();
        let weigh = self.de.goods.postgres.weigh.clone();
        let reader = tokio::spawn(async move {
            let mut from = Inbox::new(from, weigh);
            loop {
                let read = match from.next().await {
                    Ok(Some(read)) => Ok(read),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                let is_last = read.is_err();
                if told.send(read).await.is_err() || is_last {
                    break;
                }
            }
            gone.cancel();
        });
        (inbox, AbortOnDropHandle::new(reader))
    }

    async fn answer_all(&mut self, mut inbox: Messages, out: &mut Out) -> Result<(), End> {
        // After an error in the extended protocol all is passed over until a Sync.
        let mut is_passing = false;
        let end = self.known.session.end.clone();
        let stop = self.de.stop.clone();
        loop {
            let next = if let Ok(next) = inbox.try_recv() {
                Some(next)
            } else {
                out.flush().await?;
                tokio::select! {
                    next = inbox.recv() => next,
                    () = end.cancelled() => return Err(ended()),
                    () = stop.cancelled() => return Err(ended()),
                }
            };
            let (message, _weight) = match next {
                None => return Ok(()),
                Some(read) => read.map_err(End::Wire)?,
            };
            if message == Message::Terminate {
                return Ok(());
            }
            if is_passing && message != Message::Sync {
                continue;
            }
            is_passing = false;
            let is_extended = !matches!(message, Message::Query(_) | Message::Sync);
            let answered = self.answer(message, out).await;
            self.known.session.on_transaction(self.block.is_some());
            match answered {
                Ok(()) => {}
                Err(Stop::End(end)) => return Err(end),
                Err(Stop::Fault(fault)) => {
                    self.fail();
                    self.known.session.on_failed();
                    backend::fault(out.messages(), Severity::Error, &fault);
                    is_passing = is_extended;
                    if !is_extended {
                        backend::ready(out.messages(), self.standing());
                    }
                }
            }
            if end.is_cancelled() {
                return Err(ended());
            }
        }
    }

    async fn answer(&mut self, message: Message, out: &mut Out) -> Result<(), Stop> {
        match message {
            Message::Query(text) => self.query(&text, out).await,
            Message::Parse { name, text, types } => self.parse(name, text, &types, out).await,
            Message::Bind {
                portal,
                statement,
                formats,
                values,
                results,
            } => {
                self.bind(portal, &statement, (&formats, &values), results, out)
                    .await
            }
            Message::Describe(target, name) => self.describe(target, &name, out),
            Message::Execute { portal, rows } => self.execute(&portal, rows, out).await,
            Message::Close(target, name) => self.close_one(target, &name, out).await,
            Message::Flush => Ok(out.flush().await?),
            Message::Sync => {
                if self.block.is_none() {
                    self.close_portals().await;
                }
                backend::ready(out.messages(), self.standing());
                Ok(())
            }
            Message::Copy => Ok(()),
            Message::Password(_) | Message::Terminate => {
                Err(Fault::new("08P01", "nobody asked for a password").into())
            }
        }
    }

    /// A text of any number of statements, one run after the other.
    async fn query(&mut self, text: &str, out: &mut Out) -> Result<(), Stop> {
        if let Some(portal) = self.portals.remove("") {
            portal.close().await;
        }
        let statements = Statements::split(text).map_err(super::run::refused)?;
        if statements.is_empty() {
            backend::word(out.messages(), Word::EmptyQuery);
        }
        for statement in statements.iter() {
            self.simple(statement, out).await?;
        }
        backend::ready(out.messages(), self.standing());
        Ok(())
    }

    /// The person as they are now, with what they may do in the database.
    pub(super) fn asker(&self) -> Result<Asker, Fault> {
        self.de.asker(&self.person, self.database).ok_or_else(|| {
            Fault::new(
                "42501",
                "you may not use this database any more: its owner can tell why",
            )
        })
    }

    /// All that it holds elsewhere is given back.
    async fn close(&mut self) {
        self.close_portals().await;
        if let Some(block) = self.block.take() {
            // A Host that does not answer keeps nobody's place.
            self.de.tasks.spawn(block.abandon());
        }
    }
}

fn broken(error: &WireError) -> SqlSessionEnd {
    SqlSessionEnd {
        state: CallState::Failed,
        code: None,
        reason: Some(format!("the connection ended: {error}")),
    }
}

fn ended() -> End {
    End::Fatal(Fault::new(
        "57P01",
        "the session is ended: by an administrator, or because the Element goes down",
    ))
}

/// What a refusal of gridmart is in the words of SQL.
pub(super) fn fault_of(problem: &Problem) -> Fault {
    let state = match problem.code {
        Code::NotAuthorized => "42501",
        Code::NotAccepting | Code::HostDown | Code::ElementDown | Code::Unavailable => "57P03",
        Code::TicketCut | Code::Terminated => "57P01",
        Code::Busy | Code::RateLimited => "53000",
        Code::TooLarge | Code::LimitExceeded => "54000",
        Code::NotFound => "34000",
        Code::StorageFailed => "58030",
        Code::PreconditionFailed => "55000",
        _ => "XX000",
    };
    Fault::new(state, problem.detail.clone())
}
