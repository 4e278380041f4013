//! From the parser's tree to the bound one: names are resolved against the schema
//! through the rules, types are settled, and what is not known is refused.
//!
//! Invariant: every struct of the parser is taken apart without `..`, and every
//! variant that is not known ends in a refusal, so that nothing comes through
//! because it was overlooked.

mod call;
mod convert;
mod expression;
mod from;
mod group;
mod literal;
mod names;
mod operator;
mod query;
mod schema;
mod scope;
mod select;
mod session;
mod views;
mod window;
mod write;

use std::{collections::BTreeSet, sync::Arc};

use sqlparser::{
    ast::{self, Spanned},
    tokenizer::Span,
};

use self::scope::{Names, Place, Scope};
pub use self::session::{SETTINGS, Session, Transaction, setting_of, shown_setting};
pub(in crate::data) use self::views::view_columns;
pub(in crate::data::sql) use self::{
    schema::SchemaPlan,
    session::{session, transaction},
    write::default_of,
};
use super::{
    catalog::{Catalog, Entry},
    limits::{NODES_MAX, PARAMETERS_MAX, RELATIONS_MAX, STACK_FLAT},
    parse::{StatementText, Statements},
    refusal::{Judgement, Refusal},
    rules::{RowColumn, Rules},
    tree::{ColumnUse, Context, Expression, Kind, Output, Query, RelationId},
    types::BaseType,
};

/// Binds one statement.
pub(in crate::data::sql) struct Binder<'a> {
    catalog: &'a Catalog,
    rules: &'a Rules,
    text: Option<StatementText<'a>>,
    parameters: Vec<Option<BaseType>>,
    /// The number of the next relation.
    next: u32,
    relations: usize,
    nodes: usize,
    views: usize,
    /// Queries of WITH that can be named, the innermost last.
    commons: Vec<CommonName>,
    /// Tables and views that are touched.
    pub(in crate::data::sql) tables: BTreeSet<Arc<str>>,
    /// Attributes of the person that are asked for.
    pub(in crate::data::sql) attributes: BTreeSet<Arc<str>>,
    /// Whether the answer depends on the clock.
    pub(in crate::data::sql) uses_clock: bool,
}

struct CommonName {
    name: String,
    id: RelationId,
    outputs: Vec<Output>,
}

impl<'a> Binder<'a> {
    pub(in crate::data::sql) fn new(
        catalog: &'a Catalog,
        rules: &'a Rules,
        text: Option<StatementText<'a>>,
        declared: &[Option<BaseType>],
    ) -> Self {
        Self {
            catalog,
            rules,
            text,
            parameters: declared
                .iter()
                .map(|declared| declared.filter(|known| *known != BaseType::Unknown))
                .collect(),
            next: 0,
            relations: 0,
            nodes: 0,
            views: 0,
            commons: Vec::new(),
            tables: BTreeSet::new(),
            attributes: BTreeSet::new(),
            uses_clock: false,
        }
    }

    /// The types of `$1`, `$2` …; every one has to be known by now.
    pub(in crate::data::sql) fn parameter_types(&self) -> Judgement<Vec<BaseType>> {
        let known = |(index, known): (usize, &Option<BaseType>)| {
            known.ok_or_else(|| {
                let message = format!(
                    "could not determine data type of parameter ${}: cast it",
                    index + 1
                );
                Refusal::new("42P18", message)
            })
        };
        self.parameters.iter().enumerate().map(known).collect()
    }

    fn parameter(&mut self, index: usize) -> Judgement<&mut Option<BaseType>> {
        if index >= PARAMETERS_MAX {
            return Err(Refusal::too_much("parameters", PARAMETERS_MAX));
        }
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        self.parameters
            .get_mut(index)
            .ok_or_else(|| Refusal::too_much("parameters", PARAMETERS_MAX))
    }

    fn relation_next(&mut self) -> Judgement<RelationId> {
        self.relations += 1;
        if self.relations > RELATIONS_MAX {
            return Err(Refusal::too_much(
                "tables, views and sub-queries",
                RELATIONS_MAX,
            ));
        }
        let id = RelationId(self.next);
        self.next += 1;
        Ok(id)
    }

    fn counted(&mut self) -> Judgement<()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Refusal::too_much("names, values and operators", NODES_MAX));
        }
        Ok(())
    }

    fn context(&mut self, context: Context) -> Expression {
        let sql_type = match &context {
            Context::CurrentUser => BaseType::Text,
            Context::Attribute(name) => {
                self.attributes.insert(name.clone());
                BaseType::Text
            }
            Context::Now => {
                self.uses_clock = true;
                BaseType::TimestampTz
            }
        };
        Expression::new(Kind::Context(context), sql_type)
    }

    /// Where something stands in the text.
    fn place_of(&self, spanned: &impl Spanned) -> Option<usize> {
        self.place_at(spanned.span())
    }

    fn place_at(&self, span: Span) -> Option<usize> {
        self.text.and_then(|text| text.position(span.start))
    }
}

