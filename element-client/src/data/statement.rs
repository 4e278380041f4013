//! One statement: judged, sent to a Host that may run it, its rows passed on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::{rule::Subject, stream::Peer, ticket::AccessClaims};
use gridmart_schemas::{
    data::{SqlType, Value},
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{database::Database, enumeration::ReplicaRole},
    role::Operation,
    scalar::UtcTime,
    wire::{
        data::{
            CursorNumber, ROW_BYTES_MAX, ResultColumn, STATEMENT_BYTES_MAX, SqlFault,
            StatementAnswer, StatementRows, StatementRun,
        },
        replica::{
            ReplicaAnswer, ReplicaDescribe, ReplicaPiece, ReplicaRows, ReplicaRun,
            ReplicaStatementKind,
        },
    },
};

use super::{
    De,
    hosts::{Failure, Hosts},
    parameter,
    route::{Place, readers},
    rules::{person_of, rules_of},
    schemas::Known,
    sql::{Engine, Judged, Kind, Literal, Refusal, SchemaChange, Statements, judge},
};

/// A Host may take so long to answer; it ends a statement of itself before that.
const ANSWER_MAX: Duration = Duration::from_secs(330);
/// A Host may take so long to tell its tables.
const DESCRIBE_MAX: Duration = Duration::from_secs(10);
/// Statements of more bytes are judged beside the tasks that serve others.
const JUDGED_AT_ONCE: usize = 16 * 1024;

/// A result that is not at its end: where the rest is.
pub(super) struct Rest {
    peer: Peer,
    cursor: CursorNumber,
    tag: &'static str,
    ran_on: Place,
}

/// What a statement came to.
pub(super) type Outcome = (StatementAnswer, Option<Rest>);

/// What is sent to a Host.
struct Order {
    run: ReplicaRun,
    tag: &'static str,
    columns: Vec<ResultColumn>,
}

