//! Clients that come back, and leases that an Element takes up again.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::ticket::Times;
use gridmart_schemas::{
    id::{Incarnation, LeaseId, NodeId},
    problem::Code,
    wire::{desired::Wish, element_host::HeldLease},
};
use time::OffsetDateTime;

use super::{
    effect::Effect,
    entry::SessionId,
    limit::Limits,
    pool::HostArrival,
    scene::{Scene, digest, host_named, key, person},
};
use crate::compute::lease::{ProvenLease, prove};

#[test]
fn a_ticket_names_the_start_of_its_host_and_is_forgotten_with_it() {
    let mut scene = Scene::new(&[2], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    let (host, (_, id)) = (scene.hosts[0], scene.granted()[0]);
    let start = scene.queue.host(host).unwrap().incarnation;
    assert!(start.is_some());
    let lease = scene.queue.leases().get(id).unwrap();
    let times = Times::starting(OffsetDateTime::now_utc(), Duration::from_mins(5));
    let claims = lease.claims(NodeId::generate(), key(1), times);
    assert_eq!(claims.incarnation, start);

    // Another start of the Element, which has forgotten the lease.
    let proven = prove(id, Ok(claims), None, &key(1)).unwrap();
    let brought = |now_is: Option<Incarnation>| {
        let mut scene = Scene::new(&[], Limits::default());
        let description = Arc::new(host_named(host, "host", 2));
        scene
            .queue
            .on_host_known(host, description, Wish::default(), false);
        scene.hosts.push(host);
        if let Some(now_is) = now_is {
            scene.arrive(host, 2, now_is);
        }
        scene.queue.on_session_opened(SessionId(9), key(1));
        let brought = vec![proven.clone()];
        let in_force = scene
            .queue
            .on_session_resumed(SessionId(9), brought, scene.now);
        (scene, in_force)
    };
    assert_eq!(brought(start).1, [id]);
    assert_eq!(brought(Some(Incarnation::generate())).1, []);
    // It is known only later that the Host has started anew.
    let (mut scene, in_force) = brought(None);
    assert_eq!(in_force, [id]);
    scene.arrive(host, 2, Incarnation::generate());
    assert_eq!(scene.over(), [(id, Code::HostRestarted)]);
}

#[test]
fn a_client_that_comes_back_in_time_keeps_its_lease() {
    let mut scene = Scene::new(&[2], Limits::default());
    scene.enter(1, 0, 1).unwrap();
    scene.enter(2, 0, 1).unwrap();
    let leases = scene.granted();
    scene.queue.on_session_lost(SessionId(1), scene.now);
    scene.queue.on_session_lost(SessionId(2), scene.now);
    scene.pass(Duration::from_secs(10));
    let lease = scene.queue.leases().get(leases[0].1).unwrap().clone();
    let mut proven = ProvenLease {
        id: lease.id,
        host: lease.host,
        person: lease.person,
        presenter: key(2),
        digest: lease.digest,
        application: lease.application,
        version: lease.version,
        slots: lease.slots,
        job: None,
        cut: lease.cut,
        incarnation: lease.incarnation,
    };
    scene.queue.on_session_opened(SessionId(9), key(1));
    assert_eq!(
        scene
            .queue
            .on_session_resumed(SessionId(9), vec![proven.clone()], scene.now),
        [],
        "another key"
    );
    proven.presenter = key(1);
    assert_eq!(
        scene
            .queue
            .on_session_resumed(SessionId(9), vec![proven], scene.now),
        [lease.id]
    );
    scene.pass(Duration::from_secs(25));
    let ended: Vec<LeaseId> = scene
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::EndOnHost {
                lease, kill: true, ..
            } => Some(lease),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [leases[1].1], "only the other one has ended");
}

#[test]
fn after_a_restart_held_slots_are_counted_before_any_is_granted() {
    let mut scene = Scene::new(&[], Limits::default());
    let host = NodeId::generate();
    scene.hosts.push(host);
    scene.queue.on_host_known(
        host,
        Arc::new(host_named(host, "h", 2)),
        Wish::default(),
        false,
    );
    assert_eq!(
        scene.enter(5, 0, 1),
        Ok(1),
        "nothing is granted before the Host was heard"
    );
    let held = HeldLease {
        lease: LeaseId::generate(),
        owner: person(1),
        digest: digest(0),
        application: "app0".into(),
        slots: 2,
        running: Vec::new(),
        attached: true,
    };
    let arrival = HostArrival {
        id: host,
        incarnation: Incarnation::generate(),
        description: Arc::new(host_named(host, "h", 2)),
        endpoints: Vec::new(),
        relayed: false,
        leases: vec![held.clone()],
        deployments: Vec::new(),
    };
    assert_eq!(scene.queue.on_host_arrived(arrival, scene.now), []);
    assert_eq!(scene.granted(), []);
    scene.queue.on_leases_ended(host, &[held.lease], scene.now);
    assert_eq!(scene.granted().len(), 1);
}
