//! Tickets at the doors that serve them: expired, foreign, stolen, misplaced.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    frames::dial_frames,
    identity::{EphemeralKey, NodeIdentity},
    stream::{Handler, Incoming, Peer, StreamLimits, dial},
    ticket::{AccessClaims, LeaseClaims, Times},
    tls::ClientTls,
};
use gridmart_schemas::{
    api::access::{AccessDecision, ApplicationAccessRequest, ElementAccess},
    id::{EntryId, NodeId},
    problem::{Code, Problem},
    role::{NodeKind, Operation},
    wire::{
        MAJOR, MINOR,
        call::Attach,
        frame::{Frames, Kind, push_json},
        queue::{Lease, LeaseGranted, LeaseRelease, QueueEnter, QueueRefused, SessionOpen},
    },
};
use gridmart_tests::{Application, Supermarket};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::refused::Mark;

const DEADLINE: Duration = Duration::from_secs(20);

/// A program that holds a key, as the SDK does.
pub(crate) struct Caller {
    key: EphemeralKey,
    pub(crate) tls: ClientTls,
}

impl Caller {
    pub(crate) fn new(market: &Supermarket) -> Self {
        let key = EphemeralKey::generate().unwrap();
        let root = std::fs::read_to_string(market.folder().join("ca.pem")).unwrap();
        let tls = ClientTls::ephemeral(&root, &key).unwrap();
        Self { key, tls }
    }

    pub(crate) async fn access(&self, market: &Supermarket, application: &str) -> ElementAccess {
        let request = ApplicationAccessRequest {
            application: Some(application.to_owned()),
            needs: Vec::new(),
            operations: vec![Operation::Call],
            presenter: self.key.key_hash().clone(),
            avoid: Vec::new(),
        };
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/access/applications", market.ready.url))
            .bearer_auth(&market.token)
            .json(&request)
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        let decision: AccessDecision =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        decision.elements.into_iter().next().unwrap()
    }

    /// Enters the queue of an Element; gives the lease, or why not.
    pub(crate) async fn enter(
        &self,
        access: &ElementAccess,
        ticket: &str,
    ) -> Result<(Lease, Peer), Problem> {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let peer = dial(
            &access.endpoints,
            (access.element, NodeKind::ComputingElement),
            &self.tls,
            "/v1/queue",
            Arc::new(Ear(sender)),
            StreamLimits::default(),
        )
        .await?;
        peer.ask(&SessionOpen { leases: Vec::new() }, DEADLINE)
            .await?;
        let enter = QueueEnter {
            ticket: ticket.to_owned(),
            entry: EntryId::generate(),
            slots: 1,
            job: None,
            hosts_max: None,
            avoid: Vec::new(),
            priority: 0,
        };
        peer.ask(&enter, DEADLINE).await?;
        let lease = tokio::time::timeout(DEADLINE, heard.recv())
            .await
            .expect("a lease in time")
            .expect("the stream stands")?;
        Ok((lease, peer))
    }

    /// Attaches to a Host under a lease; gives nothing, or why not.
    async fn attach(
        &self,
        endpoints: &[String],
        host: NodeId,
        ticket: &str,
    ) -> Result<(), Problem> {
        let (sink, mut source) = dial_frames(
            endpoints,
            (host, NodeKind::ComputeHost),
            &self.tls,
            "/v1/calls",
        )
        .await?;
        let mut message = Vec::new();
        push_json(
            &mut message,
            Kind::Attach,
            0,
            &Attach {
                ticket: ticket.to_owned(),
                v: [MAJOR, MINOR],
            },
        )
        .unwrap();
        sink.send(message).await?;
        let answer = tokio::time::timeout(DEADLINE, source.next())
            .await
            .expect("an answer in time")
            .expect("the stream stands")?;
        let frame = Frames::of(&answer).next().unwrap().unwrap();
        match frame.kind {
            Kind::Attached => Ok(()),
            Kind::Refused => Err(frame.json().unwrap()),
            other => panic!("{other:?} was not expected"),
        }
    }
}

struct Ear(mpsc::UnboundedSender<Result<Lease, Problem>>);

impl Handler for Ear {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(async move { Err(incoming.unknown()) })
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, incoming: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let told = match incoming.kind.as_str() {
                "lease-granted" => incoming.read::<LeaseGranted>().map(|granted| granted.lease),
                "queue-refused" => Err(incoming
                    .read::<QueueRefused>()
                    .map_or_else(|problem| problem, |refused| refused.problem)),
                _ => return,
            };
            // The test may be over.
            let _ = self.0.send(told);
        })
    }
}

pub(crate) fn refusal<T>(result: Result<T, Problem>) -> Code {
    match result {
        Ok(_) => panic!("a refusal is expected"),
        Err(problem) => problem.code,
    }
}

pub(crate) fn identity(market: &Supermarket, role: &str) -> NodeIdentity {
    let folder = market.folder().join(role);
    NodeIdentity::load(&folder)
        .unwrap()
        .unwrap_or_else(|| panic!("no identity in {}", folder.display()))
}

pub(crate) fn claims<T: serde::de::DeserializeOwned>(ticket: &str) -> T {
    let body = ticket.split('.').nth(1).unwrap();
    let bytes = base64_url(body);
    serde_json::from_slice(&bytes).unwrap()
}

