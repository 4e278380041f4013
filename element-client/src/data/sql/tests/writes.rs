//! Writers: what they change is what they see, and stays what they see.

use super::{
    shop::{clerk, clerk_rules, twin, whole},
    sqlite::{Base, Rows},
    *,
};

/// Statements that do the same to the shop through rules as to the twin.
pub(super) const ALIKE: &[&str] = &[
    "UPDATE employees SET name = 'Zed'",
    "UPDATE employees SET active = NOT active WHERE id > 1 RETURNING id, active",
    "UPDATE employees SET name = name || '!' WHERE branch = 'south'",
    "UPDATE employees SET nick = email RETURNING id, nick, email",
    "UPDATE employees SET nick = salary::text WHERE salary > 4000 RETURNING *",
    "UPDATE employees e SET boss = e.id + 1, hired = '2024-01-01' WHERE e.email LIKE 'a***' RETURNING e.id, boss",
    "UPDATE employees SET rating = id / 2.0 WHERE id IN (SELECT employee FROM orders WHERE amount > 100) RETURNING id, rating",
    "UPDATE employees SET nick = 'x' WHERE 10 / (id - 4) <> 0",
    "UPDATE employees SET boss = 10 / (id - 4)",
    "UPDATE employees SET nick = DEFAULT, active = DEFAULT RETURNING id, nick, active",
    "UPDATE orders SET status = 'seen' WHERE paid RETURNING id, status",
    "UPDATE orders SET amount = amount * 2 RETURNING id, amount",
    "UPDATE items SET weight = quantity + 1 WHERE article = 'nut' RETURNING order_id, line, weight, price",
    "UPDATE samples SET t = t || 'x', n = n + 0.5 WHERE id < 3 RETURNING t, n",
    "DELETE FROM employees WHERE id = 4",
    "DELETE FROM employees WHERE 1 / (id - 4) < 5 RETURNING id",
    "DELETE FROM employees RETURNING id, name, email",
    "DELETE FROM orders WHERE status = 'open' RETURNING id",
    "DELETE FROM items WHERE article = 'gold'",
    "DELETE FROM samples",
    "INSERT INTO employees (id, name, branch) VALUES (50, 'New', 'north')",
    "INSERT INTO employees (id, name, branch, hired) VALUES (50, 'New', 'north', '2024-02-03'), (51, 'Old', 'north', NULL) RETURNING id, name, hired, active, email",
    "INSERT INTO employees (id, name, branch) SELECT id + 100, upper(name), branch FROM employees RETURNING id, name",
    "INSERT INTO employees (id, name, branch) VALUES (1, 'Twice', 'north')",
    "INSERT INTO employees (id, name, branch) VALUES (1, 'Twice', 'north') ON CONFLICT DO NOTHING RETURNING id",
    "INSERT INTO employees (id, name, branch) VALUES (1, 'Twice', 'north'), (60, 'Once', 'north') ON CONFLICT (id) DO NOTHING",
    "INSERT INTO employees AS e (id, name, branch) VALUES (1, 'Twice', 'north') ON CONFLICT (id) DO UPDATE SET name = excluded.name || e.name RETURNING id, name",
    "INSERT INTO employees (id, name, branch) VALUES (2, 'x', 'north') ON CONFLICT (id) DO UPDATE SET nick = 'c' WHERE employees.id = 1 RETURNING id",
    "INSERT INTO branches VALUES ('new', 'Bonn', '2024-01-01', 5) RETURNING *",
    "INSERT INTO branches (name, city) VALUES ('new', NULL)",
    "INSERT INTO branches VALUES ('north', 'Bonn')",
    "INSERT INTO orders (id, employee, amount) VALUES (100, 1, 12.345), (101, 2, '7') RETURNING id, amount",
    "INSERT INTO samples (id, i2, n, v, f8, j) VALUES (90, 7, '1.20', 'short', 'NaN', '{}') RETURNING i2, n, v, f8, j",
    "INSERT INTO samples (id, v) VALUES (90, 'far too long for it')",
    "INSERT INTO samples (id, i2) VALUES (90, 40000)",
    "INSERT INTO samples (id, i4, n) VALUES (90, 2.5, 7), (91, 3.5, 8) RETURNING i4, n",
    "INSERT INTO samples (id, t) VALUES (90, 5), (91, 'x') RETURNING t",
    "INSERT INTO items (order_id, line, article) VALUES (1, 1, 'x')",
];

