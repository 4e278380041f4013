//! Databases on each engine, as `pgbench -S` finds them: straight to a PostgreSQL server,
//! and through gridmart's door, with and without rules.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use gridmart_fabric::test_server::PostgresServer;
use gridmart_schemas::{
    api::database::{DatabaseChangeRequest, DatabaseCreateRequest},
    resource::enumeration::DataEngine,
};
use gridmart_sdk::Data;
use serde_json::json;

use super::{Bench, Figure, check_interrupted, sample::Sample};
use crate::{LONG, Supermarket, wait_for};

/// Rows of `pgbench_accounts` for each of its scale.
const ACCOUNTS: usize = 100_000;
/// The program's scale, and that of a trial.
const SCALE: (usize, usize) = (10, 1);
/// Clients at a time.
const CLIENTS: [usize; 2] = [1, 16];
/// How statements are sent, and what a pooler of connections leaves of the rate of 16
/// clients.
const MODES: [(&str, f64); 2] = [("simple", 0.61), ("prepared", 0.51)];
/// How long one run takes, and one of a trial.
const TIME: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// Time for what takes many statements.
const LARGE_MAX: Duration = Duration::from_mins(10);
/// Who reads under rules.
const WHO: &str = "clerk";

/// How fast it was.
struct Ran {
    rate: f64,
    times: Sample,
}

