//! The corpus against PostgreSQL itself, which `scripts/setup` installs: a private instance
//! in a temporary folder answers the statements as they stand over the twin, and as
//! they were judged over the whole shop.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    corpus::{LEGITIMATE, compared, lines, settled},
    shop::{self, clerk, clerk_rules, twin, twin_schema, whole},
    sqlite::{Base, Rows},
    *,
};

/// Why there is none.
const SETUP: &str = "PostgreSQL is not installed: run scripts/setup";

/// A server of our own; it ends with the test.
struct Server {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    /// The account that it runs as, where the test is root.
    account: Option<(u32, u32)>,
}

fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.retain(|bin| bin.join("initdb").exists() && bin.join("psql").exists());
    found.sort();
    found.pop()
}

fn number_of(option: &str) -> Option<u32> {
    let output = Command::new("id")
        .args([option, "postgres"])
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

impl Server {
    fn start() -> Self {
        let binaries = binaries().expect(SETUP);
        let folder = tempfile::tempdir().unwrap();
        let is_root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|output| output.stdout == b"0\n");
        let account = if is_root {
            let number = |option| number_of(option).expect(SETUP);
            Some((number("-u"), number("-g")))
        } else {
            None
        };
        if let Some((user, group)) = account {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let server = Self {
            folder,
            binaries,
            account,
        };
        let data = server.data();
        let data = data.to_str().unwrap();
        server.run(
            "initdb",
            &[
                "-D",
                data,
                "-U",
                "ada",
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--lc-collate=C",
                "--lc-ctype=C.UTF-8",
            ],
        );
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off -c timezone=UTC",
            server.folder.path().display()
        );
        server.run(
            "pg_ctl",
            &["-D", data, "-w", "-l", "/dev/null", "-o", &options, "start"],
        );
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir(self.folder.path());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self
            .command(program)
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    /// Runs a script in one session; its standard output.
    fn script(&self, database: &str, script: &str) -> String {
        let folder: &Path = self.folder.path();
        let mut psql = self.command("psql");
        psql.args([
            "-X", "-q", "-A", "-t", "-F", "\u{1f}", "-R", "\u{1e}", "-P", "null=∅", "-U", "ada",
            "-d", database, "-h",
        ]);
        psql.arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = psql.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let script = script.to_owned();
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What each statement comes to: rows, or the code of its error.
    fn answers(
        &self,
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
        let output = self.script(database, &script);
        let pieces: Vec<&str> = output.split("<\u{1d}>\n").skip(1).collect();
        assert_eq!(pieces.len(), statements.len());
        pieces.into_iter().map(answer).collect()
    }
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

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self
            .command("pg_ctl")
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "stop"])
            .stdout(Stdio::null())
            .status();
    }
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
    let server = Server::start();
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
    let plain = server.answers("twin", SETTINGS, &texts);
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
    let guarded = server.answers("whole", &before, &judged);

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
