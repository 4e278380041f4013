//! The controller: the real placement, desired state and commands, over a
//! catalogue that survives and observations that do not.

use std::{collections::BTreeMap, sync::Arc};

use gridmart_control::{
    access::{
        application::{ApplicationQuestion, decide},
        deployment::element_desired,
    },
    app::context::Actor,
    catalogue::{
        Snapshot, View,
        application::Application,
        node::{Element, Host, Node as NodeRecord},
        observed::{ElementObserved, HostObserved, ObservedCell},
    },
};
use gridmart_fabric::ticket::{AccessClaims, AccessCut, TicketApplication, Times};
use gridmart_schemas::{
    api::{
        access::{AccessDecision, ApplicationAccess, ApplicationAccessRequest, ElementAccess},
        command::Command,
    },
    id::{CallId, Digest, JobId, NodeId, PersonName},
    problem::{Code, Problem},
    resource::{
        ae_doc::AeDocument,
        any::{AnyElement, AnyHost},
    },
    role::{NodeKind, Role},
    wire::{
        control_element::{
            CallTerminate, ElementDesire, ElementHello, ElementWelcome, HostSummary, JobTerminate,
        },
        desired::{ElementDesired, Wish},
        record::CallRecords,
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    desk::Desk,
    message::{Body, Message},
    stage::{Conn, MILLI, Node, SECOND, Stage, Time},
    timer::Timer,
};

/// Seconds between two heartbeats of an Element.
pub(crate) const HEARTBEAT: u32 = 5;
const SYNC_GATHER: Time = 10 * MILLI;
const SYNC_PAUSE: Time = 2 * SECOND;
const SYNC_INTERVAL: Time = 30 * SECOND;
const ANSWER_PATIENCE: Time = 15 * SECOND;
const TICKET_LIFE: std::time::Duration = std::time::Duration::from_mins(5);

enum Asked {
    Desire(usize, Box<ElementDesired>),
    Ended,
}

/// What a command is given to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// An Element or a Host.
    Node(NodeId),
    /// An application version everywhere.
    Application(Digest),
    /// An application version on one Host.
    OnHost(Digest, NodeId),
}

#[derive(Default)]
struct Alive {
    observed: ObservedCell,
    elements: BTreeMap<NodeId, Conn>,
    desk: Desk<Asked>,
}

/// See the module.
pub(crate) struct Controller {
    id: NodeId,
    /// Survives: each commit is synced.
    pub catalogue: Snapshot,
    numbers: BTreeMap<NodeId, usize>,
    alive: Option<Alive>,
}

impl Controller {
    /// One that has committed nothing yet.
    pub(crate) fn new(id: NodeId) -> Self {
        Self {
            id,
            catalogue: Snapshot::default(),
            numbers: BTreeMap::new(),
            alive: None,
        }
    }

    /// Where it lives.
    pub(crate) const NODE: Node = Node::Control;

    /// A node has joined.
    pub(crate) fn on_joined(&mut self, id: NodeId, kind: NodeKind, name: &str, parent: NodeId) {
        let record = NodeRecord {
            id,
            kind,
            domain: "lab".to_owned(),
            name: name.to_owned(),
            parent,
            joined: OffsetDateTime::UNIX_EPOCH,
            not_after: OffsetDateTime::UNIX_EPOCH + time::Duration::days(30_000),
            revoked: false,
            wish: Wish::default(),
        };
        self.catalogue.nodes.insert(id, Arc::new(record));
        if kind == NodeKind::ComputingElement {
            let number = self.numbers.len();
            self.numbers.insert(id, number);
        }
    }

    /// An application was uploaded.
    pub(crate) fn on_uploaded(&mut self, digest: Digest, name: &str, manifest: AeDocument) {
        self.catalogue.generation += 1;
        let application = Application {
            digest: digest.clone(),
            name: name.to_owned(),
            version: "1".to_owned(),
            size: 1,
            manifest,
            owner: "olga".parse().expect("a name"),
            uploaded: OffsetDateTime::UNIX_EPOCH,
            default: true,
            wish: Wish {
                generation: self.catalogue.generation,
                ..Wish::default()
            },
        };
        let versions = self.catalogue.versions.entry(name.to_owned()).or_default();
        versions.push(digest.clone());
        self.catalogue
            .applications
            .insert(digest, Arc::new(application));
    }

    /// The process begins.
    pub(crate) fn boot(&mut self) {
        self.alive = Some(Alive::default());
    }

    /// The process is gone.
    pub(crate) fn die(&mut self) {
        self.alive = None;
    }

    // === commands ===