/// Where `pgbench` goes.
struct Way {
    name: String,
    /// Variables of its environment, and the database.
    variables: Vec<(String, String)>,
    database: String,
    is_open: bool,
    engine: DataEngine,
}

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let server = PostgresServer::start_with_account();
    let scale = bench.count(SCALE.0, SCALE.1);
    let made = server
        .command("pgbench")
        .args(["-i", "-q", "-s", &scale.to_string(), "-U", "ada", "-h"])
        .arg(server.folder())
        .arg("postgres")
        .output()?;
    ensure!(made.status.success(), "pgbench could not make its tables");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("server");
    fs::write(&file, server.url("gridmart"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let market = Supermarket::builder()
        .hosts(0)
        .data_hosts(1)
        .variable("GRIDMART_DATA_SERVERS", &file)
        .start();
    let client = market.client();
    let ways = ways(bench, &market, &client.data(), scale)?;
    let mut figures = Vec::new();
    for (mode, left) in MODES {
        for clients in CLIENTS {
            let time = bench.time(TIME.0, TIME.1);
            let words = words(mode, clients, time);
            let straight = straight(&server, &words)?;
            let name = |way: &str| format!("pgbench -S, {mode}, {clients} at a time, {way}");
            figures.push(straight.figure(name("straight to PostgreSQL")));
            for way in &ways {
                check_interrupted()?;
                let ran = way.run(folder.path(), &words)?;
                let ratio = ran.rate / straight.rate.max(f64::EPSILON);
                let mut figure = ran.figure(name(&way.name));
                figure = figure.beside("straight to PostgreSQL", straight.rate);
                if way.is_open && way.engine == DataEngine::Postgresql && clients > 1 {
                    figure = figure.aim(format!("{left} of it: {ratio:.2}"), ratio >= left);
                }
                figures.push(figure);
            }
        }
    }
    bench.runtime.block_on(client.close());
    market.stop();
    Ok(figures)
}

/// Two databases, and two people, of whom one has rules.
fn ways(
    bench: &Bench,
    market: &Supermarket,
    data: &Data,
    scale: usize,
) -> anyhow::Result<Vec<Way>> {
    let data_dir = market.folder().display().to_string();
    let told: serde_json::Value = market
        .cli(&["env", "--json", "--data-dir", &data_dir])
        .ok()
        .json();
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    let door = ["PGHOST", "PGPORT"].map(|name| (name.to_owned(), text(name)));
    let owner = ["PGUSER", "PGPASSWORD"].map(|name| (name.to_owned(), text(name)));
    let add = ["people", "add", WHO, "--role", "user"];
    market.cli_with(&add, "correct horse battery staple\n").ok();
    let token = market
        .cli(&["token", "api", "create", "--person", WHO])
        .ok()
        .text();
    let words = ["key", "create", "--element", "de-1", "--json"];
    let key: serde_json::Value = market.cli_as(&token, &words).ok().json();
    let of = |name: &str, field: &str| {
        let value = key[field].as_str().unwrap_or_default();
        (name.to_owned(), value.to_owned())
    };
    let clerk = [of("PGUSER", "id"), of("PGPASSWORD", "secret")];
    let mut ways = Vec::new();
    for engine in [DataEngine::Postgresql, DataEngine::Sqlite] {
        let database = format!("on_{engine}");
        database_make(bench, data, &database, &engine, scale)?;
        for (person, is_open) in [(&owner, true), (&clerk, false)] {
            let rules = if is_open {
                "without rules"
            } else {
                "with a row rule and a mask"
            };
            ways.push(Way {
                name: format!("gridmart on {engine} {rules}"),
                variables: door.iter().chain(person).cloned().collect(),
                database: database.clone(),
                is_open,
                engine: engine.clone(),
            });
        }
    }
    Ok(ways)
}

fn database_make(
    bench: &Bench,
    data: &Data,
    name: &str,
    engine: &DataEngine,
    scale: usize,
) -> anyhow::Result<()> {
    let wanted = DatabaseCreateRequest {
        name: name.parse()?,
        element: None,
        shadows: 0,
        engine: engine.clone(),
        shadow_engine: None,
    };
    wait_for(LONG, "a database is made", || {
        let made = bench.runtime.block_on(data.database_create(&wanted));
        made.map_err(|error| error.to_string())
    });
    let branches: Vec<String> = (1..=scale).map(|number| format!("({number}, 0)")).collect();
    let branches = branches.join(", ");
    let rules = json!([{
        "who": format!("user:{WHO}"),
        "operations": ["read"],
        "table": "pgbench_accounts",
        "columns": [{"name": "filler", "mask": "left(filler, 4)"}],
        "rows": "abalance >= 0",
    }, {
        "who": format!("user:{WHO}"),
        "operations": ["read"],
    }]);
    let change = DatabaseChangeRequest {
        rules: Some(serde_json::from_value(rules)?),
    };
    let statements = [
        "CREATE TABLE digits (d int PRIMARY KEY)".to_owned(),
        "INSERT INTO digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)".to_owned(),
        "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int)".to_owned(),
        format!("INSERT INTO pgbench_branches VALUES {branches}"),
        "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler text)"
            .to_owned(),
    ];
    bench.wait_within(LARGE_MAX, async {
        for statement in &statements {
            let done = data.execute(name, statement, &[]).await;
            done.with_context(|| statement.clone())?;
        }
        for branch in 0..scale {
            let first = branch * ACCOUNTS + 1;
            let text = format!(
                "INSERT INTO pgbench_accounts SELECT {first} + a.d * 10000 + b.d * 1000 + c.d * 100 \
                 + e.d * 10 + f.d, {branch} + 1, 0, repeat(' ', 84) \
                 FROM digits a, digits b, digits c, digits e, digits f"
            );
            data.execute(name, &text, &[]).await?;
        }
        data.database_change(name, &change).await?;
        Ok(())
    })
}

/// What `pgbench` is told.
fn words(mode: &str, clients: usize, time: Duration) -> Vec<String> {
    let threads = clients.min(2);
    let seconds = time.as_secs().max(1);
    ["-n", "-S", "-M", mode, "-l", "--log-prefix", "log", "-T"]
        .into_iter()
        .map(str::to_owned)
        .chain([seconds.to_string()])
        .chain(["-c".to_owned(), clients.to_string()])
        .chain(["-j".to_owned(), threads.to_string()])
        .collect()
}

fn straight(server: &PostgresServer, words: &[String]) -> anyhow::Result<Ran> {
    let mut command = server.command("pgbench");
    command.args(words).args(["-U", "ada", "-h"]);
    command.arg(server.folder()).arg("postgres");
    run(command, server.folder())
}

impl Way {
    fn run(&self, folder: &Path, words: &[String]) -> anyhow::Result<Ran> {
        let mut command = Command::new("pgbench");
        command.args(words).arg(&self.database);
        command.envs(self.variables.iter().cloned());
        command.current_dir(folder);
        run(command, folder).with_context(|| self.name.clone())
    }
}

/// Runs it; reads how long each statement took from what it leaves in the folder.
fn run(mut command: Command, folder: &Path) -> anyhow::Result<Ran> {
    let began = Instant::now();
    let output = command.output().context("pgbench cannot be run")?;
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench: {complaint}");
    let rate = told.lines().find_map(|line| {
        let rate = line.strip_prefix("tps = ")?.split(' ').next()?;
        rate.parse::<f64>().ok()
    });
    let rate = rate.with_context(|| format!("pgbench told no rate: {told}"))?;
    let mut times = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("log.") {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            let micros = line.split(' ').nth(2).and_then(|text| text.parse().ok());
            times.extend(micros.map(Duration::from_micros));
        }
        fs::remove_file(&path)?;
    }
    ensure!(
        !times.is_empty(),
        "pgbench ran for {:?} and did nothing",
        began.elapsed()
    );
    Ok(Ran {
        rate,
        times: times.into_iter().collect(),
    })
}

impl Ran {
    fn figure(&self, name: String) -> Figure {
        let millis = |fraction| self.times.quantile(fraction).as_secs_f64() * 1000.0;
        let note = format!("p50 {:.2} ms, p99 {:.2} ms", millis(0.5), millis(0.99));
        Figure::new(name, self.rate, "1/s").note(note)
    }
}
