//! When it is calm again: everything works, and the ledger is compared with
//! what the controller tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::CallId,
    wire::record::{CallRecord, CallState},
};
use gridmart_sdk::{Client, Command, Error};

use super::{
    MIRROR, MIRROR_AGAIN, STEADY,
    ledger::{Act, Call, Ledger, Outcome},
    operator,
};
use crate::{
    processes::Identity,
    supermarket::Supermarket,
    wait::{LONG, SHORT, wait_for},
};

/// Memory of a role when all is over, in bytes.
const RESIDENT_BYTES_MAX: u64 = 192 << 20;
/// Open files of a role when all is over.
const OPEN_FILES_MAX: usize = 200;
/// Pause between two looks at all records.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Calls in a page.
const PAGE: u32 = 1000;
const COMMANDS: [Command; 3] = [Command::Start, Command::Stop, Command::Kill];

/// Starts everything, and waits until everything serves and nothing runs.
pub(super) fn settle(market: &Supermarket, ledger: &Ledger) {
    for host in super::roles().filter(|role| role != "control") {
        wait_for(LONG, &format!("{host} is there"), || {
            let row = market.resource(&host).ok_or("it is not listed")?;
            if row["connected"] == true {
                Ok(())
            } else {
                Err(row.to_string())
            }
        });
        start(market, ledger, &host);
        market.wait_resource(&host, "serving", |row| {
            row["serving_state"] == "production" && row["pending"] == false
        });
    }
    start(market, ledger, MIRROR_AGAIN);
    for application in [MIRROR, MIRROR_AGAIN] {
        wait_for(LONG, &format!("{application} is served"), || {
            let run = market.cli_with(&["call", application, "calm", "0"], "after");
            if run.code == 0 && run.text() == "calm\nafter" {
                Ok(())
            } else {
                Err(format!("{} {}", run.code, run.stderr))
            }
        });
    }
    wait_for(LONG, "nothing runs or waits", || {
        let view = block_on(market, async |client| {
            client.activities().list(None, None).await
        });
        let view = view.map_err(|error| error.to_string())?;
        if view.activities.is_empty() && view.silent.is_empty() {
            Ok(())
        } else {
            Err(format!("{view:?}"))
        }
    });
    ledger.count("calm: everything serves, nothing runs");
}

fn start(market: &Supermarket, ledger: &Ledger, name: &str) {
    market.cli(&["start", name]).ok();
    ledger.done(Act::Command(Command::Start.as_str(), name.to_owned()));
}

/// Compares.
pub(super) fn compare(market: &Supermarket, ledger: &Ledger) {
    compare_calls(market, ledger);
    compare_acts(market, ledger);
    for role in market.role_names() {
        look_at(market, ledger, &role);
    }
}

/// Every call that its caller saw end is told once, and so as the caller saw
/// it; one that its Host may have begun is told once at most.
fn compare_calls(market: &Supermarket, ledger: &Ledger) {
    let calls = ledger.calls();
    let told = told(market, &calls);
    for call in &calls {
        match (told.get(&call.id), &call.outcome) {
            (Some(records), _) => compare_call(ledger, call, records),
            (None, Outcome::Ended(end)) => {
                ledger.broken(format!("call {} is not told: {end:?}", call.id));
            }
            (None, Outcome::Failed | Outcome::Left) => ledger.count("call: begun, never told"),
        }
    }
}

/// Reads what is told, until it does not lack what callers saw end, or until
/// nothing comes any more.
fn told(market: &Supermarket, calls: &[Call]) -> BTreeMap<CallId, Vec<CallRecord>> {
    let began = Instant::now();
    loop {
        let told = records(market).unwrap_or_default();
        let whole = calls
            .iter()
            .filter(|call| matches!(call.outcome, Outcome::Ended(_)))
            .all(|call| told.contains_key(&call.id));
        if whole || began.elapsed() >= SHORT {
            return told;
        }
        thread::sleep(LOOK_PAUSE);
    }
}

fn compare_call(ledger: &Ledger, call: &Call, records: &[CallRecord]) {
    let finished = records
        .iter()
        .filter(|record| record.end.state == CallState::Finished)
        .count();
    if finished > 1 && !call.again {
        ledger.broken(format!(
            "call {} ran {finished} times: {records:?}",
            call.id
        ));
    }
    let hosts: BTreeSet<_> = records
        .iter()
        .map(|record| (record.host, record.submitted))
        .collect();
    if hosts.len() != records.len() {
        ledger.broken(format!("call {} is told twice: {records:?}", call.id));
    }
    if let Outcome::Ended(end) = &call.outcome
        && !records.iter().any(|record| record.end == *end)
    {
        ledger.broken(format!(
            "call {} ended with {end:?}, but is told as {records:?}",
            call.id
        ));
    }
}

