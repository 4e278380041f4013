//! The result as statements of SQL: a table with a row for each link.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::str::FromStr;

use crate::report::{RankedLink, Report};

/// Rows of one statement: each statement is a transaction.
const ROWS_PER_STATEMENT: usize = 100;
/// Longest name of a table.
const NAME_LENGTH_MAX: usize = 63;

/// A name that SQL takes without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlName(String);

impl FromStr for SqlName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_letter = |character: char| character.is_ascii_lowercase() || character == '_';
        let begins = text.starts_with(is_letter);
        let goes_on = text
            .chars()
            .all(|character| is_letter(character) || character.is_ascii_digit());
        if begins && goes_on && text.len() <= NAME_LENGTH_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "a-z, 0-9 and _, first a letter, at most {NAME_LENGTH_MAX}"
        ))
    }
}

/// The statements, each ended by `;` at the end of a line. Nodes have their label where
/// there is one, else their id.
pub fn statements<S: BuildHasher>(
    report: &Report,
    table: &SqlName,
    labels: &HashMap<i64, String, S>,
) -> String {
    let table = &table.0;
    let mut text = format!(
        "CREATE TABLE {table} (\n  rank integer PRIMARY KEY,\n  topology text NOT NULL,\n  \
         edge integer NOT NULL,\n  source text NOT NULL,\n  target text NOT NULL,\n  \
         cost_km integer NOT NULL,\n  disconnected_pairs bigint NOT NULL,\n  \
         increase_km bigint NOT NULL\n);\n"
    );
    for rows in report.links_by_impact.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<String> = rows
            .iter()
            .map(|link| row(&report.topology, link, labels))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "INSERT INTO {table} VALUES\n{};", rows.join(",\n"));
    }
    text
}

fn row<S: BuildHasher>(
    topology: &str,
    link: &RankedLink,
    labels: &HashMap<i64, String, S>,
) -> String {
    let node = |id: i64| match labels.get(&id) {
        Some(label) => quoted(label),
        None => quoted(&id.to_string()),
    };
    format!(
        "({}, {}, {}, {}, {}, {}, {}, {})",
        link.rank,
        quoted(topology),
        link.edge,
        node(link.source),
        node(link.target),
        link.cost,
        link.disconnected_pairs,
        link.total_increase
    )
}

/// A text in SQL; what no text of a database holds is left out.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_rows_and_labels_stay_text() {
        let link = |rank, source| RankedLink {
            rank,
            edge: rank - 1,
            source,
            target: 7,
            cost: 12,
            disconnected_pairs: 3,
            total_increase: 40,
        };
        let report = Report {
            topology: "O'Net".to_owned(),
            nodes: 2,
            links: 101,
            baseline_total_cost: 1,
            links_by_impact: (1..=101).map(|rank| link(rank, 5)).collect(),
        };
        let labels = HashMap::from([(5, "L'Aquila; \0DROP".to_owned())]);
        let text = statements(&report, &"links".parse().unwrap(), &labels);
        assert_eq!(text.matches("INSERT INTO links VALUES").count(), 2);
        let first = "(1, 'O''Net', 0, 'L''Aquila; DROP', '7', 12, 3, 40),\n";
        assert!(text.contains(first), "{text}");
        assert!(text.ends_with("(101, 'O''Net', 100, 'L''Aquila; DROP', '7', 12, 3, 40);\n"));
        for bad in ["", "1a", "a b", "A", "a;b"] {
            assert!(bad.parse::<SqlName>().is_err(), "{bad}");
        }
    }
}
