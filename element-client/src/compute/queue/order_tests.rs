//! Who gets which slots, and when they are asked back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use gridmart_fabric::need::Need;
use gridmart_schemas::{
    id::{JobId, NodeId},
    problem::Code,
};

use super::{
    effect::Effect,
    entry::SessionId,
    limit::Limits,
    scene::{Scene, key},
};

#[test]
fn a_free_slot_is_granted_at_once_and_the_application_is_brought_first() {
    let mut scene = Scene::new(&[1], Limits::default());
    assert_eq!(scene.enter(1, 0, 1), Ok(0));
    let effects = scene.effects();
    let ensured = effects
        .iter()
        .position(|effect| matches!(effect, Effect::Ensure { .. }))
        .unwrap();
    let granted = effects
        .iter()
        .position(|effect| matches!(effect, Effect::Granted { .. }))
        .unwrap();
    assert!(ensured < granted);
    // The second time it is there already.
    let lease = scene.queue.leases().iter().next().unwrap().id;
    scene.queue.on_released(SessionId(1), lease, scene.now);
    scene.effects();
    assert_eq!(scene.enter(1, 0, 1), Ok(0));
    assert!(
        !scene
            .effects()
            .iter()
            .any(|effect| matches!(effect, Effect::Ensure { .. }))
    );
}

#[test]
fn who_has_least_goes_first_then_who_came_first_and_priority_before_all() {
    let mut scene = Scene::new(&[2], Limits::default());
    scene.enter(1, 0, 2).unwrap();
    let held = scene.granted()[0].1;
    assert_eq!(scene.enter(2, 0, 1), Ok(1));
    assert_eq!(scene.enter(2, 0, 1), Ok(2));
    assert_eq!(
        scene.enter(3, 0, 1),
        Ok(2),
        "the second of person 2 comes after the first of person 3"
    );
    let mut urgent = scene.wanted(2, 1, 1);
    urgent.priority = 5;
    assert_eq!(scene.queue.on_enter(urgent, scene.now), Ok(1));
    scene.queue.on_released(SessionId(1), held, scene.now);
    let granted: Vec<u64> = scene.granted().into_iter().map(|(who, _)| who).collect();
    // Person 2's urgent entry, then person 3, who has nothing.
    assert_eq!(granted.len(), 2);
    assert!(granted.contains(&2) && granted.contains(&3), "{granted:?}");
}

#[test]
fn neither_a_crowd_nor_who_comes_back_at_once_starves_anybody() {
    let mut scene = Scene::new(&[1], Limits::default());
    for _ in 0..100 {
        scene.enter(1, 0, 1).unwrap();
    }
    scene.enter(2, 0, 1).unwrap();
    let mut served = Vec::new();
    for _ in 0..40 {
        let granted = scene.granted();
        let [(who, lease)] = granted[..] else {
            panic!("one slot: {granted:?}");
        };
        served.push(who);
        scene.queue.on_released(SessionId(who), lease, scene.now);
        if who == 2 {
            // Away for a moment, and there again with the next call.
            scene.enter(2, 0, 1).unwrap();
        }
    }
    // The crowd was served before the other one came; from then on in turn.
    let turns: Vec<u64> = (0..40).map(|turn| 1 + turn % 2).collect();
    assert_eq!(served, turns);
}

#[test]
fn a_full_queue_names_its_lengths() {
    let limits = Limits {
        waiting: Some(1),
        ..Limits::default()
    };
    let mut scene = Scene::new(&[1], limits);
    assert_eq!(scene.enter(1, 0, 1), Ok(0));
    assert_eq!(scene.enter(2, 0, 1), Ok(1));
    let wanted = scene.wanted(3, 0, 1);
    let problem = scene.queue.on_enter(wanted, scene.now).unwrap_err();
    assert_eq!(problem.code, Code::QueueFull);
    assert!(
        problem.detail.contains("1 slots in use") && problem.detail.contains("1 entries waiting"),
        "{}",
        problem.detail
    );
    assert_eq!(scene.queue.lengths().waiting, 1);
}

