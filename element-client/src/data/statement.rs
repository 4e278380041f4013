//! One statement: judged, sent to a Host that may run it, its rows passed on.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::AccessClaims;
use gridmart_schemas::{
    data::{Position, SqlType, Value},
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        database::Database,
        enumeration::{DataEngine, ReplicaRole},
    },
    scalar::UtcTime,
    wire::{
        data::{
            ROW_BYTES_MAX, ReadFrom, ResultColumn, STATEMENT_BYTES_MAX, SqlFault, StatementAnswer,
            StatementRows, StatementRun,
        },
        replica::{GuardTold, ReplicaDescribe, ReplicaRun, ReplicaStatementKind, StatementRules},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    De,
    asker::Asker,
    block::Block,
    hosts::{Failure, Hosts},
    judgements::{Judgement, Question, SameRules},
    limits::StatementLimits,
    order::{DESCRIBE_MAX, OnShadows, Order, Outcome, run_at},
    parameter,
    parts::fitting,
    route::{Place, Reader, readers},
    rules::{person_of, rules_of},
    schemas::Known,
    sql::{BaseType, Engine, Judged, Kind, Literal, Person, Refusal, SchemaChange},
    transaction::{Ill, OpenTransaction},
};

/// The setting with the person's name, on engines that have settings.
const PERSON_SETTING: &str = "gridmart.user";
/// What settings with attributes of the person begin with.
const ATTRIBUTE_SETTING: &str = "gridmart.attribute_";
/// Statements of more bytes are judged beside the tasks that serve others.
const JUDGED_AT_ONCE: usize = 16 * 1024;

/// A statement that somebody may run.
pub(super) struct Permitted {
    pub(super) judged: Arc<Judged>,
    /// The same for shadows on SQLite, where the core is on another engine.
    for_shadows: Option<Arc<Judged>>,
    person: Person,
    database: Database,
    id: DatabaseId,
    /// A copy that has come as far has the schema that it was judged against.
    schema_position: Position,
    /// Partial shadows that answer it as others do.
    fitting: BTreeSet<NodeId>,
}

/// How a statement is run.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner<'a> {
    /// The session's own writes, which a read has to see.
    pub(super) after: Position,
    /// Who may answer a read.
    pub(super) from: ReadFrom,
    /// Has it given up: it is ended at the engine, unless it has come to its end.
    pub(super) give_up: Option<&'a CancellationToken>,
    /// How long it may take.
    pub(super) time: Option<Duration>,
    /// In which transaction.
    pub(super) transaction: Option<&'a OpenTransaction>,
    /// When its transaction began, in the stored form of a timestamptz; absent: now.
    pub(super) began: Option<&'a str>,
}

impl De {
    /// Runs a statement for somebody whose ticket is in force.
    pub(super) async fn run_statement(
        self: &Arc<Self>,
        claims: &AccessClaims,
        asked: StatementRun,
        give_up: &CancellationToken,
        block: Option<&mut Block>,
    ) -> Result<Outcome, Problem> {
        if let Some(fault) = too_large(&asked) {
            return Ok((StatementAnswer::Refused(fault), None));
        }
        let person = Asker::from(claims);
        let declared = asked.parameters.iter().map(parameter::declared).collect();
        let schema = block.as_ref().and_then(|block| block.schema.clone());
        let permitted = self
            .judge_statement(&person, asked.database, &asked.text, declared, schema)
            .await?;
        let permitted = match permitted {
            Ok(permitted) => permitted,
            Err(refusal) => return Ok((refused(refusal), None)),
        };
        let values = match literals(&asked.parameters, &permitted.judged) {
            Ok(values) => values,
            Err(refusal) => return Ok((refused(refusal), None)),
        };
        let manner = Manner {
            after: asked.after,
            from: asked.from,
            give_up: Some(give_up),
            ..Manner::default()
        };
        match self
            .run_in(&person, permitted, &values, manner, block)
            .await
        {
            Ok(outcome) => Ok(outcome),
            Err(Ill::Fault(fault)) => Ok((StatementAnswer::Refused(fault), None)),
            Err(Ill::Problem(problem)) => Err(problem),
        }
    }