impl De {
    /// Runs a statement for somebody whose ticket is in force.
    pub(super) async fn run_statement(
        self: &Arc<Self>,
        claims: &AccessClaims,
        asked: StatementRun,
    ) -> Result<Outcome, Problem> {
        let database = self.database(asked.database)?;
        if let Some(fault) = too_large(&asked) {
            return Ok((StatementAnswer::Refused(fault), None));
        }
        let known = self.schema(asked.database, &database).await?;
        let subject = Subject {
            person: &claims.sub,
            role: claims.role,
            domain: claims.domain.as_deref(),
            application: None,
        };
        let rules = known.rules(rules_of(&database, known.tables(), &subject))?;
        let person = person_of(&subject);
        let (text, parameters) = (asked.text.clone(), asked.parameters.clone());
        let judging = {
            let known = Arc::clone(&known);
            move || judged(&text, &parameters, &known, &rules, &person)
        };
        let judged = if asked.text.len() > JUDGED_AT_ONCE {
            self.blocking(move |_| judging()).await?
        } else {
            judging()
        };
        let (judged, bound) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return Ok((refused(refusal), None)),
        };
        let kind = match kind_of(&judged) {
            Ok(kind) => kind,
            Err(answer) => return Ok((answer, None)),
        };
        require(claims, kind)?;
        let order = Order {
            tag: judged.tag,
            columns: columns_of(&judged),
            run: ReplicaRun {
                database: asked.database,
                person: claims.sub.clone(),
                kind,
                text: judged.text,
                parameters: bound,
                columns: judged
                    .columns
                    .iter()
                    .map(|column| column.sql_type.into())
                    .collect(),
                after: asked.after.max(known.position),
                cut_epoch: self.goods.pool.lock().wish().cut_epoch,
                epoch: database.epoch(),
            },
        };
        match kind {
            ReplicaStatementKind::Read => {
                let places = {
                    let pool = self.goods.pool.lock();
                    readers(&pool, &database, asked.database, asked.from, Instant::now())
                };
                self.read(order, places).await
            }
            ReplicaStatementKind::Rows => self.write(order).await,
            ReplicaStatementKind::Schema => {
                let changed = self.write(order).await;
                self.goods.schemas.forget(asked.database);
                changed
            }
        }
    }

    /// The schema of a database, as its core has it.
    pub(super) async fn schema(
        self: &Arc<Self>,
        id: DatabaseId,
        database: &Database,
    ) -> Result<Arc<Known>, Problem> {
        if let Some(known) = self.goods.schemas.get(id) {
            return Ok(known);
        }
        let core = database.core().ok_or_else(coreless)?;
        let version = self.goods.schemas.version();
        let goods = &self.goods;
        let peer = goods.hosts.stream(&goods.pool, &self.tls, core).await?;
        let describe = ReplicaDescribe { database: id };
        let schema = Hosts::ask(&peer, &describe, DESCRIBE_MAX).await?;
        Ok(self.goods.schemas.put(id, &schema, version))
    }

    /// Reads on the first place that can.
    async fn read(&self, order: Order, places: Vec<Place>) -> Result<Outcome, Problem> {
        let mut last = None;
        for place in places {
            match self.try_on(&order, place).await {
                Ok(Some(outcome)) => return Ok(outcome),
                // It has not come as far as it must.
                Ok(None) => {}
                // A read may be run again.
                Err(Failure::NotAsked(problem) | Failure::Open(problem)) => last = Some(problem),
                Err(Failure::Refused(problem)) if problem.retryable => last = Some(problem),
                Err(Failure::Refused(problem)) => return Err(problem),
            }
        }
        Err(last.unwrap_or_else(|| {
            Problem::new(
                Code::HostDown,
                "No Host with a copy of the database that is new enough is there.",
            )
        }))
    }

    /// Writes on the core that counts once nobody is changing it.
    async fn write(&self, mut order: Order) -> Result<Outcome, Problem> {
        let id = order.run.database;
        let _passed = self.goods.gates.enter(id).await?;
        let database = self.database(id)?;
        order.run.epoch = database.epoch();
        let core = database.core().ok_or_else(coreless)?;
        match self.try_on(&order, (core, ReplicaRole::Core)).await {
            Ok(Some(outcome)) => {
                if let (StatementAnswer::Rows(rows), _) = &outcome {
                    self.goods.gates.committed(id, rows.position);
                }
                Ok(outcome)
            }
            Ok(None) => Err(Problem::new(Code::Internal, "A core is behind itself.")),
            Err(Failure::NotAsked(problem) | Failure::Refused(problem)) => Err(problem),
            Err(Failure::Open(problem)) => {
                let message = format!(
                    "whether the statement was committed is not known, its Host was lost \
                     meanwhile: look before you run it again ({})",
                    problem.detail
                );
                Ok((fault("08007", message), None))
            }
        }
    }

    /// `None`: this copy has not come as far as it must.
    async fn try_on(&self, order: &Order, place: Place) -> Result<Option<Outcome>, Failure> {
        let goods = &self.goods;
        let stream = goods.hosts.stream(&goods.pool, &self.tls, place.0).await;
        let peer = stream.map_err(Failure::NotAsked)?;
        let answer = Hosts::ask(&peer, &order.run, ANSWER_MAX).await?;
        let ReplicaAnswer::Rows(piece) = answer else {
            return Ok(match answer {
                ReplicaAnswer::Refused(fault) => Some((StatementAnswer::Refused(fault), None)),
                _ => None,
            });
        };
        let rest = piece.cursor.map(|cursor| Rest {
            peer,
            cursor,
            tag: order.tag,
            ran_on: place,
        });
        let mut rows = rows_of(order.tag, piece, place);
        rows.columns.clone_from(&order.columns);
        Ok(Some((StatementAnswer::Rows(rows), rest)))
    }
}

impl Rest {
    /// The next piece, and what comes after it.
    pub(super) async fn next(self) -> Result<Outcome, Problem> {
        let cursor = self.cursor;
        let answer = Hosts::ask(&self.peer, &ReplicaRows { cursor }, ANSWER_MAX).await?;
        Ok(match answer {
            ReplicaAnswer::Refused(fault) => (StatementAnswer::Refused(fault), None),
            ReplicaAnswer::Behind(_) => (fault("XX000", "a result went back".to_owned()), None),
            ReplicaAnswer::Rows(piece) => {
                let (tag, ran_on, more) = (self.tag, self.ran_on, piece.cursor);
                let rest = more.map(|cursor| Self { cursor, ..self });
                (StatementAnswer::Rows(rows_of(tag, piece, ran_on)), rest)
            }
        })
    }

    /// Has the Host end the statement.
    pub(super) async fn close(self) {
        let close = gridmart_schemas::wire::replica::ReplicaClose {
            cursor: self.cursor,
        };
        // A stream that has ended has ended its statements.
        let _ = self.peer.ask(&close, DESCRIBE_MAX).await;
    }
}

fn rows_of(tag: &str, piece: ReplicaPiece, (host, role): (NodeId, ReplicaRole)) -> StatementRows {
    StatementRows {
        tag: tag.to_owned(),
        columns: Vec::new(),
        rows: piece.rows,
        cursor: None,
        rows_changed: piece.rows_changed,
        position: piece.position,
        ran_on: Some((host, role)),
    }
}

