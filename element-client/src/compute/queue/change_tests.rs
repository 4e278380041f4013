//! Hosts, clients and wishes that change while others wait and run.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::need::{Need, manifest_needs};
use gridmart_schemas::{
    id::{Incarnation, JobId, LeaseId, NodeId},
    problem::{Code, Problem},
    resource::needs::{Needs, RangeValue},
    role::Desired,
    wire::{
        desired::{HostWish, Wish},
        element_host::HeldLease,
    },
};

use super::{
    application::Manifest,
    effect::Effect,
    entry::SessionId,
    limit::Limits,
    pool::HostArrival,
    scene::{Scene, application, digest, host_named, key, person, state},
};

#[test]
fn needs_that_no_host_meets_are_refused_with_reasons() {
    let mut scene = Scene::new(&[1], Limits::default());
    let needs = Needs {
        individual_physical_memory: Some(RangeValue::at_least(1 << 40)),
        ..Needs::default()
    };
    scene.queue.on_application_known(
        &digest(0),
        Manifest {
            needs: manifest_needs(&needs),
            ..Manifest::default()
        },
        scene.now,
    );
    scene.queue.rebuild_indexes(scene.now);
    let wanted = scene.wanted(1, 0, 1);
    let problem = scene.queue.on_enter(wanted, scene.now).unwrap_err();
    assert_eq!(problem.code, Code::NeedUnmet);
    assert!(problem.detail.contains("memory"), "{}", problem.detail);
    let explanation = problem.explanation.unwrap();
    assert!(
        explanation.candidates[0]
            .checks
            .iter()
            .any(|check| check.name == "memory" && !check.met)
    );
}

#[test]
fn a_callers_own_needs_choose_the_host() {
    let mut scene = Scene::new(&[1, 1], Limits::default());
    let mut wanted = scene.wanted(1, 0, 1);
    // Not the one that would be taken without needs.
    let first = scene.queue.host(scene.hosts[0]).unwrap().name().to_owned();
    let mut asker = (*wanted.asker).clone();
    asker.needs = vec![Need::HostNames(vec![first])];
    wanted.asker = asker.clone().into();
    scene.queue.on_enter(wanted, scene.now).unwrap();
    let hosts: Vec<_> = scene
        .queue
        .leases()
        .iter()
        .map(|lease| lease.host)
        .collect();
    assert_eq!(hosts, [scene.hosts[0]]);

    let mut wanted = scene.wanted(1, 0, 1);
    asker.needs = vec!["memory>=900TiB".parse().unwrap()];
    wanted.asker = asker.into();
    let problem = scene.queue.on_enter(wanted, scene.now).unwrap_err();
    assert_eq!(problem.code, Code::NeedUnmet);
    assert!(problem.detail.contains("memory"), "{}", problem.detail);
}

#[test]
fn hosts_that_are_away_are_waited_for() {
    let mut scene = Scene::new(&[1], Limits::default());
    let host = scene.hosts[0];
    scene.queue.on_host_lost(host, scene.now);
    assert_eq!(scene.enter(1, 0, 1), Ok(1));
    let incarnation = scene.queue.host(host).unwrap().incarnation.unwrap();
    scene.arrive(host, 1, incarnation);
    assert_eq!(scene.granted().len(), 1);
}

#[test]
fn a_silent_host_gets_nothing_new() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.now += Duration::from_secs(16);
    scene.queue.on_tick(scene.now);
    assert_eq!(scene.enter(1, 0, 1), Ok(1));
    let host = scene.hosts[0];
    scene.queue.on_host_heard(host, &state(1), &[], scene.now);
    assert_eq!(scene.granted().len(), 1);
}

