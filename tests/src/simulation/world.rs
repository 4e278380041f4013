//! A whole small cluster: who is there, and who has which event.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use gridmart_schemas::{
    id::{Digest, NodeId},
    resource::{
        ae::{AeInfo, Command},
        ae_doc::AeDocument,
        ce::{CeInfo, CePolicy, ComputingElement},
        common::{AccessControlBase, AccessRule, CommonInfo, Who},
        enumeration::{AeKind, LrmsType, OsFamily, Platform},
        host::{Architecture, ComputeHost, HostInfo, HostPolicy, MainMemory, OperatingSystem},
    },
    role::{NodeKind, Role},
};

use super::{
    client::{App, Client},
    controller::Controller,
    element::Element,
    host::Host,
    stage::{Event, Node, SECOND, Stage},
};

/// Applications: whether calls of them may run twice.
const APPS: [bool; 2] = [true, false];

/// See the module.
pub(crate) struct World {
    /// Time, network, chance, truth.
    pub stage: Stage,
    /// The controller.
    pub control: Controller,
    /// Elements.
    pub elements: Vec<Element>,
    /// Hosts, each of one Element.
    pub hosts: Vec<Host>,
    /// Programs of people.
    pub clients: Vec<Client>,
    /// Applications, by what callers know of them.
    pub digests: Vec<Digest>,
    /// Elements that have lost what was not synced.
    pub forgetful: BTreeSet<usize>,
    /// When faults end.
    pub calm: bool,
}

fn text<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("well-formed")
}

fn rules() -> AccessControlBase {
    AccessControlBase::from_rules(vec![AccessRule::new(Who::All)])
}

impl World {
    /// The cluster of a seed.
    pub(crate) fn new(seed: u64, shown: usize) -> Self {
        let mut stage = Stage::new(seed, shown);
        let control_id = stage.ids.node();
        let mut control = Controller::new(control_id);
        let (mut elements, mut hosts) = (Vec::new(), Vec::new());
        let count = [1, 1, 2, 3][stage.dice.index(4)];
        for number in 0..count {
            let id = stage.ids.node();
            let name = format!("ce{number}");
            control.on_joined(id, NodeKind::ComputingElement, &name, control_id);
            let description = element_description(&mut stage, id, &name);
            let mut element = Element::new(number, id, control_id, description);
            let most = if count == 1 { 6 } else { 3 };
            for _ in 0..stage.dice.between(2, most) {
                let host_id = stage.ids.node();
                let host_name = format!("h{}", hosts.len());
                control.on_joined(host_id, NodeKind::ComputeHost, &host_name, id);
                let description = host_description(host_id, &host_name, id);
                element.on_host_joined(host_id, description.clone());
                let slots = u32::try_from(stage.dice.between(1, 4)).unwrap_or(1);
                hosts.push(Host::new(
                    hosts.len(),
                    host_id,
                    (number, id),
                    slots,
                    description,
                ));
            }
            elements.push(element);
        }
        let (mut apps, mut digests) = (Vec::new(), Vec::new());
        for (number, retryable) in APPS.into_iter().enumerate() {
            let name = format!("app{number}");
            let mut info: AeInfo = AeInfo::new(text(&name), text("1"), AeKind::Task);
            info.capabilities.clear();
            let mut manifest = AeDocument::new(info, Command::new(text("run")));
            manifest.access = rules();
            manifest.policy.retryable = Some(retryable);
            manifest.policy.max_attempts = Some(3);
            let digest = Digest::from_blake3([u8::try_from(number).unwrap_or(0); 32]);
            control.on_uploaded(digest.clone(), &name, manifest);
            digests.push(digest);
            apps.push(App {
                name,
                retryable,
                attempts_max: 3,
            });
        }
        let ids: Vec<NodeId> = elements.iter().map(|element| element.id).collect();
        let places: BTreeMap<NodeId, usize> = hosts
            .iter()
            .enumerate()
            .map(|(number, host)| (host.id, number))
            .collect();
        let people = usize::try_from(stage.dice.between(2, 4)).unwrap_or(2);
        let clients = (0..people)
            .map(|number| {
                let role = if number == 0 {
                    Role::Operator
                } else {
                    Role::User
                };
                stage.ledger.on_person(text(&format!("p{number}")), role);
                Client::new(number, ids.clone(), places.clone(), apps.clone())
            })
            .collect();
        let mut world = Self {
            stage,
            control,
            elements,
            hosts,
            clients,
            digests,
            forgetful: BTreeSet::new(),
            calm: false,
        };
        world.begin();
        world
    }

