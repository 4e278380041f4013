//! What has to hold after every step, seen by somebody who sees all nodes.

use std::collections::{BTreeMap, BTreeSet};

use gridmart_control::access::deployment::element_desired;
use gridmart_element::{
    compute::{
        lease::{LeaseState, Stage as LeaseStage},
        queue::Queue,
    },
    element::standing::host_desired,
};
use gridmart_host::member::orders;
use gridmart_schemas::{
    id::{LeaseId, NodeId, PersonName},
    role::Desired,
};

use super::{
    dice::short,
    host::Host,
    stage::{Node, Stage},
    world::World,
};

/// A queue before a decision.
pub(crate) struct Before {
    leases: BTreeSet<LeaseId>,
}

impl Before {
    /// Of a queue.
    pub(crate) fn of(queue: &Queue) -> Self {
        Self {
            leases: queue.leases().iter().map(|lease| lease.id).collect(),
        }
    }
}

fn held_by(queue: &Queue) -> BTreeMap<PersonName, u32> {
    let mut held = BTreeMap::new();
    for lease in queue.leases().iter() {
        *held.entry(lease.person.clone()).or_insert(0) += lease.slots;
    }
    held
}

fn held_on(queue: &Queue, host: NodeId) -> u32 {
    queue
        .leases()
        .iter()
        .filter(|lease| lease.host == host)
        .map(|lease| lease.slots)
        .sum()
}

/// What an Element's queue has just decided.
pub(crate) fn decision(
    stage: &mut Stage,
    queue: &Queue,
    limits: gridmart_element::compute::queue::limit::Limits,
    before: &Before,
    priority: impl Fn(&LeaseState) -> Option<i32>,
) {
    let made: Vec<(&LeaseState, i32)> = queue
        .leases()
        .iter()
        .filter(|lease| !before.leases.contains(&lease.id))
        .filter_map(|lease| Some((lease, priority(lease)?)))
        .collect();
    if made.is_empty() {
        return;
    }
    let held = held_by(queue);
    let in_use: u32 = held.values().sum();
    let of = |person: &PersonName| held.get(person).copied().unwrap_or(0);
    for (lease, _) in &made {
        let slots = queue.host(lease.host).map_or(0, |host| host.slots);
        let given = held_on(queue, lease.host);
        if given > slots {
            stage.ledger.fail(format!(
                "lease {} makes {given} of {slots} slots of host {}",
                short(lease.id.as_uuid()),
                short(lease.host.as_uuid())
            ));
        }
        if limits
            .running_per_person
            .is_some_and(|most| of(&lease.person) > most)
        {
            stage.ledger.fail(format!("{} is over quota", lease.person));
        }
    }
    if limits.running.is_some_and(|most| in_use > most) {
        stage
            .ledger
            .fail(format!("{in_use} slots are over MaxRunningJobs"));
    }
    for waiting in queue.waiting_entries() {
        let wanted = waiting.wanted;
        let person = &wanted.asker.person;
        let room = limits
            .running_per_person
            .is_none_or(|most| of(person) < most);
        if !room {
            continue;
        }
        for (lease, given) in made.iter().filter(|(lease, _)| lease.person != *person) {
            if !would_serve(queue, lease.host, wanted) {
                continue;
            }
            // Of what would have served this person, too, the other's last
            // slot was given when the other had so many already.
            let new = |serves: bool| -> u32 {
                made.iter()
                    .filter(|(other, _)| other.person == lease.person)
                    .filter(|(other, _)| !serves || would_serve(queue, other.host, wanted))
                    .map(|(other, _)| other.slots)
                    .sum()
            };
            let had = (of(&lease.person) + new(true)).saturating_sub(new(false) + 1);
            let unfair =
                wanted.priority > *given || (wanted.priority == *given && of(person) < had);
            if unfair {
                stage.ledger.fail(format!(
                    "{} with {} slots got {} of {} on host {} before {person} with {}, who wants {} of {} with priority {} against {given}",
                    lease.person,
                    of(&lease.person),
                    lease.slots,
                    lease.application,
                    short(lease.host.as_uuid()),
                    of(person),
                    waiting.missing,
                    queue
                        .application(&wanted.digest)
                        .map_or("nothing", |application| application.name.as_str()),
                    wanted.priority
                ));
            }
        }
    }
}

fn would_serve(
    queue: &Queue,
    host: NodeId,
    wanted: &gridmart_element::compute::queue::entry::Wanted,
) -> bool {
    let (Some(host), Some(application)) = (queue.host(host), queue.application(&wanted.digest))
    else {
        return false;
    };
    let wish = host.application_wish(&wanted.digest, application.wish);
    let broken = matches!(
        host.placements.get(&wanted.digest),
        Some(gridmart_element::compute::queue::host::Placement::Broken { .. })
    );
    application.manifest.is_some()
        && wish.desired == Desired::Production
        && !broken
        && !wanted.avoid.contains(&host.id)
}

