//! Which Hosts are chosen.

use std::collections::BTreeSet;

use gridmart_schemas::id::NodeId;
use proptest::prelude::*;

use super::super::plan::{Prospect, plan, wanted};
use crate::storage::metadata::MemberSet;

fn prospect(rack: &str) -> Prospect {
    Prospect {
        host: NodeId::generate(),
        is_fit: true,
        is_overdue: false,
        labels: vec![format!("rack={rack}").parse().unwrap()],
    }
}

#[test]
fn records_are_on_one_host_more_than_losses_are_borne() {
    let found: Vec<_> = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (2, 5), (3, 99)]
        .into_iter()
        .map(|(losses, hosts)| wanted(losses, hosts))
        .collect();
    assert_eq!(found, [1, 2, 2, 2, 3, 3, 4]);
}

#[test]
fn members_are_apart() {
    let hosts: Vec<_> = ["1", "1", "1", "2", "3"].map(prospect).into();
    let chosen = plan(None, &hosts, 1).unwrap();
    let racks: BTreeSet<_> = hosts
        .iter()
        .filter(|one| chosen.hosts.contains(&one.host))
        .map(|one| one.labels[0].to_string())
        .collect();
    assert_eq!((racks.len(), chosen.hosts.len(), chosen.wanted), (3, 3, 2));
}

#[test]
fn only_who_can_be_replaced_is() {
    let mut hosts: Vec<_> = ["1", "2", "3"].map(prospect).into();
    let now = plan(None, &hosts, 1);
    hosts[0].is_overdue = true;
    hosts[0].is_fit = false;
    assert_eq!(plan(now.as_ref(), &hosts, 1), now, "there is no other");
    hosts.push(prospect("4"));
    let next = plan(now.as_ref(), &hosts, 1).unwrap();
    let expected: BTreeSet<_> = hosts[1..].iter().map(|one| one.host).collect();
    assert_eq!(next.hosts, expected);
    hosts[3].is_fit = false;
    assert_eq!(plan(now.as_ref(), &hosts, 1), now, "the other takes none");
}

proptest! {
    #[test]
    fn a_plan_is_sound_and_stays(
        hosts in proptest::collection::vec((any::<bool>(), any::<bool>(), 0_u8..4), 0..12),
        members in any::<u16>(),
        losses in 0_usize..5,
    ) {
        let hosts: Vec<_> = hosts
            .into_iter()
            .map(|(is_fit, is_overdue, rack): (bool, bool, u8)| Prospect {
                is_fit,
                is_overdue,
                ..prospect(&rack.to_string())
            })
            .collect();
        let old: BTreeSet<_> = hosts
            .iter()
            .enumerate()
            .filter(|(at, _)| members & (1 << at) != 0)
            .map(|(_, one)| one.host)
            .collect();
        let old = (!old.is_empty()).then_some(MemberSet { wanted: old.len(), hosts: old });
        let Some(next) = plan(old.as_ref(), &hosts, losses) else {
            return Ok(());
        };
        prop_assert!((1..=next.hosts.len()).contains(&next.wanted));
        let wanted = wanted(losses, hosts.len());
        prop_assert!(next.wanted <= wanted && next.hosts.len() < 2 * wanted);
        for one in hosts.iter().filter(|one| next.hosts.contains(&one.host)) {
            let was = old.as_ref().is_some_and(|old| old.hosts.contains(&one.host));
            prop_assert!(one.is_fit || was);
        }
        let again = plan(Some(&next), &hosts, losses).unwrap();
        let replaceable = hosts.iter().any(|one| one.is_overdue && next.hosts.contains(&one.host));
        prop_assert!(again == next || replaceable);
    }
}
