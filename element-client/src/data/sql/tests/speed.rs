//! What a judgement costs.

use std::time::Instant;

use super::{
    shop::{clerk_rules, whole},
    *,
};

const STATEMENTS: &[(&str, &str)] = &[
    (
        "a point read",
        "SELECT name, salary FROM employees WHERE id = $1",
    ),
    (
        "a join with groups",
        "SELECT e.id, e.name, count(o.id), sum(o.amount) FROM employees e LEFT JOIN orders o ON o.employee = e.id WHERE e.active GROUP BY e.id, e.name HAVING count(*) > 0 ORDER BY 4 DESC LIMIT 10",
    ),
    (
        "a write",
        "UPDATE employees SET name = $1, hired = $2 WHERE id = $3 RETURNING id, name",
    ),
    (
        "views and sub-queries",
        "SELECT d.name, (SELECT max(amount) FROM orders o WHERE o.status = 'open') FROM deep d WHERE d.name IN (SELECT name FROM staff)",
    ),
];

/// Prints microseconds per statement; run it with `--release` for figures.
#[test]
#[ignore = "prints figures"]
fn judgements_take_microseconds() {
    let base = whole();
    let rules = Rules::compile(&clerk_rules(Mode::Write), &base.catalog).unwrap();
    let everything = Rules::everything(&base.catalog);
    let rounds = 200_u32;
    for (name, text) in STATEMENTS {
        let timed = |rules: &Rules, engine| {
            let begun = Instant::now();
            for _ in 0..rounds {
                let statements = Statements::split(text).unwrap();
                judge(
                    statements.iter().next().unwrap(),
                    &base.catalog,
                    rules,
                    &[],
                    engine,
                )
                .unwrap();
            }
            begun.elapsed().as_micros() / u128::from(rounds)
        };
        let split = {
            let begun = Instant::now();
            for _ in 0..rounds {
                Statements::split(text).unwrap();
            }
            begun.elapsed().as_micros() / u128::from(rounds)
        };
        println!(
            "{name}: {split} µs to cut, {} µs to judge without rules, {} µs with, {} µs for PostgreSQL",
            timed(&everything, Engine::Sqlite),
            timed(&rules, Engine::Sqlite),
            timed(&rules, Engine::Postgres)
        );
    }
}
