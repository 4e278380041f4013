//! The corpus: statements that are answered, and attacks.
//!
//! A line is one statement. In `attacks.sql` it begins with the code that it is
//! refused with, or with `=` where it is answered as over the filtered tables.

use super::{
    shop::{clerk, clerk_rules, twin, whole},
    sqlite::{Outcome, Rows},
    *,
};

pub(super) const LEGITIMATE: &str = include_str!("../corpus/legitimate.sql");
pub(super) const ATTACKS: &str = include_str!("../corpus/attacks.sql");

/// What only hidden values have in them.
pub(super) const TELLING: &[&str] = &[
    "hunter2",
    "xyzzy",
    "knows",
    "likes 1/0",
    "dora",
    "Dora",
    "poison",
    "5200.50",
];

pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("--"))
}

/// Whether the order of a statement's rows is told.
pub(super) fn is_ordered(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.rfind("order by").is_some_and(|at| {
        lower.rfind(')').is_none_or(|close| close < at)
            || !lower[at..].contains(" over ") && depth_at(&lower, at) == 0
    })
}

fn depth_at(text: &str, at: usize) -> i64 {
    text[..at]
        .chars()
        .map(|c| match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        })
        .sum()
}

/// Rows in an order of their own where the statement gives none.
pub(super) fn settled(text: &str, rows: Rows) -> Rows {
    let mut rows = rows;
    if !is_ordered(text) {
        rows.sort();
    }
    rows
}

/// What two runs have to agree in.
pub(super) fn compared(text: &str, outcome: Outcome) -> Result<Rows, String> {
    outcome
        .map(|rows| settled(text, rows))
        .map_err(|(state, _)| state)
}

#[test]
fn legitimate_statements_are_answered_as_over_filtered_tables() {
    let (whole, twin) = (whole(), twin());
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let everything = Rules::everything(&twin.catalog);
    let mut wrong = Vec::new();
    let mut count = 0;
    for text in lines(LEGITIMATE) {
        count += 1;
        let expected = compared(text, twin.ask(text, &everything, &clerk(), &[]));
        let outcome = whole.ask(text, &rules, &clerk(), &[]);
        let shown = format!("{outcome:?}");
        let got = compared(text, outcome);
        // An error that PostgreSQL gives as well is an answer; a refusal is none.
        let refused = matches!(&got, Err(state) if state.starts_with("42") || state == "0A000" || state.starts_with("XX") || state.starts_with("54"));
        if got != expected || refused {
            wrong.push(format!(
                "{text}\n  through rules: {shown}\n  over the twin: {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} statements:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 200, "{count} statements");
}

#[test]
fn attacks_are_refused_or_see_filtered_tables_only() {
    let (whole, twin) = (whole(), twin());
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let everything = Rules::everything(&twin.catalog);
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines(ATTACKS) {
        count += 1;
        let (expected, text) = line.split_once(' ').expect("code and statement");
        let outcome = match Statements::split(text) {
            Err(refusal) => Err((refusal.state.to_owned(), refusal.message)),
            Ok(statements) if statements.len() != 1 => {
                let mut first = statements
                    .iter()
                    .map(|one| judge(one, &whole.catalog, &rules, &[], Engine::Sqlite));
                let refusal = first.find_map(Result::err);
                Err(refusal.map_or_else(
                    || ("several".to_owned(), String::new()),
                    |refusal| (refusal.state.to_owned(), refusal.message),
                ))
            }
            Ok(_) => whole.ask(text, &rules, &clerk(), &[]),
        };
        let shown = format!("{outcome:?}");
        for word in TELLING {
            if shown.contains(word) && !text.contains(word) {
                wrong.push(format!("{text}\n  tells {word}: {shown}"));
            }
        }
        let got = compared(text, outcome);
        let fine = if expected == "=" {
            let of_twin = compared(text, twin.ask(text, &everything, &clerk(), &[]));
            got == of_twin && !matches!(&got, Err(state) if state.starts_with("XX"))
        } else {
            got == Err(expected.to_owned())
        };
        if !fine {
            wrong.push(format!("{line}\n  came to {shown}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} attacks:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 200, "{count} attacks");
}

#[test]
fn what_is_hidden_and_what_is_missing_are_refused_alike() {
    let whole = whole();
    let rules = Rules::compile(&clerk_rules(Mode::Read), &whole.catalog).unwrap();
    let refusal = |text: &str| whole.judged(text, &rules).unwrap_err();
    let alike = [
        (
            "SELECT * FROM vault",
            "SELECT * FROM vauxx",
            "vault",
            "vauxx",
        ),
        (
            "SELECT notes FROM employees",
            "SELECT notex FROM employees",
            "notes",
            "notex",
        ),
        (
            "SELECT e.notes FROM employees e",
            "SELECT e.notex FROM employees e",
            "notes",
            "notex",
        ),
        (
            "SELECT * FROM prying",
            "SELECT * FROM pryinx",
            "prying",
            "pryinx",
        ),
        (
            "SELECT * FROM sqlite_master",
            "SELECT * FROM sqlite_xaster",
            "sqlite_master",
            "sqlite_xaster",
        ),
        (
            "INSERT INTO vault VALUES (1)",
            "INSERT INTO vauxx VALUES (1)",
            "vault",
            "vauxx",
        ),
    ];
    for (hidden, missing, name, other) in alike {
        let (hidden, missing) = (refusal(hidden), refusal(missing));
        let renamed = Refusal {
            message: missing.message.replace(other, name),
            ..missing
        };
        assert_eq!(hidden, renamed);
    }
}
