use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use gridmart_schemas::{
    id::{CallId, Digest, Incarnation, JobId, NodeId, PersonName, ReportId},
    problem::{Code, Problem},
    role::{NodeKind, Role},
    wire::{
        desired::Wish,
        record::{CallEnd, CallRecord, CallState, JobProgress},
    },
};
use time::OffsetDateTime;

use super::{audit::AuditEntry, node::Node, person::Person, *};
use crate::{
    failure::Failure,
    store::{During as _, record},
};

fn person(name: &str) -> Person {
    Person {
        name: name.parse().unwrap(),
        role: Role::User,
        domain: None,
        enabled: true,
        password_hash: String::new(),
        created: OffsetDateTime::UNIX_EPOCH,
    }
}

fn entry(target: &str) -> AuditEntry {
    AuditEntry {
        actor: "gridmart".to_owned(),
        action: "person.create",
        target: target.to_owned(),
        request: None,
        detail: String::new(),
    }
}

async fn add(catalogue: &Catalogue, name: &str) -> Result<(), Failure> {
    let (person, entry) = (person(name), entry(name));
    catalogue
        .update(move |update| {
            update.put_person(person)?;
            update.next_generation()?;
            Ok(update.audit(&entry, "done")?)
        })
        .await
}

async fn close(catalogue: Catalogue) {
    let catalogue = Arc::new(catalogue);
    tokio::task::spawn_blocking(move || catalogue.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_shown_is_what_a_restart_finds() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(folder.path()).unwrap();
    let before = catalogue.snapshot();
    let mut changes = catalogue.changes();
    add(&catalogue, "alice").await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    // Old snapshots stay what they were.
    assert!(before.people.is_empty());
    let id = NodeId::generate();
    let node = Node {
        id,
        kind: NodeKind::ComputingElement,
        domain: "lab".to_owned(),
        name: "ce".to_owned(),
        parent: NodeId::generate(),
        joined: OffsetDateTime::UNIX_EPOCH,
        not_after: OffsetDateTime::UNIX_EPOCH,
        revoked: false,
        wish: Wish {
            generation: 3,
            cut_epoch: 2,
            ..Wish::default()
        },
    };
    let stored = node.clone();
    catalogue
        .update(move |update| Ok(update.put_node(stored)?))
        .await
        .unwrap();
    close(catalogue).await;
    let again = Catalogue::open(folder.path()).unwrap().snapshot();
    let name: PersonName = "alice".parse().unwrap();
    assert_eq!(again.people[&name].role, Role::User);
    assert_eq!(*again.nodes[&id], node);
    assert_eq!(again.generation, 1);
}

#[tokio::test]
async fn a_change_is_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(folder.path()).unwrap();
    let refused = catalogue
        .update(|update| {
            update.put_person(person("alice"))?;
            update.audit(&entry("alice"), "done")?;
            Err::<(), _>(Problem::new(Code::InvalidRequest, "no").into())
        })
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidRequest);
    assert!(catalogue.snapshot().people.is_empty());
    // A foreign key holds as well, and a panic takes nothing with it.
    let dangling = catalogue
        .update(|update| {
            let now = update.now();
            let (_, token) = crate::app::session::make_token(
                &"nobody".parse().unwrap(),
                "",
                now,
                time::Duration::days(1),
            );
            Ok(update.put_api_token(token)?)
        })
        .await;
    assert_eq!(dangling.unwrap_err().code(), Code::StorageFailed);
    assert!(catalogue.snapshot().api_tokens.is_empty());
    let panicked = catalogue
        .update(|_| -> Result<(), Failure> { panic!("on purpose") })
        .await;
    assert!(panicked.is_err());
    add(&catalogue, "bob").await.unwrap();
    let rows = catalogue
        .read(|store| crate::store::audit::audit_page(store, None, 10))
        .await
        .unwrap();
    assert_eq!(
        rows.iter()
            .map(|row| (row.sequence, row.target.as_str()))
            .collect::<Vec<_>>(),
        [(1, "bob")]
    );
}

fn call_record(call: CallId, host: NodeId) -> CallRecord {
    CallRecord {
        call,
        job: None,
        part: None,
        owner: "alice".parse().unwrap(),
        application: "spf".to_owned(),
        version: "1.0".to_owned(),
        digest: Digest::from_blake3([1; 32]),
        host,
        lease: None,
        request: None,
        submitted: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        ended: OffsetDateTime::from_unix_timestamp(1_700_000_001).unwrap(),
        end: CallEnd {
            state: CallState::Finished,
            exit_code: Some(0),
            signal: None,
            code: None,
            reason: None,
            wall_us: 1,
            cpu_us: 1,
            max_resident_bytes: 1,
            stdout_bytes: 0,
            stderr_bytes: 0,
            staged_in_bytes: 0,
            staged_out_bytes: 0,
        },
    }
}

