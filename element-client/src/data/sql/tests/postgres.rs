//! The corpus against PostgreSQL itself, which `scripts/setup` installs: a private instance
//! in a temporary folder answers the statements as they stand over the twin, and as
//! they were judged over the whole shop.

use std::fmt::Write as _;

use gridmart_fabric::test_server::PostgresServer;

use super::{
    corpus::{LEGITIMATE, compared, lines, settled},
    shop::{self, clerk, clerk_rules, twin, twin_schema, whole},
    sqlite::{Base, Rows},
    *,
};

/// What each statement comes to: rows, or the code of its error.
fn answers(
    server: &PostgresServer,
    database: &str,
    before: &str,
    statements: &[String],
) -> Vec<Result<Rows, String>> {
    let mut script = before.to_owned();
    for statement in statements {
        write!(
            script,
            "\n\\echo <\u{1d}>\n{statement};\n\\echo <\u{1c}> :SQLSTATE\n"
        )
        .unwrap();
    }
    let output = server.script(database, &script);
    let pieces: Vec<&str> = output.split("<\u{1d}>\n").skip(1).collect();
    assert_eq!(pieces.len(), statements.len());
    pieces.into_iter().map(answer).collect()
}

fn answer(piece: &str) -> Result<Rows, String> {
    let (rows, state) = piece.split_once("<\u{1c}> ").expect("a code");
    let state = state.trim();
    if state != "00000" {
        return Err(state.to_owned());
    }
    let rows = rows.strip_suffix('\n').unwrap_or(rows);
    let rows = rows.strip_suffix('\u{1e}').unwrap_or(rows);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    Ok(rows
        .split('\u{1e}')
        .map(|row| row.split('\u{1f}').map(str::to_owned).collect())
        .collect())
}

/// The twin's rows as statements.
fn twin_data(twin: &Base) -> String {
    let everything = Rules::everything(&twin.catalog);
    let mut text = String::new();
    for (name, entry) in twin.catalog.entries() {
        let Entry::Table(_) = entry else { continue };
        let name = shop::quoted(name);
        for row in twin
            .ask(&format!("SELECT * FROM {name}"), &everything, &clerk(), &[])
            .unwrap()
        {
            let values: Vec<String> = row
                .iter()
                .map(|value| {
                    if value == "∅" {
                        "NULL".to_owned()
                    } else {
                        format!("'{}'", value.replace('\'', "''"))
                    }
                })
                .collect();
            writeln!(text, "INSERT INTO {name} VALUES ({});", values.join(", ")).unwrap();
        }
    }
    text
}

const ATTRIBUTE: &str = "
CREATE SCHEMA gridmart;
CREATE FUNCTION gridmart.attribute(name text) RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT NULLIF(current_setting('gridmart.attribute_' || name, true), '') $$;
";
const SETTINGS: &str = "SET gridmart.\"user\" = 'ada'; SET gridmart.attribute_branch = 'north'; SET gridmart.attribute_empty = '';\n";

#[test]
fn statements_are_answered_as_postgresql_answers() {
    let server = PostgresServer::start();
    let (whole, twin) = (whole(), twin());
    let views: String = shop::DATA
        .lines()
        .filter(|line| line.starts_with("CREATE VIEW") && !line.ends_with("--whole"))
        .collect();
    server.script("postgres", "CREATE DATABASE twin; CREATE DATABASE whole;");
    server.script(
        "twin",
        &format!("{}{}{views}{ATTRIBUTE}", twin_schema(), twin_data(&twin)),
    );
    server.script(
        "whole",
        &format!("{}{}{ATTRIBUTE}", shop::SCHEMA, shop::DATA),
    );
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let everything = Rules::everything(&twin.catalog);

    let texts: Vec<String> = lines(LEGITIMATE).map(str::to_owned).collect();
    let plain = answers(&server, "twin", SETTINGS, &texts);
    let mut before = String::new();
    let mut judged = Vec::new();
    for text in &texts {
        let statements = Statements::split(text).unwrap();
        let statement = statements.iter().next().unwrap();
        let of_postgres = judge(statement, &whole.catalog, &rules, &[], Engine::Postgres);
        let (sql, guards) = of_postgres.map_or_else(
            |refusal| (format!("SELECT '{}'", refusal.state), Vec::new()),
            |judged| (judged.text, judged.guards),
        );
        for guard in guards {
            if !before.contains(&guard.name) {
                writeln!(before, "{};", guard.definition).unwrap();
            }
        }
        judged.push(sql);
    }
    before.push_str(SETTINGS);
    let guarded = answers(&server, "whole", &before, &judged);

    let mut wrong = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let ours = compared(text, twin.ask(text, &everything, &clerk(), &[]));
        let theirs = plain[index].clone().map(|rows| settled(text, rows));
        if ours != theirs {
            wrong.push(format!(
                "{text}\n  SQLite: {ours:?}\n  PostgreSQL: {theirs:?}"
            ));
        }
        let judged_there = guarded[index].clone().map(|rows| settled(text, rows));
        // What fails when it is read has no text for PostgreSQL.
        let refused = matches!((&judged_there, &theirs), (Ok(rows), Err(state)) if judged[index] == format!("SELECT '{state}'") && rows.len() == 1);
        if judged_there != theirs && !refused {
            wrong.push(format!(
                "{text}\n  judged: {}\n  came to: {judged_there:?}\n  PostgreSQL: {theirs:?}",
                judged[index]
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} statements:\n{}",
        wrong.len(),
        texts.len(),
        wrong.join("\n")
    );
}
