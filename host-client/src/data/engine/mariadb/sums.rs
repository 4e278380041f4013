//! Rows of a shadow at the server, for sums.

use async_trait::async_trait;
use gridmart_schemas::data::{Row, SqlType, Table, Value};
use mysql_async::prelude::Queryable as _;

use super::{
    failure::{Failure as _, Phase},
    session::Session,
    value,
};
use crate::data::{
    check::{Key, Range, key_values_of},
    engine::{EngineError, Statement, StatementKind, sqlite::schema::quoted, standby::Summed},
};

/// The view that is open in a session.
pub(super) struct MariaSummed<'s>(pub(super) &'s mut Session);

#[async_trait]
impl Summed for MariaSummed<'_> {
    async fn each(
        &mut self,
        table: &Table,
        range: &Range,
        take: &mut (dyn FnMut(Row) -> Result<(), EngineError> + Send),
    ) -> Result<(), EngineError> {
        let (text, params) = value::bound(&statement_of(table, range)?)?;
        let types: Vec<SqlType> = table.columns.iter().map(|column| column.sql_type).collect();
        let conn = self.0.connection()?;
        let rows = conn.exec_iter(text, params).await;
        let mut rows = rows.during(Phase::Statement)?;
        while let Some(row) = rows.next().await.during(Phase::Statement)? {
            take(value::row(row, &types)?)?;
        }
        rows.drop_result().await.during(Phase::Statement)
    }
}

/// The statement for a range, in the order of its key.
fn statement_of(table: &Table, range: &Range) -> Result<Statement, EngineError> {
    let name = |index: &usize| {
        let column = table.columns.get(*index);
        column
            .map(|column| quoted(&column.name))
            .unwrap_or_default()
    };
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let names: Vec<String> = all.iter().map(name).collect();
    let key: Vec<String> = table.key.iter().map(name).collect();
    let (mut terms, mut values): (Vec<String>, Vec<Value>) = (vec!["TRUE".to_owned()], Vec::new());
    let bounds: [(&Option<Key>, &str, &str); 2] =
        [(&range.after, ">", ">"), (&range.through, "<", "<=")];
    for (bound, than, at_last) in bounds {
        if let Some(bound) = bound {
            let bound = key_values_of(table, bound)?;
            terms.push(beyond(&key, &bound, (than, at_last), &mut values));
        }
    }
    let text = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {}",
        names.join(", "),
        quoted(&table.name),
        terms.join(" AND "),
        key.join(", ")
    );
    Ok(Statement::new(StatementKind::Read, text).with(values))
}

/// The condition that a key is beyond another, as the server finds it by the key: rows that
/// are compared whole have it look at all.
fn beyond(
    key: &[String],
    bound: &[Value],
    (than, at_last): (&str, &str),
    values: &mut Vec<Value>,
) -> String {
    let (Some(first), Some(value)) = (key.first(), bound.first()) else {
        return "TRUE".to_owned();
    };
    values.push(value.clone());
    if key.len() == 1 {
        return format!("{first} {at_last} ?");
    }
    values.push(value.clone());
    let rest = beyond(
        &key[1..],
        bound.get(1..).unwrap_or_default(),
        (than, at_last),
        values,
    );
    format!("({first} {than}= ? AND ({first} {than} ? OR {rest}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_columns_are_compared_column_by_column() {
        let key = ["\"a\"".to_owned(), "\"b\"".to_owned()];
        let bound = [Value::Int4(1), Value::Int4(2)];
        let mut values = Vec::new();
        let text = beyond(&key, &bound, ("<", "<="), &mut values);
        assert_eq!(text, "(\"a\" <= ? AND (\"a\" < ? OR \"b\" <= ?))");
        let wanted = [Value::Int4(1), Value::Int4(1), Value::Int4(2)];
        assert_eq!(values, wanted);
    }
}