/// What has to hold of a Host, whatever its Element thinks.
pub(crate) fn host(stage: &mut Stage, host: &Host) {
    let running = host.running();
    if running.len() > host.slots as usize {
        stage.ledger.fail(format!(
            "{} calls run in {} slots of host {}",
            running.len(),
            host.slots,
            short(host.id.as_uuid())
        ));
    }
    let mut by_lease: BTreeMap<LeaseId, u32> = BTreeMap::new();
    for (call, tenancy) in &running {
        let claims = &tenancy.claims;
        let count = by_lease.entry(claims.lease).or_insert(0);
        *count += 1;
        if *count > claims.slots.max(1) {
            stage.ledger.fail(format!(
                "lease {} runs more calls than it has slots",
                short(claims.lease.as_uuid())
            ));
        }
        let in_force = orders::cut(&host.desired, &claims.application.digest);
        if orders::is_cut(claims.cut, in_force) && !host.is_being_ended(*call) {
            stage
                .ledger
                .fail(format!("call {} outlives a kill", short(call.as_uuid())));
        }
    }
    let Some(alive) = &host.alive else { return };
    for tenancy in alive.roll.present() {
        let in_force = orders::cut(&host.desired, &tenancy.claims.application.digest);
        if orders::is_cut(tenancy.claims.cut, in_force) {
            stage.ledger.fail(format!(
                "lease {} outlives a kill on its Host",
                short(tenancy.claims.lease.as_uuid())
            ));
        }
    }
}

impl World {
    /// What has to hold after an event at this node.
    pub(crate) fn audit(&mut self, node: Node) {
        match node {
            Node::Host(number) => host(&mut self.stage, &self.hosts[number]),
            Node::Element(number) => self.audit_grants(number),
            Node::Control | Node::Client(_) => {}
        }
    }

    /// No slot that a Host still holds for somebody is given out again: what a
    /// Host has and its Element has forgotten is not there. A power cut may
    /// have the Element forget until the Host is heard.
    fn audit_grants(&mut self, number: usize) {
        let element = &self.elements[number];
        let Some(alive) = &element.alive else { return };
        if self.forgetful.contains(&number) {
            return;
        }
        for (host_id, (conn, _)) in &alive.hosts {
            let Some(host) = self.hosts.iter().find(|host| host.id == *host_id) else {
                continue;
            };
            let Some(there) = &host.alive else { continue };
            if !self.stage.is_open(*conn) {
                continue;
            }
            let leases = alive.queue.leases();
            let staging: u32 = leases
                .iter()
                .filter(|lease| lease.host == *host_id && lease.stage == LeaseStage::Staging)
                .map(|lease| lease.slots)
                .sum();
            let forgotten: u32 = there
                .roll
                .present()
                .filter(|tenancy| {
                    let lease = tenancy.claims.lease;
                    leases.get(lease).is_none() && !leases.has_ended(lease)
                })
                .map(|tenancy| tenancy.claims.slots)
                .sum();
            let given = held_on(&alive.queue, *host_id);
            if forgotten > 0 && given + forgotten > host.slots && staging == 0 {
                self.stage.ledger.fail(format!(
                    "host {} has {} slots: {given} are granted, {forgotten} more are in leases that its Element has forgotten",
                    short(host_id.as_uuid()),
                    host.slots
                ));
            }
        }
    }

    /// Whether nothing is left to do anywhere.
    pub(crate) fn is_idle(&self) -> bool {
        self.clients.iter().all(super::client::Client::is_idle)
            && self.hosts.iter().all(Host::is_idle)
            && self.elements.iter().all(super::element::Element::is_idle)
    }

    /// Whether everybody does what should be.
    pub(crate) fn pending(&self) -> Option<String> {
        for element in &self.elements {
            let catalogue = &self.control.catalogue;
            let date = self.stage.date(Node::Control);
            let desired = element_desired(catalogue, element.id, date);
            let recorded = element.desired();
            if recorded.as_ref() != Some(&desired) {
                return Some(format!(
                    "element {} has not recorded what should be: {recorded:?} instead of {desired:?}",
                    short(element.id.as_uuid())
                ));
            }
            for host in self
                .hosts
                .iter()
                .filter(|host| host.element.1 == element.id)
            {
                if host.desired != host_desired(&desired, host.id) {
                    return Some(format!(
                        "host {} has not applied what should be: {:?} instead of {:?}",
                        short(host.id.as_uuid()),
                        host.desired,
                        host_desired(&desired, host.id)
                    ));
                }
            }
        }
        None
    }

    /// What keeps it busy, for people.
    pub(crate) fn describe(&self) -> Vec<String> {
        let clients = self.clients.iter().enumerate();
        let clients = clients
            .filter(|(_, client)| !client.is_idle())
            .map(|(number, client)| format!("client {number}: {}", client.describe()));
        let hosts = self.hosts.iter();
        let hosts = hosts
            .filter(|host| !host.is_idle())
            .map(|host| format!("host {}: {}", short(host.id.as_uuid()), host.describe()));
        let elements = self.elements.iter();
        let elements = elements
            .filter(|element| !element.is_idle())
            .map(|element| {
                format!(
                    "element {}: {}",
                    short(element.id.as_uuid()),
                    element.describe()
                )
            });
        clients.chain(hosts).chain(elements).collect()
    }
}