    /// Runs what was judged, in a block if there is one.
    pub(super) async fn run_in(
        self: &Arc<Self>,
        asker: &Asker,
        permitted: Permitted,
        values: &[Literal],
        manner: Manner<'_>,
        block: Option<&mut Block>,
    ) -> Result<Outcome, Ill> {
        let Some(block) = block else {
            let ran = self.run_permitted(asker, permitted, values, manner).await;
            return ran.map_err(Ill::Problem);
        };
        let is_read = permitted.judged.kind == Kind::Read;
        let change = match &permitted.judged.kind {
            Kind::Schema(change) => Some(SchemaChange::clone(change)),
            _ => None,
        };
        block.prepare(self, is_read).await?;
        let manner = Manner {
            transaction: block.open.as_ref(),
            began: Some(&block.began),
            ..manner
        };
        let ran = self.run_permitted(asker, permitted, values, manner).await;
        let outcome = ran.map_err(Ill::Problem)?;
        if let (Some(change), StatementAnswer::Rows(_)) = (change, &outcome.0) {
            let changed = block.schema_changed(self, change).await;
            changed.map_err(Ill::Problem)?;
        }
        Ok(outcome)
    }

    /// Judges a text of one statement, against the schema as it is, or as a transaction
    /// has made it. `declared`: the types of parameters, as far as they are known.
    pub(super) async fn judge_statement(
        self: &Arc<Self>,
        asker: &Asker,
        id: DatabaseId,
        text: &str,
        declared: Vec<Option<BaseType>>,
        schema: Option<Arc<Known>>,
    ) -> Result<Result<Permitted, Refusal>, Problem> {
        let database = self.database(id)?;
        let known = match schema {
            Some(known) => known,
            None => self.schema(id, &database).await?,
        };
        let subject = asker.subject();
        let granted = rules_of(&database, known.entries(), &subject);
        let rules = known.rules(granted.clone())?;
        let person = person_of(&subject);
        let schema_position = known.position;
        let engine = language_of(&database.info.engine)?;
        let has_shadows = database.shadows().next().is_some();
        let question = Question {
            text: text.to_owned(),
            declared,
            rules: SameRules(rules),
            has_shadows,
        };
        let judgement = match known.judgements.get(&question) {
            Some(judgement) => Ok(judgement),
            None if text.len() > JUDGED_AT_ONCE => {
                let known = Arc::clone(&known);
                let judging = move |_: &Arc<Self>| question.judge(&known.catalog, engine);
                self.blocking(judging).await?
            }
            None => {
                let judged = question.judge(&known.catalog, engine);
                judged.inspect(|judgement| known.judgements.keep(question, judgement))
            }
        };
        Ok(judgement.map(
            |Judgement {
                 judged,
                 for_shadows,
             }| Permitted {
                fitting: fitting(&database, &granted, &known.catalog, &judged.tables),
                judged,
                for_shadows,
                person,
                database,
                id,
                schema_position,
            },
        ))
    }

