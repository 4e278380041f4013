//! Places at a door: how many may be in, and how many of one address.
//!
//! A connection arrives, shakes hands, and then is a node's (it has shown a
//! certificate of the house) or a program's. Invariants: who only arrives can
//! keep nobody out: when too many do, the one that has taken longest, of the
//! address with the most, is put out for the next, once it has had a moment;
//! programs never take the places that are kept for nodes, nor one address
//! those of all others. A connection that was brought through a tunnel counts
//! as its far end's address.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::DoorLimits;
use crate::intake::Intake;

/// So long nobody is put out who shakes hands: when many come at once, as Hosts
/// do to an Element that was away, it is no fault to be slow.
const ARRIVING_MIN: Duration = Duration::from_secs(1);

/// What counts as one address: of IPv6, the network that one customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        })
    }
}

/// The places of one door.
pub(super) struct Places {
    limits: DoorLimits,
    counts: Mutex<Counts>,
    /// Somebody has arrived, or given up.
    left: Notify,
    /// For the streams of programs.
    intake: Intake,
    /// One for each connection, however far it has come.
    all: Arc<Semaphore>,
    total: u32,
}

#[derive(Default)]
struct Counts {
    arriving: HashMap<Origin, VecDeque<Arrival>>,
    arriving_total: u32,
    next: u64,
    programs: HashMap<Origin, u32>,
    programs_total: u32,
    nodes_total: u32,
}

/// One that shakes hands.
struct Arrival {
    number: u64,
    since: Instant,
    leave: CancellationToken,
}

/// One connection's place, until it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    origin: Origin,
    stage: Stage,
    _one: OwnedSemaphorePermit,
}

enum Stage {
    Arriving(u64),
    Program,
    Node,
    /// Arrived, and nothing was free.
    Nothing,
}

// === impl Places ===

impl Places {
    pub(super) fn new(limits: DoorLimits) -> Arc<Self> {
        // One more has been accepted when another is put out for it.
        let total = limits
            .connections
            .saturating_add(limits.arriving)
            .saturating_add(1);
        Arc::new(Self {
            limits,
            counts: Mutex::default(),
            left: Notify::new(),
            intake: Intake::new(limits.intake_bytes),
            all: Arc::new(Semaphore::new(total as usize)),
            total,
        })
    }

    /// Lets a connection in that has to shake hands; the token tells it to go.
    pub(super) async fn arrive(self: &Arc<Self>, from: IpAddr) -> (Place, CancellationToken) {
        let origin = Origin::from(from);
        let leave = CancellationToken::new();
        let number = loop {
            let now = Instant::now();
            let arrived = self.counts.lock().arrive(origin, &leave, &self.limits, now);
            match arrived {
                Ok(number) => break number,
                // Either somebody leaves, or it is late enough to be put out.
                Err(wait) => {
                    let _ = timeout(wait, self.left.notified()).await;
                }
            }
        };
        // Nobody closes the semaphore, and who was put out is on the way out.
        let one = loop {
            if let Ok(one) = self.all.clone().acquire_owned().await {
                break one;
            }
        };
        let place = Place {
            places: Arc::clone(self),
            origin,
            stage: Stage::Arriving(number),
            _one: one,
        };
        (place, leave)
    }

    /// Waits until nobody is in any more.
    pub(super) async fn empty(&self) {
        // Nobody closes the semaphore.
        let _ = self.all.acquire_many(self.total).await;
    }
}

impl Counts {
    /// Gives the number of the arrival, or how long to wait for a place.
    fn arrive(
        &mut self,
        origin: Origin,
        leave: &CancellationToken,
        limits: &DoorLimits,
        now: Instant,
    ) -> Result<u64, Duration> {
        if self.arriving_total >= limits.arriving {
            self.put_out(now)?;
        }
        self.next += 1;
        self.arriving.entry(origin).or_default().push_back(Arrival {
            number: self.next,
            since: now,
            leave: leave.clone(),
        });
        self.arriving_total += 1;
        Ok(self.next)
    }

    fn put_out(&mut self, now: Instant) -> Result<(), Duration> {
        let crowd = self.arriving.iter().max_by_key(|(_, queue)| queue.len());
        let oldest = crowd.and_then(|(origin, queue)| Some((*origin, queue.front()?)));
        let Some((origin, oldest)) = oldest else {
            return Ok(());
        };
        let age = now.saturating_duration_since(oldest.since);
        if let Some(wait) = ARRIVING_MIN.checked_sub(age).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        oldest.leave.cancel();
        let number = oldest.number;
        self.leave_arriving(origin, number);
        Ok(())
    }

    fn leave_arriving(&mut self, origin: Origin, number: u64) {
        let Some(queue) = self.arriving.get_mut(&origin) else {
            return;
        };
        if let Some(at) = queue.iter().position(|arrival| arrival.number == number) {
            queue.remove(at);
            self.arriving_total -= 1;
        }
        if queue.is_empty() {
            self.arriving.remove(&origin);
        }
    }

