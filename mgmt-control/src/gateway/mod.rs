//! The way of browsers to objects, statements and calls: a browser does not speak with
//! Elements and Hosts, nor does it know the authority of their certificates, so the
//! controller speaks with them for it, as the person whose session it is.
//!
//! A session has a client of the SDK of its own, which asks this very controller for access
//! as any program does: nothing is decided here. Its token is derived from the session,
//! never leaves this process, and is good as long as the session is.
//!
//! Invariants: clients and uploads are as many as sessions use, and are closed when they
//! idle or their session ends; so many requests at a time are served, and no more; bytes
//! pass through bounded channels.

mod pipe;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{TokenId, UploadId},
    problem::{Code, Problem},
};
use gridmart_sdk::{Client, Error, PartUpload, Settings};
use parking_lot::Mutex;
use tokio::{
    fs::File,
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

pub use self::pipe::{Pieces, body, pipe};
use crate::{
    app::{Control, session::SignedIn},
    catalogue::Snapshot,
};

/// Version and recognition mark of the token of a session's client.
const PREFIX: &str = "gmg1.";
/// Requests at a time.
const AT_A_TIME: usize = 64;
/// Those of one session.
const OF_ONE_SESSION: usize = 12;
/// A client that nobody uses is closed after this.
const IDLE_MAX: Duration = Duration::from_mins(10);
/// An upload of which no part comes is forgotten here; at its Element it stays.
const UPLOAD_IDLE_MAX: Duration = Duration::from_hours(1);
/// How often what idles is looked for.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// Uploads of one session that are known here.
const UPLOADS_MAX: usize = 100;

/// See the module.
pub struct Gateway {
    runtime: Handle,
    url: OnceLock<String>,
    root: String,
    /// For what waits on the disk.
    folder: PathBuf,
    turns: Arc<Semaphore>,
    kept: Mutex<HashMap<TokenId, Kept>>,
}

struct Kept {
    client: Client,
    used: Instant,
    turns: Arc<Semaphore>,
    uploads: HashMap<UploadId, (PartUpload, Instant)>,
}

/// A session's client, for one request.
pub struct Turn {
    /// Speaks with nodes as the person.
    pub client: Client,
    session: TokenId,
    _turns: [OwnedSemaphorePermit; 2],
}

impl Gateway {
    /// One that runs there; it is told where the controller is once its door is open.
    pub fn new(runtime: Handle, root: &str, folder: PathBuf) -> Self {
        Self {
            runtime,
            url: OnceLock::new(),
            root: root.to_owned(),
            folder,
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            kept: Mutex::default(),
        }
    }

    /// Tells it where people's door is on this machine, as a URL.
    pub fn opened(&self, url: String) {
        // It is opened once.
        let _ = self.url.set(url);
    }

    /// The client of a session, for one request.
    ///
    /// # Errors
    /// `rate-limited`: too much is on its way; an API token, whose program has a way of its
    /// own.
    pub fn turn(&self, control: &Control, who: &SignedIn) -> Result<Turn, Problem> {
        if who.token.session.is_none() {
            let detail = "This is for the console's sessions: a program uses the SDK or the \
                          command line, which speak with Elements and Hosts themselves.";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let url = self
            .url
            .get()
            .ok_or_else(|| Problem::new(Code::Unavailable, "The controller is starting."))?;
        let session = who.token.id;
        let mut kept = self.kept.lock();
        let own = match kept.entry(session) {
            std::collections::hash_map::Entry::Occupied(own) => own.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => place.insert(Kept {
                client: self.client(url, &token_of(control, session))?,
                used: Instant::now(),
                turns: Arc::new(Semaphore::new(OF_ONE_SESSION)),
                uploads: HashMap::new(),
            }),
        };
        own.used = Instant::now();
        let turn = |turns: &Arc<Semaphore>| {
            Arc::clone(turns).try_acquire_owned().map_err(|_| {
                let detail = "Too much is on its way through the console.";
                Problem::new(Code::RateLimited, detail).with_retry_after(Duration::from_secs(1))
            })
        };
        Ok(Turn {
            client: own.client.clone(),
            session,
            _turns: [turn(&own.turns)?, turn(&self.turns)?],
        })
    }

    fn client(&self, url: &str, token: &str) -> Result<Client, Problem> {
        let settings = Settings {
            ca: Some(self.root.clone()),
            ..Settings::new(url, token)
        };
        // A client makes its connections where it is used.
        let _here = self.runtime.enter();
        Client::connect(settings).map_err(|error| problem_of(&error))
    }

    /// Runs something among the controller's own tasks, not those of its door.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.runtime.spawn(work).await;
        let done = done.map_err(|error| {
            tracing::error!(%error, "a request of the console has panicked");
            Problem::new(Code::Internal, "The controller could not do it.")
        })?;
        done.map_err(|error| problem_of(&error))
    }

    /// A file without a name, for what waits on the disk.
    ///
    /// # Errors
    /// A disk that is full, or that cannot be written to.
    pub async fn file(&self) -> Result<File, Problem> {
        let folder = self.folder.clone();
        let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let made = made.map_err(std::io::Error::other).and_then(|made| made);
        made.map(File::from_std).map_err(|error| {
            tracing::error!(%error, "a temporary file could not be made");
            Problem::new(
                Code::StorageFailed,
                "The controller has no room for the input.",
            )
        })
    }

    /// Where its tasks run.
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Keeps an upload for the requests of its parts.
    pub fn upload_keep(&self, turn: &Turn, upload: &PartUpload) {
        let mut kept = self.kept.lock();
        let Some(own) = kept.get_mut(&turn.session) else {
            return;
        };
        if own.uploads.len() >= UPLOADS_MAX {
            let oldest = own.uploads.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                own.uploads.remove(&oldest);
            }
        }
        let now = Instant::now();
        own.uploads.insert(upload.id(), (upload.clone(), now));
    }

    /// An upload that was kept.
    pub fn upload(&self, turn: &Turn, upload: UploadId) -> Option<PartUpload> {
        let mut kept = self.kept.lock();
        let (found, used) = kept.get_mut(&turn.session)?.uploads.get_mut(&upload)?;
        *used = Instant::now();
        Some(found.clone())
    }

    /// Is done with an upload.
    pub fn upload_drop(&self, turn: &Turn, upload: UploadId) {
        if let Some(own) = self.kept.lock().get_mut(&turn.session) {
            own.uploads.remove(&upload);
        }
    }

    /// Closes what idles, and what is left of sessions that are over, until the end.
    pub async fn keep_tidy(control: Arc<Control>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TIDY_EVERY) => {}
                () = control.shutdown.cancelled() => break,
            }
            let catalogue = control.catalogue.snapshot();
            for client in control.gateway.idle(&catalogue, Instant::now()) {
                client.close().await;
            }
        }
        let all: Vec<_> = control.gateway.kept.lock().drain().collect();
        let closing = all.iter().map(|(_, own)| own.client.close());
        futures_util::future::join_all(closing).await;
    }

    fn idle(&self, catalogue: &Snapshot, now: Instant) -> Vec<Client> {
        let mut kept = self.kept.lock();
        for own in kept.values_mut() {
            own.uploads
                .retain(|_, (_, used)| now.saturating_duration_since(*used) < UPLOAD_IDLE_MAX);
        }
        let is_over = |id: &TokenId, own: &Kept| {
            let is_used = own.turns.available_permits() < OF_ONE_SESSION || !own.uploads.is_empty();
            let idles = now.saturating_duration_since(own.used) >= IDLE_MAX && !is_used;
            idles || !catalogue.api_tokens.contains_key(id)
        };
        let over: Vec<_> = kept
            .iter()
            .filter(|(id, own)| is_over(id, own))
            .map(|(id, _)| *id)
            .collect();
        let gone = over.iter().filter_map(|id| kept.remove(id));
        gone.map(|own| own.client).collect()
    }
}