#[test]
fn a_host_down_or_restarted_ends_its_leases() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    let lease = scene.granted()[0].1;
    let host = scene.hosts[0];
    scene.queue.on_host_lost(host, scene.now);
    assert_eq!(scene.over(), [], "a lost stream is not a dead Host");
    scene.queue.on_host_down(host, scene.now);
    assert_eq!(scene.over(), [(lease, Code::HostDown)]);
    scene.arrive(host, 1, Incarnation::generate());
    scene.enter(1, 0, 1).unwrap();
    let lease = scene.granted()[0].1;
    scene.arrive(host, 1, Incarnation::generate());
    assert_eq!(scene.over(), [(lease, Code::HostRestarted)]);
}

#[test]
fn stop_finishes_what_is_queued_and_asks_leases_back() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    let lease = scene.granted()[0].1;
    scene.enter(1, 0, 1).unwrap();
    scene.desired.wish = Wish {
        desired: Desired::Closed,
        generation: 1,
        cut_epoch: 0,
    };
    scene.desire();
    assert_eq!(scene.recalled(), [lease]);
    assert_eq!(scene.enter(2, 0, 1), Err(Code::NotAccepting));
    scene.queue.on_released(SessionId(1), lease, scene.now);
    let last = scene.granted()[0].1;
    assert_eq!(scene.recalled(), [], "its call has to begin first");
    scene.pass(Duration::from_secs(6));
    assert_eq!(scene.recalled(), [last]);
    scene.queue.on_released(SessionId(1), last, scene.now);
    assert!(scene.queue.is_idle());
}

#[test]
fn kill_ends_what_was_begun_before_it_even_after_a_start() {
    let mut scene = Scene::new(&[1, 1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    scene.enter(1, 1, 1).unwrap();
    scene.enter(2, 0, 1).unwrap();
    let leases = scene.granted();
    assert_eq!(leases.len(), 2);
    let killed = leases
        .iter()
        .map(|(_, lease)| *lease)
        .find(|lease| scene.queue.leases().get(*lease).unwrap().digest == digest(0));
    let old_ticket = scene.wanted(3, 0, 1);
    // Killed and started again before this Element heard of either.
    scene.desired.applications[0].wish = Wish {
        desired: Desired::Production,
        generation: 2,
        cut_epoch: 1,
    };
    scene.desire();
    let effects = scene.effects();
    let refused = effects.iter().any(|effect| matches!(effect, Effect::Refused { problem, .. } if problem.code == Code::Terminated));
    let over: Vec<LeaseId> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Over { lease, .. } => Some(*lease),
            _ => None,
        })
        .collect();
    assert!(refused);
    assert_eq!(over, [killed.unwrap()]);
    assert_eq!(
        scene
            .queue
            .on_enter(old_ticket, scene.now)
            .unwrap_err()
            .code,
        Code::TicketCut
    );
    assert_eq!(scene.enter(3, 0, 1), Ok(0));
    // Again the same: nothing changes.
    scene.effects();
    scene.desire();
    assert_eq!(scene.effects(), []);
}

#[test]
fn a_killed_host_ends_its_own_leases_alone() {
    let mut scene = Scene::new(&[1, 1], Limits::default());
    scene.enter(1, 0, 2).unwrap();
    scene.granted();
    let host = scene.hosts[0];
    let wish = Wish {
        desired: Desired::Closed,
        generation: 1,
        cut_epoch: 1,
    };
    scene.desired.hosts = vec![HostWish {
        host,
        wish,
        applications: Vec::new(),
    }];
    scene.desire();
    assert_eq!(scene.over().len(), 1);
    assert!(scene.queue.leases().iter().all(|lease| lease.host != host));
}

#[test]
fn a_failed_deployment_is_tried_elsewhere_then_refused() {
    let mut scene = Scene::new(&[1, 1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    for tried in 0..2 {
        let ensured: Vec<_> = scene
            .queue
            .take_effects()
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Ensure { host, digest } => Some((host, digest)),
                _ => None,
            })
            .collect();
        assert_eq!(ensured.len(), 1, "try {tried}");
        let problem = Problem::new(Code::StagingFailed, "disk full");
        scene
            .queue
            .on_ensured(ensured[0].0, &ensured[0].1, Err(problem), scene.now);
    }
    let refused = scene.effects().into_iter().any(|effect| {
        matches!(effect, Effect::Refused { problem, .. } if problem.code == Code::StagingFailed && problem.detail.contains("disk full"))
    });
    assert!(refused);
    assert!(scene.queue.is_idle());
}