    fn take_program(&mut self, origin: Origin, limits: &DoorLimits) -> Result<(), Problem> {
        let full = |what: &str, limit: u32| {
            let detail = format!("{what} has all of the {limit} connections that it may have.");
            Err(Problem::new(Code::Busy, detail))
        };
        let established = self.programs_total + self.nodes_total;
        if self.programs_total >= limits.programs() || established >= limits.connections {
            return full("Programs together", limits.programs());
        }
        let own = self.programs.entry(origin).or_default();
        if *own >= limits.programs_per_address {
            return full("Your address", limits.programs_per_address);
        }
        *own += 1;
        self.programs_total += 1;
        Ok(())
    }

    fn take_node(&mut self, limits: &DoorLimits) -> Result<(), Problem> {
        if self.programs_total + self.nodes_total >= limits.connections {
            return Err(Problem::new(
                Code::Busy,
                format!(
                    "The door has all of its {} connections.",
                    limits.connections
                ),
            ));
        }
        self.nodes_total += 1;
        Ok(())
    }
}

// === impl Place ===

impl Place {
    /// It has shaken hands: takes a place for as long as it stays.
    pub(super) fn settle(&mut self, is_node: bool) -> Result<(), Problem> {
        let places = Arc::clone(&self.places);
        let mut counts = places.counts.lock();
        self.leave(&mut counts);
        if is_node {
            counts.take_node(&places.limits)?;
            self.stage = Stage::Node;
        } else {
            counts.take_program(self.origin, &places.limits)?;
            self.stage = Stage::Program;
        }
        Ok(())
    }

    /// What its stream is measured against; a node's is not.
    pub(crate) fn intake(&self) -> Option<&Intake> {
        matches!(self.stage, Stage::Program).then_some(&self.places.intake)
    }

    fn leave(&mut self, counts: &mut Counts) {
        match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Arriving(number) => {
                counts.leave_arriving(self.origin, number);
                self.places.left.notify_one();
            }
            Stage::Node => counts.nodes_total -= 1,
            Stage::Program => {
                counts.programs_total -= 1;
                if let Some(own) = counts.programs.get_mut(&self.origin) {
                    *own -= 1;
                    if *own == 0 {
                        counts.programs.remove(&self.origin);
                    }
                }
            }
            Stage::Nothing => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = Arc::clone(&self.places);
        self.leave(&mut places.counts.lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: u32, arriving: u32, per_address: u32) -> Arc<Places> {
        Places::new(DoorLimits {
            connections,
            arriving,
            programs_per_address: per_address,
            ..DoorLimits::default()
        })
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_oldest_of_the_crowd_makes_room_when_it_has_had_its_time() {
        let limits = DoorLimits {
            arriving: 4,
            ..DoorLimits::default()
        };
        let mut counts = Counts::default();
        let [lone, crowd, next] = [1, 2, 3].map(|last| Origin::from(address(last)));
        let (began, moment) = (Instant::now(), Duration::from_millis(300));
        let leaves: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        counts.arrive(lone, &leaves[0], &limits, began).unwrap();
        for (place, leave) in (1..).zip(&leaves[1..]) {
            let now = began + moment * place;
            counts.arrive(crowd, leave, &limits, now).unwrap();
        }
        let leave = CancellationToken::new();
        let soon = began + moment * 3;
        assert_eq!(
            counts.arrive(next, &leave, &limits, soon),
            Err(Duration::from_millis(400))
        );
        let later = began + moment + ARRIVING_MIN;
        counts.arrive(next, &leave, &limits, later).unwrap();
        let out: Vec<_> = leaves.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(out, [false, true, false, false]);
        // Who was put out leaves later, and is not counted twice.
        counts.leave_arriving(crowd, 2);
        assert_eq!((counts.arriving_total, counts.arriving.len()), (4, 3));
    }

    #[tokio::test]
    async fn one_address_leaves_room_for_others_and_programs_for_nodes() {
        let places = places(8, 8, 2);
        let mut held = Vec::new();
        let mut settle = async |last: u8, is_node: bool| {
            let (mut place, _) = places.arrive(address(last)).await;
            let settled = place.settle(is_node).map_err(|problem| problem.code);
            held.push(place);
            settled
        };
        assert_eq!(settle(1, false).await, Ok(()));
        assert_eq!(settle(1, false).await, Ok(()));
        assert_eq!(settle(1, false).await, Err(Code::Busy), "one address");
        assert_eq!(settle(1, true).await, Ok(()), "a node's own place");
        for last in 2..6 {
            assert_eq!(settle(last, false).await, Ok(()));
        }
        assert_eq!(settle(7, false).await, Err(Code::Busy), "three quarters");
        assert_eq!(settle(1, true).await, Ok(()));
        assert_eq!(settle(1, true).await, Err(Code::Busy), "all");
        drop(held);
        let counts = places.counts.lock();
        assert!(counts.programs.is_empty() && counts.arriving.is_empty());
        assert_eq!((counts.programs_total, counts.nodes_total), (0, 0));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:2"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
    }
}