    /// Runs what was judged, with values for its parameters, of the types that were
    /// found for them.
    pub(super) async fn run_permitted(
        self: &Arc<Self>,
        asker: &Asker,
        permitted: Permitted,
        values: &[Literal],
        manner: Manner<'_>,
    ) -> Result<Outcome, Problem> {
        let Permitted {
            judged,
            for_shadows,
            person,
            database,
            id,
            schema_position,
            fitting,
        } = permitted;
        let kind = match kind_of(&judged) {
            Ok(kind) => kind,
            Err(answer) => return Ok((answer, None)),
        };
        asker.require(kind)?;
        let began = manner.began.map_or_else(began, str::to_owned);
        let bound = |judged: &Judged| -> Vec<Value> {
            let bound = judged.bound.iter();
            bound
                .map(|bound| parameter::value(bound.value(&person, values, &began)))
                .collect()
        };
        let rules = engine_rules(&judged, &person);
        let columns = judged.columns.iter();
        let limits = StatementLimits::of(&self.base.read().element.policy);
        let order = Order {
            give_up: manner.give_up,
            tag: judged.tag,
            columns: columns_of(&judged),
            run: ReplicaRun {
                database: id,
                person: asker.person.clone(),
                kind,
                parameters: bound(&judged),
                shadow_text: for_shadows
                    .as_ref()
                    .filter(|_| kind == ReplicaStatementKind::Schema)
                    .map(|judged| judged.text.clone()),
                columns: columns.map(|column| column.sql_type.into()).collect(),
                text: judged.text.clone(),
                rules,
                after: manner.after.max(schema_position),
                cut_epoch: self.goods.pool.lock().wish().cut_epoch,
                epoch: database.epoch(),
                filter_version: None,
                transaction: manner.transaction.map(|transaction| transaction.number),
                mark: Some(self.goods.marks.fetch_add(1, Ordering::Relaxed)),
                time: limits.time(manner.time),
                rows_max: limits.rows,
                bytes_max: limits.bytes,
            },
        };
        if let Some(transaction) = manner.transaction {
            return Self::within(order, transaction).await;
        }
        let on_shadows = for_shadows.map(|judged| OnShadows {
            parameters: bound(&judged),
            text: judged.text.clone(),
        });
        let slot = self.goods.slots.take(manner.give_up).await?;
        let (answer, rest) = self
            .run_order((order, on_shadows), (&database, &fitting), manner.from)
            .await?;
        // A result that is open counts as running.
        Ok((answer, rest.map(|rest| rest.holding(slot))))
    }

    /// Runs it on whichever Host may.
    async fn run_order(
        self: &Arc<Self>,
        (order, on_shadows): (Order<'_>, Option<OnShadows>),
        (database, fitting): (&Database, &BTreeSet<NodeId>),
        from: ReadFrom,
    ) -> Result<Outcome, Problem> {
        let (id, kind) = (order.run.database, order.run.kind);
        match kind {
            ReplicaStatementKind::Read => {
                let places = {
                    let pool = self.goods.pool.lock();
                    let now = Instant::now();
                    readers(&pool, (database, id), fitting, from, now)
                };
                self.read(order, on_shadows, places).await
            }
            ReplicaStatementKind::Rows => self.write(order).await,
            ReplicaStatementKind::Schema => {
                let changed = self.write(order).await;
                self.schema_changed(id);
                changed
            }
        }
    }

    /// Runs in a transaction.
    async fn within(order: Order<'_>, transaction: &OpenTransaction) -> Result<Outcome, Problem> {
        let (peer, place) = (transaction.peer.clone(), transaction.place);
        match run_at(&order, peer, place).await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(Problem::new(Code::Internal, "A core is behind itself.")),
            Err(Failure::Refused(problem)) => Err(problem),
            Err(Failure::NotAsked(problem) | Failure::Open(problem)) => Ok((
                fault(
                    "08006",
                    format!(
                        "the transaction is taken back, its Host was lost meanwhile: begin it \
                         again ({})",
                        problem.detail
                    ),
                ),
                None,
            )),
        }
    }

