//! A core and a shadow that are killed at any moment, and lose what they had not synced:
//! what was acknowledged is there, in order, once; half a transaction is never seen.
//!
//! SQLite does its own input and output, so a whole process is killed: this test
//! binary, started anew for one ignored test.

use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicI64, atomic::Ordering},
    time::{Duration, Instant},
};

use gridmart_schemas::data::Value;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use super::{
    engine::{
        Engine as _, Limits, TransactionLimits,
        sqlite::{CoreSettings, SqliteCore, create, state_of},
    },
    fixture::{column, core_path, reader, rows, schema, shadow_path, whole},
    log::{LogBounds, Pulled, Role, pull},
    shadow::Applier,
};

const FOLDER: &str = "GRIDMART_TEST_DATA_FOLDER";
const SEED: &str = "GRIDMART_TEST_DATA_SEED";
/// Kills of one run.
const KILLS: u64 = 12;

/// Adds to the ledger and moves money, until it is killed; says what was
/// acknowledged.
#[test]
#[ignore = "run by the test that kills it"]
fn writer_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let path = core_path(Path::new(&folder));
        let core = Arc::new(SqliteCore::open(&path, CoreSettings::default(), 1).unwrap());
        let read = core
            .read(
                super::fixture::reading("SELECT coalesce(max(id), 0) FROM ledger"),
                Limits::default(),
            )
            .await
            .unwrap();
        let highest = match read.collect().await.unwrap()[0][0] {
            Value::Int8(highest) => highest,
            ref other => panic!("{other:?}"),
        };
        let next = Arc::new(AtomicI64::new(highest + 1));
        let tasks = (0..6).map(|number| {
            let (core, next) = (Arc::clone(&core), Arc::clone(&next));
            let path = path.clone();
            tokio::spawn(async move {
                while let id @ 1.. = next.fetch_add(1, Ordering::Relaxed) {
                    if number == 0 {
                        transfer(&core, id).await;
                    } else {
                        add(&core, id).await;
                    }
                    // So much of it was synced, at least.
                    println!("acknowledged {id} {}", log_bytes(&path));
                }
            })
        });
        let tasks: Vec<tokio::task::JoinHandle<()>> = tasks.collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// SQLite's write-ahead log of a database.
fn log_of(database: &Path) -> PathBuf {
    let name = database.file_name().unwrap().to_string_lossy();
    database.with_file_name(format!("{name}-wal"))
}

fn log_bytes(database: &Path) -> u64 {
    std::fs::metadata(log_of(database)).map_or(0, |log| log.len())
}

/// Whoever is killed may have written what was not synced: a power cut takes that, or
/// leaves something else in its place. Only at a clean end the log begins anew.
fn cut_power(database: &Path, synced: u64, random: &mut StdRng) {
    let there = log_bytes(database);
    if there <= synced {
        return;
    }
    let kept = random.random_range(synced..there);
    let log = OpenOptions::new().write(true).open(log_of(database));
    let mut log = log.unwrap();
    if random.random_bool(0.5) {
        log.set_len(kept).unwrap();
    } else {
        log.seek(SeekFrom::Start(kept)).unwrap();
        let length = usize::try_from(there - kept).unwrap();
        let lost: Vec<u8> = (0..length).map(|_| random.random()).collect();
        log.write_all(&lost).unwrap();
    }
}

async fn add(core: &SqliteCore, id: i64) {
    let insert = rows("INSERT INTO ledger VALUES (?1, 'single')").with(vec![Value::Int8(id)]);
    core.write(insert, Limits::default()).await.unwrap();
}