fn base64_url(text: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    bytes
}

#[test]
fn tickets_serve_only_their_holder_their_node_and_their_time() {
    let market = Supermarket::builder().hosts(2).start();
    market.upload(&Application::script("echo", "cat"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let caller = Caller::new(&market);
        let access = caller.access(&market, "echo").await;
        access_tickets(&market, &caller, &access).await;
        lease_tickets(&market, &caller, &access).await;
    });
    assert_eq!(market.cli_with(&["call", "echo"], "on").ok().text(), "on");
    market.stop();
}

async fn access_tickets(market: &Supermarket, caller: &Caller, access: &ElementAccess) {
    let log = Mark::new(market, "ce-1");
    let refused = |code: Code| log.demand(code.as_str(), &["refused at the queue", "presenter="]);
    let thief = Caller::new(market);
    assert_eq!(
        refusal(thief.enter(access, &access.ticket).await),
        Code::TicketKeyMismatch
    );
    refused(Code::TicketKeyMismatch);
    let good: AccessClaims = claims(&access.ticket);
    let control = identity(market, "control").signing_key();
    let past = OffsetDateTime::now_utc() - Duration::from_mins(15);
    let Times { nbf, iat, exp } = Times::starting(past, Duration::from_mins(5));
    let expired = control
        .sign_access(&AccessClaims {
            nbf,
            iat,
            exp,
            ..good.clone()
        })
        .unwrap();
    assert_eq!(
        refusal(caller.enter(access, &expired).await),
        Code::TicketExpired
    );
    refused(Code::TicketExpired);
    let elsewhere = control
        .sign_access(&AccessClaims {
            aud: NodeId::generate(),
            ..good.clone()
        })
        .unwrap();
    assert_eq!(
        refusal(caller.enter(access, &elsewhere).await),
        Code::TicketForeign
    );
    refused(Code::TicketForeign);
    // Another node of the same house does not sign access.
    let host = identity(market, "host-1").signing_key();
    let forged = host
        .sign_access(&AccessClaims {
            iss: host.issuer(),
            ..good
        })
        .unwrap();
    assert_eq!(
        refusal(caller.enter(access, &forged).await),
        Code::TicketInvalid
    );
    let mut broken = access.ticket.clone();
    broken.truncate(broken.len() - 8);
    assert_eq!(
        refusal(caller.enter(access, &broken).await),
        Code::TicketInvalid
    );
    refused(Code::TicketInvalid);
    // After all of these a good one serves.
    let (lease, stream) = caller.enter(access, &access.ticket).await.unwrap();
    stream
        .tell(&LeaseRelease { lease: lease.lease })
        .await
        .unwrap();
}

async fn lease_tickets(market: &Supermarket, caller: &Caller, access: &ElementAccess) {
    let (lease, _stream) = caller.enter(access, &access.ticket).await.unwrap();
    let (serving, other) = if market.role_node("host-1") == lease.host.to_string() {
        ("host-1", "host-2")
    } else {
        ("host-2", "host-1")
    };
    let logs = [serving, other].map(|role| Mark::new(market, role));
    let refused = |log: &Mark<'_>, code: Code| {
        log.demand(code.as_str(), &["a calls stream is refused", "presenter="]);
    };
    let thief = Caller::new(market);
    assert_eq!(
        refusal(
            thief
                .attach(&lease.endpoints, lease.host, &lease.ticket)
                .await
        ),
        Code::TicketKeyMismatch
    );
    refused(&logs[0], Code::TicketKeyMismatch);
    let other_door = vec![market.role_address(other, "door")];
    let other_node: NodeId = market.role_node(other).parse().unwrap();
    assert_eq!(
        refusal(caller.attach(&other_door, other_node, &lease.ticket).await),
        Code::TicketForeign
    );
    refused(&logs[1], Code::TicketForeign);
    // An access ticket is no lease.
    assert_eq!(
        refusal(
            caller
                .attach(&lease.endpoints, lease.host, &access.ticket)
                .await
        ),
        Code::TicketInvalid
    );
    refused(&logs[0], Code::TicketInvalid);
    let element = identity(market, "ce-1").signing_key();
    let good: LeaseClaims = claims(&lease.ticket);
    let past = OffsetDateTime::now_utc() - Duration::from_mins(15);
    let Times { nbf, iat, exp } = Times::starting(past, Duration::from_mins(5));
    let expired = element
        .sign_lease(&LeaseClaims {
            nbf,
            iat,
            exp,
            ..good.clone()
        })
        .unwrap();
    assert_eq!(
        refusal(caller.attach(&lease.endpoints, lease.host, &expired).await),
        Code::TicketExpired
    );
    refused(&logs[0], Code::TicketExpired);
    let neighbour = identity(market, other).signing_key();
    let forged = neighbour
        .sign_lease(&LeaseClaims {
            iss: neighbour.issuer(),
            ..good
        })
        .unwrap();
    assert_eq!(
        refusal(caller.attach(&lease.endpoints, lease.host, &forged).await),
        Code::TicketInvalid
    );
    caller
        .attach(&lease.endpoints, lease.host, &lease.ticket)
        .await
        .unwrap();
}