    /// The schema is another one, or may be: what partial shadows hold of it as well.
    pub(super) fn schema_changed(&self, id: DatabaseId) {
        self.goods.schemas.forget(id);
        let document = self.base.read();
        let mut databases = document.databases.databases.iter();
        let database = databases.find(|one| one.database() == Some(id));
        let mut replicas = database.iter().flat_map(|one| &one.replicas.replicas);
        if replicas.any(|replica| replica.filter.is_some()) {
            self.goods.followed.notify_one();
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
    async fn read(
        &self,
        order: Order<'_>,
        on_shadows: Option<OnShadows>,
        places: Vec<Reader>,
    ) -> Result<Outcome, Problem> {
        let mut last = None;
        let database = self.database(order.run.database)?;
        let mut for_shadows = on_shadows.map(|on_shadows| order.on(on_shadows));
        let mut order = order;
        for (place, filter_version) in places {
            let is_other = *database.engine_on(place.0) != database.info.engine;
            let order = match &mut for_shadows {
                Some(for_shadows) if is_other => for_shadows,
                None if is_other => continue,
                _ => &mut order,
            };
            order.run.filter_version = filter_version;
            match self.try_on(order, place).await {
                Ok(Some(outcome)) => return Ok(outcome),
                // It has not come as far as it must.
                Ok(None) => {}
                // A read may be run again.
                Err(Failure::NotAsked(problem) | Failure::Open(problem)) => last = Some(problem),
                // What a shadow cannot do now, another copy may.
                Err(Failure::Refused(problem))
                    if problem.retryable || place.1 == ReplicaRole::Shadow =>
                {
                    last = Some(problem);
                }
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
    async fn write(&self, mut order: Order<'_>) -> Result<Outcome, Problem> {
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
    async fn try_on(&self, order: &Order<'_>, place: Place) -> Result<Option<Outcome>, Failure> {
        let goods = &self.goods;
        let stream = goods.hosts.stream(&goods.pool, &self.tls, place.0).await;
        let peer = stream.map_err(Failure::NotAsked)?;
        run_at(order, peer, place).await
    }
}

pub(super) fn coreless() -> Problem {
    Problem::new(Code::HostDown, "The database has no core at present.")
}

pub(super) fn fault(state: &str, message: String) -> StatementAnswer {
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

/// In whose words statements for an engine are written.
fn language_of(engine: &DataEngine) -> Result<Engine, Problem> {
    match engine {
        DataEngine::Sqlite => Ok(Engine::Sqlite),
        DataEngine::Postgresql => Ok(Engine::Postgres),
        DataEngine::Mariadb => Ok(Engine::MariaDb),
        other => {
            let detail = format!("This Element writes no statements for the engine {other}.");
            Err(Problem::new(Code::PreconditionFailed, detail))
        }
    }
}

/// What an engine that keeps rules itself needs to know.
pub(in crate::data) fn engine_rules(judged: &Judged, person: &Person) -> StatementRules {
    let guards = judged.guards.iter().map(|guard| GuardTold {
        name: guard.name.clone(),
        definition: guard.definition.clone(),
    });
    let guards: Vec<_> = guards.collect();
    let needs = |setting: &str| {
        let mut texts = judged.guards.iter().map(|guard| &guard.definition);
        judged.text.contains(setting) || texts.any(|text| text.contains(setting))
    };
    let mut settings = Vec::new();
    if needs(PERSON_SETTING) {
        settings.push((PERSON_SETTING.to_owned(), person.name.clone()));
    }
    let attributes = person.attributes.iter();
    let named = attributes.map(|(name, value)| (format!("{ATTRIBUTE_SETTING}{name}"), value));
    let needed = named.filter(|(name, _)| needs(name));
    settings.extend(needed.map(|(name, value)| (name, value.clone())));
    let is_guarded = |table: &std::sync::Arc<str>| {
        let mut guards = judged.guards.iter();
        guards.any(|guard| guard.table == **table)
    };
    StatementRules {
        is_guarded: !guards.is_empty() && judged.tables.iter().all(is_guarded),
        guards,
        settings,
    }
}

/// Values as constants of the types that were found for them.
fn literals(values: &[Value], judged: &Judged) -> Result<Vec<Literal>, Refusal> {
    if judged.parameters.len() != values.len() {
        let message = format!(
            "the statement has {} parameters, and {} values came for them",
            judged.parameters.len(),
            values.len()
        );
        return Err(Refusal::of("08P01", message));
    }
    let values = values.iter().zip(&judged.parameters);
    values
        .map(|(value, wanted)| parameter::literal(value, *wanted))
        .collect()
}

/// When a statement's transaction began: a timestamptz in its stored form.
pub(super) fn began() -> String {
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
        Kind::Schema(_) if judged.text.is_empty() => Err(StatementAnswer::Rows(StatementRows {
            tag: judged.tag.to_owned(),
            rows_changed: Some(0),
            ..StatementRows::default()
        })),
        Kind::Schema(_) => Ok(ReplicaStatementKind::Schema),
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
