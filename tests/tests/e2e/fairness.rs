//! One person's crowd of calls and everybody else; priorities; quotas; callers
//! who go away.

use std::fs;

use futures_util::StreamExt as _;
use gridmart_tests::{
    Application, LONG, Running, Supermarket,
    processes::Identity,
    swarm::{Heard, Person, QueueClient},
    wait_for,
};

use crate::{is_whole, person};

/// Entries of one person: as many as there are only in a siege, since each is a
/// message of its own, and this is no optimised build.
fn crowd_size() -> usize {
    if is_whole() { 100_000 } else { 5_000 }
}

/// Entries that are on their way at a time.
const ENTERING: usize = 256;
/// What an entry may cost the Element, in bytes.
const ENTRY_BYTES_MAX: u64 = 4096;

/// A supermarket with one slot, and an application that gives back its input.
fn market(waiting_max: u32) -> Supermarket {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    market.upload(&Application::script("echo", "cat"));
    market.edit_element_document(|document| {
        document.element.policy.max_waiting_jobs = Some(waiting_max);
    });
    market.wait_resource("host-1", "back", |row| row["connected"] == true);
    market.cli_with(&["call", "echo"], "warm").ok();
    market
}

async fn program(market: &Supermarket, token: &str) -> QueueClient {
    let address = market.ready.url.trim_start_matches("http://");
    let mut person = Person::connect(address, token).unwrap();
    let root = fs::read_to_string(market.ca()).unwrap();
    QueueClient::open(&mut person, &root, "echo").await.unwrap()
}

fn waiting(market: &Supermarket) -> u64 {
    let shown = market.cli(&["show", "ce-1", "--xml"]).ok().text();
    let (_, rest) = shown
        .split_once("<WaitingJobs>")
        .unwrap_or_else(|| panic!("{shown}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{shown}"))
}

#[test]
fn a_crowd_of_calls_of_one_person_keeps_nobody_waiting() {
    let size = crowd_size();
    let market = market(200_000);
    let ada = person(&market, "ada", "user");
    let element = Identity::of(market.role_pid("ce-1")).unwrap();
    let resident = || element.memory().unwrap().resident;
    let before = resident();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let crowd = program(&market, &market.token).await;
        let mut entering = futures_util::stream::iter(0..size)
            .map(|_| crowd.enter(1))
            .buffer_unordered(ENTERING);
        while let Some(entered) = entering.next().await {
            entered.unwrap();
        }
        drop(entering);
        let grown = resident().saturating_sub(before);
        assert!(
            grown < size as u64 * ENTRY_BYTES_MAX,
            "the Element grew by {} MiB",
            grown >> 20
        );
        // The crowd holds the only slot and does not heed the recall.
        let run = market.cli_with_as(&ada, &["call", "echo"], "one");
        assert_eq!(run.ok().text(), "one");
        wait_for(LONG, "the crowd waits still", || match waiting(&market) {
            length if length > size as u64 * 9 / 10 => Ok(()),
            length => Err(length.to_string()),
        });
        drop(crowd);
        wait_for(
            LONG,
            "all of the crowd's places are free",
            || match waiting(&market) {
                0 => Ok(()),
                length => Err(length.to_string()),
            },
        );
    });
    market.cli_with(&["call", "echo"], "after").ok();
    market.stop();
}