    /// Records a command, as the product does.
    pub(crate) fn command(&mut self, stage: &mut Stage, command: Command, target: &Target) {
        let catalogue = &mut self.catalogue;
        let generation = catalogue.generation + 1;
        let changed = match target {
            Target::Node(id) => catalogue.nodes.get(id).cloned().is_some_and(|node| {
                let done = command.is_done(node.wish);
                if !done {
                    let wish = command.apply(node.wish, generation);
                    let node = NodeRecord {
                        wish,
                        ..NodeRecord::clone(&node)
                    };
                    catalogue.nodes.insert(*id, Arc::new(node));
                }
                !done
            }),
            Target::Application(digest) => {
                let newest = everywhere(catalogue, command, digest, generation);
                if let Some(newest) = newest {
                    catalogue.generation = newest;
                    return self.sync_all(stage);
                }
                false
            }
            Target::OnHost(digest, host) => {
                let Some(application) = catalogue.applications.get(digest).cloned() else {
                    return;
                };
                let present = catalogue.wish_on_host(&application, *host);
                let done = command.is_done(present);
                if !done {
                    let wish = command.apply(present, generation);
                    let wishes = catalogue.host_wishes.entry(*host).or_default();
                    wishes.insert(digest.clone(), wish);
                }
                !done
            }
        };
        if changed {
            catalogue.generation = generation;
            self.sync_all(stage);
        }
    }

    fn sync_all(&mut self, stage: &mut Stage) {
        for number in self.numbers.values() {
            stage.timer(Self::NODE, SYNC_GATHER, Timer::Sync(*number));
        }
    }

    /// Ends a call or a map, on whichever Elements are there.
    pub(crate) fn terminate(
        &mut self,
        stage: &mut Stage,
        call: Option<CallId>,
        job: Option<JobId>,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let by = "olga".to_owned();
        for conn in alive.elements.values() {
            let body = match (call, job) {
                (Some(call), _) => Body::CallTerminate(CallTerminate {
                    call,
                    by: by.clone(),
                }),
                (None, Some(job)) => Body::JobTerminate(JobTerminate {
                    job,
                    by: by.clone(),
                }),
                (None, None) => return,
            };
            let patience = ANSWER_PATIENCE;
            alive
                .desk
                .ask(stage, Self::NODE, *conn, patience, body, Asked::Ended);
        }
    }

    // === streams ===

    /// A connection is over.
    pub(crate) fn on_closed(&mut self, stage: &mut Stage, conn: Conn) {
        let Some(alive) = &mut self.alive else { return };
        let gone = alive
            .elements
            .iter()
            .find(|(_, there)| **there == conn)
            .map(|(id, _)| *id);
        if let Some(id) = gone {
            alive.elements.remove(&id);
            alive.observed.on_closed(id, conn);
        }
        for asked in alive.desk.on_closed(conn) {
            Self::on_unanswered(stage, &asked);
        }
    }

    fn on_unanswered(stage: &mut Stage, asked: &Asked) {
        if let Asked::Desire(number, _) = asked {
            stage.timer(Self::NODE, SYNC_PAUSE, Timer::Sync(*number));
        }
    }

    /// A timer rings.
    pub(crate) fn on_timer(&mut self, stage: &mut Stage, timer: &Timer) {
        match timer {
            Timer::Patience(number) => {
                let taken = self
                    .alive
                    .as_mut()
                    .and_then(|alive| alive.desk.take(*number));
                if let Some((_, asked)) = taken {
                    Self::on_unanswered(stage, &asked);
                }
            }
            Timer::Sync(number) => self.sync(stage, *number),
            _ => {}
        }
    }

    /// Tells an Element what should be, unless it has recorded just that.
    fn sync(&mut self, stage: &mut Stage, number: usize) {
        let Some(alive) = &mut self.alive else { return };
        let id = self.numbers.iter().find(|(_, there)| **there == number);
        let Some((id, conn)) = id.and_then(|(id, _)| Some((*id, *alive.elements.get(id)?))) else {
            return;
        };
        let desired = element_desired(&self.catalogue, id, stage.date(Self::NODE));
        let observed = alive.observed.load();
        let recorded = observed
            .elements
            .get(&id)
            .and_then(|element| element.recorded.clone());
        if recorded.is_some_and(|recorded| *recorded == desired) {
            return;
        }
        let asked = Asked::Desire(number, Box::new(desired.clone()));
        let body = Body::ElementDesire(Box::new(ElementDesire { desired }));
        alive
            .desk
            .ask(stage, Self::NODE, conn, ANSWER_PATIENCE, body, asked);
        stage.timer(Self::NODE, SYNC_INTERVAL, Timer::Sync(number));
    }

    /// A message arrives.
    pub(crate) fn on_message(&mut self, stage: &mut Stage, conn: Conn, message: Message) {
        match message {
            Message::Ask(number, body) => {
                let answer = self.answer(stage, conn, body);
                stage.send(Self::NODE, conn, Message::Answer(number, answer));
            }
            Message::Answer(number, answer) => self.on_answer(stage, number, answer),
            Message::Tell(body) => self.on_notice(stage, conn, body),
        }
    }

