//! The key by which the Element's tickets are judged, and its clock.
//!
//! The key is kept, so that a restarted Host serves while the Element is away.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::{
    clock::ParentClock,
    disk::{Disk, Secrecy, durable_write},
    ticket::VerifyingKeys,
};
use gridmart_schemas::{id::NodeId, problem::Problem};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A larger file is not ours.
const TRUST_BYTES_MAX: u64 = 64 * 1024;

/// What the Element has told about its tickets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// Key that signs them: `SubjectPublicKeyInfo`, PEM.
    pub(super) lease_key: String,
    /// Seconds that a lost caller may take to attach again.
    pub(super) reattach_grace: u32,
}

struct Believed {
    told: Option<Told>,
    keys: VerifyingKeys,
}

/// See the module.
pub(crate) struct Trust {
    element: NodeId,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    believed: RwLock<Believed>,
    pub(super) clock: ParentClock,
}

impl Trust {
    /// Reads what an earlier start was told.
    pub(super) fn open(disk: Arc<dyn Disk>, path: &Path, element: NodeId) -> io::Result<Self> {
        let told: Option<Told> = match disk.read_bounded(path, TRUST_BYTES_MAX)? {
            Some(bytes) => Some(serde_json::from_slice(&bytes)?),
            None => None,
        };
        let mut keys = VerifyingKeys::default();
        if let Some(told) = &told {
            keys.insert(element, &told.lease_key)
                .map_err(io::Error::other)?;
        }
        Ok(Self {
            element,
            disk,
            path: path.to_owned(),
            believed: RwLock::new(Believed { told, keys }),
            clock: ParentClock::default(),
        })
    }

    /// Takes what the Element tells in its welcome; blocks for the disk when
    /// it is new.
    pub(super) fn on_told(&self, told: Told) -> Result<(), Problem> {
        if self.believed.read().told.as_ref() == Some(&told) {
            return Ok(());
        }
        // Only the present key: what another one has signed is not served.
        let mut keys = VerifyingKeys::default();
        keys.insert(self.element, &told.lease_key)?;
        let kept = serde_json::to_vec_pretty(&told)
            .map_err(io::Error::from)
            .and_then(|bytes| durable_write(&*self.disk, &self.path, &bytes, Secrecy::Open));
        if let Err(error) = kept {
            tracing::error!(%error, path = %self.path.display(), "the Element's lease key cannot be kept");
        }
        *self.believed.write() = Believed {
            told: Some(told),
            keys,
        };
        Ok(())
    }

    /// Judges a ticket of the Element with `judge`; explains a refusal that the
    /// clocks are to blame for.
    pub(crate) fn judge<C>(
        &self,
        judge: impl FnOnce(&VerifyingKeys, OffsetDateTime) -> Result<C, Problem>,
    ) -> Result<C, Problem> {
        let judged = judge(&self.believed.read().keys, OffsetDateTime::now_utc());
        judged.map_err(|problem| self.clock.explain(problem, "the Host", "its Element"))
    }

    /// Seconds that a lost caller may take to attach again, if the Element has
    /// said so.
    pub(crate) fn reattach_grace(&self) -> Option<u32> {
        let believed = self.believed.read();
        believed.told.as_ref().map(|told| told.reattach_grace)
    }
}
