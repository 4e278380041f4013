//! Who may call, and for how long.

use gridmart_fabric::identity::EphemeralKey;
use gridmart_schemas::id::CallId;
use gridmart_schemas::id::Incarnation;
use gridmart_schemas::id::NodeId;
use gridmart_schemas::problem::Code;
use gridmart_schemas::resource::ae::AePolicy;
use gridmart_schemas::wire::element_host::LeaseEnd;
use gridmart_schemas::wire::frame::Kind;
use gridmart_schemas::wire::record::CallState;

use crate::scene;
use crate::simulation::Host;
use crate::simulation::PATIENCE;
use crate::simulation::element::Element;
use crate::simulation::program::Program;
use crate::simulation::program::open;
use crate::simulation::wait_for;
use crate::simulation::within;

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stays_away_loses_its_lease() {
    let place = tempfile::tempdir().unwrap();
    let element = Element::open(&place.path().join("element")).await;
    element.grace.store(1, std::sync::atomic::Ordering::Relaxed);
    let host = Host::start(&place.path().join("host"), &element).await;
    let wish = element.deploy("plain", AePolicy::default()).await;
    let mut program = Program::attach(&element, &host, &wish, 1).await;
    let lease = program.claims.lease;
    let channel = program
        .start(&open(CallId::generate(), &["echo on; sleep 1000"]))
        .await;
    program
        .until("its output", |channels| {
            !channels[&channel].stdout.is_empty()
        })
        .await;
    let held = wait_for("a heartbeat", || {
        let told = element.told.lock();
        told.heartbeats
            .last()
            .and_then(|beat| beat.leases.first().cloned())
            .filter(|held| !held.running.is_empty())
            .ok_or("none")
    })
    .await;
    assert!(held.attached && held.lease == lease);
    drop(program);
    wait_for("the lease's end", || {
        if element.told.lock().ended.contains(&lease) {
            Ok(())
        } else {
            Err("not ended")
        }
    })
    .await;
    let record = wait_for("the record", || {
        element.told.lock().records.first().cloned().ok_or("none")
    })
    .await;
    assert_eq!(
        (record.end.state, record.end.code),
        (CallState::Terminated, Some(Code::Terminated))
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_good_tickets_are_taken() {
    let scene = scene().await;
    let (element, host) = (&scene.element, &scene.host);
    let wish = element.deploy("plain", AePolicy::default()).await;
    let refused = async |change: &dyn Fn(&mut gridmart_fabric::ticket::LeaseClaims)| {
        let key = EphemeralKey::generate().unwrap();
        let mut claims = element.claims(host.id, key.key_hash(), &wish, 1);
        change(&mut claims);
        Program::attach_with(element, host, key, claims)
            .await
            .map(drop)
            .unwrap_err()
            .code
    };
    let other = EphemeralKey::generate().unwrap();
    assert_eq!(
        refused(&|claims| claims.presenter = other.key_hash().clone()).await,
        Code::TicketKeyMismatch
    );
    assert_eq!(
        refused(&|claims| claims.aud = NodeId::generate()).await,
        Code::TicketForeign
    );
    assert_eq!(
        refused(&|claims| claims.incarnation = Some(Incarnation::generate())).await,
        Code::HostRestarted
    );
    assert_eq!(
        refused(&|claims| {
            claims.nbf -= 1000;
            claims.iat -= 1000;
            claims.exp -= 1000;
        })
        .await,
        Code::TicketExpired
    );
    let elsewhere = Element::open(&scene.place.path().join("elsewhere")).await;
    let key = EphemeralKey::generate().unwrap();
    let claims = elsewhere.claims(host.id, key.key_hash(), &wish, 1);
    let tls = gridmart_fabric::tls::ClientTls::ephemeral(&element.root_pem(), &key).unwrap();
    let expected = (host.id, gridmart_schemas::role::NodeKind::ComputeHost);
    let (sink, mut source) = gridmart_fabric::frames::dial_frames(
        std::slice::from_ref(&host.door),
        expected,
        &tls,
        "/v1/calls",
    )
    .await
    .unwrap();
    let mut message = Vec::new();
    let attach = gridmart_schemas::wire::call::Attach {
        ticket: elsewhere.sign(&claims),
        v: [1, 0],
    };
    gridmart_schemas::wire::frame::push_json(&mut message, Kind::Attach, 0, &attach).unwrap();
    sink.send(message).await.unwrap();
    let answer = within("the refusal", source.next()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("ticket-invalid"), "{text}");

    let mut program = Program::attach(element, host, &wish, 1).await;
    let ended = LeaseEnd {
        lease: program.claims.lease,
        kill: true,
        reason: "recalled".into(),
    };
    element.host().await.ask(&ended, PATIENCE).await.unwrap();
    assert_eq!(program.farewell().await.code, Code::LeaseEnded);
    let again = Program::attach_with(element, host, program.key, program.claims).await;
    assert_eq!(again.map(drop).unwrap_err().code, Code::LeaseEnded);
}
