//! The operator: what she was told is done, is done.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use gridmart_schemas::{api::person::PersonCreate, role::Role};
use gridmart_sdk::{Client, Command, Error, Target};
use rand::{RngExt as _, rngs::StdRng};

use super::{
    HOSTS, MIRROR_AGAIN,
    ledger::{Act, Ledger},
};
use crate::{application::Application, supermarket::Supermarket};

/// No answer takes longer.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// Longest pause between two acts.
const PAUSE_MAX: f64 = 2.0;
/// What a fault that is inflicted may show as: no answer, a full disk.
const UNCERTAIN_CODES: &[&str] = &["busy", "storage-failed", "timed-out", "unavailable"];
/// A name that is used only here.
pub(super) const SHELF: &str = "shelf";

/// Acts until it is over.
pub(super) fn go_on(market: &Supermarket, ledger: &Ledger, over: &AtomicBool, mut dice: StdRng) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let client = market.client();
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            match dice.random_range(0..6) {
                0 => person(&client, ledger, number).await,
                1 => version(market, &client, ledger, number).await,
                _ => command(&client, ledger, &mut dice).await,
            }
            let pause = dice.random_range(0.0..PAUSE_MAX);
            tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        }
        client.close().await;
    });
}

/// Stops or kills something, and starts it again.
async fn command(client: &Client, ledger: &Ledger, dice: &mut StdRng) {
    let (name, target) = if dice.random_ratio(1, 3) {
        (MIRROR_AGAIN.to_owned(), application(MIRROR_AGAIN))
    } else {
        let name = format!("host-{}", dice.random_range(1..=HOSTS));
        (name.clone(), Target::Resource(name))
    };
    let first = if dice.random() {
        Command::Stop
    } else {
        Command::Kill
    };
    give(client, ledger, first, &name, &target).await;
    let pause = dice.random_range(0.0..1.0);
    tokio::time::sleep(Duration::from_secs_f64(pause)).await;
    // It may stay closed for some time if the answer says so.
    give(client, ledger, Command::Start, &name, &target).await;
}

/// An application on all Hosts.
pub(super) fn application(name: &str) -> Target {
    Target::Application {
        name: name.to_owned(),
        version: None,
        host: None,
    }
}

async fn give(client: &Client, ledger: &Ledger, command: Command, name: &str, target: &Target) {
    let act = Act::Command(command.as_str(), name.to_owned());
    let given = async { client.commands().give(command, target).await.map(drop) };
    enter(ledger, act, bounded(given).await);
}

async fn person(client: &Client, ledger: &Ledger, number: u32) {
    let name = format!("person-{number}");
    let Ok(person) = name.parse() else {
        return ledger.broken(format!("{name} is no name"));
    };
    let wanted = PersonCreate {
        name: person,
        role: Role::User,
        domain: None,
        password: "correct horse battery staple".to_owned(),
    };
    let made = async { client.people().create(&wanted).await.map(drop) };
    enter(ledger, Act::Person(name), bounded(made).await);
}

async fn version(market: &Supermarket, client: &Client, ledger: &Ledger, number: u32) {
    let version = format!("1.{number}");
    let folder = Application::script(SHELF, &format!("echo {version}"))
        .version(&version)
        .write(market.scratch());
    let uploaded = async { client.apps().upload(&folder, |_| ()).await.map(drop) };
    enter(ledger, Act::Version(version), bounded(uploaded).await);
}

async fn bounded(act: impl Future<Output = Result<(), Error>>) -> Option<Result<(), Error>> {
    tokio::time::timeout(ANSWER_MAX, act).await.ok()
}

fn enter(ledger: &Ledger, act: Act, answer: Option<Result<(), Error>>) {
    let kind = match &act {
        Act::Command(command, _) => command,
        Act::Person(_) => "person",
        Act::Version(_) => "upload",
    };
    match answer {
        None => ledger.broken(format!("{act:?} hangs")),
        Some(Ok(())) => {
            ledger.count(format!("operator: {kind} done"));
            ledger.done(act);
        }
        Some(Err(error)) => {
            let code = error.code().map_or("none", |code| code.as_str());
            ledger.count(format!("operator: {kind}: {code}"));
            // Whoever gets no answer cannot know.
            if !UNCERTAIN_CODES.contains(&code) {
                ledger.broken(format!("{act:?} was refused with {code}: {error}"));
            }
            ledger.uncertain(act);
        }
    }
}