#[test]
fn who_has_priority_goes_first_and_only_operators_have_it() {
    let market = market(100);
    let (ada, bob) = (
        person(&market, "ada", "user"),
        person(&market, "bob", "user"),
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut holder = program(&market, &bob).await;
        holder.enter(1).await.unwrap();
        let (lease, ..) = holder.granted().await.unwrap();
        // In this order: each has nothing, so only the priority tells them apart.
        let mut back = program(&market, &market.token).await;
        back.enter_with(1, -1).await.unwrap();
        let mut plain = program(&market, &ada).await;
        // A user's wish to go first counts for nothing.
        plain.enter_with(1, 50).await.unwrap();
        let mut first = program(&market, &market.token).await;
        first.enter_with(1, 50).await.unwrap();
        holder.release(lease).await.unwrap();
        for client in [&mut first, &mut plain, &mut back] {
            let (lease, ..) = lease_of(client).await;
            client.release(lease).await.unwrap();
        }
    });
    // The same by the command line: whoever may not is told nothing else.
    let run = market
        .cli_with(&["call", "echo", "--priority", "-5"], "later")
        .ok();
    assert_eq!(run.text(), "later");
    market.cli(&["call", "echo", "--priority", "101"]).exits(2);
    market.stop();
}

/// Waits for a lease; others may be granted and asked back meanwhile.
async fn lease_of(client: &mut QueueClient) -> (gridmart_schemas::id::LeaseId, u32) {
    loop {
        if let Heard::Granted(lease, slots, _) = client.heard().await.unwrap() {
            return (lease, slots);
        }
    }
}

#[test]
fn a_person_over_quota_waits_while_others_do_not() {
    let market = Supermarket::builder().hosts(1).slots(Some(3)).start();
    market.upload(&Application::script("echo", "cat"));
    market.edit_element_document(|document| {
        document.element.policy.max_user_running_jobs = Some(1);
    });
    market.wait_resource("host-1", "back", |row| row["connected"] == true);
    let (ada, bob) = (
        person(&market, "ada", "user"),
        person(&market, "bob", "user"),
    );
    let mut first = held_call(&market, &ada);
    wait_for(LONG, "the first call runs", || {
        activity(&market, "Executing", 1)
    });
    let mut second = held_call(&market, &ada);
    wait_for(LONG, "the second call waits", || {
        activity(&market, "Queued", 1)
    });
    let run = market.cli_with_as(&bob, &["call", "echo"], "mine");
    assert_eq!(run.ok().text(), "mine");
    assert!(!second.has_ended());
    activity(&market, "Queued", 1).unwrap();
    first.close_stdin();
    first.wait().ok();
    wait_for(LONG, "the second call runs", || {
        activity(&market, "Executing", 1)
    });
    second.close_stdin();
    second.wait().ok();
    market.stop();
}

#[test]
fn a_waiting_caller_who_goes_away_frees_the_place() {
    let market = market(1);
    let ada = person(&market, "ada", "user");
    let mut first = held_call(&market, &market.token);
    wait_for(LONG, "the only slot is taken", || {
        activity(&market, "Executing", 1)
    });
    let second = held_call(&market, &ada);
    wait_for(LONG, "the only place is taken", || {
        activity(&market, "Queued", 1)
    });
    let run = market.cli_with(&["call", "echo", "--json"], "").exits(3);
    assert_eq!(run.problem_code(), "queue-full");
    // Killed, it cannot say that it leaves.
    drop(second);
    wait_for(LONG, "the place is free", || activity(&market, "Queued", 0));
    let mut third = held_call(&market, &ada);
    wait_for(LONG, "the place is taken again", || {
        activity(&market, "Queued", 1)
    });
    for call in [&mut first, &mut third] {
        call.close_stdin();
    }
    first.wait().ok();
    third.wait().ok();
    market.stop();
}

/// A call that runs until its stdin is closed.
fn held_call(market: &Supermarket, token: &str) -> Running {
    Running::open(market.command_as(token, &["call", "echo", "--input", "-"]))
}

fn activity(market: &Supermarket, state: &str, count: usize) -> Result<(), String> {
    let shown: serde_json::Value = market.cli(&["show", "echo", "--json"]).ok().json();
    let activities = shown["activities"]["activities"].as_array();
    let states = activities.into_iter().flatten();
    let found = states.filter(|activity| activity["state"].to_string().contains(state));
    (found.count() == count)
        .then_some(())
        .ok_or_else(|| shown["activities"].to_string())
}
