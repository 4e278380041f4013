//! Keeps each application's index of Hosts true.

use std::time::{Duration, Instant};

use gridmart_schemas::id::{Digest, NodeId};

use super::{Queue, application::Index};

/// How long an index of an application that nobody waits for is kept.
const INDEX_IDLE: Duration = Duration::from_mins(10);

impl Queue {
    /// Makes the application's index if there is none and its needs are known.
    pub(super) fn ensure_index(&mut self, digest: &Digest, now: Instant) {
        let Some(application) = self.applications.get(digest) else {
            return;
        };
        if application.manifest.is_none() {
            return;
        }
        let built = application.index.is_none().then(|| {
            let mut index = Index::default();
            for host in self
                .hosts
                .values()
                .filter(|host| self.fits(host, application))
            {
                index.fitting.insert(host.id);
                if host.offered > 0 {
                    index.candidates.insert((host.offered, host.id));
                }
            }
            index
        });
        if let Some(application) = self.applications.get_mut(digest) {
            let index = application.index.get_or_insert_default();
            if let Some(built) = built {
                *index = built;
            }
            index.used = Some(now);
        }
    }

    /// Brings the free slots of a Host to every index.
    pub(super) fn reindex(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        let (before, free) = (host.offered, host.free());
        if before == free {
            return;
        }
        host.offered = free;
        for index in self
            .applications
            .values_mut()
            .filter_map(|application| application.index.as_mut())
        {
            if index.fitting.contains(&id) {
                index.candidates.remove(&(before, id));
                if free > 0 {
                    index.candidates.insert((free, id));
                }
            }
        }
    }

    /// Judges anew which applications a Host fits.
    pub(super) fn refit(&mut self, id: NodeId) {
        self.reindex(id);
        let Some(host) = self.hosts.get(&id) else {
            return;
        };
        let offered = host.offered;
        let indexed = self
            .applications
            .values()
            .filter(|application| application.index.is_some());
        let verdicts: Vec<(Digest, bool)> = indexed
            .map(|application| (application.digest.clone(), self.fits(host, application)))
            .collect();
        for (digest, fits) in verdicts {
            let index = self
                .applications
                .get_mut(&digest)
                .and_then(|application| application.index.as_mut());
            let Some(index) = index else { continue };
            if fits {
                index.fitting.insert(id);
                if offered > 0 {
                    index.candidates.insert((offered, id));
                }
            } else {
                index.fitting.remove(&id);
                index.candidates.remove(&(offered, id));
            }
        }
    }

    /// Judges all Hosts anew for all applications: what they need or offer
    /// has changed.
    pub(super) fn rebuild_indexes(&mut self, now: Instant) {
        let indexed: Vec<Digest> = self
            .applications
            .values_mut()
            .filter_map(|application| {
                let needed = application.index.take().is_some() || application.is_awaited();
                needed.then(|| application.digest.clone())
            })
            .collect();
        for digest in indexed {
            self.ensure_index(&digest, now);
        }
    }

    pub(super) fn drop_idle_indexes(&mut self, now: Instant) {
        for application in self
            .applications
            .values_mut()
            .filter(|application| !application.is_awaited())
        {
            let used = application.index.as_ref().and_then(|index| index.used);
            if used.is_some_and(|used| now.saturating_duration_since(used) > INDEX_IDLE) {
                application.index = None;
            }
        }
    }
}
