//! A Storage Element: its Hosts join and are summed up, told what should be,
//! and called down when they are silent.

use std::sync::Arc;

use gridmart_schemas::{
    problem::Code,
    resource::{
        Document as _,
        enumeration::{HealthState, ServingState},
        se::SeState,
        se_doc::SeDocument,
    },
    role::{Desired, NodeKind},
    wire::{
        control_element::{ActivityList, JoinTokenCreate},
        desired::{HostWish, Wish},
    },
};
use tempfile::TempDir;

use super::simulation::{
    Element, PATIENCE, controller::Controller, storage_host::StorageHostEnd, wait_for, within,
};

/// A controller, a Storage Element and its Hosts.
struct Pool {
    control: Arc<Controller>,
    address: String,
    folder: TempDir,
    element: Element,
    hosts: Vec<Arc<StorageHostEnd>>,
    _control_folder: TempDir,
}

fn token_for(kind: NodeKind) -> JoinTokenCreate {
    JoinTokenCreate {
        kind,
        uses: 10,
        expires_in: 60,
        label: "test".into(),
    }
}

impl Pool {
    async fn open(hosts: usize) -> Self {
        let (control_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let control = Controller::of_storage(control_folder.path());
        let address = control.open().await;
        let token = Some(control.element_token());
        let element = Element::start_storage(folder.path(), &address, token).await;
        let create = token_for(NodeKind::StorageHost);
        let made = control
            .element()
            .await
            .ask(&create, PATIENCE)
            .await
            .unwrap();
        let mut joined = Vec::new();
        for _ in 0..hosts {
            let host = StorageHostEnd::join(&element.door, &made.token)
                .await
                .unwrap();
            host.connect().await.unwrap();
            joined.push(host);
        }
        Self {
            control,
            address,
            folder,
            element,
            hosts: joined,
            _control_folder: control_folder,
        }
    }

    /// Waits until the controller hears this of the Element.
    async fn heard(&self, what: &str, holds: impl Fn(&SeState) -> bool) -> SeState {
        wait_for(what, || {
            let told = self.control.told.lock();
            let last = told.heartbeats.last().ok_or(None)?;
            let state = SeState::try_from(last.state.clone()).unwrap();
            if holds(&state) {
                Ok(state)
            } else {
                Err(Some(state))
            }
        })
        .await
    }

    fn document(&self) -> SeDocument {
        let bytes = std::fs::read(self.folder.path().join("SEDoc.xml")).unwrap();
        SeDocument::from_xml(&bytes, "SEDoc.xml").unwrap()
    }
}

fn closed(generation: u64, cut_epoch: u64) -> Wish {
    Wish {
        desired: Desired::Closed,
        generation,
        cut_epoch,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_room_is_what_its_hosts_have_after_redundancy() {
    let pool = Pool::open(3).await;
    // Three Hosts: replica(3).
    let state = pool
        .heard("the sums", |state| state.raw_total_size == Some(3_600))
        .await;
    assert_eq!(
        (state.total_online_size, state.used_online_size),
        (1_200, 200)
    );
    assert_eq!(
        (state.raw_total_size, state.raw_free_size),
        (Some(3_600), Some(3_000))
    );
    assert_eq!(
        (state.common.serving_state, state.common.health_state),
        (ServingState::Production, HealthState::Ok)
    );
    *pool.hosts[0].room.lock() = (400, 800);
    pool.hosts[0].beat(1).await;
    pool.heard("a heartbeat in the sums", |state| {
        (state.free_online_size, state.used_online_size) == (800, 400)
    })
    .await;
    let hello = pool.control.told.lock().hello.clone().unwrap();
    assert_eq!(hello.element.kind(), NodeKind::StorageElement);
    assert_eq!(hello.endpoints, std::slice::from_ref(&pool.element.door));
    assert_eq!(pool.document().host_table.hosts.len(), 3);
    pool.hosts[0].disconnect();
    pool.heard("a lost Host", |state| {
        state.common.health_state == HealthState::Warning && state.raw_total_size == Some(2_400)
    })
    .await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_should_be_is_kept_shown_and_told() {
    let pool = Pool::open(2).await;
    let host = pool.hosts[0].id;
    pool.control
        .desire(|desired| {
            desired.wish = closed(2, 1);
            desired.hosts.push(HostWish {
                host,
                wish: closed(3, 2),
                applications: Vec::new(),
            });
        })
        .await;
    wait_for("the kill at the Hosts", || {
        let told: Vec<_> = pool
            .hosts
            .iter()
            .map(|host| host.desired.lock().clone())
            .map(|desired| (desired.wish, desired.element_cut_epoch))
            .collect();
        let expected = [(closed(3, 2), 1), (Wish::default(), 1)];
        (told == expected).then_some(()).ok_or(told)
    })
    .await;
    pool.heard("a closed Element", |state| {
        state.common.serving_state == ServingState::Closed
    })
    .await;
    let document = pool.document();
    assert_eq!(document.wish, closed(2, 1));
    let urn = host.to_urn();
    let entry = document
        .host_table
        .hosts
        .iter()
        .find(|entry| entry.host.id.as_str() == urn);
    assert_eq!(entry.unwrap().wish, closed(3, 2));
    // Without its controller it starts with what was said last, at the same door.
    pool.control.shut().await;
    let door = pool.element.door.clone();
    pool.element.end().await;
    let again = Element::start_storage(pool.folder.path(), &pool.address, None).await;
    assert_eq!(again.door, door);
    let welcome = pool.hosts[0].connect().await.unwrap();
    assert_eq!(welcome.desired.wish, closed(3, 2));
    assert_eq!(welcome.desired.element_cut_epoch, 1);
    again.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_host_is_probed_and_called_down_until_it_is_heard() {
    let pool = Pool::open(2).await;
    let (host, other) = (&pool.hosts[0], &pool.hosts[1]);
    *host.mute.lock() = true;
    *host.validity.lock() = 1;
    host.beat(1).await;
    within("a Host that is down", async {
        while !other
            .metrics()
            .await
            .contains("gridmart_se_hosts_down_total 1")
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let state = pool
        .heard("the Host that is left", |state| {
            state.raw_free_size == Some(1_000)
        })
        .await;
    let info = state.common.health_state_info.unwrap();
    assert_eq!(info.as_str(), "1 of 2 Hosts are not usable.");
    *host.validity.lock() = 60;
    host.beat(2).await;
    pool.heard("both Hosts", |state| {
        state.common.health_state == HealthState::Ok && state.raw_free_size == Some(2_000)
    })
    .await;
    pool.element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_compute_is_refused() {
    let pool = Pool::open(0).await;
    let element = pool.control.element().await;
    let create = token_for(NodeKind::ComputeHost);
    let refused = element.ask(&create, PATIENCE).await.err().unwrap();
    assert_eq!(refused.code, Code::InvalidRequest);
    assert!(refused.detail.contains("A Storage Element"), "{refused}");
    // Asked of all Elements alike.
    let listed = element.ask(&ActivityList { limit: 10 }, PATIENCE).await;
    assert!(listed.unwrap().activities.is_empty());
    let revoked = StorageHostEnd::join(&pool.element.door, &{
        let create = token_for(NodeKind::StorageHost);
        element.ask(&create, PATIENCE).await.unwrap().token
    })
    .await
    .unwrap();
    revoked.connect().await.unwrap();
    let id = revoked.id;
    pool.control
        .desire(|desired| desired.revoked.push(id))
        .await;
    pool.heard("nobody", |state| {
        state.common.health_state == HealthState::Critical && state.raw_total_size == Some(0)
    })
    .await;
    assert!(revoked.connect().await.is_err());
    pool.element.end().await;
}
