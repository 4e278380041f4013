//! Results that come too late: of Hosts that were found down, whose calls were
//! given up, and that live after all.

use std::collections::{HashSet, VecDeque};

use gridmart_schemas::{
    id::LeaseId,
    problem::Code,
    wire::record::{CallRecords, CallState},
};

/// How many leases are remembered.
const LEASES_MAX: usize = 10_000;

/// Leases that were ended because their Host did not answer.
#[derive(Debug, Default)]
pub(crate) struct Late {
    order: VecDeque<LeaseId>,
    leases: HashSet<LeaseId>,
}

impl Late {
    /// A Host was found down while these were in force on it.
    pub(crate) fn on_down(&mut self, leases: impl IntoIterator<Item = LeaseId>) {
        for lease in leases {
            if self.leases.insert(lease) {
                self.order.push_back(lease);
            }
            if self.order.len() > LEASES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.leases.remove(&oldest);
            }
        }
    }

    /// A call whose caller was told that its Host is down has not finished,
    /// whatever its Host made of it: it may have been made again elsewhere.
    pub(crate) fn judge(&self, batch: &mut CallRecords) {
        for record in &mut batch.records {
            let late = record
                .lease
                .is_some_and(|lease| self.leases.contains(&lease));
            if late && record.end.state == CallState::Finished {
                tracing::info!(call.id = %record.call, node.id = %record.host, "a result came too late and does not count");
                record.end.state = CallState::Failed;
                record.end.code = Some(Code::HostDown);
                record.end.reason = Some(
                    "the Host did not answer and the call was given up; its result came too late"
                        .to_owned(),
                );
            }
        }
    }
}