#[test]
fn a_map_that_is_ended_leaves_nothing() {
    let mut scene = Scene::new(&[2], Limits::default());
    let job = JobId::generate();
    let mut wanted = scene.wanted(1, 0, 5);
    wanted.job = Some(job);
    scene.queue.on_session_opened(SessionId(1), key(1));
    scene.queue.on_enter(wanted, scene.now).unwrap();
    scene.effects();
    assert_eq!(scene.queue.on_job_terminated(job, "ada", scene.now), 2);
    assert!(scene.queue.is_idle());
    assert_eq!(scene.queue.on_job_terminated(job, "ada", scene.now), 0);
}

#[test]
fn an_application_that_is_not_fetched_yet_is_waited_for() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene
        .desired
        .applications
        .push(application(2, Wish::default()));
    scene.desire();
    assert!(
        scene
            .effects()
            .contains(&Effect::Fetch { digest: digest(2) })
    );
    assert_eq!(scene.enter(1, 2, 1), Ok(1));
    scene
        .queue
        .on_application_known(&digest(2), Manifest::default(), scene.now);
    assert_eq!(scene.granted().len(), 1);
}

#[test]
fn an_explanation_says_what_each_host_fails() {
    let mut scene = Scene::new(&[1, 1], Limits::default());
    scene.queue.on_host_lost(scene.hosts[0], scene.now);
    let candidates = scene.queue.candidates(&digest(0), None, &[], 10);
    let lost = candidates
        .iter()
        .find(|candidate| candidate.id == scene.hosts[0].to_string())
        .unwrap();
    let failed: Vec<&str> = lost
        .checks
        .iter()
        .filter(|check| !check.met)
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(failed, ["connected", "free-slots"]);
}

#[test]
fn a_map_that_asks_again_ends_what_its_dead_process_has_left() {
    let mut scene = Scene::new(&[3], Limits::default());
    let job = JobId::generate();
    let mut enter = |who: u64, presenter: u64, job: Option<JobId>| {
        let session = SessionId(scene.entries + 100);
        scene.queue.on_session_opened(session, key(presenter));
        let mut wanted = scene.wanted(who, 0, 1);
        wanted.key.session = session;
        wanted.job = job;
        let asker = std::sync::Arc::make_mut(&mut wanted.asker);
        asker.presenter = key(presenter);
        scene.queue.on_enter(wanted, scene.now).unwrap();
        (session, scene.granted())
    };
    let (dead, left) = enter(1, 1, Some(job));
    let (other, others) = enter(1, 2, None);
    let (stranger, strangers) = enter(2, 3, Some(job));
    assert_eq!([left.len(), others.len(), strangers.len()], [1, 1, 1]);
    for session in [dead, other, stranger] {
        scene.queue.on_session_lost(session, scene.now);
    }
    scene.queue.on_session_opened(SessionId(50), key(4));
    let mut again = scene.wanted(1, 0, 1);
    again.key.session = SessionId(50);
    again.job = Some(job);
    std::sync::Arc::make_mut(&mut again.asker).presenter = key(4);
    assert_eq!(scene.queue.on_enter(again, scene.now).unwrap(), 0);
    let effects = scene.effects();
    let ended: Vec<LeaseId> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::EndOnHost {
                lease, kill: true, ..
            } => Some(*lease),
            _ => None,
        })
        .collect();
    assert_eq!(
        ended,
        [left[0].1],
        "not the person's other lease, nor a stranger's"
    );
    let granted = |effect: &Effect| matches!(effect, Effect::Granted { entry, .. } if entry.session == SessionId(50));
    assert!(effects.iter().any(granted), "its slot is free at once");
}