fn records(market: &Supermarket) -> Result<BTreeMap<CallId, Vec<CallRecord>>, Error> {
    block_on(market, async |client| {
        let mut told: BTreeMap<CallId, Vec<CallRecord>> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = client.calls().page(None, after, Some(PAGE)).await?;
            for record in page.items {
                if record.application != STEADY {
                    told.entry(record.call).or_default().push(record);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(told);
            }
        }
    })
}

/// What was acknowledged is there, and is in the audit log.
fn compare_acts(market: &Supermarket, ledger: &Ledger) {
    let (done, uncertain) = ledger.acts();
    let seen = block_on(market, async |client| seen(&client).await);
    let Ok(seen) = seen else {
        return ledger.broken(format!("what is there cannot be listed: {seen:?}"));
    };
    for act in &done {
        let there = match act {
            Act::Person(name) => seen.people.contains(name),
            Act::Version(version) => seen.versions.contains(version),
            Act::Command(..) => true,
        };
        if !there {
            ledger.broken(format!("{act:?} was acknowledged, and is lost"));
        }
        let audited = seen.audit.get(act).copied().unwrap_or_default();
        let certain = done.iter().filter(|other| *other == act).count();
        let perhaps = uncertain.iter().filter(|other| *other == act).count();
        if audited < certain || audited > certain + perhaps {
            ledger.broken(format!(
                "{act:?} was acknowledged {certain} times, {perhaps} times perhaps, and is {audited} times in the audit log"
            ));
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    people: BTreeSet<String>,
    versions: BTreeSet<String>,
    audit: BTreeMap<Act, usize>,
}

async fn seen(client: &Client) -> Result<Seen, Error> {
    let people = client.people().list().await?;
    let versions = client.apps().list().await?;
    let mut seen = Seen {
        people: people
            .iter()
            .map(|person| person.name.to_string())
            .collect(),
        versions: versions.iter().map(|row| row.version.clone()).collect(),
        audit: BTreeMap::new(),
    };
    // Commands name resources by id.
    let rows = client.resources().list(None).await?;
    let names = rows
        .into_iter()
        .map(|row| (row.id.to_string(), row.name))
        .collect();
    let mut after = None;
    loop {
        let page = client.audit().page(after, Some(PAGE)).await?;
        for row in page.items.iter().filter(|row| row.result == "done") {
            if let Some(act) = act(&row.action, &row.target, &names) {
                *seen.audit.entry(act).or_default() += 1;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(seen);
        }
    }
}

fn act(action: &str, target: &str, names: &BTreeMap<String, String>) -> Option<Act> {
    if let Some((_, command)) = action.split_once('.')
        && let Some(command) = COMMANDS.iter().find(|it| it.as_str() == command)
    {
        let name = names.get(target).map_or(target, String::as_str);
        return Some(Act::Command(command.as_str(), name.to_owned()));
    }
    match action {
        "person.create" => Some(Act::Person(target.to_owned())),
        "application.upload" => {
            let (_, version) = target.split_once(operator::SHELF)?;
            Some(Act::Version(version.trim_start_matches('@').to_owned()))
        }
        _ => None,
    }
}

/// A role that has panicked or grown is not well, even if it serves.
fn look_at(market: &Supermarket, ledger: &Ledger, role: &str) {
    let log = market.log(role);
    if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
        ledger.broken(format!("{role} has panicked: {line}"));
    }
    let pid = market.role_pid(role);
    let resident = Identity::of(pid)
        .and_then(Identity::memory)
        .map_or(0, |memory| memory.resident);
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    if resident > RESIDENT_BYTES_MAX || files > OPEN_FILES_MAX {
        ledger.broken(format!(
            "{role} holds {} MiB and {files} open files when nothing runs",
            resident >> 20
        ));
    }
}

fn block_on<T, F>(market: &Supermarket, ask: F) -> T
where
    F: AsyncFnOnce(Client) -> T,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let client = market.client();
        let answer = ask(client.clone()).await;
        client.close().await;
        answer
    })
}
