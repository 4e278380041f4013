//! What the Element commands: stop, start, kill, one call; applications.

use gridmart_schemas::id::CallId;
use gridmart_schemas::problem::Code;
use gridmart_schemas::resource::ae::AePolicy;
use gridmart_schemas::resource::enumeration::ServingState;
use gridmart_schemas::role::Desired;
use gridmart_schemas::wire::desired::Wish;
use gridmart_schemas::wire::element_host::ApplicationEnsure;
use gridmart_schemas::wire::element_host::HostCallTerminate;
use gridmart_schemas::wire::element_host::HostLogRead;
use gridmart_schemas::wire::frame::Kind;
use gridmart_schemas::wire::record::CallState;

use crate::scene;
use crate::simulation::Host;
use crate::simulation::PATIENCE;
use crate::simulation::program::Program;
use crate::simulation::program::open;
use crate::simulation::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn stop_lets_calls_end_and_kill_does_not() {
    let scene = scene().await;
    let mut program = scene.program(2).await;
    let waiting = program
        .open(&open(CallId::generate(), &["echo on; read x; echo $x"]))
        .await;
    program
        .until("its output", |channels| {
            !channels[&waiting].stdout.is_empty()
        })
        .await;
    let host_wish = |desired, generation, cut_epoch| Wish {
        desired,
        generation,
        cut_epoch,
    };
    for _ in 0..2 {
        scene
            .element
            .desire(|desired| desired.wish = host_wish(Desired::Closed, 2, 0))
            .await
            .unwrap();
    }
    let state = |wanted: ServingState| {
        let told = scene.element.told.lock();
        let seen = told
            .changes
            .last()
            .and_then(|change| change.host.common_state())
            .map(|state| state.serving_state);
        if seen == Some(wanted) {
            Ok(())
        } else {
            Err(seen)
        }
    };
    wait_for("the draining state", || state(ServingState::Draining)).await;
    assert_eq!(
        program.run("true").await.refused.unwrap().code,
        Code::NotAccepting
    );
    program.send(Kind::Stdin, waiting, b"fine\n").await;
    assert_eq!(program.finish(waiting).await.text(), "on\nfine");
    wait_for("the closed state", || state(ServingState::Closed)).await;

    let older = scene
        .element
        .desire(|desired| desired.wish = host_wish(Desired::Production, 1, 0))
        .await;
    assert_eq!(older.unwrap_err().code, Code::GenerationConflict);
    scene
        .element
        .desire(|desired| desired.wish = host_wish(Desired::Production, 3, 0))
        .await
        .unwrap();
    let sleeping = program
        .start(&open(CallId::generate(), &["echo on; sleep 1000"]))
        .await;
    program
        .until("its output", |channels| {
            !channels[&sleeping].stdout.is_empty()
        })
        .await;
    scene
        .element
        .desire(|desired| desired.wish = host_wish(Desired::Closed, 4, 1))
        .await
        .unwrap();
    assert_eq!(
        program.finish(sleeping).await.end().state,
        CallState::Terminated
    );
    assert_eq!(program.farewell().await.code, Code::LeaseEnded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_given_while_the_host_was_away_ends_the_old_work() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let channel = program
        .start(&open(CallId::generate(), &["echo on; sleep 1000"]))
        .await;
    program
        .until("its output", |channels| {
            !channels[&channel].stdout.is_empty()
        })
        .await;
    scene.element.shut().await;
    // What runs goes on while the Element is away.
    let other = program.attached.incarnation;
    {
        let mut desired = scene.element.desired.lock();
        desired.applications[0].wish = Wish {
            desired: Desired::Production,
            generation: 5,
            cut_epoch: 1,
        };
    }
    assert!(program.channels[&channel].end.is_none());
    scene.element.open_door().await;
    assert_eq!(
        program.finish(channel).await.end().state,
        CallState::Terminated
    );
    let wish = scene.element.desired.lock().applications[0].clone();
    let mut again = Program::attach(&scene.element, &scene.host, &wish, 1).await;
    assert_eq!(again.run("echo new").await.text(), "new");
    assert_eq!(again.attached.incarnation, other);
    // What ended meanwhile was kept for the Element.
    wait_for("the record", || {
        scene
            .element
            .told
            .lock()
            .records
            .first()
            .map(|_| ())
            .ok_or("none")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_can_be_ended_and_logs_are_kept() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let call = CallId::generate();
    let running = program
        .start(&open(call, &["echo on; echo a line >&2; sleep 1000"]))
        .await;
    let behind = CallId::generate();
    let waiting = program.start(&open(behind, &["echo never"])).await;
    program
        .until("its output", |channels| {
            !channels[&running].stderr.is_empty()
        })
        .await;
    let peer = scene.element.host().await;
    for (call, times) in [(behind, 1), (call, 1), (CallId::generate(), 0)] {
        let ended = peer
            .ask(
                &HostCallTerminate {
                    call,
                    by: "ada".into(),
                },
                PATIENCE,
            )
            .await
            .unwrap();
        assert_eq!(ended.ended, times);
    }
    assert_eq!(
        program.finish(waiting).await.end().state,
        CallState::Terminated
    );
    assert_eq!(
        program.finish(running).await.end().state,
        CallState::Terminated
    );
    let digest = program.claims.application.digest.clone();
    let read = HostLogRead {
        digest,
        owner: Some("ada".into()),
        cursor: None,
        bytes_max: 100_000,
    };
    let log = peer.ask(&read, PATIENCE).await.unwrap();
    assert_eq!(
        (log.lines[0].text.as_str(), log.lines[0].call),
        ("a line", call)
    );
    assert!(
        log.lines
            .iter()
            .any(|line| line.call == behind && line.text.contains("terminated"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_keep_its_welcome_stays_and_takes_it_later() {
    let scene = scene().await;
    scene.element.shut().await;
    let in_the_way = scene.place.path().join("host/desired.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    scene.element.desired.lock().wish = Wish {
        desired: Desired::Closed,
        generation: 2,
        cut_epoch: 0,
    };
    scene.element.told.lock().heartbeats.clear();
    scene.element.open_door().await;
    let stream = scene.element.host().await;
    wait_for("a heartbeat", || {
        let beats = scene.element.told.lock().heartbeats.len();
        (beats > 0).then_some(()).ok_or(beats)
    })
    .await;
    std::fs::remove_dir(in_the_way).unwrap();
    wait_for("the wish in force", || {
        let told = scene.element.told.lock();
        let last = told.changes.last().map(|change| change.generation);
        (last == Some(2)).then_some(()).ok_or(last)
    })
    .await;
    assert!(!stream.is_closed(), "it was cut off meanwhile");
    scene.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_are_fetched_once_and_kept() {
    let scene = scene().await;
    let wish = scene.element.package("fetched", AePolicy::default());
    scene
        .element
        .desire(|desired| desired.applications.push(wish.clone()))
        .await
        .unwrap();
    let peer = scene.element.host().await;
    let ensure = ApplicationEnsure {
        digest: wish.digest.clone(),
        size: wish.size,
    };
    let (one, two, three) = tokio::join!(
        peer.ask(&ensure, PATIENCE),
        peer.ask(&ensure, PATIENCE),
        peer.ask(&ensure, PATIENCE)
    );
    for answer in [one, two, three] {
        assert_eq!(answer.unwrap().state, "installedverified");
    }
    assert_eq!(
        scene
            .element
            .packages_sent
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );

    let lied = ApplicationEnsure {
        digest: wish.digest.clone(),
        size: wish.size + 1,
    };
    assert!(
        peer.ask(&lied, PATIENCE).await.is_ok(),
        "it is here already"
    );
    let other = scene.element.package("other", AePolicy::default());
    let file = scene.place.path().join("element").join(other.digest.hex());
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damaged = ApplicationEnsure {
        digest: other.digest.clone(),
        size: other.size,
    };
    assert_eq!(
        peer.ask(&damaged, PATIENCE).await.unwrap_err().code,
        Code::DigestMismatch
    );
    let missing = ApplicationEnsure {
        digest: gridmart_schemas::id::Digest::from_blake3([9; 32]),
        size: 5,
    };
    assert_eq!(
        peer.ask(&missing, PATIENCE).await.unwrap_err().code,
        Code::StagingFailed
    );

    scene.host.stop().await;
    let host = Host::start(&scene.place.path().join("host"), &scene.element).await;
    let mut program = Program::attach(&scene.element, &host, &wish, 1).await;
    assert_eq!(program.run("echo kept").await.text(), "kept");
    assert_eq!(
        scene
            .element
            .packages_sent
            .load(std::sync::atomic::Ordering::Relaxed),
        3
    );
}
