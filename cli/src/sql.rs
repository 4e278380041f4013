//! `gridmart sql`: one statement, or those of stdin, one after the other.

use std::io::{self, IsTerminal as _, Read as _};

use comfy_table::{Table, presets};
use gridmart_schemas::{
    data::{Row, Value},
    wire::data::{ReadFrom, ResultColumn},
};
use gridmart_sdk::{Client, Executed, Rows};
use serde_json::json;

use crate::{
    failure::Failure,
    output::{Output, plain},
    remote,
};

/// Rows of which a table for people learns how wide its columns are.
const ROWS_PER_TABLE: usize = 1000;

/// Run SQL statements in a database, each a transaction of its own
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// NAME or ELEMENT/NAME
    #[arg(value_name = "DATABASE")]
    database: String,
    /// The statement; absent: those of stdin, each ended by `;` at the end of a line
    #[arg(value_name = "STATEMENT")]
    statement: Option<String>,
    /// A value for $1, then $2 …; an empty one is an empty text
    #[arg(
        long = "parameter",
        short = 'p',
        value_name = "VALUE",
        requires = "statement"
    )]
    parameters: Vec<String>,
    /// Print rows as comma-separated values, with a line of names first
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Who answers reads: a shadow that is fresh enough or else the core, the core alone, shadows alone
    #[arg(long, value_enum, default_value = "fresh")]
    read: Read,
}

/// Who answers reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Read {
    Fresh,
    Core,
    Shadow,
}

impl From<Read> for ReadFrom {
    fn from(read: Read) -> Self {
        match read {
            Read::Fresh => Self::Fresh,
            Read::Core => Self::Core,
            Read::Shadow => Self::Shadow,
        }
    }
}

/// Runs them; the first that fails is the last.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let statements = match &arguments.statement {
        Some(statement) => vec![statement.clone()],
        None => statements_of_stdin(output)?,
    };
    let parameters: Vec<Value> = arguments
        .parameters
        .iter()
        .map(|text| Value::Text(text.clone()))
        .collect();
    remote::ask(async |client| {
        for statement in &statements {
            run_one(&client, arguments, statement, &parameters, output).await?;
        }
        Ok(())
    })
}

fn statements_of_stdin(output: Output) -> Result<Vec<String>, Failure> {
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        output.note("statements, each ended by `;` at the end of a line; Ctrl-D runs them");
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text)?;
    Ok(split(&text))
}

/// Statements end with a `;` at the end of a line: what is between is the server's to
/// read.
fn split(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        open.push_str(line);
        open.push('\n');
        if line.trim_end().ends_with(';') {
            statements.push(std::mem::take(&mut open));
        }
    }
    statements.push(open);
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

async fn run_one(
    client: &Client,
    arguments: &Arguments,
    statement: &str,
    parameters: &[Value],
    output: Output,
) -> Result<(), Failure> {
    let data = client.data().reading(arguments.read.into());
    let mut rows = data
        .query(&arguments.database, statement, parameters)
        .await?;
    if output.json() {
        return json_rows(&mut rows, output).await;
    }
    let has_rows = !rows.columns().is_empty();
    if arguments.csv {
        if has_rows {
            csv_rows(&mut rows, output).await?;
        }
    } else if has_rows {
        table_rows(&mut rows, output).await?;
    }
    while rows.next().await?.is_some() {}
    if !arguments.csv && !has_rows {
        output.note(&done(&rows.executed()));
    }
    Ok(())
}

fn done(executed: &Executed) -> String {
    match (executed.tag.as_str(), executed.rows_changed) {
        (tag @ ("INSERT" | "UPDATE" | "DELETE"), Some(count)) => format!("{tag} {count}"),
        (tag, _) => tag.to_owned(),
    }
}

