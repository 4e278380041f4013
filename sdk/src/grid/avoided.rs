//! Hosts that have failed a caller, and that it would rather not get again.

use gridmart_schemas::{id::NodeId, wire::queue::AVOID_MAX};

/// See the module.
///
/// Invariant: each Host once, and never more than an Element takes; the one that
/// failed longest ago goes first. A Host may fail again and again, where there is
/// no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Avoided(Vec<NodeId>);

impl Avoided {
    /// This one has just failed.
    pub(crate) fn add(&mut self, host: NodeId) {
        self.0.retain(|known| *known != host);
        if self.0.len() >= AVOID_MAX {
            self.0.remove(0);
        }
        self.0.push(host);
    }

    /// Those that it names.
    pub(crate) fn hosts(&self) -> &[NodeId] {
        &self.0
    }
}

impl From<&[NodeId]> for Avoided {
    fn from(hosts: &[NodeId]) -> Self {
        let mut avoided = Self::default();
        for host in hosts {
            avoided.add(*host);
        }
        avoided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_fails_often_is_named_once_and_never_too_many_are() {
        let mut avoided = Avoided::default();
        let often = NodeId::generate();
        for _ in 0..1000 {
            avoided.add(often);
        }
        assert_eq!(avoided.hosts(), [often]);
        let last: Vec<NodeId> = (0..AVOID_MAX).map(|_| NodeId::generate()).collect();
        for host in &last {
            avoided.add(*host);
        }
        assert_eq!(avoided.hosts(), last, "the oldest has made room");
        assert_eq!(Avoided::from(&last[..]), avoided);
    }
}
