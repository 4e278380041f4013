//! Places at a door: how many may be in, and how many of one address.
//!
//! A connection arrives, shakes hands, and then is a node's (it has shown a
//! certificate of the house) or a program's. Invariants: who only arrives can
//! keep nobody out: when too many do, the one that has taken longest, of the
//! address with the most, is put out for the next; programs never take the
//! places that are kept for nodes, nor one address those of all others.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::DoorLimits;

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
    /// One for each connection, however far it has come.
    all: Arc<Semaphore>,
    total: u32,
}

#[derive(Default)]
struct Counts {
    arriving: HashMap<Origin, VecDeque<(u64, CancellationToken)>>,
    arriving_total: u32,
    next: u64,
    programs: HashMap<Origin, u32>,
    programs_total: u32,
    nodes_total: u32,
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
            all: Arc::new(Semaphore::new(total as usize)),
            total,
        })
    }

    /// Lets a connection in that has to shake hands; the token tells it to go.
    pub(super) async fn arrive(self: &Arc<Self>, from: IpAddr) -> (Place, CancellationToken) {
        let origin = Origin::from(from);
        let leave = CancellationToken::new();
        let number = self.counts.lock().arrive(origin, &leave, &self.limits);
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
    fn arrive(&mut self, origin: Origin, leave: &CancellationToken, limits: &DoorLimits) -> u64 {
        if self.arriving_total >= limits.arriving {
            self.put_out();
        }
        self.next += 1;
        let queue = self.arriving.entry(origin).or_default();
        queue.push_back((self.next, leave.clone()));
        self.arriving_total += 1;
        self.next
    }

    fn put_out(&mut self) {
        let crowd = self.arriving.iter().max_by_key(|(_, queue)| queue.len());
        let Some(origin) = crowd.map(|(origin, _)| *origin) else {
            return;
        };
        let first = self.arriving.get(&origin).and_then(VecDeque::front);
        let Some((number, leave)) = first.cloned() else {
            return;
        };
        leave.cancel();
        self.leave_arriving(origin, number);
    }

    fn leave_arriving(&mut self, origin: Origin, number: u64) {
        let Some(queue) = self.arriving.get_mut(&origin) else {
            return;
        };
        if let Some(at) = queue.iter().position(|(other, _)| *other == number) {
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

    fn leave(&mut self, counts: &mut Counts) {
        match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Arriving(number) => counts.leave_arriving(self.origin, number),
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

    #[tokio::test]
    async fn the_oldest_of_the_crowd_makes_room() {
        let places = places(8, 4, 8);
        let (_lone, lone_leave) = places.arrive(address(1)).await;
        let mut crowd = Vec::new();
        for _ in 0..3 {
            crowd.push(places.arrive(address(2)).await);
        }
        let (_next, next_leave) = places.arrive(address(3)).await;
        assert!(crowd[0].1.is_cancelled());
        assert!(!crowd[1].1.is_cancelled() && !lone_leave.is_cancelled());
        assert!(!next_leave.is_cancelled());
        // Who was put out leaves later, and is not counted twice.
        crowd.clear();
        let counts = places.counts.lock();
        assert_eq!((counts.arriving_total, counts.arriving.len()), (2, 2));
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
