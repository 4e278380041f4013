//! What a kill of the Host or of its Element ends: statements that read, and results
//! that are open. A write that the engine has is answered with what became of it.

use gridmart_schemas::wire::desired::HostDesired;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Cut epochs: of the Element, of the Host.
type Epochs = (u64, u64);

/// See the module.
#[derive(Default)]
pub(super) struct Cut {
    present: Mutex<(Epochs, CancellationToken)>,
}

impl Cut {
    /// Ends with the next kill.
    pub(super) fn token(&self) -> CancellationToken {
        self.present.lock().1.clone()
    }

    /// Ends what began under older epochs.
    pub(super) fn on_desired(&self, desired: &HostDesired) {
        let told = (desired.element_cut_epoch, desired.wish.cut_epoch);
        let mut present = self.present.lock();
        let is_raised = told.0 > present.0.0 || told.1 > present.0.1;
        present.0 = (told.0.max(present.0.0), told.1.max(present.0.1));
        if is_raised {
            std::mem::take(&mut present.1).cancel();
        }
    }

    /// Ends everything: the Host goes down.
    pub(super) fn end(&self) {
        self.present.lock().1.cancel();
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::wire::desired::Wish;

    use super::*;

    #[test]
    fn only_a_newer_epoch_ends_what_runs() {
        let cut = Cut::default();
        let desired = |element_cut_epoch, cut_epoch| HostDesired {
            wish: Wish {
                cut_epoch,
                ..Wish::default()
            },
            element_cut_epoch,
            applications: Vec::new(),
        };
        cut.on_desired(&desired(2, 1));
        let running = cut.token();
        cut.on_desired(&desired(2, 1));
        cut.on_desired(&desired(1, 1));
        assert!(!running.is_cancelled());
        cut.on_desired(&desired(2, 2));
        assert!(running.is_cancelled());
        assert!(!cut.token().is_cancelled(), "what begins now is not ended");
    }
}