#[test]
fn one_person_leaves_places_in_the_queue_to_others() {
    let limits = Limits {
        waiting: Some(1000),
        ..Limits::default()
    };
    let mut scene = Scene::new(&[1], limits);
    assert_eq!(scene.enter(1, 0, 1), Ok(0));
    let mut enter_all = |who: u64| {
        let refused = (0..2000).find_map(|entered| {
            let code = scene.enter(who, 0, 1).err()?;
            Some((entered, code))
        });
        refused.unwrap()
    };
    assert_eq!(enter_all(1), (900, Code::QuotaExceeded));
    assert_eq!(enter_all(2), (90, Code::QuotaExceeded));
    assert_eq!(enter_all(3), (9, Code::QuotaExceeded));
    // The last place is anybody's who has none.
    assert_eq!(enter_all(4), (1, Code::QueueFull));
}

#[test]
fn limits_on_running_hold_for_all_and_for_each() {
    let limits = Limits {
        running: Some(3),
        running_per_person: Some(2),
        ..Limits::default()
    };
    let mut scene = Scene::new(&[8], limits);
    scene.enter(1, 0, 8).unwrap();
    scene.enter(2, 0, 8).unwrap();
    let granted = scene.granted();
    let slots = |who: u64| {
        granted
            .iter()
            .filter(|(of, _)| *of == who)
            .map(|(_, lease)| scene.slots_of(*lease))
            .sum::<u32>()
    };
    assert_eq!((slots(1), slots(2)), (2, 1));
}

#[test]
fn a_map_is_spread_over_hosts_up_to_its_limit() {
    let mut scene = Scene::new(&[4, 4, 4], Limits::default());
    scene.enter(1, 0, 6).unwrap();
    let granted = scene.granted();
    let slots: Vec<u32> = granted
        .iter()
        .map(|(_, lease)| scene.slots_of(*lease))
        .collect();
    assert_eq!(slots, [2, 2, 2]);
    for (_, lease) in granted {
        scene.queue.on_released(SessionId(1), lease, scene.now);
    }
    let mut narrow = scene.wanted(1, 0, 12);
    narrow.hosts_max = Some(2);
    scene.queue.on_enter(narrow, scene.now).unwrap();
    let granted = scene.granted();
    let slots: Vec<u32> = granted
        .iter()
        .map(|(_, lease)| scene.slots_of(*lease))
        .collect();
    assert_eq!(slots, [4, 4]);
}

#[test]
fn a_map_gets_the_rest_as_slots_come_free() {
    let mut scene = Scene::new(&[4], Limits::default());
    scene.enter(1, 0, 3).unwrap();
    let first = scene.granted()[0].1;
    scene.enter(2, 1, 4).unwrap();
    let second = scene.granted();
    assert_eq!(scene.slots_of(second[0].1), 1);
    scene.queue.on_released(SessionId(1), first, scene.now);
    let third = scene.granted();
    assert_eq!(scene.slots_of(third[0].1), 3);
}

#[test]
fn hosts_to_avoid_are_a_last_resort() {
    let mut scene = Scene::new(&[4, 1], Limits::default());
    let (large, small) = (scene.hosts[0], scene.hosts[1]);
    let mut wanted = scene.wanted(1, 0, 2);
    wanted.avoid.insert(large);
    scene.queue.on_enter(wanted, scene.now).unwrap();
    let hosts: Vec<NodeId> = scene
        .queue
        .leases()
        .iter()
        .map(|lease| lease.host)
        .collect();
    assert!(
        hosts.contains(&small) && hosts.contains(&large),
        "{hosts:?}"
    );
}

#[test]
fn recalled_from_who_holds_most_and_not_for_the_holder() {
    let mut scene = Scene::new(&[1, 1, 1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    scene.enter(1, 0, 1).unwrap();
    scene.enter(2, 0, 1).unwrap();
    let granted = scene.granted();
    assert_eq!(scene.enter(1, 0, 1), Ok(1), "waits");
    assert_eq!(scene.recalled(), [], "nobody has two more");
    scene.enter(3, 0, 1).unwrap();
    let recalled = scene.recalled();
    assert_eq!(recalled.len(), 1);
    assert!(
        granted.contains(&(1, recalled[0])),
        "not from person 1, who holds most"
    );
    // It is not asked for twice.
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.recalled(), []);
    scene
        .queue
        .on_released(SessionId(1), recalled[0], scene.now);
    assert_eq!(
        scene
            .granted()
            .iter()
            .map(|(who, _)| *who)
            .collect::<Vec<_>>(),
        [3]
    );
}

#[test]
fn the_same_person_gets_a_slot_for_another_application() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    let held = scene.granted()[0].1;
    scene.enter(1, 0, 1).unwrap();
    assert_eq!(scene.recalled(), [], "the client hands its own lease on");
    scene.enter(1, 1, 1).unwrap();
    assert_eq!(scene.recalled(), [held]);
}

