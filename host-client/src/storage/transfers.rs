//! The transfers of programs that are under way: what a kill ends, and what a
//! stopped Host waits for.

use std::{collections::BTreeMap, sync::Arc};

use gridmart_fabric::ticket::BlockCut;
use gridmart_schemas::{
    id::KeyHash,
    problem::{Code, Problem},
    role::Desired,
    wire::desired::HostDesired,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Requests of one program at a time, where the Policy's `MaxStreams` says
/// nothing: four times what a program of ours uses.
const STREAMS_DEFAULT: u32 = 16;

struct Present {
    cut: BlockCut,
    presenter: KeyHash,
    end: CancellationToken,
}

#[derive(Default)]
struct Register {
    next: u64,
    present: BTreeMap<u64, Present>,
}

/// All transfers of programs.
pub(super) struct Transfers {
    streams_max: u32,
    register: Mutex<Register>,
}

/// One of them, as long as this is kept.
pub(super) struct Transfer {
    transfers: Arc<Transfers>,
    number: u64,
    end: CancellationToken,
}

/// The epochs in force.
pub(super) const fn in_force(desired: &HostDesired) -> BlockCut {
    BlockCut {
        element: desired.element_cut_epoch,
        host: desired.wish.cut_epoch,
    }
}

const fn is_cut(work: BlockCut, now: BlockCut) -> bool {
    work.element < now.element || work.host < now.host
}

fn killed() -> Problem {
    Problem::new(
        Code::TicketCut,
        "The Host or its Element was killed since the ticket was made.",
    )
}

impl Transfers {
    /// `streams_max`: requests of one program at a time.
    pub(super) fn new(streams_max: Option<u32>) -> Arc<Self> {
        Arc::new(Self {
            streams_max: streams_max.unwrap_or(STREAMS_DEFAULT),
            register: Mutex::default(),
        })
    }

    /// Begins a transfer under the epochs of its ticket. `desired` gives what is
    /// in force, and is asked here: what ends transfers looks at those that are
    /// present, so none may begin between the two.
    pub(super) fn begin(
        self: &Arc<Self>,
        cut: BlockCut,
        presenter: &KeyHash,
        desired: impl FnOnce() -> HostDesired,
    ) -> Result<Transfer, Problem> {
        let mut register = self.register.lock();
        let desired = desired();
        if is_cut(cut, in_force(&desired)) {
            return Err(killed());
        }
        if desired.wish.desired == Desired::Closed {
            return Err(Problem::new(Code::NotAccepting, "The Host is stopped."));
        }
        let own = register
            .present
            .values()
            .filter(|present| present.presenter == *presenter);
        if own.count() >= self.streams_max as usize {
            let detail = format!(
                "The program has {} requests at this Host already, which is the limit (MaxStreams).",
                self.streams_max
            );
            return Err(Problem::new(Code::Busy, detail));
        }
        let end = CancellationToken::new();
        let number = register.next;
        register.next += 1;
        let present = Present {
            cut,
            presenter: presenter.clone(),
            end: end.clone(),
        };
        register.present.insert(number, present);
        Ok(Transfer {
            transfers: Arc::clone(self),
            number,
            end,
        })
    }

    /// Ends what kills have passed.
    pub(super) fn end_cut(&self, now: BlockCut) {
        let register = self.register.lock();
        let cut = register
            .present
            .values()
            .filter(|present| is_cut(present.cut, now));
        cut.for_each(|present| present.end.cancel());
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.register.lock().present.len()
    }
}

impl Transfer {
    /// Does the work of the transfer, unless it is killed first.
    pub(super) async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        self.end
            .run_until_cancelled(work)
            .await
            .unwrap_or_else(|| Err(killed()))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.transfers.register.lock().present.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::wire::desired::Wish;

    use super::*;

    fn desired(desired: Desired, element: u64, host: u64) -> HostDesired {
        HostDesired {
            wish: Wish {
                desired,
                generation: 1,
                cut_epoch: host,
            },
            element_cut_epoch: element,
            ..HostDesired::default()
        }
    }

    #[tokio::test]
    async fn a_kill_ends_what_was_begun_before_it_and_nothing_else() {
        let transfers = Transfers::new(Some(2));
        let key = "01".repeat(32).parse::<KeyHash>().unwrap();
        let begin = |element, host| {
            let cut = BlockCut { element, host };
            transfers.begin(cut, &key, || desired(Desired::Production, 1, 1))
        };
        let code = |begun: Result<Transfer, Problem>| begun.err().map(|problem| problem.code);
        assert_eq!(code(begin(0, 1)), Some(Code::TicketCut));
        assert_eq!(code(begin(1, 0)), Some(Code::TicketCut));
        let (old, new) = (begin(1, 1).unwrap(), begin(1, 2).unwrap());
        assert_eq!(code(begin(1, 1)), Some(Code::Busy));
        let other = "02".repeat(32).parse::<KeyHash>().unwrap();
        let closed = |cut| transfers.begin(cut, &other, || desired(Desired::Closed, 1, 1));
        let now = BlockCut {
            element: 1,
            host: 2,
        };
        assert_eq!(code(closed(now)), Some(Code::NotAccepting));
        transfers.end_cut(now);
        let ended = old.run(std::future::pending::<Result<(), _>>()).await;
        assert_eq!(ended.unwrap_err().code, Code::TicketCut);
        assert!(new.run(std::future::ready(Ok(()))).await.is_ok());
        drop((old, new));
        assert_eq!(transfers.count(), 0);
    }
}
