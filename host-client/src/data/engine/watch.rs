//! Watches a database server: whether it is there and fit is looked at on and on, so that a
//! Host can say so.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between two looks at a server.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The first pause before it is tried again; it doubles up to `LOOK_EVERY`.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// A look may take so long.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// How a server is, as it was found last.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    version: Option<String>,
    complaint: Option<String>,
    /// Bytes that databases take, by their names.
    sizes: HashMap<String, u64>,
}

impl Health {
    /// Its version, once it was reached.
    pub(super) fn version(&self) -> Option<String> {
        self.0.lock().version.clone()
    }

    /// Why it cannot be used at present, if that is so.
    pub(super) fn complaint(&self) -> Option<String> {
        self.0.lock().complaint.clone()
    }

    /// Bytes that a database takes, as they were found last.
    pub(super) fn used(&self, database: &str) -> u64 {
        let found = self.0.lock();
        found.sizes.get(database).copied().unwrap_or_default()
    }

    /// Keeps how large databases are.
    pub(super) fn measured(&self, sizes: HashMap<String, u64>) {
        self.0.lock().sizes = sizes;
    }
}

/// How one kind of server is looked at.
#[async_trait]
pub(super) trait Look: Send + Sync + 'static {
    /// A connection to it.
    type Link: Send;
    /// The server's name.
    const NAME: &'static str;

    /// Where what is found is kept.
    fn health(&self) -> &Health;

    /// Connects and looks; an error says why it is away.
    async fn look(&self) -> Result<Looked<Self::Link>, String>;

    /// Whether it is there still.
    async fn ask(&self, link: &mut Self::Link) -> bool;
}

/// What a look has found of a server that is there.
pub(super) struct Looked<L> {
    pub(super) link: L,
    pub(super) version: Option<String>,
    /// Why it, or the account, cannot be used, and what an administrator has to do.
    pub(super) unfit: Option<String>,
}

enum Seen<L> {
    Fit(L),
    Unfit(String),
    Away(String),
}

/// Looks for the first time, then on and on until it is stopped. One that is away is waited
/// for; one that is not fit is refused with what is to be done.
pub(super) async fn watch<L: Look>(look: L, stop: &CancellationToken) -> Result<(), String> {
    match once(&look).await {
        Seen::Unfit(why) => return Err(why),
        Seen::Away(why) => {
            let server = L::NAME;
            tracing::warn!(why, server, "a database server is away, and is waited for");
        }
        Seen::Fit(_) => {}
    }
    tokio::spawn(stop.clone().run_until_cancelled_owned(on_and_on(look)));
    Ok(())
}

async fn once<L: Look>(look: &L) -> Seen<L::Link> {
    let looked = timeout(LOOK_MAX, look.look()).await;
    match looked.unwrap_or_else(|_| Err("it does not answer".to_owned())) {
        Ok(looked) => {
            let mut found = look.health().0.lock();
            found.version = looked.version.or_else(|| found.version.take());
            found.complaint.clone_from(&looked.unfit);
            drop(found);
            looked.unfit.map_or(Seen::Fit(looked.link), Seen::Unfit)
        }
        Err(why) => {
            let complaint = format!("the {} server beside the Host is away: {why}", L::NAME);
            look.health().0.lock().complaint = Some(complaint);
            Seen::Away(why)
        }
    }
}

async fn on_and_on<L: Look>(look: L) {
    let server = L::NAME;
    let mut pause = PAUSE_FIRST;
    let mut was_away = false;
    loop {
        match once(&look).await {
            Seen::Fit(mut link) => {
                if was_away {
                    tracing::info!(server, "a database server is there again");
                }
                (pause, was_away) = (PAUSE_FIRST, false);
                while let Ok(true) = timeout(LOOK_MAX, look.ask(&mut link)).await {
                    sleep(LOOK_EVERY).await;
                }
            }
            Seen::Unfit(why) | Seen::Away(why) => {
                if !was_away {
                    tracing::error!(why, server, "a database server cannot be used, trying on");
                }
                was_away = true;
                sleep(pause).await;
                pause = LOOK_EVERY.min(pause * 2);
            }
        }
    }
}