#[test]
fn a_recall_that_is_not_followed_reaches_the_host() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    scene.enter(2, 0, 1).unwrap();
    assert_eq!(scene.recalled().len(), 1);
    scene.pass(Duration::from_secs(11));
    let told = scene
        .effects()
        .into_iter()
        .any(|effect| matches!(effect, Effect::EndOnHost { kill: false, .. }));
    assert!(told);
}

#[test]
fn two_thousand_hosts_and_ten_thousand_waiting() {
    let mut scene = Scene::new(&[4; 2000], Limits::default());
    let began = Instant::now();
    for number in 0..18_000 {
        scene.enter(number % 500, 0, 1).unwrap();
        scene.effects();
    }
    assert_eq!(scene.queue.lengths().waiting, 10_000);
    let held: Vec<_> = scene
        .queue
        .leases()
        .iter()
        .map(|lease| (lease.session, lease.id))
        .collect();
    assert_eq!(held.len(), 8000);
    for (session, lease) in held {
        scene.queue.on_released(session.unwrap(), lease, scene.now);
        scene.effects();
    }
    assert_eq!(scene.queue.lengths().waiting, 2000);
    // Looking at each Host or each entry for each of them takes minutes.
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn one_call_may_not_have_more_slots_than_the_policy_says_and_a_map_may() {
    let limits = Limits {
        per_job: Some(1),
        ..Limits::default()
    };
    let mut scene = Scene::new(&[4], limits);
    assert_eq!(scene.enter(1, 0, 2), Err(Code::LimitExceeded));
    let mut map = scene.wanted(1, 0, 2);
    map.job = Some(JobId::generate());
    assert_eq!(scene.queue.on_enter(map, scene.now), Ok(0));
}

#[test]
fn a_lease_is_recalled_for_who_can_use_that_host_alone() {
    let mut scene = Scene::new(&[1, 1, 1], Limits::default());
    let wanted = scene.wanted(1, 0, 2);
    scene.queue.on_session_opened(SessionId(1), key(1));
    scene.queue.on_enter(wanted, scene.now).unwrap();
    let held: Vec<NodeId> = scene
        .queue
        .leases()
        .iter()
        .map(|lease| lease.host)
        .collect();
    scene.granted();
    // A Host is free, but not the one that the next asker needs.
    let name = scene.queue.host(held[0]).unwrap().name().to_owned();
    let mut wanted = scene.wanted(2, 0, 1);
    let mut asker = (*wanted.asker).clone();
    asker.needs = vec![Need::HostNames(vec![name])];
    wanted.asker = asker.into();
    assert_eq!(scene.queue.on_enter(wanted, scene.now), Ok(1));
    let recalled = scene.recalled();
    assert_eq!(recalled.len(), 1);
    assert_eq!(scene.queue.leases().get(recalled[0]).unwrap().host, held[0]);
}

#[test]
fn places_are_told_a_few_at_a_time_and_in_the_end_to_all() {
    let mut scene = Scene::new(&[1], Limits::default());
    for _ in 0..2_000 {
        scene.enter(1, 0, 1).unwrap();
    }
    scene.effects();
    let before = scene.queue.order();
    let mut known: BTreeMap<_, _> = before.iter().map(|(place, key)| (*key, *place)).collect();
    for (_, key) in &before[..1_000] {
        scene.queue.on_leave(*key, scene.now);
    }
    for _ in 0..20 {
        scene.pass(Duration::from_secs(1));
        let mut told = 0;
        for effect in scene.effects() {
            if let Effect::Position { entry, position } = effect {
                known.insert(entry, position);
                told += 1;
            }
        }
        assert!(told <= 512, "{told} at a time");
    }
    for (position, key) in scene.queue.order() {
        let told = known[&key];
        assert!(
            told.abs_diff(position) <= position / 16,
            "{told}, not {position}"
        );
    }
}
