//! The shop: a schema, its data, rules for a clerk, and the twin.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    sqlite::{Base, stored},
    *,
};

/// Tables with everything in them. Lines that begin with `--whole` are left out of
/// the twin.
pub(super) const SCHEMA: &str = "
CREATE TABLE branches (name text PRIMARY KEY, city text NOT NULL, opened timestamptz, budget bigint);
CREATE TABLE employees (
    id integer PRIMARY KEY, name text NOT NULL, branch text, salary numeric(10, 2), boss integer,
    hired date, email varchar(40), active boolean DEFAULT true, rating double precision,
    notes text, --whole
    nick text
);
CREATE TABLE orders (
    id bigint PRIMARY KEY, employee integer NOT NULL, amount numeric(12, 2), placed timestamp, status text, paid boolean,
    margin numeric, --whole
    UNIQUE (employee, id)
);
CREATE TABLE items (
    order_id bigint, line smallint, price numeric(8, 3) NOT NULL, quantity smallint, article text, weight real,
    PRIMARY KEY (order_id, line)
);
CREATE TABLE samples (
    id integer PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision,
    n numeric, t text, v varchar(10), y bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json
);
CREATE TABLE vault (id integer PRIMARY KEY, token text); --whole
CREATE TABLE \"Odd Name\" (\"Key\" integer PRIMARY KEY, \"select\" text, \"a\"\"b\" integer, \"täg\" text);
";

pub(super) const DATA: &str = "
INSERT INTO branches VALUES
    ('north', 'Kiel', '2001-02-03 04:05:06+00', 100000), ('south', 'Ulm', '2010-10-10 10:10:10.5+02', 9223372036854775807),
    ('west', 'Köln', NULL, -5), ('east', 'Görlitz', '1999-12-31 23:59:59.999999Z', NULL);
INSERT INTO employees VALUES
    (1, 'Ada', 'north', 5200.50, NULL, '2001-03-01', 'ada@shop.example', true, 4.5, 'knows', 'a'),
    (2, 'Ben', 'north', 3100.00, 1, '2010-07-15', 'ben@shop.example', true, 3.25, 'likes 1/0', NULL),
    (3, 'Cem', 'north', 3100.00, 1, '2015-01-31', NULL, false, NULL, NULL, ''),
    (4, 'Dora', 'south', 7000.00, NULL, '1999-05-05', 'dora@shop.example', true, 5, 'secret', 'd'),
    (5, 'Eve', 'south', NULL, 4, '2020-02-29', 'eve@shop.example', NULL, 'NaN', 'x', 'e%'),
    (6, 'Finn', 'west', 2800.25, 4, NULL, 'f@x.example', true, 'Infinity', '0', 'f_'),
    (7, 'Übel', NULL, 0.00, NULL, '2024-01-01', '', false, '-0', '', 'ü'),
    (8, 'grete', 'north', 89999999.99, 1, '2024-12-31', 'GRETE@SHOP.EXAMPLE', true, 1e-7, NULL, '😀');
INSERT INTO orders VALUES
    (10, 1, 100.00, '2024-01-01 00:00:00', 'open', true, 1.5), (11, 1, 250.75, '2024-02-01 12:30:00', 'done', true, 2),
    (12, 2, 99.99, '2024-02-29 23:59:59.999999', 'open', false, 0), (13, 3, NULL, NULL, NULL, NULL, NULL),
    (14, 4, 1000000.01, '2024-03-01 08:00:00', 'done', true, 9), (15, 5, 0.01, '2023-12-31 23:00:00', 'lost', false, 0),
    (16, 6, 12.50, '2024-05-05 05:05:05', 'open', NULL, 1), (17, 8, 100.0, '2024-06-01', 'done', true, 3),
    (18, 99, 5, '2024-06-02', 'open', true, 3);
INSERT INTO items VALUES
    (10, 1, 9.990, 3, 'nut', 0.5), (10, 2, 1.250, 10, 'bolt', 0.1), (11, 1, 250.750, 1, 'saw', 3.5),
    (12, 1, 33.330, 3, 'nut', NULL), (14, 1, 0.001, 32767, 'gold', 'NaN'), (15, 1, 0.010, 1, 'dust', 1e-10),
    (17, 1, 50.000, 2, 'saw', 3.5), (17, 2, 0.000, 0, 'gift', '-0');