    fn on_answer(&mut self, stage: &mut Stage, number: u64, answer: Result<Body, Problem>) {
        let Some(alive) = &mut self.alive else { return };
        let Some((conn, asked)) = alive.desk.take(number) else {
            return;
        };
        match (asked, answer) {
            (Asked::Desire(number, desired), Ok(Body::ElementApplied(applied))) => {
                let id = self.numbers.iter().find(|(_, there)| **there == number);
                if let Some((id, _)) = id {
                    let generation = applied.generation;
                    let recorded = Arc::new(*desired);
                    alive.observed.on_recorded(*id, conn, generation, recorded);
                }
                // It may have changed meanwhile.
                stage.timer(Self::NODE, SYNC_GATHER, Timer::Sync(number));
            }
            (asked, _) => Self::on_unanswered(stage, &asked),
        }
    }

    fn element_of(&self, stage: &Stage, conn: Conn) -> Option<NodeId> {
        let Node::Element(number) = stage.dialler(conn)? else {
            return None;
        };
        self.numbers
            .iter()
            .find(|(_, there)| **there == number)
            .map(|(id, _)| *id)
    }

    fn answer(&mut self, stage: &mut Stage, conn: Conn, body: Body) -> Result<Body, Problem> {
        let unknown = || Problem::new(Code::InvalidRequest, "unknown");
        match body {
            Body::ElementHello(hello) => {
                let id = self.element_of(stage, conn).ok_or_else(unknown)?;
                Ok(Body::ElementWelcome(Box::new(
                    self.on_hello(stage, conn, id, *hello),
                )))
            }
            Body::Records(batch) => {
                Self::on_records(stage, &batch);
                Ok(Body::Done)
            }
            Body::Access(request) => self.on_access(stage, conn, &request),
            _ => Err(unknown()),
        }
    }

    fn on_hello(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        id: NodeId,
        hello: ElementHello,
    ) -> ElementWelcome {
        let told = hello.element.state();
        self.describe_element(id, hello.element);
        for summary in &hello.hosts {
            self.describe_host(id, &summary.host, summary.id);
        }
        let desired = element_desired(&self.catalogue, id, stage.date(Self::NODE));
        let recorded =
            (hello.generation >= desired.wish.generation).then(|| Arc::new(desired.clone()));
        let heard = ElementObserved {
            stream: conn,
            connected: true,
            incarnation: hello.incarnation,
            software: String::new(),
            heard: stage.instant(Self::NODE),
            state: told,
            deployments: hello.deployments,
            applied: hello.generation,
            recorded,
        };
        let hosts = observed_hosts(id, hello.hosts);
        if let Some(alive) = &mut self.alive {
            alive.observed.on_hello(id, heard, hosts);
            alive.elements.insert(id, conn);
        }
        if let Some(number) = self.numbers.get(&id) {
            stage.timer(Self::NODE, SYNC_GATHER, Timer::Sync(*number));
        }
        ElementWelcome {
            heartbeat_interval: HEARTBEAT,
            ticket_keys: BTreeMap::new(),
            desired,
            time: None,
        }
    }

    fn describe_element(&mut self, id: NodeId, mut description: AnyElement) {
        description.take_state();
        let element = Element {
            id,
            endpoints: vec!["e:1".to_owned()],
            description,
        };
        self.catalogue.elements.insert(id, Arc::new(element));
    }

    fn describe_host(&mut self, element: NodeId, description: &AnyHost, id: NodeId) {
        let mut description = description.clone();
        description.take_state();
        let host = Host {
            id,
            element,
            description,
        };
        self.catalogue.hosts.insert(id, Arc::new(host));
        let hosts = self.catalogue.hosts_of.entry(element).or_default();
        hosts.insert(id);
    }

    fn on_notice(&mut self, stage: &mut Stage, conn: Conn, body: Body) {
        let Some(id) = self.element_of(stage, conn) else {
            return;
        };
        let now = stage.instant(Self::NODE);
        match body {
            Body::ElementHeartbeat(beat) => {
                if let Some(alive) = &self.alive {
                    let observed = &alive.observed;
                    observed.on_heartbeat(id, conn, beat.state, beat.hosts, now);
                }
            }
            Body::HostsChanged(changed) => {
                for summary in &changed.hosts {
                    self.describe_host(id, &summary.host, summary.id);
                }
                let hosts = observed_hosts(id, changed.hosts);
                if let Some(alive) = &self.alive {
                    let observed = &alive.observed;
                    observed.on_hosts_changed(id, conn, hosts, changed.deployments);
                }
                // The catalogue has changed: what should be may have, too.
                self.sync_all(stage);
            }
            _ => {}
        }
    }

