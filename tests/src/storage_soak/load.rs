//! Programs that put, get, delete and list; each has keys of its own.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use gridmart_schemas::problem::Code;
use gridmart_sdk::{Client, Error, Storage};
use rand::{RngExt as _, rngs::StdRng};

use super::{
    BUCKETS,
    content::Content,
    ledger::{Ledger, Name},
};
use crate::supermarket::Supermarket;

/// No act takes longer, whatever happens; its program waits in vain otherwise.
const ACT_MAX: Duration = Duration::from_mins(4);
/// Pause after a refusal.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);
/// Keys of a program in each bucket.
const KEYS: u32 = 24;
/// Acts of one client: then it goes.
const ACTS_OF_A_CLIENT: u32 = 60;
/// What a fault that is inflicted may show as.
const CODES: &[Code] = &[
    Code::Busy,
    Code::ElementDown,
    Code::HostDown,
    Code::NotAccepting,
    Code::StorageDegraded,
    Code::StorageFailed,
    Code::TicketCut,
    Code::TicketExpired,
    Code::TimedOut,
    Code::Unavailable,
];

/// Acts until it is over.
pub(super) fn go_on(
    market: &Supermarket,
    ledger: &Ledger,
    over: &AtomicBool,
    lane: u64,
    mut dice: StdRng,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        while !over.load(Ordering::Relaxed) {
            let client: Client = market.client();
            for _ in 0..ACTS_OF_A_CLIENT {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (bucket, _) = BUCKETS[dice.random_range(0..BUCKETS.len())];
                let key = format!("{lane}/{}", dice.random_range(0..KEYS));
                let name = (bucket.to_owned(), key);
                act(&client.storage(), ledger, lane, &name, &mut dice).await;
            }
            client.close().await;
        }
    });
}

async fn act(storage: &Storage, ledger: &Ledger, lane: u64, name: &Name, dice: &mut StdRng) {
    match dice.random_range(0..10) {
        0..4 => put(storage, ledger, name, Content::draw(dice)).await,
        4 => delete(storage, ledger, name).await,
        5 => list(storage, ledger, lane, &name.0).await,
        _ => get(storage, ledger, name).await,
    }
}

async fn put(storage: &Storage, ledger: &Ledger, name: &Name, content: Content) {
    let (bucket, key) = name;
    let putting = storage.put(bucket, key).bytes(content.bytes());
    match bounded(ledger, "put", name, putting).await {
        Some(Ok(_)) => ledger.done(name, Some(content)),
        // Also one that says that it was not done: an earlier try of it may be
        // on its way still.
        _ => ledger.open(name, Some(content)),
    }
}

async fn delete(storage: &Storage, ledger: &Ledger, name: &Name) {
    let (bucket, key) = name;
    match bounded(ledger, "delete", name, storage.delete(bucket, key)).await {
        Some(Ok(())) => ledger.done(name, None),
        _ => ledger.open(name, None),
    }
}

async fn get(storage: &Storage, ledger: &Ledger, name: &Name) {
    let (bucket, key) = name;
    let getting = async { missing_is_none(storage.get(bucket, key).bytes().await) };
    if let Some(Ok(bytes)) = bounded(ledger, "get", name, getting).await {
        judge(ledger, name, bytes.as_ref());
    }
}

/// Whether what was read may be there. Gives what it is.
pub(super) fn judge(ledger: &Ledger, name: &Name, bytes: Option<&Bytes>) {
    let possible = ledger.possible(name);
    let is_right = possible.iter().any(|content| match (content, bytes) {
        (None, None) => true,
        (Some(content), Some(bytes)) => content.size == bytes.len() && content.bytes() == bytes,
        _ => false,
    });
    if !is_right {
        let found = bytes.map(Bytes::len);
        ledger.broken(format!(
            "{name:?} is not what it may be: {found:?} bytes; possible: {possible:?}"
        ));
    }
}

pub(super) fn missing_is_none(got: Result<Bytes, Error>) -> Result<Option<Bytes>, Error> {
    match got {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.code() == Some(Code::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(storage: &Storage, ledger: &Ledger, lane: u64, bucket: &str) {
    let prefix = format!("{lane}/");
    let name = (bucket.to_owned(), prefix.clone());
    let listing = storage.list(bucket).prefix(prefix).all();
    let Some(Ok(listed)) = bounded(ledger, "list", &name, listing).await else {
        return;
    };
    let sizes = listed
        .into_iter()
        .map(|object| (object.key, object.size))
        .collect();
    judge_listing(ledger, bucket, &format!("{lane}/"), &sizes);
}

/// Whether a listing may be as it is.
pub(super) fn judge_listing(
    ledger: &Ledger,
    bucket: &str,
    prefix: &str,
    sizes: &BTreeMap<String, u64>,
) {
    let tried = ledger.names();
    let tried = tried
        .iter()
        .filter(|name| name.0 == bucket && name.1.starts_with(prefix));
    for name in tried {
        let listed = sizes.get(&name.1).copied();
        let size = |content: &Option<Content>| content.map(|content| content.size as u64);
        let possible = ledger.possible(name);
        if !possible.iter().any(|content| size(content) == listed) {
            ledger.broken(format!(
                "{name:?} is listed with {listed:?} bytes; possible: {possible:?}"
            ));
        }
    }
}

/// Whether it may be for a fault that is inflicted.
pub(super) fn is_fault(error: &Error) -> bool {
    match error.code() {
        Some(code) => CODES.contains(&code),
        None => matches!(error, Error::Unreachable { .. }),
    }
}

async fn bounded<T>(
    ledger: &Ledger,
    what: &str,
    name: &Name,
    act: impl Future<Output = Result<T, Error>>,
) -> Option<Result<T, Error>> {
    let done = tokio::time::timeout(ACT_MAX, act).await.ok();
    match &done {
        None => ledger.broken(format!("{what} of {name:?} hangs")),
        Some(Ok(_)) => ledger.count(what),
        Some(Err(error)) => {
            let code = error.code();
            let named = code.map_or("nobody there", |code| code.as_str());
            ledger.count(format!("{what}: {named}"));
            if !is_fault(error) {
                ledger.broken(format!("{what} of {name:?}: {named}: {error}"));
            }
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
    done
}
