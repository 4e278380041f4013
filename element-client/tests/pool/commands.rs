//! Commands, joining, and what the controller hears.

use std::{path::PathBuf, time::Duration};

use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::Code,
    resource::ce::CeState,
    role::Desired,
    wire::{
        control_element::{ElementDesire, Explain, Subject},
        desired::{HostWish, Wish},
    },
};

use super::{
    Pool, host_token,
    simulation::{Element, PATIENCE, controller::Controller, host::Host, wait_for, within},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_reaches_clients_and_hosts_even_after_a_start() {
    let pool = Pool::open(1).await;
    let client = pool.client().await;
    client.enter(pool.ticket(&client, "ada"), 1).await.unwrap();
    let lease = client.granted(1).await.lease;
    let other = pool.client().await;
    other.enter(pool.ticket(&other, "bob"), 1).await.unwrap();
    // Both had been given before the Element heard of either.
    let killed = Wish {
        desired: Desired::Production,
        generation: 3,
        cut_epoch: 1,
    };
    pool.control
        .desire(|desired| desired.applications[0].wish = killed)
        .await;
    client.wait_over(lease, Code::Terminated).await;
    wait_for("the refusal of who waited", || {
        let refused = other.heard.lock().refused.clone();
        (refused == [Code::Terminated]).then_some(()).ok_or(refused)
    })
    .await;
    wait_for("the kill at the Host", || {
        let ended = pool.host.ended.lock();
        let found = ended.iter().any(|end| end.lease == lease && end.kill);
        found.then_some(()).ok_or("none")
    })
    .await;
    wait_for("the Host's new wish", || {
        let desired = pool.host.desired.lock().clone();
        let epoch = desired.applications.first().map(|wish| wish.wish.cut_epoch);
        (epoch == Some(1)).then_some(()).ok_or(desired)
    })
    .await;
    let old = client
        .enter(pool.ticket(&client, "ada"), 1)
        .await
        .unwrap_err();
    assert_eq!(old.code, Code::TicketCut);
    pool.element.end().await;
}

/// The Host is to be closed.
fn closed(host: NodeId) -> HostWish {
    HostWish {
        host,
        wish: Wish {
            desired: Desired::Closed,
            generation: 1,
            cut_epoch: 0,
        },
        applications: Vec::new(),
    }
}

/// Has the Element's disk refuse to replace that file, until it is undone.
fn refuse_writes(pool: &Pool, file: &str) -> PathBuf {
    let in_the_way = pool.folder.path().join(format!("{file}.new"));
    std::fs::create_dir(&in_the_way).unwrap();
    in_the_way
}

async fn wait_told_to_close(pool: &Pool) {
    wait_for("the wish at the Host", || {
        let wish = pool.host.desired.lock().wish;
        (wish.desired == Desired::Closed)
            .then_some(())
            .ok_or(wish.generation)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_element_that_cannot_record_its_welcome_stays_and_takes_it_later() {
    let pool = Pool::open(1).await;
    pool.control.shut().await;
    let in_the_way = refuse_writes(&pool, "controller.json");
    let wish = closed(pool.host.id);
    pool.control.desired.lock().hosts.push(wish);
    pool.control.told.lock().heartbeats.clear();
    pool.control.open().await;
    let stream = pool.control.element().await;
    wait_for("a heartbeat", || {
        let beats = pool.control.told.lock().heartbeats.len();
        (beats > 0).then_some(()).ok_or(beats)
    })
    .await;
    assert_eq!(pool.host.desired.lock().wish, Wish::default());
    std::fs::remove_dir(in_the_way).unwrap();
    wait_told_to_close(&pool).await;
    assert!(!stream.is_closed(), "it was cut off meanwhile");
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_element_is_heard_while_the_controller_takes_its_time_to_welcome_the_next_stream() {
    let folder = tempfile::tempdir().unwrap();
    // The first stream ends with this certificate, and is succeeded before.
    let control = Controller::certified(folder.path(), Duration::from_secs(15));
    let pool = Pool::of(control, folder, 1).await;
    let first = pool.control.element().await;
    let hellos = pool.control.told.lock().hellos;
    let nobody = pool.control.welcoming.write().await;
    pool.control.renew();
    wait_for("the next stream's hello", || {
        let now = pool.control.told.lock().hellos;
        (now > hellos).then_some(()).ok_or(now)
    })
    .await;
    pool.control.told.lock().heartbeats.clear();
    wait_for("a heartbeat of the first stream", || {
        assert!(!first.is_closed(), "it has ended already");
        let beats = pool.control.told.lock().heartbeats.len();
        (beats > 0).then_some(()).ok_or(beats)
    })
    .await;
    drop(nobody);
    wait_for("the next stream", || {
        let next = pool.control.present();
        let is_next = next.is_some_and(|next| !next.is_same(&first));
        is_next.then_some(()).ok_or("the first")
    })
    .await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_recorded_holds_though_the_information_base_cannot_show_it() {
    let pool = Pool::open(1).await;
    let client = pool.client().await;
    let in_the_way = refuse_writes(&pool, "CEDoc.xml");
    let desired = {
        let mut desired = pool.control.desired.lock();
        desired.hosts.push(closed(pool.host.id));
        desired.clone()
    };
    let stream = pool.control.element().await;
    let asked = stream.ask(&ElementDesire { desired }, PATIENCE).await;
    assert_eq!(asked.unwrap_err().code, Code::StorageFailed);
    wait_told_to_close(&pool).await;
    let waits = client.enter(pool.ticket(&client, "ada"), 1).await;
    assert_eq!(waits.unwrap(), 1, "the Host is closed to the queue");
    std::fs::remove_dir(in_the_way).unwrap();
    wait_for("the wish in the information base", || {
        let shown = std::fs::read_to_string(pool.folder.path().join("CEDoc.xml")).unwrap();
        shown.contains("closed").then_some(()).ok_or(shown)
    })
    .await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_host_serves_nobody_and_the_explanation_says_so() {
    let pool = Pool::open(1).await;
    let client = pool.client().await;
    let host = pool.host.id;
    pool.control
        .desire(|desired| desired.hosts.push(closed(host)))
        .await;
    assert_eq!(
        client.enter(pool.ticket(&client, "ada"), 1).await.unwrap(),
        1
    );
    let explain = Explain {
        subject: Subject::Host(host),
    };
    let explanation = pool
        .control
        .element()
        .await
        .ask(&explain, PATIENCE)
        .await
        .unwrap();
    assert_eq!(explanation.outcome, "no");
    let checks = &explanation.candidates[0].checks;
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| !check.met)
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(failed, ["desired-state", "free-slots"]);
    let started = Wish {
        desired: Desired::Production,
        generation: 2,
        cut_epoch: 0,
    };
    pool.control
        .desire(|desired| desired.hosts[0].wish = started)
        .await;
    client.granted(1).await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_token_is_good_for_its_uses_and_for_hosts_of_this_element_only() {
    let pool = Pool::open(1).await;
    let token = host_token(&pool.control, 1).await;
    Host::join(&pool.element.door, &token, 1).await.unwrap();
    let spent = Host::join(&pool.element.door, &token, 1)
        .await
        .err()
        .unwrap();
    assert_eq!(spent.code, Code::JoinTokenSpent);
    // A revoked Host is cut off and stays out.
    let host = pool.host.id;
    pool.control
        .desire(|desired| desired.revoked.push(host))
        .await;
    within("the cut", pool.host.peer().closed()).await;
    assert!(pool.host.connect().await.is_err());
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controller_hears_of_hosts_and_numbers() {
    let pool = Pool::open(3).await;
    wait_for("the Host in the topology", || {
        let told = pool.control.told.lock();
        let found = told
            .changes
            .iter()
            .flat_map(|change| &change.hosts)
            .any(|host| host.id == pool.host.id && host.connected);
        found.then_some(()).ok_or(told.changes.len())
    })
    .await;
    wait_for("the Host's slots in the sums", || {
        let told = pool.control.told.lock();
        let last = told.heartbeats.last().and_then(|beat| {
            let state = CeState::try_from(beat.state.clone()).ok()?;
            Some((state.total_slots, state.free_job_slots, beat.hosts.len()))
        });
        (last == Some((3, 3, 1))).then_some(()).ok_or(last)
    })
    .await;
    // A restarted Host ends what it held before.
    let client = pool.client().await;
    client.enter(pool.ticket(&client, "ada"), 1).await.unwrap();
    let lease = client.granted(1).await.lease;
    pool.host.disconnect();
    *pool.host.incarnation.lock() = Incarnation::generate();
    pool.host.connect().await.unwrap();
    client.wait_over(lease, Code::HostRestarted).await;
    pool.host.beat(1).await;
    pool.element.end().await;
}

#[tokio::test]
async fn a_folder_in_use_and_a_missing_token_are_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let config = Element::config(folder.path(), "127.0.0.1:1", None);
    let error = gridmart_element::compute::run(config.clone(), stop.clone())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("gridmart token create"),
        "{error}"
    );
    let _lock = gridmart_fabric::node_lock::NodeLock::acquire(folder.path()).unwrap();
    let error = gridmart_element::compute::run(config, stop)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("already in use"), "{error}");
}
