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
            .ok_or_else(|| Problem::new(Code::Unavailable, "The queue stream has ended."))??;
        Ok((lease, peer))
    }

    /// Attaches to a Host under a lease; gives nothing, or why not.
    pub(crate) async fn attach(
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

/// A ticket's three parts put together anew.
fn assembled(
    header: &serde_json::Value,
    claims: &impl serde::Serialize,
    signature: &str,
) -> String {
    let part = |value: &serde_json::Value| base64_of(&serde_json::to_vec(value).unwrap());
    let claims = serde_json::to_value(claims).unwrap();
    format!("{}.{}.{signature}", part(header), part(&claims))
}

fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for (place, byte) in group.iter().enumerate() {
            bits |= u32::from(*byte) << (16 - 8 * place);
        }
        for place in 0..=group.len() {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(DIGITS[digit as usize]));
        }
    }
    text
}

/// The same ticket without a signature, with a weaker kind of one, and with
/// the signature of other claims.
fn unsigned<T: serde::Serialize>(ticket: &str, other: &T) -> Vec<String> {
    let mut parts = ticket.split('.');
    let header = base64_url(parts.next().unwrap());
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    let signature = ticket.rsplit('.').next().unwrap();
    let with = |algorithm: &str| {
        let mut header = header.clone();
        header["alg"] = algorithm.into();
        header
    };
    vec![
        assembled(&with("none"), other, ""),
        assembled(&with("None"), other, signature),
        assembled(&with("HS256"), other, signature),
        assembled(&with("ES384"), other, signature),
        assembled(&header, other, signature),
    ]
}

#[test]
fn forged_tickets_open_nothing() {
    let market = Supermarket::builder().hosts(1).start();
    market.upload(&Application::script("echo", "cat"));
    market.upload(&Application::script("other", "cat"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let caller = Caller::new(&market);
        let access = caller.access(&market, "echo").await;
        forged_access(&market, &caller, &access).await;
        forged_leases(&market, &caller, &access).await;
    });
    // An application that was killed raises its epoch: what was signed under
    // the old one opens nothing, even when it is started again.
    market.cli(&["kill", "echo"]).ok();
    market.cli(&["start", "echo"]).ok();
    runtime.block_on(rolled_back(&market));
    assert_eq!(market.cli_with(&["call", "echo"], "on").ok().text(), "on");
    market.stop();
}

async fn forged_access(market: &Supermarket, caller: &Caller, access: &ElementAccess) {
    let good: AccessClaims = claims(&access.ticket);
    let greedy = AccessClaims {
        sub: "mallory".parse().unwrap(),
        ..good.clone()
    };
    for forged in unsigned(&access.ticket, &greedy) {
        assert_eq!(
            refusal(caller.enter(access, &forged).await),
            Code::TicketInvalid,
            "{forged}"
        );
    }
    let control = identity(market, "control").signing_key();
    let later = OffsetDateTime::now_utc() + Duration::from_mins(10);
    let Times { nbf, iat, exp } = Times::starting(later, Duration::from_mins(5));
    let early = AccessClaims {
        nbf,
        iat,
        exp,
        ..good.clone()
    };
    let endless = AccessClaims {
        exp: good.exp + 3600,
        ..good.clone()
    };
    let mut elsewhere = good.clone();
    if let Some(application) = &mut elsewhere.application {
        application.digest = gridmart_schemas::id::Digest::from_blake3([7; 32]);
    }
    for (claims, code) in [
        (early, Code::TicketExpired),
        (endless, Code::TicketInvalid),
        (elsewhere, Code::UnknownApplication),
    ] {
        let ticket = control.sign_access(&claims).unwrap();
        assert_eq!(
            refusal(caller.enter(access, &ticket).await),
            code,
            "{claims:?}"
        );
    }
}

async fn forged_leases(market: &Supermarket, caller: &Caller, access: &ElementAccess) {
    let (lease, _stream) = caller.enter(access, &access.ticket).await.unwrap();
    let good: LeaseClaims = claims(&lease.ticket);
    let greedy = LeaseClaims {
        slots: 1000,
        ..good.clone()
    };
    let attach = async |ticket: &str| {
        let answer = caller.attach(&lease.endpoints, lease.host, ticket).await;
        refusal(answer)
    };
    for forged in unsigned(&lease.ticket, &greedy) {
        assert_eq!(attach(&forged).await, Code::TicketInvalid, "{forged}");
    }
    let element = identity(market, "ce-1").signing_key();
    let later = OffsetDateTime::now_utc() + Duration::from_mins(10);
    let Times { nbf, iat, exp } = Times::starting(later, Duration::from_mins(5));
    let early = element
        .sign_lease(&LeaseClaims {
            nbf,
            iat,
            exp,
            ..good.clone()
        })
        .unwrap();
    assert_eq!(attach(&early).await, Code::TicketExpired);
    // The controller permits, but does not lease.
    let control = identity(market, "control").signing_key();
    let above = control
        .sign_lease(&LeaseClaims {
            iss: control.issuer(),
            ..good
        })
        .unwrap();
    assert_eq!(attach(&above).await, Code::TicketInvalid);
}

async fn rolled_back(market: &Supermarket) {
    let caller = Caller::new(market);
    let access = caller.access(market, "echo").await;
    let mut access_claims: AccessClaims = claims(&access.ticket);
    assert!(access_claims.cut.application > 0);
    let (lease, _stream) = caller.enter(&access, &access.ticket).await.unwrap();
    access_claims.cut.application = 0;
    let control = identity(market, "control").signing_key();
    let old = control.sign_access(&access_claims).unwrap();
    assert_eq!(refusal(caller.enter(&access, &old).await), Code::TicketCut);
    let mut lease_claims: LeaseClaims = claims(&lease.ticket);
    lease_claims.cut.application = 0;
    lease_claims.lease = gridmart_schemas::id::LeaseId::generate();
    let element = identity(market, "ce-1").signing_key();
    let old = element.sign_lease(&lease_claims).unwrap();
    assert_eq!(
        refusal(caller.attach(&lease.endpoints, lease.host, &old).await),
        Code::TicketCut
    );
}
