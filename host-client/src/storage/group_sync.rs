//! One sync for all who wait for it.

use std::{io, sync::Arc};

use parking_lot::{Condvar, Mutex};

/// How far something that grows has been made durable. Who comes while a sync
/// runs waits for the next one, which one of them makes for all.
#[derive(Debug)]
pub(crate) struct GroupSync {
    state: Mutex<State>,
    ended: Condvar,
    is_repeatable: bool,
}

#[derive(Debug, Default)]
struct State {
    synced: u64,
    is_running: bool,
    failure: Option<Arc<io::Error>>,
}

impl GroupSync {
    /// For the content of a file: after one failure all later ones fail, since
    /// nobody knows what the disk has of it.
    pub(crate) fn of_content() -> Self {
        Self::new(false)
    }

    /// For the names in a folder, whose sync may be tried again.
    pub(crate) fn of_names() -> Self {
        Self::new(true)
    }

    /// The same, of which so much is durable already.
    pub(crate) fn from(self, synced: u64) -> Self {
        self.state.lock().synced = synced;
        self
    }

    fn new(is_repeatable: bool) -> Self {
        Self {
            state: Mutex::default(),
            ended: Condvar::new(),
            is_repeatable,
        }
    }

    /// Returns when all up to `mark` is durable, which must have been written.
    /// `reached` tells how far it has been written before `sync` is called.
    pub(crate) fn through(
        &self,
        mark: u64,
        reached: impl FnOnce() -> u64,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), Arc<io::Error>> {
        let mut state = self.state.lock();
        loop {
            if state.synced >= mark {
                return Ok(());
            }
            if let Some(failure) = &state.failure {
                return Err(Arc::clone(failure));
            }
            if !state.is_running {
                break;
            }
            self.ended.wait(&mut state);
        }
        state.is_running = true;
        drop(state);
        let target = reached();
        let outcome = sync().map_err(Arc::new);
        let mut state = self.state.lock();
        state.is_running = false;
        match &outcome {
            Ok(()) => state.synced = state.synced.max(target),
            Err(error) if !self.is_repeatable => state.failure = Some(Arc::clone(error)),
            Err(_) => {}
        }
        drop(state);
        self.ended.notify_all();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    #[test]
    fn who_waits_shares_the_next_sync() {
        let sync = GroupSync::of_content();
        let written = AtomicU64::new(1);
        let syncs = AtomicU64::new(0);
        let (begun, go_on) = (Barrier::new(2), Barrier::new(2));
        let all_wait = Barrier::new(9);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let slow = || {
                    syncs.fetch_add(1, Ordering::SeqCst);
                    begun.wait();
                    go_on.wait();
                    Ok(())
                };
                sync.through(1, || written.load(Ordering::SeqCst), slow)
                    .unwrap();
            });
            begun.wait();
            for _ in 0..8 {
                scope.spawn(|| {
                    let mark = written.fetch_add(1, Ordering::SeqCst) + 1;
                    // All have written before the first sync ends.
                    all_wait.wait();
                    let count = || {
                        syncs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    sync.through(mark, || written.load(Ordering::SeqCst), count)
                        .unwrap();
                });
            }
            all_wait.wait();
            go_on.wait();
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 2);
        let none = || panic!("all of it is durable");
        sync.through(9, || 9, none).unwrap();
    }

    #[test]
    fn a_failed_sync_of_content_is_not_tried_again_and_one_of_names_is() {
        let fail = || Err(io::Error::other("broken"));
        let content = GroupSync::of_content();
        content.through(1, || 1, || Ok(())).unwrap();
        assert!(content.through(2, || 2, fail).is_err());
        assert!(content.through(2, || 2, || Ok(())).is_err());
        assert!(content.through(1, || 2, fail).is_ok(), "that was durable");
        let names = GroupSync::of_names();
        assert!(names.through(1, || 1, fail).is_err());
        assert!(names.through(1, || 1, || Ok(())).is_ok());
    }
}