/// A name as PostgreSQL folds it: without quotes in lower case.
fn folded(ident: &ast::Ident) -> Judgement<String> {
    let ast::Ident {
        value,
        quote_style,
        span: _,
    } = ident;
    match quote_style {
        None => Ok(value.to_lowercase()),
        Some('"') => Ok(value.clone()),
        Some(_) => Err(Refusal::syntax("names are quoted with \" only")),
    }
}

/// Names in order, each folded.
fn parts_of(name: &ast::ObjectName) -> Judgement<Vec<String>> {
    let ast::ObjectName(parts) = name;
    parts
        .iter()
        .map(|part| match part {
            ast::ObjectNamePart::Identifier(ident) => folded(ident),
            ast::ObjectNamePart::Function(_) => {
                Err(Refusal::unsupported("a function in the place of a name"))
            }
        })
        .collect()
}

/// The one name of a table; `public` is the only schema.
fn table_name(name: &ast::ObjectName) -> Judgement<String> {
    let mut parts = parts_of(name)?;
    match parts.as_slice() {
        [_] => {}
        [schema, _] if schema == "public" => {}
        _ => return Err(Refusal::no_table(&parts.join("."))),
    }
    let name = parts
        .pop()
        .ok_or_else(|| Refusal::syntax("a table has no name"))?;
    // Nobody has tables of such names; the answer is the same in any case.
    if super::catalog::reserved(&name) {
        return Err(Refusal::no_table(&name));
    }
    Ok(name)
}

/// A text as a constant of a type, as PostgreSQL reads it; one of no type stays text.
///
/// # Errors
/// What PostgreSQL says of a text that is none of that type.
pub fn constant(
    text: &str,
    wanted: super::types::BaseType,
) -> Result<super::tree::Literal, Refusal> {
    literal::read(text, wanted)
}

/// Runs with enough stack for a tree of this depth.
pub(in crate::data::sql) fn with_stack<T>(depth: usize, work: impl FnOnce() -> T) -> T {
    use super::limits::{STACK, STACK_PER_LEVEL};
    let needed = STACK_FLAT + depth * STACK_PER_LEVEL;
    stacker::maybe_grow(needed, STACK.max(needed), work)
}

/// Binds an expression of a rule over a row, whose columns go by their own names and
/// by the table's; what it reads besides is read as the owner reads it.
pub(in crate::data::sql) fn rule_expression(
    text: &str,
    table: &str,
    row: &[RowColumn],
    wanted: BaseType,
    catalog: &Catalog,
) -> Judgement<Expression> {
    let statements = Statements::split(text)?;
    let mut iter = statements.iter();
    let (Some(only), None) = (iter.next(), iter.next()) else {
        return Err(Refusal::syntax("a rule is one expression"));
    };
    let depth = only.depth()?;
    with_stack(depth, || {
        let everything = Rules::everything(catalog);
        let mut binder = Binder::new(catalog, &everything, Some(only), &[]);
        binder.next = RelationId::OF_RULES;
        let columns = row.iter().enumerate().map(|(index, column)| {
            let used = ColumnUse {
                relation: RelationId::ROW,
                index,
                name: column.engine_name.clone(),
                telling: false,
            };
            (
                Arc::from(column.name.as_str()),
                Expression::new(Kind::Column(used), column.sql_type),
            )
        });
        let names = Names::of_relation(&table.into(), RelationId::ROW, columns, None)?;
        let scope = Scope {
            names: &names,
            around: None,
        };
        let value = binder.expression(&only.read_expression()?, Place::plain(&scope, "a rule"))?;
        let bound = binder.implicit(value, wanted)?;
        if !binder.parameters.is_empty() {
            return Err(Refusal::new("42P02", "a rule has no parameters"));
        }
        if binder.uses_clock {
            return Err(Refusal::unsupported("the clock in a rule"));
        }
        Ok(bound)
    })
}

/// The columns of a view, as a rule about it sees them.
pub(in crate::data::sql) fn view_row(name: &str, catalog: &Catalog) -> Judgement<Vec<RowColumn>> {
    let everything = Rules::everything(catalog);
    let mut binder = Binder::new(catalog, &everything, None, &[]);
    let Some(Entry::View(view)) = catalog.entry(name) else {
        return Err(Refusal::no_table(name));
    };
    let query = binder.view_query(view)?;
    let row = |(index, output): (usize, Output)| RowColumn {
        name: output.name,
        sql_type: output.sql_type,
        engine_name: super::emit::output_name(index),
    };
    Ok(query.outputs.into_iter().enumerate().map(row).collect())
}

/// Binds a view's query alone: who makes a view has it checked so.
pub(in crate::data::sql) fn query_alone(
    binder: &mut Binder<'_>,
    query: &ast::Query,
) -> Judgement<Query> {
    binder.query(query, None)
}
