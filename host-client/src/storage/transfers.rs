//! The transfers of programs that are under way: what a kill ends, of the Host,
//! of its Element or of one transfer, and what a stopped Host waits for.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::ticket::{BlockCut, LEEWAY, LIFE_MAX};
use gridmart_schemas::{
    id::{KeyHash, TransferId},
    problem::{Code, Problem},
    role::Desired,
    wire::desired::HostDesired,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Requests of one program at a time, where the Policy's `MaxStreams` says
/// nothing: four times what a program of ours uses.
const STREAMS_DEFAULT: u32 = 16;

/// Ended transfers that are remembered, at most; the oldest are forgotten first.
const ENDED_MAX: usize = 100_000;
/// For so long, after which no ticket of theirs is in force.
const ENDED_KEPT: Duration = LIFE_MAX.saturating_add(LEEWAY).saturating_add(LEEWAY);

struct Present {
    cut: BlockCut,
    transfer: Option<TransferId>,
    presenter: KeyHash,
    end: CancellationToken,
}

#[derive(Default)]
struct Register {
    next: u64,
    present: BTreeMap<u64, Present>,
    ended: HashSet<TransferId>,
    /// Those, and when each was told.
    ended_order: VecDeque<(TransferId, Instant)>,
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

fn ended() -> Problem {
    Problem::new(
        Code::Terminated,
        "The transfer that the ticket is for was killed.",
    )
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

    /// Begins a request under the epochs and for the transfer of its ticket.
    /// `desired` gives what is in force, and is asked here: what ends transfers
    /// looks at those that are present, so none may begin between the two.
    pub(super) fn begin(
        self: &Arc<Self>,
        (cut, transfer): (BlockCut, Option<TransferId>),
        presenter: &KeyHash,
        desired: impl FnOnce() -> HostDesired,
    ) -> Result<Transfer, Problem> {
        let mut register = self.register.lock();
        let desired = desired();
        if transfer.is_some_and(|transfer| register.ended.contains(&transfer)) {
            return Err(ended());
        }
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
            transfer,
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

    /// Ends these, and refuses what comes with tickets for them.
    pub(super) fn end(&self, transfers: &[TransferId], now: Instant) {
        let mut register = self.register.lock();
        for transfer in transfers {
            if register.ended.insert(*transfer) {
                register.ended_order.push_back((*transfer, now));
            }
        }
        let is_over = |told: Instant| now.saturating_duration_since(told) > ENDED_KEPT;
        while let Some((transfer, told)) = register.ended_order.front().copied()
            && (is_over(told) || register.ended_order.len() > ENDED_MAX)
        {
            register.ended_order.pop_front();
            register.ended.remove(&transfer);
        }
        let present = register.present.values();
        let meant = present.filter(|present| {
            let transfer = present.transfer.as_ref();
            transfer.is_some_and(|transfer| transfers.contains(transfer))
        });
        meant.for_each(|present| present.end.cancel());
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
        let worked = self.end.run_until_cancelled(work).await;
        worked.unwrap_or_else(|| Err(self.why()))
    }

    /// Why it was ended.
    fn why(&self) -> Problem {
        let register = self.transfers.register.lock();
        let present = register.present.get(&self.number);
        let transfer = present.and_then(|present| present.transfer);
        match transfer.filter(|transfer| register.ended.contains(transfer)) {
            Some(_) => ended(),
            None => killed(),
        }
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
            transfers.begin((cut, None), &key, || desired(Desired::Production, 1, 1))
        };
        let code = |begun: Result<Transfer, Problem>| begun.err().map(|problem| problem.code);
        assert_eq!(code(begin(0, 1)), Some(Code::TicketCut));
        assert_eq!(code(begin(1, 0)), Some(Code::TicketCut));
        let (old, new) = (begin(1, 1).unwrap(), begin(1, 2).unwrap());
        assert_eq!(code(begin(1, 1)), Some(Code::Busy));
        let other = "02".repeat(32).parse::<KeyHash>().unwrap();
        let closed = |cut| transfers.begin((cut, None), &other, || desired(Desired::Closed, 1, 1));
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

    #[tokio::test]
    async fn one_transfer_is_ended_and_its_tickets_serve_no_more() {
        let transfers = Transfers::new(None);
        let key = "01".repeat(32).parse::<KeyHash>().unwrap();
        let (one, other) = (TransferId::generate(), TransferId::generate());
        let begin = |transfer| {
            let ticket = (BlockCut::default(), Some(transfer));
            transfers.begin(ticket, &key, || desired(Desired::Production, 0, 0))
        };
        let (first, second) = (begin(one).unwrap(), begin(other).unwrap());
        let now = Instant::now();
        transfers.end(&[one], now);
        let ended = first.run(std::future::pending::<Result<(), _>>()).await;
        assert_eq!(ended.unwrap_err().code, Code::Terminated);
        assert!(second.run(std::future::ready(Ok(()))).await.is_ok());
        assert_eq!(
            begin(one).err().map(|problem| problem.code),
            Some(Code::Terminated)
        );
        assert!(begin(other).is_ok());
        // Its tickets have run out by then.
        transfers.end(&[], now + ENDED_KEPT * 2);
        assert!(transfers.register.lock().ended.is_empty());
    }
}