fn token_of(control: &Control, session: TokenId) -> String {
    format!("{PREFIX}{session}.{}", mac(control, session).to_hex())
}

/// Whether a token is of the form of a session's client.
pub fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The session whose client shows this token; takes equal time for all.
pub fn session_of(control: &Control, text: &str) -> Option<TokenId> {
    let (id, shown) = text.strip_prefix(PREFIX)?.split_once('.')?;
    let id: TokenId = id.parse().ok()?;
    let shown = blake3::Hash::from_hex(shown).ok()?;
    (shown == mac(control, id)).then_some(id)
}

fn mac(control: &Control, session: TokenId) -> blake3::Hash {
    let words = [b"gateway".as_slice(), session.as_uuid().as_bytes()].concat();
    blake3::keyed_hash(&control.catalogue.session_key, &words)
}

/// What a browser is told of a failure.
pub fn problem_of(error: &Error) -> Problem {
    match error {
        Error::Refused(problem) => Problem::clone(problem),
        Error::Statement(fault) => {
            let place = fault.position.map(|at| format!(" (at character {at})"));
            let place = place.unwrap_or_default();
            let detail = format!("{}: {}{place}", fault.state, fault.message);
            Problem::new(Code::StatementRefused, detail)
        }
        other => {
            let code = other.code().unwrap_or(Code::Internal);
            Problem::new(code, other.to_string())
        }
    }
}