fn progress(job: JobId, host: NodeId) -> JobProgress {
    JobProgress {
        report: Some(ReportId::generate()),
        lease: None,
        ended: None,
        job,
        owner: "alice".parse().unwrap(),
        application: "spf".to_owned(),
        version: "1.0".to_owned(),
        host,
        finished: 5,
        failed: 1,
        wall_us: 10,
        cpu_us: 9,
    }
}

#[tokio::test]
async fn records_are_kept_once_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(folder.path()).unwrap();
    let (host, job, incarnation) = (
        NodeId::generate(),
        JobId::generate(),
        Incarnation::generate(),
    );
    let calls: Vec<CallId> = (0..10).map(|_| CallId::generate()).collect();
    let (twice, known) = (progress(job, host), calls.clone());
    catalogue
        .update(move |update| {
            let store = update.transaction();
            assert!(record::record_batch_insert(
                store,
                host,
                incarnation,
                1,
                update.now()
            )?);
            assert!(!record::record_batch_insert(
                store,
                host,
                incarnation,
                1,
                update.now()
            )?);
            for call in known.iter().chain(&known) {
                record::call_record_insert(store, &call_record(*call, host))?;
            }
            record::job_progress_add(store, &twice, update.now())?;
            record::job_progress_add(store, &progress(job, host), update.now())?;
            Ok(record::job_progress_add(store, &twice, update.now())?)
        })
        .await
        .unwrap();
    let page = catalogue
        .read(|store| record::call_record_page(store, Some("spf"), None, 4))
        .await
        .unwrap();
    let newest: Vec<CallId> = page.iter().map(|row| row.record.call).collect();
    assert_eq!(
        newest,
        calls.iter().rev().take(4).copied().collect::<Vec<_>>()
    );
    let before = page.last().unwrap().sequence;
    let rest = catalogue
        .read(move |store| record::call_record_page(store, None, Some(before), 100))
        .await
        .unwrap();
    assert_eq!(rest.len(), 6);
    let sums = catalogue
        .read(move |store| record::job_progress_of(store, job))
        .await
        .unwrap();
    assert_eq!((sums[0].finished, sums[0].failed), (10, 2));
    let removed = catalogue
        .update(|update| {
            let retention = record::Retention {
                call_records: 3,
                job_rows: 0,
                batches_since: update.now(),
            };
            Ok(record::retain(update.transaction(), retention)?)
        })
        .await
        .unwrap();
    assert!(removed >= 8, "{removed}");
    let left = catalogue
        .read(|store| record::call_record_page(store, None, None, 100))
        .await
        .unwrap();
    assert_eq!(
        left.iter().map(|row| row.record.call).collect::<Vec<_>>(),
        calls.iter().rev().take(3).copied().collect::<Vec<_>>()
    );
}

// === Crash ===

/// Tells a second run of this test program to be the one that is killed.
const VICTIM: &str = "GRIDMART_TEST_CRASH_FOLDER";