/// The sum of both accounts never changes.
async fn transfer(core: &SqliteCore, id: i64) {
    let mut transaction = core.begin(TransactionLimits::default()).await.unwrap();
    for (sql, value) in [
        (
            "UPDATE account SET amount = amount - ?1 WHERE id = 1",
            id % 97,
        ),
        ("INSERT INTO ledger VALUES (?1, 'transfer')", id),
        (
            "UPDATE account SET amount = amount + ?1 WHERE id = 2",
            id % 97,
        ),
    ] {
        let statement = rows(sql).with(vec![Value::Int8(value)]);
        transaction.run(statement, Limits::default()).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

/// Applies what the core has, in small pieces, until it is killed or has all.
#[test]
#[ignore = "run by the test that kills it"]
fn shadow_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    catch_up(Path::new(&folder), &mut StdRng::seed_from_u64(seed));
    println!("caught up");
}

fn catch_up(folder: &Path, random: &mut StdRng) {
    let mut applier = Applier::open(&shadow_path(folder), LogBounds::default()).unwrap();
    loop {
        let told = applier.history().unwrap();
        let core = reader(&core_path(folder));
        let state = state_of(&core).unwrap();
        let pulled = pull(&core, &state, &told, 20_000).unwrap();
        let Pulled::Entries(mut entries) = pulled else {
            panic!("{pulled:?}")
        };
        if entries.is_empty() {
            return;
        }
        entries.truncate(random.random_range(1..=entries.len()));
        applier.apply(&entries).unwrap();
        let log = log_bytes(&shadow_path(folder));
        println!("acknowledged {} {log}", applier.last().position);
    }
}

/// Runs one of the tests above in a process of its own, and kills it after a
/// while; gives what it acknowledged, and how long the log was then.
fn run_and_kill(test: &str, folder: &Path, seed: u64, lives: Duration) -> Vec<(i64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            test,
            "--ignored",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(FOLDER, folder)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let output = BufReader::new(output).lines().map_while(Result::ok);
        let told = output.filter_map(|line| {
            let mut words = line.split("acknowledged ").nth(1)?.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        });
        told.collect::<Vec<(i64, u64)>>()
    });
    let end = Instant::now() + lives;
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
    reading.join().unwrap()
}

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    let seed = std::env::var(SEED)
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(7);
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let mut acknowledged = Vec::new();
    for kill in 0..KILLS {
        let lives = Duration::from_millis(random.random_range(50..500));
        let writer = "data::crash_tests::writer_that_is_killed";
        let told = run_and_kill(writer, folder, seed + kill, lives);
        // What the lives before have left is synced as well.
        if let Some((_, synced)) = told.last() {
            cut_power(&core_path(folder), *synced, &mut random);
        }
        acknowledged.extend(told.into_iter().map(|(id, _)| id));
        require_core(folder, &acknowledged);
        let lives = Duration::from_millis(random.random_range(20..120));
        let shadow = "data::crash_tests::shadow_that_is_killed";
        let applied = run_and_kill(shadow, folder, seed + kill, lives);
        if let Some((applied, synced)) = applied.last().copied() {
            cut_power(&shadow_path(folder), synced, &mut random);
            require_shadow(folder, applied);
        }
    }
    assert!(!acknowledged.is_empty());
    catch_up(folder, &mut random);
    assert_eq!(whole(&core_path(folder)), whole(&shadow_path(folder)));
}

fn prepare(folder: &Path) {
    let database = Uuid::new_v4();
    create(&core_path(folder), database, Role::Core).unwrap();
    create(&shadow_path(folder), database, Role::Shadow).unwrap();
    let mut core =
        super::engine::sqlite::Core::open(&core_path(folder), CoreSettings::default()).unwrap();
    for statement in [
        schema("CREATE TABLE ledger (id INTEGER PRIMARY KEY, kind TEXT NOT NULL)"),
        schema("CREATE TABLE account (id INTEGER PRIMARY KEY, amount INT8 NOT NULL)"),
        rows("INSERT INTO account VALUES (1, 1000000), (2, 1000000)"),
    ] {
        super::fixture::write(&mut core, &statement).unwrap();
    }
}

const GAPLESS: &str = "--gridmart\nSELECT (SELECT count(*) = max(position) FROM gridmart_log)
     AND (SELECT max(position) FROM gridmart_log) = (SELECT position FROM gridmart_state)
     AND (SELECT ends FROM gridmart_log ORDER BY position DESC LIMIT 1)";

fn require_core(folder: &Path, acknowledged: &[i64]) {
    let path = core_path(folder);
    let there: std::collections::BTreeSet<String> =
        column(&path, "SELECT id FROM ledger").into_iter().collect();
    for id in acknowledged {
        assert!(
            there.contains(&id.to_string()),
            "{id} was acknowledged and is not there"
        );
    }
    assert_eq!(
        column(&path, "SELECT sum(amount) FROM account"),
        ["2000000"]
    );
    assert_eq!(column(&path, GAPLESS), ["1"]);
}

fn require_shadow(folder: &Path, applied: i64) {
    let path = shadow_path(folder);
    let position = "--gridmart\nSELECT position FROM gridmart_state";
    let position: i64 = column(&path, position)[0].parse().unwrap();
    assert!(
        position >= applied,
        "{applied} was applied, and {position} is there"
    );
    if position >= 3 {
        assert_eq!(
            column(&path, "SELECT sum(amount) FROM account"),
            ["2000000"]
        );
        assert_eq!(column(&path, GAPLESS), ["1"]);
    }
}
