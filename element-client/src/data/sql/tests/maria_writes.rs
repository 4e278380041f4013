//! What writers change on MariaDB: what they see, and it stays what they see.

use super::{
    maria::{OnMaria, both, finite},
    shop::{self, clerk, clerk_rules},
    sqlite::Rows,
    writes::{ALIKE, REFUSED},
    *,
};

/// Of the statements that write: they grow fewer, never more.
const REFUSED_MAX: usize = 15;

const TABLES: [&str; 4] = ["branches", "employees", "orders", "samples"];

fn readers(whole: &OnMaria, rules: &Rules) -> Vec<Judged> {
    let texts = TABLES.iter().map(|table| format!("SELECT * FROM {table}"));
    texts
        .map(|text| whole.judged(&text, rules).unwrap())
        .collect()
}

fn settled(outcome: &Result<Rows, (String, String)>) -> Result<Rows, String> {
    let mut rows = outcome.clone().map_err(|(state, _)| state)?;
    rows.sort();
    Ok(rows)
}

#[test]
fn writers_on_mariadb_change_what_they_see_and_nothing_else() {
    let (whole, _) = both();
    let rules = Rules::compile(&clerk_rules(Mode::Write), &whole.catalog).unwrap();
    let owner = Rules::everything(&whole.catalog);
    let (seen, all) = (readers(&whole, &rules), readers(&whole, &owner));
    let (mut wrong, mut refused) = (Vec::new(), Vec::new());
    for text in ALIKE {
        let twin = shop::twin_with(&finite(shop::DATA));
        let everything = Rules::everything(&twin.catalog);
        let expected = twin.ask(text, &everything, &clerk(), &[]);
        let judged = match whole.judged(text, &rules) {
            Ok(judged) => judged,
            Err(refusal) if refusal.state == "0A000" => {
                refused.push(format!("{text}\n  {refusal}"));
                continue;
            }
            Err(refusal) => {
                wrong.push(format!("{text}\n  {refusal}"));
                continue;
            }
        };
        let mut statements = vec![&judged];
        statements.extend(&seen);
        let outcomes = whole.undone(&statements, &clerk());
        let same = settled(&outcomes[0]) == settled(&expected);
        let contents = TABLES.iter().zip(&outcomes[1..]).all(|(table, outcome)| {
            // Rules over other tables change what is shown there.
            let read = format!("SELECT * FROM {table}");
            let twins = twin.ask(&read, &everything, &clerk(), &[]);
            settled(outcome) == settled(&twins)
                || (*table == "orders" && text.contains("employees"))
        });
        if !same || !contents {
            wrong.push(format!(
                "{text}\n  {}\n  through rules: {:?}\n  over the twin: {expected:?}",
                judged.text, outcomes[0]
            ));
        }
    }
    let before = whole.undone(&all.iter().collect::<Vec<_>>(), &clerk());
    for (state, text) in REFUSED {
        let outcome = whole.ask(text, &rules, &clerk(), &[]);
        let got = outcome.as_ref().err().map(|(state, _)| state.as_str());
        if got != Some(state) && got != Some("0A000") {
            wrong.push(format!("{state} {text}\n  came to {outcome:?}"));
        }
    }
    let after = whole.undone(&all.iter().collect::<Vec<_>>(), &clerk());
    assert_eq!(before, after, "what is refused changes nothing");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        refused.len() <= REFUSED_MAX,
        "{} of {}:\n{}",
        refused.len(),
        ALIKE.len(),
        refused.join("\n")
    );
}

#[test]
fn the_schema_is_changed_on_mariadb_by_owners() {
    let (mut whole, _) = both();
    whole.own(
        "CREATE TABLE notes (id int, part int, body text NOT NULL, grade numeric(4, 1) DEFAULT 1.5, seen timestamptz,
            word varchar(300), any_scale numeric DEFAULT 1.50, raw bytea DEFAULT '\\x00ff', PRIMARY KEY (id, part), UNIQUE (body),
            CHECK (grade >= 0 AND length(body) < 10), FOREIGN KEY (id) REFERENCES employees (id) ON DELETE CASCADE);
        CREATE INDEX notes_seen ON notes (seen DESC, body);
        CREATE UNIQUE INDEX notes_grade ON notes (grade, part);
        CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY);
        ALTER TABLE notes ADD COLUMN extra real DEFAULT 0.1;
        INSERT INTO notes (id, part, body) VALUES (1, 1, 'a');
        ALTER TABLE notes RENAME COLUMN extra TO more;
        ALTER TABLE notes DROP COLUMN seen;
        DROP INDEX notes_grade;",
    );
    let everything = Rules::everything(&whole.catalog);
    let ask = |text: &str| {
        whole
            .ask(text, &everything, &Person::default(), &[])
            .map_err(|(state, _)| state)
    };
    assert_eq!(
        ask("SELECT id, grade, more, any_scale, raw FROM notes"),
        Ok(vec![
            ["1", "1.5", "0.1", "1.50", "\\x00ff"]
                .map(String::from)
                .to_vec()
        ])
    );
    for (state, values) in [
        ("23505", "1, 2, 'a', 1, NULL, NULL"),
        ("23505", "1, 1, 'b', 1, NULL, NULL"),
        ("23514", "1, 3, 'b', -1, NULL, NULL"),
        ("23514", "1, 3, 'longer than ten', 1, NULL, NULL"),
        ("23503", "77, 3, 'b', 1, NULL, NULL"),
        ("23502", "1, 3, NULL, 1, NULL, NULL"),
        ("22003", "1, 3, 'b', 1000, NULL, NULL"),
        ("22003", "1, 3, 'b', 1, NULL, 1e39"),
    ] {
        let text =
            format!("INSERT INTO notes (id, part, body, grade, word, any_scale) VALUES ({values})");
        assert_eq!(ask(&text), Err(state.to_owned()), "{text}");
    }
    let long = "ä".repeat(301);
    let text = format!("INSERT INTO notes (id, part, body, word) VALUES (1, 9, 'w', '{long}')");
    assert!(matches!(
        ask(&text).unwrap_err().as_str(),
        "22001" | "22003"
    ));
    // What conflicts: counted, and set, as PostgreSQL does.
    let kept = "INSERT INTO branches (name, city) VALUES ('north', 'x'), ('new', 'y') ON CONFLICT DO NOTHING";
    assert_eq!(ask(kept), Ok(Vec::new()));
    let set = "INSERT INTO branches AS b (name, city) VALUES ('north', 'x') ON CONFLICT (name) DO UPDATE SET city = excluded.city || b.city, budget = 1";
    assert_eq!(ask(set), Ok(Vec::new()));
    let seen = ask(
        "SELECT name, city, budget FROM branches WHERE city LIKE '%x%' OR name = 'new' ORDER BY name",
    );
    assert_eq!(
        seen,
        Ok(vec![
            ["new", "y", "∅"].map(String::from).to_vec(),
            ["north", "xKiel", "1"].map(String::from).to_vec()
        ])
    );
    let refused = |text: &str| {
        let refusal = whole.judged(text, &everything).unwrap_err();
        assert_eq!(refusal.state, "0A000", "{text}: {refusal}");
    };
    refused("CREATE TABLE x (n numeric PRIMARY KEY)");
    refused("CREATE TABLE x (id int PRIMARY KEY, n numeric(66, 2))");
    refused("CREATE UNIQUE INDEX x ON branches (city)");
}
