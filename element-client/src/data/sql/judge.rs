//! The judgement of one statement.

use std::{collections::BTreeMap, sync::Arc};

use sqlparser::ast;

use super::{
    bind::{self, Binder},
    catalog::{Catalog, SchemaChange},
    emit::{self, Argument, Emitted, GuardView},
    limits::COLUMNS_MAX,
    parse::StatementText,
    refusal::{Judgement, Refusal},
    rules::Rules,
    tree::{Context, Literal, Output, Statement, Write},
    types::{BaseType, Engine},
};

pub use bind::{Session, Transaction};

/// What a statement is, and how it is run.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// It reads. Any fresh enough replica may answer.
    Read,
    /// It changes rows.
    Write,
    /// It changes the schema: `Catalog::apply` takes the change once it was done.
    Schema(Box<SchemaChange>),
    /// It begins or ends a transaction or a part of one.
    Transaction(Transaction),
    /// It sets or shows something of the session.
    Session(Session),
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub sql_type: BaseType,
}

/// A value that is bound to the text that is run.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// The statement's `$n`, from zero.
    Parameter(usize),
    /// The name of the person.
    CurrentUser,
    /// An attribute of the person; NULL where there is none.
    Attribute(Arc<str>),
    /// When the transaction began: a timestamptz in its stored form.
    TransactionTime,
    /// A constant.
    Constant(Literal),
}

/// A statement that may be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What it is.
    pub kind: Kind,
    /// What PostgreSQL calls it when it is done: `SELECT`, `INSERT`, `CREATE TABLE`.
    pub tag: &'static str,
    /// The text for the engine; empty where the engine has nothing to do.
    pub text: String,
    /// What is bound to `?1`, `?2` … (SQLite) or `$1`, `$2` … (PostgreSQL).
    pub bound: Vec<Bound>,
    /// The types of the statement's own parameters.
    pub parameters: Vec<BaseType>,
    /// The columns of the result; none if there is no result.
    pub columns: Vec<ResultColumn>,
    /// Tables and views that it touches.
    pub tables: Vec<Arc<str>>,
    /// Views that PostgreSQL needs to have first.
    pub guards: Vec<GuardView>,
    /// Attributes of the person that the answer depends on. On PostgreSQL they are
    /// settings `gridmart.attribute_NAME` of the transaction, beside `gridmart.user`.
    pub attributes: Vec<Arc<str>>,
    /// Whether this judgement may be kept for the same text, schema and rules, and
    /// run again with other parameters and by other people with the same rules.
    pub cacheable: bool,
}

/// One person, to whom values of the session belong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// What is known about the person; rules may ask for it.
    pub attributes: BTreeMap<String, String>,
}

impl Bound {
    /// The value, for this person and these parameters, of a transaction that began
    /// then (the stored form of a timestamptz). A parameter that is not given is NULL.
    pub fn value(&self, person: &Person, parameters: &[Literal], began: &str) -> Literal {
        match self {
            Self::Parameter(index) => parameters.get(*index).cloned().unwrap_or(Literal::Null),
            Self::CurrentUser => Literal::Text(person.name.clone()),
            // An empty one is none, as on PostgreSQL, where settings have no NULL.
            Self::Attribute(name) => match person.attributes.get(name.as_ref()) {
                Some(value) if !value.is_empty() => Literal::Text(value.clone()),
                _ => Literal::Null,
            },
            Self::TransactionTime => Literal::Text(began.to_owned()),
            Self::Constant(constant) => constant.clone(),
        }
    }
}

/// Judges one statement: reads it, resolves its names through the rules, and writes
/// it anew for the engine. `declared` are the types that the client gave for its
/// parameters; what it did not say is found out.
///
/// # Errors
/// A `Refusal` with PostgreSQL's code. What does not exist and what may not be seen
/// are refused alike.
pub fn judge(
    statement: StatementText<'_>,
    catalog: &Catalog,
    rules: &Rules,
    declared: &[Option<BaseType>],
    engine: Engine,
) -> Result<Judged, Refusal> {
    if rules.version() != catalog.version() {
        let message = "the rules were compiled for another version of the schema: try again";
        return Err(Refusal::new("XX000", message));
    }
    if declared.len() > super::limits::PARAMETERS_MAX {
        return Err(Refusal::too_much(
            "parameters",
            super::limits::PARAMETERS_MAX,
        ));
    }
    let depth = statement.depth()?;
    bind::with_stack(depth, || {
        judge_here(statement, catalog, rules, declared, engine)
    })
}

