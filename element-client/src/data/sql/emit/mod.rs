//! From the bound tree to an engine's text. Nothing of a statement's own text is in
//! it: names are the schema's or ours, constants are written anew.

mod cast;
mod expression;
mod guard;
mod maria;
mod query;
mod schema;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

pub use self::guard::GuardView;
use self::maria::Shapes;
pub(in crate::data::sql) use self::schema::schema_text;
use super::{
    catalog::Catalog,
    limits::EMITTED_MAX,
    refusal::{Judgement, Refusal},
    rules::Guard,
    tree::{Context, Expression, Literal, RelationId, Statement, Write},
    types::{BaseType, Engine},
};

/// How deep SQLite's parser goes, less what stands around expressions.
const EXPRESSION_DEPTH_MAX: usize = 900;

/// A value that goes beside the text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data::sql) enum Argument {
    Parameter(usize),
    Context(Context),
    Constant(Literal),
}

/// What a rule's row is, where a rule's expression is written.
#[derive(Debug, Clone)]
enum Row {
    /// A relation of this name; without a name, columns stand alone.
    Named(String),
    /// The row that comes to be: values by column, and else the row of that name.
    Coming {
        values: BTreeMap<usize, Expression>,
        otherwise: String,
    },
}

/// Writes one statement.
pub(in crate::data::sql) struct Emitter {
    engine: Engine,
    text: String,
    /// Whether rows have to be chosen by their guards before anything is computed.
    barrier: bool,
    arguments: Vec<Argument>,
    guards: BTreeMap<String, GuardView>,
    aliases: HashMap<RelationId, String>,
    /// Written tables: their columns are read through these guards in place.
    masked: HashMap<RelationId, Arc<Guard>>,
    row: Vec<Row>,
    depth: usize,
    too_deep: bool,
    /// What this engine cannot do as PostgreSQL does it: the first of it.
    refused: Option<Refusal>,
    /// How MariaDB keeps the numerics of relations.
    shapes: Shapes,
}

/// A statement in an engine's words.
#[derive(Debug)]
pub(in crate::data::sql) struct Emitted {
    pub(in crate::data::sql) text: String,
    pub(in crate::data::sql) arguments: Vec<Argument>,
    pub(in crate::data::sql) guards: Vec<GuardView>,
}

/// Writes a statement over a schema for an engine.
pub(in crate::data::sql) fn statement(
    statement: &Statement,
    catalog: &Catalog,
    engine: Engine,
) -> Judgement<Emitted> {
    let barrier = match statement {
        Statement::Query(query) => query.tells_early(),
        Statement::Write(write) => write.tells_early(),
    };
    let lengthened = engine == Engine::MariaDb
        && match statement {
            Statement::Query(query) => query.any_early(&maria::lengthens),
            Statement::Write(write) => write.any_early(&maria::lengthens),
        };
    let mut emitter = Emitter::new(engine, barrier || lengthened);
    if engine == Engine::MariaDb {
        emitter.shapes = Shapes::of(catalog);
    }
    match statement {
        Statement::Query(query) => emitter.query(query, false),
        Statement::Write(write) => match write.as_ref() {
            Write::Insert(insert) => emitter.insert(insert),
            Write::Update(update) => emitter.update(update),
            Write::Delete(delete) => emitter.delete(delete),
        },
    }
    emitter.finish()
}

/// Writes a condition over the columns of one table, which stand alone in it.
pub(in crate::data::sql) fn condition(
    condition: &Expression,
    engine: Engine,
) -> Judgement<Emitted> {
    let mut emitter = Emitter::new(engine, false);
    emitter.with_row(Row::Named(String::new()), |emitter| {
        emitter.expression(condition);
    });
    emitter.finish()
}

impl Emitter {
    fn new(engine: Engine, barrier: bool) -> Self {
        Self {
            engine,
            text: String::with_capacity(256),
            barrier,
            arguments: Vec::new(),
            guards: BTreeMap::new(),
            aliases: HashMap::new(),
            masked: HashMap::new(),
            row: Vec::new(),
            depth: 0,
            too_deep: false,
            refused: None,
            shapes: Shapes::default(),
        }
    }

    fn finish(self) -> Judgement<Emitted> {
        if self.is_full() {
            let message = format!(
                "the statement is longer than {EMITTED_MAX} bytes with its rules: shorten it"
            );
            return Err(Refusal::new("54000", message));
        }
        if self.too_deep {
            let message = format!(
                "expressions are more than {EXPRESSION_DEPTH_MAX} deep: split the statement"
            );
            return Err(Refusal::new("54001", message));
        }
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let guards = self.guards.into_values().collect();
        Ok(Emitted {
            text: self.text,
            arguments: self.arguments,
            guards,
        })
    }

    fn is_full(&self) -> bool {
        self.text.len() > EMITTED_MAX
    }

    fn push(&mut self, text: &str) {
        if !self.is_full() {
            self.text.push_str(text);
        }
    }

    /// A name between quotes.
    fn name(&mut self, name: &str) {
        self.push("\"");
        self.push(&name.replace('"', "\"\""));
        self.push("\"");
    }

    fn quoted(&mut self, text: &str) {
        let escaped = self.engine == Engine::Postgres && text.contains('\\');
        self.push(if escaped { " E'" } else { "'" });
        let doubled = text.replace('\'', "''");
        if escaped {
            self.push(&doubled.replace('\\', "\\\\"));
        } else {
            self.push(&doubled);
        }
        self.push("'");
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            write(self, item);
        }
    }

    fn argument(&mut self, argument: Argument) {
        if self.is_maria() {
            // Its parameters have no numbers: each place has a value of its own.
            self.arguments.push(argument);
            return self.push("?");
        }
        let known = self.arguments.iter().position(|known| *known == argument);
        let index = known.unwrap_or_else(|| {
            self.arguments.push(argument);
            self.arguments.len() - 1
        });
        let sign = if self.engine == Engine::Sqlite {
            '?'
        } else {
            '$'
        };
        self.push(&format!("{sign}{}", index + 1));
    }

    fn alias(&self, relation: RelationId) -> String {
        self.aliases
            .get(&relation)
            .cloned()
            .unwrap_or_else(|| format!("t{}", relation.0))
    }

    fn is_sqlite(&self) -> bool {
        self.engine == Engine::Sqlite
    }

    fn is_maria(&self) -> bool {
        self.engine == Engine::MariaDb
    }

    /// Whether the text itself asks the conditions of rules, since the engine has no
    /// views that do it safely.
    fn guards_in_place(&self) -> bool {
        self.engine != Engine::Postgres
    }

    /// Refuses a construct that this engine has not, or answers in another way.
    fn refuse(&mut self, construct: &str) {
        if self.refused.is_none() {
            let construct = format!("{construct} on MariaDB");
            self.refused = Some(Refusal::unsupported(construct));
        }
    }

    /// How numerics are compared on SQLite.
    fn collation(&mut self, sql_type: BaseType) {
        if self.is_sqlite() && sql_type == BaseType::Numeric {
            self.push(" COLLATE gridmart_numeric");
        }
    }

    /// Does something while a rule's row is this.
    fn with_row(&mut self, row: Row, work: impl FnOnce(&mut Self)) {
        self.row.push(row);
        work(self);
        self.row.pop();
    }
}

/// What a query's columns are called in an engine's text.
pub(in crate::data::sql) fn output_name(index: usize) -> Arc<str> {
    format!("c{index}").into()
}