/// Statements that are refused, or fail, and change nothing.
pub(super) const REFUSED: &[(&str, &str)] = &[
    (
        "44000",
        "UPDATE employees SET branch = 'south' WHERE id = 1",
    ),
    ("44000", "UPDATE employees SET branch = NULL"),
    ("44000", "UPDATE employees SET name = 'x', branch = name"),
    ("44000", "UPDATE orders SET employee = 4 WHERE id = 10"),
    ("44000", "UPDATE samples SET id = id + 1000"),
    (
        "44000",
        "UPDATE items SET article = 'gold' WHERE order_id = 10",
    ),
    (
        "44000",
        "INSERT INTO employees (id, name, branch) VALUES (50, 'x', 'south')",
    ),
    ("44000", "INSERT INTO employees (id, name) VALUES (50, 'x')"),
    (
        "44000",
        "INSERT INTO employees (id, name, branch) VALUES (50, 'x', 'north'), (51, 'y', NULL)",
    ),
    (
        "44000",
        "INSERT INTO employees (id, name, branch) VALUES (4, 'Dora?', 'north') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    ),
    (
        "44000",
        "INSERT INTO employees (id, name, branch) VALUES (4, 'Dora?', 'north') ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE 1 / (length(employees.name) - 4) = 0",
    ),
    (
        "44000",
        "INSERT INTO employees (id, name, branch) VALUES (1, 'x', 'north') ON CONFLICT (id) DO UPDATE SET branch = 'south'",
    ),
    ("44000", "INSERT INTO samples (id) VALUES (1000)"),
    ("44000", "INSERT INTO orders (id, employee) VALUES (500, 4)"),
    ("42703", "UPDATE employees SET notes = 'x'"),
    ("42703", "UPDATE employees SET name = notes"),
    (
        "42703",
        "UPDATE employees SET name = 'x' WHERE notes = 'knows'",
    ),
    ("42703", "UPDATE employees SET name = 'x' RETURNING notes"),
    ("42703", "DELETE FROM employees WHERE notes LIKE '%'"),
    ("42703", "DELETE FROM employees RETURNING notes"),
    (
        "42703",
        "INSERT INTO employees (id, name, branch, notes) VALUES (50, 'x', 'north', 'n')",
    ),
    (
        "42703",
        "INSERT INTO employees (id, name, branch) VALUES (1, 'x', 'north') ON CONFLICT (id) DO UPDATE SET name = excluded.notes",
    ),
    (
        "42703",
        "INSERT INTO employees (id, name, branch) VALUES (1, 'x', 'north') ON CONFLICT (notes) DO NOTHING",
    ),
    (
        "42703",
        "INSERT INTO employees (id, name, branch) VALUES (50, 'x', 'north') RETURNING notes",
    ),
    ("42501", "UPDATE employees SET salary = 1"),
    ("42501", "UPDATE employees SET email = 'x'"),
    (
        "42501",
        "INSERT INTO employees (id, name, branch, salary) VALUES (50, 'x', 'north', 1)",
    ),
    ("42501", "INSERT INTO employees VALUES (50, 'x', 'north')"),
    (
        "42501",
        "INSERT INTO employees (id, name, branch) VALUES (1, 'x', 'north') ON CONFLICT (id) DO UPDATE SET salary = 0",
    ),
    ("42P01", "UPDATE vault SET token = ''"),
    (
        "42P01",
        "INSERT INTO branches SELECT token, token FROM vault",
    ),
    (
        "42P01",
        "UPDATE employees SET name = (SELECT token FROM vault)",
    ),
    (
        "42P01",
        "DELETE FROM employees WHERE EXISTS (SELECT 1 FROM vault)",
    ),
    ("42501", "DELETE FROM staff"),
    ("42501", "UPDATE prying SET id = 1"),
    (
        "0A000",
        "UPDATE employees SET name = b.city FROM branches b",
    ),
    ("0A000", "DELETE FROM employees USING vault"),
    (
        "0A000",
        "UPDATE employees SET name = 'x' RETURNING (SELECT 1)",
    ),
    ("0A000", "INSERT INTO employees DEFAULT VALUES"),
    ("0A000", "UPDATE employees SET (name, nick) = ('a', 'b')"),
    (
        "0A000",
        "INSERT INTO employees (id, name, branch) VALUES (1, 'x', 'north') ON CONFLICT ON CONSTRAINT employees_pkey DO NOTHING",
    ),
    (
        "42P10",
        "INSERT INTO employees (id, name, branch) VALUES (1, 'x', 'north') ON CONFLICT (name) DO NOTHING",
    ),
    ("42701", "INSERT INTO employees (id, id) VALUES (1, 2)"),
    ("42601", "UPDATE employees SET name = 'x', name = 'y'"),
    ("42601", "INSERT INTO employees (id) VALUES (1, 2)"),
    ("42804", "INSERT INTO samples (id, i4) VALUES (90, true)"),
    ("42804", "UPDATE employees SET hired = 5"),
    ("22P02", "UPDATE employees SET boss = 'x'"),
    ("42803", "UPDATE employees SET name = max(name)"),
];

fn contents(base: &Base, rules: &Rules) -> Vec<Rows> {
    let tables = ["branches", "employees", "orders", "items", "samples"];
    let read = |table: &&str| {
        let mut rows = base
            .ask(&format!("SELECT * FROM {table}"), rules, &clerk(), &[])
            .unwrap();
        rows.sort();
        rows
    };
    tables.iter().map(read).collect()
}

/// What the clerk does not see, as an owner sees it.
fn hidden(base: &Base) -> Vec<Rows> {
    let everything = Rules::everything(&base.catalog);
    [
        "SELECT * FROM employees WHERE branch IS DISTINCT FROM 'north'",
        "SELECT * FROM orders WHERE employee IN (4, 5, 6, 7, 99)",
        "SELECT * FROM items WHERE article IN ('gift', 'gold', 'dust', 'saw')",
        "SELECT * FROM samples WHERE id > 100",
        "SELECT * FROM vault",
    ]
    .iter()
    .map(|text| base.ask(text, &everything, &clerk(), &[]).unwrap())
    .collect()
}

#[test]
fn writers_change_what_they_see_and_nothing_else() {
    let mut wrong = Vec::new();
    for text in ALIKE {
        let (whole, twin) = (whole(), twin());
        let rules = Rules::compile(&clerk_rules(Mode::Write), &whole.catalog).unwrap();
        let everything = Rules::everything(&twin.catalog);
        let before = hidden(&whole);
        let got = whole.ask(text, &rules, &clerk(), &[]);
        let expected = twin.ask(text, &everything, &clerk(), &[]);
        let state =
            |outcome: &Result<Rows, (String, String)>| outcome.clone().map_err(|(state, _)| state);
        // Rules over other tables change what is shown there: only the table itself is compared.
        let same = state(&got) == state(&expected) && text.contains("employees")
            || contents(&whole, &rules) == contents(&twin, &everything);
        if state(&got) != state(&expected) || !same || before != hidden(&whole) {
            wrong.push(format!(
                "{text}\n  through rules: {got:?}\n  over the twin: {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_writers_may_not_do_is_refused_and_changes_nothing() {
    let whole = whole();
    let rules = Rules::compile(&clerk_rules(Mode::Write), &whole.catalog).unwrap();
    let everything = Rules::everything(&whole.catalog);
    let all = || contents(&whole, &everything);
    let before = all();
    let mut wrong = Vec::new();
    for (state, text) in REFUSED {
        let outcome = whole.ask(text, &rules, &clerk(), &[]);
        if !matches!(&outcome, Err((got, _)) if got == state) || all() != before {
            wrong.push(format!("{state} {text}\n  came to {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_schema_is_changed_by_owners() {
    let mut base = whole();
    base.own("
        CREATE TABLE notes (id int, part int, body text NOT NULL, grade numeric(4, 1) DEFAULT 1.5, seen timestamptz,
            PRIMARY KEY (id, part), UNIQUE (body), CHECK (grade >= 0 AND length(body) < 10),
            FOREIGN KEY (id) REFERENCES employees (id) ON DELETE CASCADE);
        CREATE INDEX notes_seen ON notes (seen DESC, body);
        CREATE UNIQUE INDEX notes_grade ON notes (grade, part);
        CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY);
        ALTER TABLE notes ADD COLUMN extra real DEFAULT 0.1;
        INSERT INTO notes (id, part, body) VALUES (1, 1, 'a');
        ALTER TABLE notes RENAME COLUMN extra TO more;
        ALTER TABLE notes DROP COLUMN seen_;
    ".replace("ALTER TABLE notes DROP COLUMN seen_;", "").as_str());
    let everything = Rules::everything(&base.catalog);
    let ask = |text: &str| {
        base.ask(text, &everything, &Person::default(), &[])
            .map_err(|(state, _)| state)
    };
    assert_eq!(
        ask("SELECT id, grade, more FROM notes"),
        Ok(vec![vec!["1".into(), "1.5".into(), "0.1".into()]])
    );
    assert_eq!(
        ask("INSERT INTO notes (id, part, body) VALUES (1, 2, 'a')"),
        Err("23505".into())
    );
    assert_eq!(
        ask("INSERT INTO notes (id, part, body, grade) VALUES (1, 1, 'b', 1.50)"),
        Err("23505".into())
    );
    assert_eq!(
        ask("INSERT INTO notes (id, part, body, grade) VALUES (1, 3, 'b', -1)"),
        Err("23514".into())
    );
    assert_eq!(
        ask("INSERT INTO notes (id, part, body) VALUES (77, 3, 'b')"),
        Err("23503".into())
    );
    assert_eq!(
        ask("INSERT INTO notes (id, part, body) VALUES (1, 3, NULL)"),
        Err("23502".into())
    );
    for (state, text) in [
        ("42P16", "CREATE TABLE x (id int)"),
        ("42P07", "CREATE TABLE notes (id int PRIMARY KEY)"),
        ("42939", "CREATE TABLE gridmart_x (id int PRIMARY KEY)"),
        ("42939", "CREATE TABLE pg_x (id int PRIMARY KEY)"),
        ("42701", "CREATE TABLE x (id int PRIMARY KEY, id int)"),
        ("0A000", "CREATE TABLE x AS SELECT 1"),
        ("0A000", "CREATE TABLE x (id serial PRIMARY KEY)"),
        ("0A000", "CREATE TEMP TABLE x (id int PRIMARY KEY)"),
        (
            "0A000",
            "CREATE TABLE x (id int PRIMARY KEY, d timestamptz DEFAULT now())",
        ),
        ("0A000", "CREATE INDEX x ON notes (lower(body))"),
        ("0A000", "ALTER TABLE notes DROP COLUMN part"),
        ("42703", "ALTER TABLE notes DROP COLUMN nothing"),
        ("0A000", "DROP TABLE notes CASCADE"),
        ("42P01", "DROP TABLE nothing"),
        ("42809", "DROP TABLE staff"),
        ("42P01", "CREATE VIEW x AS SELECT * FROM nothing"),
        ("42P02", "CREATE VIEW x AS SELECT $1::int"),
        ("42701", "CREATE VIEW x AS SELECT 1 AS a, 2 AS a"),
    ] {
        assert_eq!(
            base.judged(text, &everything).unwrap_err().state,
            state,
            "{text}"
        );
    }
    base.own(
        "ALTER TABLE notes DROP COLUMN seen_x"
            .replace("seen_x", "more")
            .as_str(),
    );
    base.own("DROP INDEX notes_seen; DROP VIEW IF EXISTS nothing; DROP VIEW deep; CREATE OR REPLACE VIEW staff AS SELECT id, name, branch, salary, email FROM employees; DROP VIEW staff; ALTER TABLE notes RENAME TO remarks; DROP TABLE remarks");
    assert!(base.catalog.table("notes").is_none() && base.catalog.table("remarks").is_none());
}

#[test]
fn a_view_stays_what_it_is() {
    let mut base = whole();
    let everything = Rules::everything(&base.catalog);
    for (state, text) in [
        ("42P07", "CREATE VIEW staff AS SELECT 1 AS a"),
        (
            "42P16",
            "CREATE OR REPLACE VIEW staff AS SELECT id FROM employees",
        ),
        (
            "42P16",
            "CREATE OR REPLACE VIEW staff AS SELECT id, name, branch, id AS salary FROM employees",
        ),
        ("2BP01", "DROP VIEW staff"),
        ("2BP01", "DROP TABLE orders"),
        ("0A000", "ALTER TABLE employees RENAME COLUMN salary TO pay"),
        ("0A000", "ALTER TABLE employees RENAME TO workers"),
        ("0A000", "INSERT INTO staff (id) VALUES (77)"),
    ] {
        let refusal = base.judged(text, &everything).unwrap_err();
        assert_eq!(refusal.state, state, "{text}");
    }
    base.own("DROP VIEW deep; ALTER TABLE employees ADD COLUMN shoes text");
    assert!(base.catalog.entry("deep").is_none());
}

#[test]
fn rules_that_do_not_fit_are_refused_when_they_are_compiled() {
    let whole = whole();
    let rule = |column: &str, mask: &str, rows: Option<&str>| {
        let mut rule = TableRule {
            rows: rows.map(str::to_owned),
            ..TableRule::default()
        };
        if !column.is_empty() {
            rule.masked.insert(column.to_owned(), mask.to_owned());
        }
        RuleSet::Granted([("employees".to_owned(), rule)].into())
    };
    for (column, mask, rows, state) in [
        ("nothing", "1", None, "42703"),
        ("salary", "'text' || name", None, "42804"),
        ("salary", "nothing", None, "42703"),
        ("salary", "max(salary)", None, "42803"),
        ("salary", "$1", None, "42P02"),
        ("salary", "1; DROP TABLE vault", None, "42601"),
        ("", "", Some("1 / id > 0"), "0A000"),
        ("", "", Some("name::int = 1"), "0A000"),
        ("", "", Some("gridmart.attribute('n')::int = id"), "0A000"),
        ("", "", Some("name"), "42804"),
        ("", "", Some("hired < current_date"), "0A000"),
    ] {
        let error = Rules::compile(&rule(column, mask, rows), &whole.catalog).unwrap_err();
        assert_eq!(
            error.refusal.state, state,
            "{column} {mask} {rows:?}: {error}"
        );
    }
    let unknown = RuleSet::Granted([("nothing".to_owned(), TableRule::default())].into());
    assert_eq!(
        Rules::compile(&unknown, &whole.catalog)
            .unwrap_err()
            .refusal
            .state,
        "42P01"
    );
    let old = Rules::everything(&Catalog::new());
    assert_eq!(whole.judged("SELECT 1", &old).unwrap_err().state, "XX000");
    let seen = TableRule {
        mode: Mode::See,
        ..TableRule::default()
    };
    let rules = Rules::compile(
        &RuleSet::Granted([("vault".to_owned(), seen)].into()),
        &whole.catalog,
    )
    .unwrap();
    assert_eq!(
        whole
            .judged("SELECT * FROM vault", &rules)
            .unwrap_err()
            .state,
        "42501"
    );
    assert_eq!(rules.listed("vault", 2), Some((Mode::See, vec![0, 1])));
    assert_eq!(rules.listed("employees", 2), None);
}
