//! The sessions that stand: cancelled, and ended, from anywhere.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use gridmart_schemas::id::PersonName;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::wire::frontend::CancelKey;

/// A session, as others know it.
pub(super) struct Known {
    pub(super) key: CancelKey,
    pub(super) person: PersonName,
    /// The access key that it came with.
    pub(super) access_key: String,
    pub(super) remote: SocketAddr,
    /// The client is gone.
    pub(super) gone: CancellationToken,
    /// It is to end, statement or not.
    pub(super) end: CancellationToken,
    /// Of the statement that runs.
    running: Mutex<CancellationToken>,
}

impl Known {
    /// A statement begins: what ends it.
    pub(super) fn statement(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.running.lock() = token.clone();
        token
    }
}

/// All of them, by their numbers.
#[derive(Default)]
pub(super) struct Sessions {
    standing: Mutex<HashMap<u32, Arc<Known>>>,
    next: AtomicU32,
}

/// One that stands, until it is dropped.
pub(super) struct Standing {
    pub(super) known: Arc<Known>,
    sessions: Arc<Sessions>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut standing = self.sessions.standing.lock();
        standing.remove(&self.known.key.process);
    }
}

impl Sessions {
    /// A session begins.
    pub(super) fn begin(
        self: &Arc<Self>,
        person: PersonName,
        access_key: String,
        remote: SocketAddr,
    ) -> Standing {
        let mut standing = self.standing.lock();
        // Signed on many clients, and never 0; numbers in use are passed over.
        let process = loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff;
            if number != 0 && !standing.contains_key(&number) {
                break number;
            }
        };
        let known = Arc::new(Known {
            key: CancelKey {
                process,
                secret: rand::random(),
            },
            person,
            access_key,
            remote,
            gone: CancellationToken::new(),
            end: CancellationToken::new(),
            running: Mutex::default(),
        });
        standing.insert(process, Arc::clone(&known));
        Standing {
            known,
            sessions: Arc::clone(self),
        }
    }

    /// Ends what a session runs, if the secret is its own.
    pub(super) fn cancel(&self, key: CancelKey) {
        let standing = self.standing.lock();
        if let Some(known) = standing.get(&key.process)
            && known.key.secret == key.secret
        {
            known.running.lock().cancel();
        }
    }

    /// Ends those of which that is true.
    pub(super) fn end(&self, which: impl Fn(&Known) -> bool) {
        for known in self.standing.lock().values() {
            if which(known) {
                tracing::info!(person = %known.person, remote = %known.remote, "a PostgreSQL session is ended");
                known.end.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_its_secret_cancels_what_a_session_runs() {
        let sessions = Arc::new(Sessions::default());
        let remote = "127.0.0.1:1".parse().unwrap();
        let begin = || sessions.begin("ada".parse().unwrap(), "GM1".to_owned(), remote);
        let (one, other) = (begin(), begin());
        let (of_one, of_other) = (one.known.statement(), other.known.statement());
        let mut key = one.known.key;
        key.secret ^= 1;
        sessions.cancel(key);
        assert!(!of_one.is_cancelled());
        sessions.cancel(one.known.key);
        assert!(of_one.is_cancelled() && !of_other.is_cancelled());
        let next = one.known.statement();
        assert!(!next.is_cancelled(), "what begins now is not ended");
        let key = other.known.key;
        drop(other);
        sessions.cancel(key);
        sessions.end(|known| known.access_key == "GM1");
        assert!(one.known.end.is_cancelled());
    }
}
