//! The conditions of partial shadows: of a row's own columns alone, the same for
//! whoever asks, in an engine's words.

use super::{
    bind,
    catalog::{Catalog, Entry},
    emit,
    refusal::Refusal,
    rules::row_of,
    tree::Kind,
    types::{BaseType, Engine},
};

/// Writes the condition on the rows of a table that a partial shadow holds.
///
/// # Errors
/// What of it does not fit the table, or asks for more than the row.
pub fn filter_condition(
    text: &str,
    table: &str,
    catalog: &Catalog,
    engine: Engine,
) -> Result<String, Refusal> {
    if !matches!(catalog.entry(table), Some(Entry::Table(_))) {
        return Err(Refusal::no_table(table));
    }
    let row = row_of(table, catalog)?;
    let bound = bind::rule_expression(text, table, &row, BaseType::Bool, catalog)?;
    let reads_more = bound.any_deep(&|part| {
        matches!(
            part.kind,
            Kind::Context(_) | Kind::InQuery { .. } | Kind::Exists { .. } | Kind::Scalar(_)
        )
    });
    if reads_more {
        let message = "the rows of a shadow are chosen by their own columns: no sub-query, and \
                       nothing of the person who asks";
        return Err(Refusal::new("0A000", message));
    }
    if bound.tells() {
        let message = "a condition may not be able to fail for a row: arithmetic and most casts \
                       of its columns can";
        return Err(Refusal::new("0A000", message));
    }
    let emitted = emit::condition(&bound, engine)?;
    if !emitted.arguments.is_empty() {
        let message = "a constant with a fraction is no part of such a condition: compare with a \
                       numeric";
        return Err(Refusal::new("0A000", message));
    }
    Ok(emitted.text)
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::SqlType;

    use super::{
        super::catalog::{Column, Table},
        *,
    };

    #[test]
    fn a_condition_is_of_the_row_alone() {
        let column = |name: &str, column_type| Column {
            name: name.into(),
            column_type,
            nullable: true,
            default: None,
        };
        let mut catalog = Catalog::new();
        catalog.table_add(Table {
            name: "people".into(),
            columns: vec![
                column("id", SqlType::Int8),
                column("branch", SqlType::Text),
                column("pay", SqlType::Numeric(None)),
                column("weight", SqlType::Float8),
            ],
            primary_key: vec![0],
            unique_keys: Vec::new(),
        });
        let written = |text| filter_condition(text, "people", &catalog, Engine::Sqlite);
        for fitting in [
            "branch = 'Graz'",
            "people.branch IN ('Graz', 'Wien') AND id < 10",
            "pay > 10.5 OR branch IS NULL",
        ] {
            let text = written(fitting).unwrap();
            assert!(!text.contains('?') && text.contains('"'), "{text}");
        }
        for (state, other) in [
            ("42703", "no_column = 1"),
            ("0A000", "branch = current_user"),
            ("0A000", "branch = gridmart.attribute('domain')"),
            ("0A000", "id IN (SELECT id FROM people)"),
            ("0A000", "10 / id > 2"),
            ("0A000", "weight > 0.1::float8"),
            ("42601", "branch ="),
            ("42804", "branch"),
        ] {
            let refusal = written(other).unwrap_err();
            assert_eq!(refusal.state, state, "{other}: {refusal}");
        }
        assert_eq!(
            filter_condition("true", "nothing", &catalog, Engine::Sqlite)
                .unwrap_err()
                .state,
            "42P01"
        );
    }
}
