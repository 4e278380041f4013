//! What becomes of the calls in a sandbox that is not used any more.

use std::collections::VecDeque;

use gridmart_schemas::{problem::Code, wire::record::CallState};

use super::{Broken, InFlight, Slot};
use crate::compute::{
    fate::failed,
    runner::protocol::{EndCause, EndedBy, ProcessEnd},
    sandbox::Sandbox,
    verdict::{Cut, judge},
};

impl Slot {
    /// The sandbox is not used any more: its first call has ended with it, the
    /// others go elsewhere. Where it is not known which call it ended with,
    /// since ends may have been kept back, all go elsewhere, once.
    pub(super) fn lose(&mut self, sandbox: &Sandbox, broken: &Broken) {
        self.outbox.clear();
        self.inbox.clear();
        self.kill_deadline = None;
        self.on_left_lost(broken);
        let mut flying = std::mem::take(&mut self.in_flight);
        let head = match broken {
            // After a spoiled call the runner starts no other.
            Broken::Spoiled | Broken::Staged => None,
            Broken::Gone(_) if may_all_run_again(&flying) => {
                self.is_cautious = true;
                None
            }
            _ => flying.pop_front(),
        };
        for follower in flying.into_iter().rev() {
            if let Err(error) = self.give_back(follower) {
                tracing::error!(%error, "a call that did not start cannot be given back");
            }
        }
        tracing::info!(lease.id = %self.lease.id(), reason = %broken, "a sandbox is replaced");
        let Some(head) = head else { return };
        let end = ProcessEnd {
            cause: EndCause::Signalled,
            by: EndedBy::Host,
            spoiled: false,
            value: 9,
            wall_us: u64::try_from(self.head_since.elapsed().as_micros()).unwrap_or(u64::MAX),
            cpu_us: 0,
            max_resident_bytes: 0,
            message: String::new(),
        };
        let hits = self.new_hits(sandbox, &end);
        let cut = head.call.cut_reason().or_else(|| {
            let over_time = head.wall_ms > 0 && matches!(broken, Broken::Late);
            over_time.then_some(Cut::Limit("WallTimeLimit"))
        });
        let judged = if cut.is_some() || hits.memory > 0 {
            judge(&end, cut.as_ref(), hits, &self.lease.limits)
        } else {
            failed(
                CallState::Failed,
                Code::SandboxLost,
                format!("the sandbox was lost while the call ran: {broken}"),
            )
        };
        self.lease.finish(&head.call, judged);
    }
}

/// Tells whether there are several calls that can be given back, none of which
/// is to be ended.
fn may_all_run_again(flying: &VecDeque<InFlight>) -> bool {
    flying.len() > 1
        && flying
            .iter()
            .all(|flying| flying.stdin.is_some() && flying.call.cut_reason().is_none())
}