/// What a Host tells of itself, with the leases that it holds.
fn arrival(scene: &Scene, id: NodeId, leases: Vec<HeldLease>) -> HostArrival {
    let host = scene.queue.host(id).unwrap();
    HostArrival {
        id,
        incarnation: host.incarnation.unwrap(),
        description: host.description.clone(),
        endpoints: vec!["h:1".into()],
        relayed: false,
        leases,
        deployments: Vec::new(),
    }
}

#[test]
fn what_was_on_its_way_on_a_stream_that_is_replaced_is_begun_anew() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    let host = scene.hosts[0];
    // The Host is asked to get the application ready; the answer never comes,
    // since the Host dials again before the loss of its stream is noticed.
    let asked = |effects: Vec<Effect>| {
        let ensures = effects.iter();
        ensures
            .filter(|effect| matches!(effect, Effect::Ensure { .. }))
            .count()
    };
    assert_eq!(asked(scene.queue.take_effects()), 1);
    let again = arrival(&scene, host, Vec::new());
    scene.queue.on_host_arrived(again, scene.now);
    assert_eq!(asked(scene.queue.take_effects()), 1, "on the new stream");
    scene.queue.on_ensured(host, &digest(0), Ok(()), scene.now);
    let granted = scene.queue.take_effects();
    assert!(
        granted
            .iter()
            .any(|effect| matches!(effect, Effect::Granted { .. })),
        "{granted:?}"
    );
}

#[test]
fn a_recalled_lease_that_its_host_has_closed_is_over() {
    let mut scene = Scene::new(&[1], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    let (_, lease) = scene.granted()[0];
    scene.enter(2, 0, 1).unwrap();
    assert_eq!(scene.recalled(), [lease]);
    // The client neither uses it nor gives it back.
    scene.pass(Duration::from_secs(11));
    let told = scene.effects();
    assert!(
        told.iter()
            .any(|effect| matches!(effect, Effect::EndOnHost { kill: false, .. })),
        "{told:?}"
    );
    assert!(
        scene.queue.leases().get(lease).is_some(),
        "it may be on its way"
    );
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.over(), [(lease, Code::LeaseEnded)]);
    scene.effects();
    assert_eq!(scene.queue.leases().len(), 1, "the next one has its slot");
}

#[test]
fn a_host_that_comes_back_with_a_lease_that_has_ended_gets_no_other_before_it_is_rid_of_it() {
    let mut scene = Scene::new(&[1], Limits::default());
    let (host, incarnation) = (scene.hosts[0], Incarnation::generate());
    scene.arrive(host, 1, incarnation);
    scene.enter(1, 0, 1).unwrap();
    let (_, lease) = scene.granted()[0];
    let held = HeldLease {
        lease,
        owner: person(1),
        digest: digest(0),
        application: "app0".into(),
        slots: 1,
        running: Vec::new(),
        attached: true,
    };
    // Host and client are away for longer than the grace.
    scene.queue.on_session_lost(SessionId(1), scene.now);
    scene.queue.on_host_lost(host, scene.now);
    scene.pass(Duration::from_mins(2));
    assert!(scene.queue.leases().is_empty());
    assert_eq!(scene.enter(2, 0, 1), Ok(1));
    let arrival = HostArrival {
        id: host,
        incarnation,
        description: Arc::new(host_named(host, "back", 1)),
        endpoints: vec!["h:1".into()],
        relayed: false,
        leases: vec![held.clone()],
        deployments: Vec::new(),
    };
    let ended = scene.queue.on_host_arrived(arrival, scene.now);
    assert_eq!(ended, [lease]);
    assert_eq!(scene.granted(), []);
    scene
        .queue
        .on_host_heard(host, &state(1), std::slice::from_ref(&held), scene.now);
    assert_eq!(scene.granted(), [], "it holds the lease still");
    scene.queue.on_host_heard(host, &state(1), &[], scene.now);
    assert_eq!(scene.granted().len(), 1);
}
