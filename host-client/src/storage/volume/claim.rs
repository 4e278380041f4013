//! One change of a block at a time.

use std::collections::HashSet;

use gridmart_schemas::id::BlockId;
use parking_lot::{Condvar, Mutex};

/// The blocks that are being changed. Held while something is written, never
/// while a group sync is waited for.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: Mutex<HashSet<BlockId>>,
    released: Condvar,
}

/// The right to change a block, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    id: BlockId,
}

impl Claims {
    /// Waits until nobody else changes the block.
    pub(crate) fn take(&self, id: BlockId) -> Claim<'_> {
        let mut held = self.held.lock();
        while !held.insert(id) {
            self.released.wait(&mut held);
        }
        Claim { claims: self, id }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.held.lock().remove(&self.id);
        self.claims.released.notify_all();
    }
}
