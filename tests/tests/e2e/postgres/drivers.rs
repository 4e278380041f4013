//! Drivers of other languages at the door: what they do is in the folder `clients`.

use std::path::PathBuf;

use gridmart_tests::Running;

use super::{Key, first_key, with_shop};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/postgres/clients");
const JDBC: &str = "/usr/share/java/postgresql.jar";

/// The Python that `scripts/setup` has given psycopg to.
fn python() -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join("target/psycopg/bin/python");
    assert!(
        python.exists(),
        "{} is not there; run scripts/setup, which installs psycopg",
        python.display()
    );
    python.display().to_string()
}

fn run(key: &Key, program: &str, words: &[&str]) {
    let mut command = key.command(program, words);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let run = Running::start(command, None).wait().ok();
    assert!(run.text().ends_with("done"), "{}", run.text());
}

/// psql asks with a dozen statements about one table.
fn psql_describes(key: &Key) {
    key.psql(
        "shop",
        "CREATE VIEW words AS SELECT word, price FROM lines;\n",
    )
    .ok();
    let asked = "\\dt\n\\d lines\n\\l\n\\du\n\\dn\n\\di\n\\dv\n\\d words\n";
    let bare = key.command("psql", &["--no-align", "--dbname", "shop"]);
    let told = Running::start(bare, Some(asked.into())).wait().ok().text();
    for part in [
        "public|lines|table|admin",
        "id|bigint||not null|",
        "price|numeric(10,2)|||",
        "\"lines_pkey\" PRIMARY KEY, btree (id)",
        "\"lines_word_key\" UNIQUE CONSTRAINT, btree (word)",
        "shop|admin|UTF8|",
        "public|admin",
        "public|lines_pkey|index|admin|lines",
        "public|words|view|admin",
        "View \"public.words\"",
        "price|numeric|||",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

/// Of simple, extended and prepared statements.
fn pgbench_runs(key: &Key) {
    let script = "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int);\n\
                  INSERT INTO pgbench_branches VALUES (1, 0);\n\
                  CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int);\n";
    key.psql("shop", script).ok();
    for first in (1..=100_000).step_by(10_000) {
        let rows: Vec<String> = (first..first + 10_000)
            .map(|aid| format!("({aid},1,0)"))
            .collect();
        let insert = format!("INSERT INTO pgbench_accounts VALUES {};\n", rows.join(","));
        key.psql("shop", &insert).ok();
    }
    for mode in ["simple", "extended", "prepared"] {
        let words = [
            "--select-only",
            "--no-vacuum",
            "--protocol",
            mode,
            "--client=4",
            "--transactions=50",
            "shop",
        ];
        let run = Running::start(key.command("pgbench", &words), None)
            .wait()
            .ok();
        let told = run.text();
        assert!(
            told.contains("transactions actually processed: 200/200"),
            "{told}"
        );
    }
}

#[test]
fn drivers_of_other_languages_work_unchanged() {
    let market = with_shop();
    let key = first_key(&market);
    run(&key, &python(), &[&format!("{CLIENTS}/drivers.py")]);
    assert!(
        std::path::Path::new(JDBC).exists(),
        "{JDBC} is not there; run scripts/setup, which installs the JDBC driver"
    );
    let program = format!("{CLIENTS}/Jdbc.java");
    run(&key, "java", &["-cp", JDBC, &program]);
    psql_describes(&key);
    pgbench_runs(&key);
    market.stop();
}
