//! Files of buckets around a call: brought before its program starts, stored
//! after it has ended. The call has its slot all the while.

use std::sync::Arc;

use gridmart_schemas::{
    problem::Code,
    wire::record::{CallEnd, CallState},
};

use super::{Broken, Slot};
use crate::compute::{
    call::Call,
    fate::{failed, unstarted},
    sandbox::Sandbox,
    staging::StagingError,
    verdict::Cut,
};

impl Slot {
    /// Starts a call, with its files in place. One that cannot have them has
    /// ended, and the sandbox is not used again.
    pub(super) async fn begin(&mut self, sandbox: &Sandbox, call: Arc<Call>) -> Result<(), Broken> {
        if call.open.staged.is_empty() {
            return self.start(sandbox, call);
        }
        call.begin_staging();
        let lease = &self.lease;
        // On the heap: most calls have no files.
        let bringing = Box::pin(lease.staging.bring(
            &call.open.staged,
            &sandbox.work_folder,
            &lease.limits,
            &call.moved,
        ));
        match unless_cut(&call, bringing).await {
            Ok(()) => self.start(sandbox, call),
            Err(stopped) => {
                tracing::info!(call.id = %call.id, reason = ?stopped, "a call does not get its files");
                if let Stopped::Failed(error) = &stopped
                    && let Some(refusal) = error.refusal_of_disk()
                {
                    let watch = &lease.services.member.disk_watch;
                    watch.on_failure(&refusal.into());
                }
                lease.finish(&call, stopped.end());
                Err(Broken::Staged)
            }
        }
    }

    /// Stores what the program of a call that went well has left.
    pub(super) async fn leave(&self, sandbox: &Sandbox, call: Arc<Call>, end: CallEnd) {
        let lease = &self.lease;
        let staged = &call.open.staged;
        let work = &sandbox.work_folder;
        let storing = Box::pin(lease.staging.store(staged, work, &call.moved));
        let end = match unless_cut(&call, storing).await {
            Ok(()) => end,
            Err(stopped) => {
                tracing::info!(call.id = %call.id, reason = ?stopped, "what a call has left is not stored");
                stopped.end_after(end)
            }
        };
        lease.finish(&call, end);
    }

    /// The sandbox is lost with what a call has left in it.
    pub(super) fn on_left_lost(&mut self, broken: &Broken) {
        if let Some((call, end)) = self.leaving.take() {
            let reason = format!("the sandbox was lost with the call's files: {broken}");
            let lost = failed(CallState::Failed, Code::SandboxLost, reason);
            self.lease.finish(&call, after(end, lost));
        }
    }
}

/// Why files are not moved.
#[derive(Debug)]
enum Stopped {
    Cut(Cut),
    Failed(StagingError),
}

impl Stopped {
    fn end(self) -> CallEnd {
        match self {
            Self::Cut(cut) => unstarted(&cut),
            Self::Failed(error) => error.into_end(),
        }
    }

    fn end_after(self, end: CallEnd) -> CallEnd {
        after(end, self.end())
    }
}

/// The end of a call whose program had ended well, and that fails all the same.
fn after(mut end: CallEnd, failure: CallEnd) -> CallEnd {
    (end.state, end.code, end.reason) = (failure.state, failure.code, failure.reason);
    end
}

/// Moves files until that is done, or the call is to be ended: then at once.
async fn unless_cut(
    call: &Call,
    moving: impl Future<Output = Result<(), StagingError>>,
) -> Result<(), Stopped> {
    let moved = call.moved.cut.run_until_cancelled(moving).await;
    match (call.cut_reason(), moved) {
        // What is stored stays; the call was to be ended before it was complete.
        (Some(cut), _) => Err(Stopped::Cut(cut)),
        (None, Some(moved)) => moved.map_err(Stopped::Failed),
        // A cut has its reason before it is told of.
        (None, None) => Ok(()),
    }
}
