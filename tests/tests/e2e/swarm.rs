//! Hundreds of simulated nodes around a real controller, and around a real
//! Element: all join at once, hear what they should be, and find their way
//! back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::try_join_all, stream};
use gridmart_schemas::{
    api::{
        command::CommandView,
        join_token::{JoinTokenRequest, JoinTokenView},
        resource::ResourceView,
    },
    id::NodeId,
    resource::{Document as _, ce_doc::CeDocument},
    role::{Desired, NodeKind},
};
use gridmart_tests::{
    LONG,
    swarm::{Arrivals, Person, Role, SimulatedElement, SimulatedHost},
    wait_for,
};

const ELEMENTS: usize = 4;
const HOSTS_EACH: usize = 50;
const HOSTS: usize = 150;
const STOPPED: usize = 20;

fn token(person: &mut Person, element: Option<NodeId>, uses: usize) -> String {
    let kind = match element {
        Some(_) => NodeKind::ComputeHost,
        None => NodeKind::ComputingElement,
    };
    let request = JoinTokenRequest {
        kind,
        domain: element.is_none().then(|| "lab".to_owned()),
        element: element.map(|id| id.to_string()),
        uses: u32::try_from(uses).unwrap(),
        expires_in: 600,
        label: String::new(),
    };
    let made: JoinTokenView = person.post("/api/v1/join-tokens", &request).unwrap();
    made.token
}

fn admin(control: &Role) -> Person {
    Person::connect(&control.address("people"), &control.admin_token()).unwrap()
}

fn wait_connected(person: &mut Person, nodes: &[NodeId]) {
    for id in nodes {
        wait_for(LONG, "the controller hears of a node", || {
            let view: ResourceView = person
                .get(&format!("/api/v1/resources/{id}"))
                .map_err(|error| error.to_string())?;
            view.row
                .connected
                .then_some(())
                .ok_or_else(|| "not heard".to_owned())
        });
    }
}

fn stop(person: &mut Person, nodes: &[NodeId]) {
    for id in nodes {
        let told: CommandView = person
            .command(&format!("/api/v1/resources/{id}/stop"))
            .unwrap();
        assert_eq!(told.status, "applied", "{told:?}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_controller_takes_in_hundreds_of_hosts_at_once_and_finds_them_again() {
    let (folder, runtime, arrivals) = (
        tempfile::tempdir().unwrap(),
        runtime(),
        Arc::<Arrivals>::default(),
    );
    let mut control = Role::control(&folder.path().join("control"));
    let mut person = admin(&control);
    let (join, door) = (token(&mut person, None, ELEMENTS), control.address("nodes"));
    let elements = runtime.block_on(async {
        let joining = (0..ELEMENTS).map(|number| {
            let (join, door, arrivals) = (&join, &door, Arc::clone(&arrivals));
            async move {
                let name = format!("ce-{number}");
                SimulatedElement::join(door, join, &name, arrivals).await
            }
        });
        let elements = try_join_all(joining).await.unwrap();
        let joining = elements
            .iter()
            .map(|element| element.join_hosts(HOSTS_EACH));
        try_join_all(joining).await.unwrap();
        elements
    });
    let hosts: Vec<NodeId> = elements.iter().flat_map(SimulatedElement::hosts).collect();
    assert_eq!(hosts.len(), ELEMENTS * HOSTS_EACH);
    wait_connected(&mut person, &hosts);
    stop(&mut person, &hosts[..STOPPED]);
    assert_eq!(elements[0].hosts_closed(), STOPPED);

    control.kill();
    let restarted = Instant::now();
    control.restart();
    let mut person = admin(&control);
    wait_connected(&mut person, &hosts);
    assert_eq!(arrivals.since(restarted), ELEMENTS);
    // What was acknowledged is known still, and nothing else.
    let closed: usize = elements.iter().map(SimulatedElement::hosts_closed).sum();
    assert_eq!(closed, STOPPED);
    for (number, id) in hosts.iter().enumerate().take(2 * STOPPED) {
        let view: ResourceView = person.get(&format!("/api/v1/resources/{id}")).unwrap();
        let expected = if number < STOPPED {
            Desired::Closed
        } else {
            Desired::Production
        };
        assert_eq!(view.wish.desired, expected, "Host {number}");
    }
}

#[test]
fn an_element_takes_in_hundreds_of_hosts_at_once_and_tells_each_only_its_own() {
    let (folder, runtime, arrivals) = (
        tempfile::tempdir().unwrap(),
        runtime(),
        Arc::<Arrivals>::default(),
    );
    let control = Role::control(&folder.path().join("control"));
    let mut person = admin(&control);
    let join = token(&mut person, None, 1);
    let home = folder.path().join("ce");
    let mut element = Role::element(&home, &control.address("nodes"), &join);
    let join = token(&mut person, Some(element.node()), HOSTS);
    let door = element.address("door");
    let hosts: Vec<SimulatedHost> = runtime.block_on(async {
        let joining = stream::iter(0..HOSTS).map(|number| {
            let (join, door, arrivals) = (&join, &door, Arc::clone(&arrivals));
            async move {
                let name = format!("host-{number}");
                let host = SimulatedHost::join(door, join, &name, 2, arrivals).await;
                host.unwrap()
            }
        });
        joining.buffer_unordered(64).collect().await
    });
    let ids: Vec<NodeId> = hosts.iter().map(|host| host.id).collect();
    wait_connected(&mut person, &ids);
    // Each acknowledged use of the token is counted, and each Host has a row.
    let document = std::fs::read(home.join("CEDoc.xml")).unwrap();
    let document = CeDocument::from_xml(&document, "CEDoc.xml").unwrap();
    assert_eq!(document.host_table.hosts.len(), HOSTS);
    assert_eq!(document.join_tokens.tokens[0].remaining, 0);

    let told = || hosts.iter().map(SimulatedHost::desires_told).sum::<u64>();
    let before = told();
    stop(&mut person, &ids[..STOPPED]);
    assert_eq!(told() - before, STOPPED as u64, "others were told as well");
    let closed = |host: &&SimulatedHost| host.desired() == Desired::Closed;
    assert_eq!(hosts.iter().filter(closed).count(), STOPPED);

    element.kill();
    let restarted = Instant::now();
    element.restart();
    wait_for(LONG, "all Hosts are back", || {
        match arrivals.since(restarted) {
            HOSTS => Ok(()),
            count => Err(format!("{count} are")),
        }
    });
    wait_connected(&mut person, &ids);
    assert_eq!(hosts.iter().filter(closed).count(), STOPPED);
    assert!(
        !arrivals
            .histogram(restarted, Duration::from_secs(1))
            .is_empty()
    );
}