fn coreless() -> Problem {
    Problem::new(Code::HostDown, "The database has no core at present.")
}

fn fault(state: &str, message: String) -> StatementAnswer {
    StatementAnswer::Refused(SqlFault {
        state: state.to_owned(),
        message,
        position: None,
    })
}

fn refused(refusal: Refusal) -> StatementAnswer {
    StatementAnswer::Refused(SqlFault {
        state: refusal.state.to_owned(),
        message: refusal.message,
        position: refusal
            .position
            .and_then(|position| position.try_into().ok()),
    })
}

fn too_large(asked: &StatementRun) -> Option<SqlFault> {
    let bytes: usize = asked.parameters.iter().map(Value::bytes).sum();
    let message = if asked.text.len() > STATEMENT_BYTES_MAX {
        format!("a statement may have {STATEMENT_BYTES_MAX} bytes: give values as parameters")
    } else if bytes > ROW_BYTES_MAX {
        format!("the parameters of a statement may have {ROW_BYTES_MAX} bytes together")
    } else {
        return None;
    };
    Some(SqlFault {
        state: "54000".to_owned(),
        message,
        position: None,
    })
}

/// Judges a text of one statement, and binds its values.
fn judged(
    text: &str,
    parameters: &[Value],
    known: &Known,
    rules: &super::sql::Rules,
    person: &super::sql::Person,
) -> Result<(Judged, Vec<Value>), Refusal> {
    let statements = Statements::split(text)?;
    let mut iter = statements.iter();
    let (Some(only), None) = (iter.next(), iter.next()) else {
        return Err(Refusal::of("42601", "give one statement at a time"));
    };
    let declared: Vec<_> = parameters.iter().map(parameter::declared).collect();
    let judged = judge(only, &known.catalog, rules, &declared, Engine::Sqlite)?;
    if judged.parameters.len() != parameters.len() {
        let message = format!(
            "the statement has {} parameters, and {} values came for them",
            judged.parameters.len(),
            parameters.len()
        );
        return Err(Refusal::of("08P01", message));
    }
    let values = parameters.iter().zip(&judged.parameters);
    let values: Vec<Literal> = values
        .map(|(value, wanted)| parameter::literal(value, *wanted))
        .collect::<Result<_, _>>()?;
    let began = began();
    let bound = judged.bound.iter();
    let bound = bound.map(|bound| parameter::value(bound.value(person, &values, &began)));
    let bound = bound.collect();
    Ok((judged, bound))
}

/// When a statement's transaction began: a timestamptz in its stored form.
fn began() -> String {
    let now = UtcTime::now().to_offset_date_time();
    let micros = now.nanosecond() / 1000;
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{micros:06}Z",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second()
    )
}

/// What a Host has to do for it; an answer where none has to, or none can.
fn kind_of(judged: &Judged) -> Result<ReplicaStatementKind, StatementAnswer> {
    let unsupported = |what: &str| fault("0A000", format!("{what} is not supported here yet"));
    match &judged.kind {
        Kind::Read => Ok(ReplicaStatementKind::Read),
        Kind::Write => Ok(ReplicaStatementKind::Rows),
        Kind::Schema(change) => match change.as_ref() {
            SchemaChange::CreateView(_) => Err(unsupported("CREATE VIEW")),
            _ if judged.text.is_empty() => Err(StatementAnswer::Rows(StatementRows {
                tag: judged.tag.to_owned(),
                rows_changed: Some(0),
                ..StatementRows::default()
            })),
            _ => Ok(ReplicaStatementKind::Schema),
        },
        Kind::Transaction(_) => Err(unsupported("a transaction of several statements")),
        Kind::Session(_) => Err(unsupported("a setting of the session")),
    }
}

fn columns_of(judged: &Judged) -> Vec<ResultColumn> {
    let columns = judged.columns.iter().map(|column| ResultColumn {
        name: column.name.clone(),
        sql_type: SqlType::from(column.sql_type),
    });
    columns.collect()
}

/// Refuses what the ticket does not permit.
fn require(claims: &AccessClaims, kind: ReplicaStatementKind) -> Result<(), Problem> {
    let operation = match kind {
        ReplicaStatementKind::Read => Operation::Read,
        ReplicaStatementKind::Rows | ReplicaStatementKind::Schema => Operation::Write,
    };
    if claims.operations.contains(&operation) {
        return Ok(());
    }
    let detail = format!("The ticket does not permit to {operation}.");
    Err(Problem::new(Code::NotAuthorized, detail))
}
