//! Callers: each answer is right or names the fault, and comes in time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use gridmart_schemas::{id::CallId, wire::record::CallEnd};
use gridmart_sdk::{Client, Error};
use rand::{RngExt as _, rngs::StdRng};
use tokio::io::AsyncReadExt as _;

use super::{
    MIRROR, MIRROR_AGAIN,
    ledger::{Call, Ledger, Outcome},
};
use crate::supermarket::Supermarket;

/// No call takes longer, whatever happens; its callers wait in vain otherwise.
const CALL_MAX: Duration = Duration::from_mins(3);
/// Largest input.
const INPUT_BYTES_MAX: usize = 200_000;
/// Pause after a refusal.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Words of a refusal that the summary shows.
const SHAPE_WORDS: usize = 14;
/// One client's calls: then it goes, and its leases with it.
const CALLS_OF_A_CLIENT: u32 = 40;
/// What a fault that is inflicted may show as.
const CODES: &[&str] = &[
    "busy",
    "element-down",
    "host-down",
    "host-restarted",
    "lease-ended",
    "need-unmet",
    "not-accepting",
    "queue-full",
    "sandbox-lost",
    "sandbox-unavailable",
    "staging-failed",
    "storage-failed",
    "terminated",
    "ticket-cut",
    "timed-out",
    "unavailable",
];

/// What the call is to give back.
struct Wanted {
    call: String,
    input: Vec<u8>,
    naps: f64,
    again: bool,
    /// The caller goes away after this time.
    leaves: Option<Duration>,
}

impl Wanted {
    fn draw(dice: &mut StdRng) -> Self {
        let length = match dice.random_range(0..4) {
            0 => 0,
            1 => dice.random_range(0..INPUT_BYTES_MAX),
            _ => dice.random_range(0..200),
        };
        Self {
            call: format!("{:016x}", dice.random::<u64>()),
            input: (0..length).map(|_| dice.random()).collect(),
            naps: if dice.random_ratio(1, 4) {
                dice.random_range(0.0..3.0)
            } else {
                0.0
            },
            again: dice.random(),
            leaves: dice
                .random_ratio(1, 12)
                .then(|| Duration::from_millis(dice.random_range(0..1500))),
        }
    }

    fn answer(&self) -> Vec<u8> {
        [self.call.as_bytes(), b"\n", &self.input].concat()
    }
}

/// Makes calls until it is over.
pub(super) fn go_on(market: &Supermarket, ledger: &Ledger, over: &AtomicBool, mut dice: StdRng) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        while !over.load(Ordering::Relaxed) {
            let client = market.client();
            for _ in 0..CALLS_OF_A_CLIENT {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                call(&client, ledger, &Wanted::draw(&mut dice)).await;
            }
            client.close().await;
        }
    });
}

async fn call(client: &Client, ledger: &Ledger, wanted: &Wanted) {
    let mut begun = None;
    let running = run(client, wanted, &mut begun);
    let leaves = wanted.leaves.unwrap_or(CALL_MAX);
    let result = tokio::time::timeout(leaves, running).await;
    let outcome = match result {
        Err(_) if wanted.leaves.is_some() => {
            ledger.count("call: left by its caller");
            Outcome::Left
        }
        Err(_) => {
            ledger.broken(format!(
                "call {begun:?} ({}) hangs: no end in {} s",
                wanted.call,
                CALL_MAX.as_secs()
            ));
            Outcome::Left
        }
        Ok(Ok((end, output))) => {
            judge(ledger, wanted, begun, &end, &output);
            Outcome::Ended(end)
        }
        Ok(Err(error)) => {
            let code = error.code().map_or("none", |code| code.as_str());
            ledger.count(format!("call: {code}: {}", shape(&error.to_string())));
            // Who is refused tries again, but not at once.
            tokio::time::sleep(REFUSED_PAUSE).await;
            if !CODES.contains(&code) {
                ledger.broken(format!("call {begun:?} failed with {code}: {error}"));
            }
            Outcome::Failed
        }
    };
    if let Some(id) = begun {
        let again = wanted.again;
        ledger.call(Call { id, again, outcome });
    }
}

async fn run(
    client: &Client,
    wanted: &Wanted,
    begun: &mut Option<CallId>,
) -> Result<(CallEnd, Vec<u8>), Error> {
    let name = if wanted.again { MIRROR_AGAIN } else { MIRROR };
    let builder = client
        .apps()
        .call(name)
        .arg(&wanted.call)
        .arg(format!("{:.2}", wanted.naps));
    let mut call = builder.stdin(wanted.input.clone()).start().await?;
    *begun = Some(call.id());
    let mut output = Vec::new();
    let mut stdout = call.stdout();
    // Why it breaks off, if it does, the end tells.
    let _ = stdout.read_to_end(&mut output).await;
    Ok((call.wait().await?, output))
}

/// The text of a refusal without what differs from one to the next.
fn shape(text: &str) -> String {
    let words = text.split_whitespace().take(SHAPE_WORDS);
    let plain = words.map(|word| {
        let is_name = word.contains(|letter: char| letter.is_ascii_digit());
        if is_name { "…" } else { word }
    });
    plain.collect::<Vec<_>>().join(" ")
}

fn judge(ledger: &Ledger, wanted: &Wanted, begun: Option<CallId>, end: &CallEnd, output: &[u8]) {
    if end.succeeded() {
        ledger.count("call: right");
        if output != wanted.answer() {
            ledger.broken(format!(
                "call {begun:?} ended well with {} bytes, not the {} that are right",
                output.len(),
                wanted.answer().len()
            ));
        }
        return;
    }
    let code = end.code.map_or("none", |code| code.as_str());
    ledger.count(format!(
        "call: {:?}, code {code}, signal {:?}, exit {:?}",
        end.state, end.signal, end.exit_code
    ));
    // Its own processes are killed, and it is ended with its application.
    let killed = end.signal == Some(9) || end.exit_code.is_some_and(|code| code > 128);
    if !killed && !CODES.contains(&code) {
        ledger.broken(format!("call {begun:?} ended with {end:?}"));
    }
    if !wanted.answer().starts_with(output) {
        ledger.broken(format!("call {begun:?} gave bytes that are not its own"));
    }
}