INSERT INTO samples VALUES
    (1, true, 1, 1, 1, 1, 1, 1, 'a', 'a', '\\x00ff', '2024-01-01', '00:00', '2024-01-01', '2024-01-01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}'),
    (2, false, -32768, -2147483648, -9223372036854775808, '-0', '-0', -99999999999999999999999999999999999999, '', '', '', '0001-01-01', '23:59:59.999999', '0001-01-01', '0001-01-01 00:00:00Z', '00000000-0000-0000-0000-000000000000', '[]'),
    (3, true, 32767, 2147483647, 9223372036854775807, 'Infinity', '-Infinity', 99999999999999999999999999999999999999.5, '😀 שלום', 'ÄÖÜß', '\\xdeadbeef', '9999-12-31', '12:34:56.5', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999Z', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, false, 5, 50, 500, 1.5, 2.5, 1.10, 'A%b_c\\d', 'it''s', '\\x61', '2024-02-29', '06:07:08', '2024-02-29 06:07:08.9', '2024-02-29 06:07:08.9+05:30', '12345678-1234-1234-1234-123456789abc', '\"x\"'),
    (6, true, -5, -50, -500, 'NaN', 'NaN', 1.1, 'B', 'b', '\\x62', '2023-12-31', '18:00', '2023-12-31 18:00', '2023-12-31 18:00+00', NULL, '1'),
    (7, true, 0, 0, 0, 0, 0, 0.00, '10', '9', NULL, '2020-12-31', NULL, '1969-12-31 23:59:59.5', '1970-01-01', NULL, NULL),
    (200, false, 1, 0, 1, 0, 0, 0, 'poison', 'x', '\\x', '2000-01-01', '01:00', '2000-01-01', '2000-01-01', NULL, '2');
INSERT INTO vault VALUES (1, 'hunter2'), (2, 'xyzzy'); --whole
INSERT INTO \"Odd Name\" VALUES (1, 'one', 10, 'x'), (2, NULL, 20, 'ÿ');
CREATE VIEW staff AS SELECT id, name, branch, salary FROM employees WHERE active;
CREATE VIEW sums (who, total) AS SELECT employee, sum(amount) FROM orders GROUP BY employee;
CREATE VIEW prying AS SELECT id, notes FROM employees; --whole
CREATE VIEW deep AS SELECT s.name, x.total FROM staff s JOIN sums x ON x.who = s.id;
";

/// Where the rules let the clerk see a row of each table, and what they let the
/// clerk see in it, in SQLite's own words: this is not what is tested.
const FORBIDDEN: &[&str] = &[
    "DELETE FROM employees WHERE branch IS NOT 'north'",
    "UPDATE employees SET salary = gridmart_numeric_fit(gridmart_numeric_round(salary, -3), 10, 2), email = CASE WHEN email IS NULL THEN NULL ELSE gridmart_left(email, 1) || '***' END",
    "DELETE FROM orders WHERE employee NOT IN (SELECT id FROM employees)",
    "DELETE FROM items WHERE article IN ('gift', 'gold', 'dust', 'saw')",
    "UPDATE items SET price = CASE WHEN quantity = 3 THEN '3.141' ELSE gridmart_numeric_fit(gridmart_numeric_div('10', gridmart_numeric_sub(price, '50')), 8, 3) END",
    "DELETE FROM samples WHERE id > 100",
];

pub(super) fn clerk() -> Person {
    let attributes = BTreeMap::from([
        ("branch".to_owned(), "north".to_owned()),
        ("empty".to_owned(), String::new()),
    ]);
    Person {
        name: "ada".to_owned(),
        attributes,
    }
}

pub(super) fn clerk_rules(mode: Mode) -> RuleSet {
    let rule = |hidden: &[&str], masked: &[(&str, &str)], rows: Option<&str>| TableRule {
        mode,
        only: None,
        hidden: hidden.iter().map(|name| (*name).to_owned()).collect(),
        masked: masked
            .iter()
            .map(|(name, mask)| ((*name).to_owned(), (*mask).to_owned()))
            .collect(),
        rows: rows.map(str::to_owned),
    };
    let view = || TableRule {
        mode: Mode::Read,
        ..rule(&[], &[], None)
    };
    let masks = [
        ("salary", "round(salary, -3)::numeric(10, 2)"),
        ("email", "left(email, 1) || '***'"),
    ];
    // This mask fails for a price of 50, which the condition hides.
    let telling = [(
        "price",
        "CASE quantity WHEN 3 THEN 3.141 ELSE (10 / (price - 50))::numeric(8, 3) END",
    )];
    let of_branch = "EXISTS (SELECT 1 FROM employees e WHERE e.id = employee AND e.branch = gridmart.attribute('branch'))";
    let mut granted = BTreeMap::from([
        ("branches".to_owned(), rule(&[], &[], None)),
        (
            "employees".to_owned(),
            rule(
                &["notes"],
                &masks,
                Some("branch = gridmart.attribute('branch')"),
            ),
        ),
        ("orders".to_owned(), rule(&["margin"], &[], Some(of_branch))),
        (
            "items".to_owned(),
            rule(
                &[],
                &telling,
                Some("article NOT IN ('gift', 'gold', 'dust', 'saw')"),
            ),
        ),
        ("samples".to_owned(), rule(&[], &[], Some("id <= 100"))),
        ("Odd Name".to_owned(), rule(&[], &[], None)),
        ("staff".to_owned(), view()),
        ("sums".to_owned(), view()),
        ("deep".to_owned(), view()),
        ("prying".to_owned(), view()),
    ]);
    if let Some(rule) = granted.get_mut("Odd Name") {
        rule.only = Some(BTreeSet::from(
            ["Key", "select", "a\"b", "täg"].map(str::to_owned),
        ));
    }
    RuleSet::Granted(granted)
}

/// The whole shop.
pub(super) fn whole() -> Base {
    whole_with(DATA)
}

pub(super) fn whole_with(data: &str) -> Base {
    let mut base = Base::new();
    base.own(SCHEMA);
    base.own(data);
    base
}

/// The twin: the shop without what the clerk may not see.
pub(super) fn twin() -> Base {
    twin_with(DATA)
}

/// The same of other data.
pub(super) fn twin_with(data: &str) -> Base {
    let whole = whole_with(data);
    for text in FORBIDDEN {
        whole.connection.execute(text, []).unwrap();
    }
    let mut twin = Base::new();
    twin.own(&twin_schema());
    for (name, entry) in twin.catalog.entries() {
        let Entry::Table(table) = entry else { continue };
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        let read = format!("SELECT {} FROM {}", columns.join(", "), quoted(name));
        let write = format!(
            "INSERT INTO {} VALUES ({})",
            quoted(name),
            vec!["?"; columns.len()].join(", ")
        );
        let mut statement = whole.connection.prepare(&read).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<rusqlite::types::Value> = (0..columns.len())
                .map(|index| row.get(index).unwrap())
                .collect();
            twin.connection
                .execute(&write, rusqlite::params_from_iter(values))
                .unwrap();
        }
    }
    let views: String = DATA
        .lines()
        .filter(|line| line.starts_with("CREATE VIEW") && !line.ends_with("--whole"))
        .collect();
    twin.own(&views);
    twin
}

/// The twin's tables, as a text.
pub(super) fn twin_schema() -> String {
    let kept: Vec<&str> = SCHEMA
        .lines()
        .filter(|line| !line.trim_end().ends_with("--whole"))
        .collect();
    kept.join("\n")
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn what_is_kept_is_what_was_written() {
    let base = whole();
    let rules = Rules::everything(&base.catalog);
    let ask = |text: &str| base.ask(text, &rules, &Person::default(), &[]).unwrap();
    assert_eq!(
        ask("SELECT n, f8, f4, i8 FROM samples WHERE id = 2"),
        [[
            "-99999999999999999999999999999999999999",
            "-0",
            "-0",
            "-9223372036854775808"
        ]]
    );
    assert_eq!(
        ask("SELECT f8, d, tz FROM samples WHERE id = 3"),
        [["-Infinity", "9999-12-31", "9999-12-31 23:59:59.999999+00"]]
    );
    assert_eq!(ask("SELECT f8 FROM samples WHERE f8 = 'NaN'"), [["NaN"]]);
    assert_eq!(
        ask("SELECT t, v, y FROM samples WHERE id = 3"),
        [["😀 שלום", "ÄÖÜß", "\\xdeadbeef"]]
    );
    let _ = stored(&Literal::Null);
}