/// One JSON document: the whole result, written as it comes.
async fn json_rows(rows: &mut Rows, output: Output) -> Result<(), Failure> {
    let executed = rows.executed();
    let columns: Vec<_> = rows.columns().to_vec();
    let head = json!({
        "tag": executed.tag,
        "rows_changed": executed.rows_changed,
        "position": executed.position,
        "ran_on": executed.ran_on.map(|(host, role)| json!({"host": host, "role": role})),
        "columns": columns.iter().map(|column| json!({
            "name": column.name,
            "type": column.sql_type.to_string(),
        })).collect::<Vec<_>>(),
    });
    let mut text = head.to_string();
    // The rows go in before the end of the document.
    text.pop();
    text.push_str(",\"rows\":[");
    let mut is_first = true;
    while let Some(piece) = rows.next().await? {
        for row in piece {
            text.push_str(if is_first { "\n" } else { ",\n" });
            is_first = false;
            let cells: Vec<_> = row.iter().map(json_cell).collect();
            text.push_str(&serde_json::Value::Array(cells).to_string());
        }
        output.write(text.as_bytes())?;
        text.clear();
    }
    text.push_str("]}\n");
    output.write(text.as_bytes())
}

/// Numbers that JSON holds without loss are numbers; all else is text.
fn json_cell(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int2(number) => json!(number),
        Value::Int4(number) => json!(number),
        Value::Int8(number) => json!(number),
        other => json!(other.shown()),
    }
}

async fn csv_rows(rows: &mut Rows, output: Output) -> Result<(), Failure> {
    let names = rows.columns().iter();
    let names: Vec<_> = names.map(|column| csv_cell(&column.name)).collect();
    let mut text = names.join(",") + "\n";
    while let Some(piece) = rows.next().await? {
        for row in piece {
            let cells: Vec<_> = row
                .iter()
                // NULL is empty, an empty text is not.
                .map(|value| {
                    value
                        .shown()
                        .map_or_else(String::new, |text| csv_cell(&text))
                })
                .collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        output.write(text.as_bytes())?;
        text.clear();
    }
    output.write(text.as_bytes())
}

fn csv_cell(text: &str) -> String {
    let is_plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
    if is_plain {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

async fn table_rows(rows: &mut Rows, output: Output) -> Result<(), Failure> {
    let columns = rows.columns().to_vec();
    let (mut open, mut count, mut is_shown) = (Vec::new(), 0_usize, false);
    while let Some(piece) = rows.next().await? {
        count += piece.len();
        open.extend(piece);
        while open.len() >= ROWS_PER_TABLE {
            let rest = open.split_off(ROWS_PER_TABLE);
            output.write(table(&columns, &open).as_bytes())?;
            (open, is_shown) = (rest, true);
        }
    }
    if !open.is_empty() || !is_shown {
        output.write(table(&columns, &open).as_bytes())?;
    }
    output.note(&format!("{count} rows"));
    Ok(())
}

fn table(columns: &[ResultColumn], rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    table.set_header(columns.iter().map(|column| plain(&column.name)));
    for row in rows {
        let cells = row.iter().map(|value| match value.shown() {
            None => "∅".to_owned(),
            Some(text) => plain(&text).replace('\n', " "),
        });
        table.add_row(cells.collect::<Vec<_>>());
    }
    for index in 0..columns.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::SqlType;

    use super::*;

    #[test]
    fn statements_end_at_the_end_of_a_line() {
        let text = "SELECT ';'\n  AS a;\nSELECT 2;  \n\nSELECT 3";
        assert_eq!(
            split(text),
            ["SELECT ';'\n  AS a;\n", "SELECT 2;  \n", "\nSELECT 3\n"]
        );
        assert!(split(" \n").is_empty());
    }

    #[test]
    fn cells_of_csv_are_quoted_where_they_have_to_be() {
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_cell(""), "\"\"");
    }

    #[test]
    fn a_table_tells_null_from_an_empty_text() {
        let columns = [ResultColumn {
            name: "a".to_owned(),
            sql_type: SqlType::Text,
        }];
        let rows = [vec![Value::Null], vec![Value::Text("x\u{1b}".to_owned())]];
        assert_eq!(table(&columns, &rows), "a\n∅\nx\u{fffd}\n");
    }
}
