//! The log of a Storage Element's metadata on real storage Hosts.

use std::{fs, path::Path, sync::Arc};

use gridmart_element::{
    ElementError,
    storage::{self, RebuildFailure},
};
use gridmart_schemas::{role::NodeKind, wire::control_element::JoinTokenCreate};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::simulation::{Element, PATIENCE, controller::Controller, real_host::RealHost, within};

const READY: &str = "gridmart_se_log_ready";
const MEMBERS: &str = "gridmart_se_log_members";
const WANTED: &str = "gridmart_se_log_members_wanted";
const BEHIND: &str = "gridmart_se_log_members_behind";
const RECORDS: &str = "gridmart_se_log_records";
const EPOCH: &str = "gridmart_se_log_epoch";

struct Pool {
    control: Arc<Controller>,
    address: String,
    folder: TempDir,
    hosts: Vec<RealHost>,
    _control_folder: TempDir,
}

impl Pool {
    async fn open(hosts: usize) -> (Self, Element) {
        let (control_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let control = Controller::of_storage(control_folder.path());
        let address = control.open().await;
        let token = Some(control.element_token());
        let element = Element::start_storage(folder.path(), &address, token).await;
        let create = JoinTokenCreate {
            kind: NodeKind::StorageHost,
            uses: 10,
            expires_in: 60,
            label: "test".into(),
        };
        let asked = control.element().await;
        let made = asked.ask(&create, PATIENCE).await.unwrap();
        let mut joined = Vec::new();
        for _ in 0..hosts {
            joined.push(RealHost::join(&element.door, &made.token).await);
        }
        let pool = Self {
            control,
            address,
            folder,
            hosts: joined,
            _control_folder: control_folder,
        };
        (pool, element)
    }

    fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("metadata.sqlite")
    }

    async fn run(&self) -> Element {
        Element::start_storage(self.folder.path(), &self.address, None).await
    }

    async fn rebuild(&self) -> Result<storage::RebuildReport, RebuildFailure> {
        let config = Element::config(self.folder.path(), &self.address, None);
        let rebuilding = storage::rebuild(config, false, CancellationToken::new());
        let report = within("a rebuild", rebuilding).await;
        report.map(Option::unwrap)
    }
}

fn lose(store: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = store.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_move_keep_the_log_and_revoked_ones_do_not() {
    let (mut pool, element) = Pool::open(4).await;
    let settled = [(READY, 1), (MEMBERS, 3), (WANTED, 2), (BEHIND, 0)];
    pool.hosts[0].shows(&settled).await;
    let mut moved = Vec::new();
    for host in pool.hosts.drain(..) {
        moved.push(host.moved().await);
    }
    let before = moved[0].gauge(RECORDS).await;
    // Of two, one at least had the log: others hear so, where they are now.
    let revoked = [moved[2].id, moved[3].id];
    pool.control
        .desire(|desired| desired.revoked.extend(revoked))
        .await;
    moved[0]
        .shows(&[(MEMBERS, 2), (WANTED, 2), (BEHIND, 0)])
        .await;
    assert!(moved[0].gauge(RECORDS).await > before);
    element.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_store_is_an_error_until_it_is_made_anew() {
    let (pool, element) = Pool::open(3).await;
    let host = &pool.hosts[0];
    host.shows(&[(READY, 1), (MEMBERS, 3), (WANTED, 2), (BEHIND, 0)])
        .await;
    let (records, epoch) = (host.gauge(RECORDS).await, host.gauge(EPOCH).await);
    element.end().await;
    let there = pool.rebuild().await.unwrap_err();
    let is_there = matches!(
        there,
        RebuildFailure::Element(ElementError::StoreThere { .. })
    );
    assert!(is_there, "{there}");
    lose(&pool.store());
    let config = Element::config(pool.folder.path(), &pool.address, None);
    let started = storage::run(config, CancellationToken::new());
    let lost = within("a refused start", started).await.unwrap_err();
    assert!(matches!(lost, ElementError::StoreLost { .. }), "{lost}");
    assert!(!pool.store().exists());

    let report = pool.rebuild().await.unwrap();
    assert!(report.whole);
    assert_eq!(
        (report.records, report.members, report.answered),
        (records, 3, 3)
    );
    let element = pool.run().await;
    host.shows(&[(READY, 1), (MEMBERS, 3), (BEHIND, 0)]).await;
    assert!(host.gauge(RECORDS).await > records);
    assert!(
        host.gauge(EPOCH).await > epoch + 1,
        "whoever wrote before is fenced"
    );
    element.end().await;
}