    /// All nodes.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        let mut nodes = vec![Node::Control];
        nodes.extend((0..self.elements.len()).map(Node::Element));
        nodes.extend((0..self.hosts.len()).map(Node::Host));
        nodes.extend((0..self.clients.len()).map(Node::Client));
        nodes
    }

    fn begin(&mut self) {
        for node in self.nodes() {
            let offset = self.stage.dice.between(0, 40 * SECOND).cast_signed();
            let drift = self.stage.dice.between(0, 400).cast_signed() - 200;
            let offset = offset - (20 * SECOND).cast_signed();
            self.stage.set_clock(node, offset, drift);
            let wait = self.stage.dice.between(0, 2 * SECOND);
            self.stage.after(wait, Event::Boot(node));
        }
        self.plan_faults();
    }

    /// Lets the next thing happen; false: nothing more will.
    pub(crate) fn step(&mut self) -> bool {
        let Some(event) = self.stage.next() else {
            return false;
        };
        match event {
            Event::Boot(node) => self.boot(node),
            Event::World(number) => self.on_world(number),
            Event::Thaw(node, _) => {
                self.stage
                    .note("a process goes on", 0, 0, || format!("{node:?}"));
            }
            Event::Silence(..) => {}
            Event::Deliver(conn, node, message) => {
                self.note_delivery(node, &message);
                let stage = &mut self.stage;
                match node {
                    Node::Control => self.control.on_message(stage, conn, message),
                    Node::Element(number) => {
                        self.elements[number].on_message(stage, conn, message);
                    }
                    Node::Host(number) => self.hosts[number].on_message(stage, conn, message),
                    Node::Client(number) => self.clients[number].on_message(stage, conn, message),
                }
                self.audit(node);
            }
            Event::Closed(conn, node) => {
                let stage = &mut self.stage;
                stage.note("a stream is over", conn, 0, || {
                    format!("{conn} of {node:?}")
                });
                match node {
                    Node::Control => self.control.on_closed(stage, conn),
                    Node::Element(number) => self.elements[number].on_closed(stage, conn),
                    Node::Host(number) => self.hosts[number].on_closed(stage, conn),
                    Node::Client(number) => self.clients[number].on_closed(stage, conn),
                }
                self.audit(node);
            }
            Event::Dialled(node, number, dialled) => {
                let stage = &mut self.stage;
                match node {
                    Node::Control => {}
                    Node::Element(element) => self.elements[element].on_dialled(stage, dialled),
                    Node::Host(host) => self.hosts[host].on_dialled(stage, dialled),
                    Node::Client(client) => {
                        self.clients[client].on_dialled(stage, number, dialled);
                    }
                }
                self.audit(node);
            }
            Event::Timer(node, _, timer) => {
                let stage = &mut self.stage;
                match node {
                    Node::Control => self.control.on_timer(stage, &timer),
                    Node::Element(number) => self.elements[number].on_timer(stage, &timer),
                    Node::Host(number) => self.hosts[number].on_timer(stage, &timer),
                    Node::Client(number) => self.clients[number].on_timer(stage, &timer),
                }
                self.audit(node);
            }
        }
        true
    }

    fn note_delivery(&mut self, node: Node, message: &super::message::Message) {
        use super::message::Message;
        let (name, number) = match message {
            Message::Ask(number, body) | Message::Answer(number, Ok(body)) => {
                (body.name(), *number)
            }
            Message::Answer(number, Err(problem)) => (problem.code.as_str(), *number),
            Message::Tell(body) => (body.name(), 0),
        };
        let quiet = matches!(name, "HostHeartbeat" | "ElementHeartbeat" | "Position");
        if !quiet {
            self.stage
                .note(name, number, 0, || format!("arrives at {node:?}"));
        }
    }

    fn boot(&mut self, node: Node) {
        if self.stage.is_up(node) {
            return;
        }
        self.stage.on_start(node);
        self.stage
            .note("a process begins", 0, 0, || format!("{node:?}"));
        let stage = &mut self.stage;
        match node {
            Node::Control => self.control.boot(),
            Node::Element(number) => self.elements[number].boot(stage),
            Node::Host(number) => self.hosts[number].boot(stage),
            Node::Client(number) => self.clients[number].boot(stage),
        }
    }

    /// A process dies; `power`: its machine with it.
    pub(crate) fn kill(&mut self, node: Node, power: bool) {
        self.stage.on_death(node, power);
        let stage = &mut self.stage;
        match node {
            Node::Control => self.control.die(),
            Node::Element(number) => {
                self.elements[number].die(power);
                if power {
                    self.forgetful.insert(number);
                }
            }
            Node::Host(number) => self.hosts[number].die(stage, power),
            Node::Client(number) => self.clients[number].die(stage),
        }
    }
}

fn element_description(stage: &mut Stage, id: NodeId, name: &str) -> ComputingElement {
    let info = CeInfo::new(
        CommonInfo::new(text(name), text("lab")),
        LrmsType::Fork,
        text("localhost"),
    );
    let some = |stage: &mut Stage, percent, low, high| {
        let chosen = stage.dice.chance(percent);
        let number = u32::try_from(stage.dice.between(low, high)).unwrap_or(u32::MAX);
        chosen.then_some(number)
    };
    let policy = CePolicy {
        max_running_jobs: some(stage, 25, 2, 10),
        max_waiting_jobs: some(stage, 40, 2, 8),
        max_user_running_jobs: some(stage, 30, 1, 5),
        ..CePolicy::default()
    };
    ComputingElement {
        id: text(&id.to_urn()),
        info,
        state: None,
        policy,
        access: rules(),
    }
}

fn host_description(id: NodeId, name: &str, element: NodeId) -> ComputeHost {
    let architecture = Architecture {
        platform_type: Platform::Amd64,
        smp_size: NonZeroU32::MIN,
    };
    let memory = MainMemory {
        ram_size: 8 << 30,
        virtual_size: None,
    };
    let system = OperatingSystem {
        family: OsFamily::Linux,
        name: text("debian"),
        release: None,
        version: None,
    };
    let common = CommonInfo::new(text(name), text("lab"));
    let uri = text(&element.to_urn());
    ComputeHost {
        id: text(&id.to_urn()),
        info: HostInfo::new(common, uri, text(name), architecture, memory, system),
        state: None,
        policy: HostPolicy::default(),
        access: rules(),
    }
}
