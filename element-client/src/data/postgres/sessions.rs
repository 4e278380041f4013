//! The sessions that stand, by the numbers that clients know: cancelled from other
//! connections, and ended with their access keys.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::wire::frontend::CancelKey;
use crate::data::sessions::{self, SqlSession};

/// A session, as others know it.
pub(super) struct Known {
    pub(super) key: CancelKey,
    /// As people see it.
    pub(super) session: Arc<SqlSession>,
    /// The access key that it came with.
    access_key: String,
    /// The client is gone.
    pub(super) gone: CancellationToken,
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
    _session: sessions::Standing,
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
        session: sessions::Standing,
        access_key: String,
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
            session: Arc::clone(session.session()),
            access_key,
            gone: CancellationToken::new(),
            running: Mutex::default(),
        });
        standing.insert(process, Arc::clone(&known));
        Standing {
            known,
            sessions: Arc::clone(self),
            _session: session,
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

    /// Ends those that came with that access key.
    pub(super) fn end_of(&self, access_key: &str) {
        for known in self.standing.lock().values() {
            if known.access_key == access_key {
                known.session.terminate("its access key was deleted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{DatabaseId, NodeId},
        wire::sql_session::SqlDoor,
    };

    use super::*;

    #[test]
    fn only_who_knows_its_secret_cancels_what_a_session_runs() {
        let sessions = Arc::new(Sessions::default());
        let all = sessions::Sessions::new(NodeId::generate());
        let begin = || {
            let arrival = sessions::Arrival {
                person: "ada".parse().unwrap(),
                database: (DatabaseId::generate(), "shop".parse().unwrap()),
                door: SqlDoor::Postgres,
                remote: None,
                application: None,
            };
            sessions.begin(all.begin(arrival, None).unwrap(), "GM1".to_owned())
        };
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
        sessions.end_of("GM1");
        assert!(one.known.session.end.is_cancelled());
    }
}