/// Not a test of its own: writes people until it is killed, and says so each
/// time that one was acknowledged.
#[tokio::test]
async fn crash_victim() {
    let Ok(folder) = std::env::var(VICTIM) else {
        return;
    };
    let catalogue = Catalogue::open(Path::new(&folder)).unwrap();
    let start = catalogue.snapshot().people.len();
    for index in start.. {
        add(&catalogue, &format!("p{index}")).await.unwrap();
        println!("acknowledged {index}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=6 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "catalogue::tests::crash_victim"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut acknowledged = None;
        let mut seen = 0;
        for line in lines {
            // The harness may write on the same line.
            if let Some((_, index)) = line.split_once("acknowledged ") {
                acknowledged = Some(index.trim().parse::<usize>().unwrap());
                seen += 1;
                if seen == round * 3 {
                    // SIGKILL; lines that are in the pipe still count.
                    victim.kill().unwrap();
                }
            }
        }
        victim.wait().unwrap();
        let acknowledged = acknowledged.unwrap();
        let connection = crate::store::open_writer(&folder.path().join(DATABASE)).unwrap();
        let snapshot = Snapshot::load(&connection).unwrap();
        let people = snapshot.people.len();
        assert!(
            people > acknowledged,
            "round {round}: {people} people, {acknowledged} was acknowledged"
        );
        // Audit log and counter were written by the same transactions.
        let audit: i64 = connection
            .query_row("SELECT count(*) FROM audit", [], |row| row.get(0))
            .unwrap();
        let last: i64 = connection
            .query_row("SELECT max(sequence) FROM audit", [], |row| row.get(0))
            .unwrap();
        assert_eq!((usize::try_from(audit).unwrap(), audit), (people, last));
        assert_eq!(snapshot.generation, people as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_share_a_commit_and_a_refused_one_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Arc::new(Catalogue::open(folder.path()).unwrap());
    let (begun, go) = (
        Arc::new(std::sync::Barrier::new(2)),
        Arc::new(std::sync::Barrier::new(2)),
    );
    let first = {
        let (catalogue, begun, go) = (Arc::clone(&catalogue), Arc::clone(&begun), Arc::clone(&go));
        tokio::spawn(async move {
            let holding = move |update: &mut Update<'_>| {
                begun.wait();
                go.wait();
                Ok(update.put_person(person("first"))?)
            };
            catalogue.update(holding).await
        })
    };
    tokio::task::spawn_blocking(move || begun.wait())
        .await
        .unwrap();
    // The writer is held up: these wait, and are made together.
    let waiting: Vec<_> = (0..100)
        .map(|number| {
            let catalogue = Arc::clone(&catalogue);
            tokio::spawn(async move {
                catalogue
                    .update(move |update| {
                        update.put_person(person(&format!("p{number}")))?;
                        match number % 10 {
                            3 => Err(Problem::new(Code::InvalidRequest, "no").into()),
                            7 => panic!("a fault"),
                            _ => Ok(update.snapshot().people.len()),
                        }
                    })
                    .await
            })
        })
        .collect();
    while catalogue.jobs.capacity() + 100 > catalogue.jobs.max_capacity() {
        tokio::task::yield_now().await;
    }
    let mut changes = catalogue.changes();
    changes.borrow_and_update();
    tokio::task::spawn_blocking(move || go.wait())
        .await
        .unwrap();
    first.await.unwrap().unwrap();
    let mut made = 0;
    for (number, change) in waiting.into_iter().enumerate() {
        match (number % 10, change.await.unwrap()) {
            (3, Err(failure)) => assert_eq!(failure.code(), Code::InvalidRequest),
            (7, Err(_)) => {}
            (3 | 7, Ok(_)) => panic!("{number} was not refused"),
            (_, outcome) => {
                outcome.unwrap();
                made += 1;
            }
        }
    }
    // The first by itself, all others in one.
    assert_eq!(*changes.borrow(), 2);
    assert_eq!(catalogue.snapshot().people.len(), made + 1);
    let Ok(catalogue) = Arc::try_unwrap(catalogue) else {
        panic!("somebody still has the catalogue");
    };
    close(catalogue).await;
    let again = Catalogue::open(folder.path()).unwrap().snapshot();
    assert_eq!(again.people.len(), made + 1);
}

/// Lets the database grow to so many pages at most, as a small disk would.
fn bound_pages(update: &Update<'_>, pages: u32) -> Result<(), Failure> {
    update
        .transaction()
        .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        .during("bound")?;
    Ok(())
}

#[tokio::test]
async fn a_change_that_finds_no_room_shows_in_the_health_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(folder.path()).unwrap();
    let full = catalogue
        .update(|update| {
            bound_pages(update, 1)?;
            let large = "x".repeat(1024 * 1024);
            Ok(store::meta_put(update.transaction(), "large", &large)?)
        })
        .await;
    assert_eq!(full.unwrap_err().code(), Code::StorageFailed);
    assert_eq!(catalogue.ailment().unwrap().code, Code::StorageFailed);
    assert!(catalogue.may_recover());
    catalogue
        .update(|update| bound_pages(update, 1_000_000))
        .await
        .unwrap();
    assert!(catalogue.ailment().is_none());
    close(catalogue).await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_takes_back_shows_in_the_health_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::open(folder.path()).unwrap();
    let taken_back = catalogue
        .update(|update| {
            update.put_person(person("alice"))?;
            let rollback = update.transaction().execute_batch("ROLLBACK");
            Ok(rollback.during("rollback")?)
        })
        .await;
    assert_eq!(taken_back.unwrap_err().code(), Code::StorageFailed);
    assert!(catalogue.snapshot().people.is_empty());
    assert!(catalogue.ailment().is_some() && catalogue.may_recover());
    catalogue.try_write().await.unwrap();
    assert!(catalogue.ailment().is_none());
    close(catalogue).await;
}