    fn on_records(stage: &mut Stage, batch: &CallRecords) {
        for record in &batch.records {
            stage.ledger.on_recorded(record);
        }
        for job in &batch.jobs {
            stage.ledger.on_reported(job);
        }
    }

    // === access ===

    fn on_access(
        &mut self,
        stage: &mut Stage,
        conn: Conn,
        request: &ApplicationAccessRequest,
    ) -> Result<Body, Problem> {
        let person = match stage.dialler(conn) {
            Some(Node::Client(number)) => stage.ledger.person(number),
            _ => None,
        };
        let (person, role) =
            person.ok_or_else(|| Problem::new(Code::NotAuthorized, "who are you?"))?;
        let view = View {
            catalogue: Arc::new(self.catalogue.clone()),
            observed: self
                .alive
                .as_ref()
                .map(|alive| alive.observed.load())
                .unwrap_or_default(),
            now: stage.instant(Self::NODE),
        };
        let actor = Actor {
            name: person.clone(),
            role,
            domain: None,
        };
        let question = ApplicationQuestion {
            actor: &actor,
            application: request.application.as_deref(),
            needs: &[],
            operations: &request.operations,
            avoid: &request.avoid,
        };
        let (application, placement) = decide(&view, &question)?;
        let elements = placement.elements.iter();
        let elements = elements
            .filter_map(|id| self.permit(stage, *id, &application, (&person, role), request))
            .collect();
        let policy = &application.manifest.policy;
        Ok(Body::Decision(Box::new(AccessDecision {
            request_id: stage.ids.request(),
            application: Some(ApplicationAccess {
                name: application.name.clone(),
                version: application.version.clone(),
                digest: application.digest.clone(),
                retryable: policy.retryable.unwrap_or(false),
                attempts_max: policy.max_attempts.unwrap_or(3),
                has_split: false,
                has_merge: false,
            }),
            bucket: None,
            database: None,
            elements,
            expires_in: u32::try_from(TICKET_LIFE.as_secs()).unwrap_or(u32::MAX),
            explanation: placement.explanation,
        })))
    }

    fn permit(
        &self,
        stage: &mut Stage,
        element: NodeId,
        application: &Application,
        (person, role): (&PersonName, Role),
        request: &ApplicationAccessRequest,
    ) -> Option<ElementAccess> {
        let node = self.catalogue.nodes.get(&element)?;
        let times = Times::starting(stage.date(Self::NODE), TICKET_LIFE);
        let claims = AccessClaims {
            iss: self.id,
            sub: person.clone(),
            role,
            domain: None,
            aud: element,
            presenter: request.presenter.clone(),
            application: Some(TicketApplication {
                digest: application.digest.clone(),
                name: application.name.clone(),
                version: application.version.clone(),
            }),
            bucket: None,
            database: None,
            operations: request.operations.clone(),
            needs: Vec::new(),
            cut: AccessCut {
                element: node.wish.cut_epoch,
                application: application.wish.cut_epoch,
            },
            nbf: times.nbf,
            iat: times.iat,
            exp: times.exp,
            request: None,
            jti: Uuid::nil(),
        };
        Some(ElementAccess {
            element,
            name: node.name.clone(),
            endpoints: vec!["e:1".to_owned()],
            ticket: stage.vault.sign_access(claims),
        })
    }
}

fn everywhere(
    catalogue: &mut Snapshot,
    command: Command,
    digest: &Digest,
    mut generation: u64,
) -> Option<u64> {
    let application = catalogue.applications.get(digest).cloned()?;
    let apart: Vec<(NodeId, Wish)> = catalogue
        .host_wishes
        .iter()
        .filter_map(|(host, wishes)| Some((*host, *wishes.get(digest)?)))
        .collect();
    if command.is_done(application.wish) && apart.iter().all(|(_, wish)| command.is_done(*wish)) {
        return None;
    }
    let wish = command.apply(application.wish, generation);
    let changed = Application {
        wish,
        ..Application::clone(&application)
    };
    catalogue
        .applications
        .insert(digest.clone(), Arc::new(changed));
    for (host, own) in apart {
        generation += 1;
        let mut own = command.apply(own, generation);
        own.cut_epoch = own.cut_epoch.max(wish.cut_epoch);
        let wishes = catalogue.host_wishes.entry(host).or_default();
        wishes.insert(digest.clone(), own);
    }
    Some(generation)
}

fn observed_hosts(element: NodeId, hosts: Vec<HostSummary>) -> Vec<(NodeId, HostObserved)> {
    hosts
        .into_iter()
        .map(|mut summary| {
            let observed = HostObserved {
                element,
                connected: summary.connected,
                stated_age: std::time::Duration::ZERO,
                state: summary.host.take_state(),
                deployments: summary.deployments,
                applied: summary.generation,
            };
            (summary.id, observed)
        })
        .collect()
}