fn judge_here(
    text: StatementText<'_>,
    catalog: &Catalog,
    rules: &Rules,
    declared: &[Option<BaseType>],
    engine: Engine,
) -> Judgement<Judged> {
    let read = text.read()?;
    if let Some(control) = bind::transaction(&read)? {
        let tag = match control {
            Transaction::Begin { .. } => "BEGIN",
            Transaction::Commit => "COMMIT",
            Transaction::Rollback | Transaction::RollbackTo(_) => "ROLLBACK",
            Transaction::Savepoint(_) => "SAVEPOINT",
            Transaction::Release(_) => "RELEASE",
        };
        return Ok(Judged::without_engine(Kind::Transaction(control), tag));
    }
    if let Some(session) = bind::session(&read)? {
        return Ok(session_judged(session));
    }
    let mut binder = Binder::new(catalog, rules, Some(text), declared);
    if let Some(plan) = binder.schema(&read)? {
        let text = emit::schema_text(&plan, catalog, engine)?;
        let change = Kind::Schema(Box::new(plan.change));
        return Ok(Judged {
            text,
            tables: tables(&binder),
            ..Judged::without_engine(change, plan.tag)
        });
    }
    let bound = bind_rows(&mut binder, &read)?;
    let emitted = emit::statement(&bound, catalog, engine)?;
    rows_judged(&binder, &bound, emitted)
}

fn bind_rows(binder: &mut Binder<'_>, read: &ast::Statement) -> Judgement<Statement> {
    match read {
        ast::Statement::Query(query) => Ok(Statement::Query(Box::new(bind::query_alone(
            binder, query,
        )?))),
        ast::Statement::Insert(insert) => Ok(Statement::Write(Box::new(Write::Insert(Box::new(
            binder.insert(insert)?,
        ))))),
        ast::Statement::Update(update) => Ok(Statement::Write(Box::new(Write::Update(
            binder.update(update)?,
        )))),
        ast::Statement::Delete(delete) => Ok(Statement::Write(Box::new(Write::Delete(
            binder.delete(delete)?,
        )))),
        ast::Statement::Explain { .. } | ast::Statement::ExplainTable { .. } => {
            Err(Refusal::unsupported("EXPLAIN"))
        }
        ast::Statement::Copy { .. } => Err(Refusal::unsupported("COPY in this place")),
        other => {
            let words = other.to_string();
            let word = words
                .split_whitespace()
                .next()
                .unwrap_or("this statement")
                .to_uppercase();
            let word: String = word.chars().take(32).collect();
            Err(Refusal::unsupported(word))
        }
    }
}

fn rows_judged(binder: &Binder<'_>, bound: &Statement, emitted: Emitted) -> Judgement<Judged> {
    let (kind, tag, outputs): (Kind, &'static str, &[Output]) = match bound {
        Statement::Query(query) => (Kind::Read, "SELECT", &query.outputs),
        Statement::Write(write) => match write.as_ref() {
            Write::Insert(insert) => (Kind::Write, "INSERT", &insert.outputs),
            Write::Update(update) => (Kind::Write, "UPDATE", &update.outputs),
            Write::Delete(delete) => (Kind::Write, "DELETE", &delete.outputs),
        },
    };
    if outputs.len() > COLUMNS_MAX {
        return Err(Refusal::too_much("columns in the result", COLUMNS_MAX));
    }
    let column = |output: &Output| ResultColumn {
        name: output.name.clone(),
        sql_type: output.sql_type,
    };
    let Emitted {
        text,
        arguments,
        guards,
    } = emitted;
    let parameters = binder.parameter_types()?;
    let bound = arguments.into_iter().map(|argument| match argument {
        Argument::Parameter(index) => Bound::Parameter(index),
        Argument::Context(Context::CurrentUser) => Bound::CurrentUser,
        Argument::Context(Context::Attribute(name)) => Bound::Attribute(name),
        Argument::Context(Context::Now) => Bound::TransactionTime,
        Argument::Constant(constant) => Bound::Constant(constant),
    });
    Ok(Judged {
        text,
        bound: bound.collect(),
        parameters,
        columns: outputs.iter().map(column).collect(),
        tables: tables(binder),
        guards,
        attributes: binder.attributes.iter().cloned().collect(),
        cacheable: true,
        ..Judged::without_engine(kind, tag)
    })
}

fn session_judged(session: Session) -> Judged {
    let (tag, columns) = match &session {
        Session::Set { value: Some(_), .. } | Session::Modes { .. } => ("SET", Vec::new()),
        Session::Set { value: None, .. } | Session::ResetAll => ("RESET", Vec::new()),
        Session::Show(name) => (
            "SHOW",
            vec![ResultColumn {
                name: (*name).to_owned(),
                sql_type: BaseType::Text,
            }],
        ),
    };
    Judged {
        columns,
        ..Judged::without_engine(Kind::Session(session), tag)
    }
}

fn tables(binder: &Binder<'_>) -> Vec<Arc<str>> {
    binder.tables.iter().cloned().collect()
}

impl Judged {
    fn without_engine(kind: Kind, tag: &'static str) -> Self {
        Self {
            kind,
            tag,
            text: String::new(),
            bound: Vec::new(),
            parameters: Vec::new(),
            columns: Vec::new(),
            tables: Vec::new(),
            guards: Vec::new(),
            attributes: Vec::new(),
            cacheable: false,
        }
    }
}
