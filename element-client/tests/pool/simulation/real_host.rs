//! A storage Host as it is, in this process.

use std::path::Path;

use gridmart_fabric::{
    door::fetch,
    identity::{IdentityCell, NodeIdentity},
    tls::{ClientTls, Revocations},
};
use gridmart_host::{
    member::{HostError, MemberConfig},
    storage,
};
use gridmart_schemas::{id::NodeId, resource::host::StorageHostPolicy, role::NodeKind};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{wait_for, within};

pub(crate) struct RealHost {
    pub(crate) id: NodeId,
    pub(crate) door: String,
    folder: TempDir,
    element: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), HostError>>,
}

impl RealHost {
    /// Joins an Element, and serves at any port.
    pub(crate) async fn join(element: &str, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start(folder, element, Some(token.to_owned())).await
    }

    async fn start(folder: TempDir, element: &str, join_token: Option<String>) -> Self {
        let member = MemberConfig {
            data_dir: folder.path().to_owned(),
            element: element.to_owned(),
            join_token,
            name: "h1".into(),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            relayed: false,
        };
        let config = storage::Config {
            bucket: None,
            scrub_time: None,
            member,
            policy: StorageHostPolicy::default(),
            failure_labels: Vec::new(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(storage::run(config, stop.clone()));
        let ready = wait_for("the Host's ready file", || {
            assert!(!task.is_finished(), "the Host has ended");
            gridmart_fabric::ready::read(folder.path())
                .unwrap()
                .ok_or("no file")
        });
        let ready = ready.await;
        Self {
            id: ready.node.unwrap(),
            door: ready.addresses["door"].clone(),
            folder,
            element: element.to_owned(),
            stop,
            task,
        }
    }

    /// Ends it; its folder stays.
    async fn end(self) -> (TempDir, String) {
        self.stop.cancel();
        within("the Host's end", self.task).await.unwrap().unwrap();
        (self.folder, self.element)
    }

    /// Ends it, and starts it again at another port.
    pub(crate) async fn moved(self) -> Self {
        let (id, door) = (self.id, self.door.clone());
        // Taken until it has another one.
        let (folder, element) = self.end().await;
        let _taken = std::net::TcpListener::bind(&door).unwrap();
        let moved = Self::start(folder, &element, None).await;
        assert_eq!(moved.id, id);
        assert_ne!(moved.door, door);
        moved
    }

    /// One of the Element's gauges.
    pub(crate) async fn gauge(&self, name: &str) -> u64 {
        let identity = load(self.folder.path());
        let expected = (identity.parent(), NodeKind::StorageElement);
        let tls = ClientTls::node(IdentityCell::new(identity), Revocations::new()).unwrap();
        let endpoints = std::slice::from_ref(&self.element);
        let mut answer = fetch(endpoints, expected, &tls, "/metrics").await.unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .parse()
            .unwrap()
    }

    /// Waits until gauges of the Element are such.
    pub(crate) async fn shows(&self, what: &[(&str, u64)]) {
        for (name, expected) in what {
            within(name, async {
                while self.gauge(name).await != *expected {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            })
            .await;
        }
    }
}

fn load(folder: &Path) -> NodeIdentity {
    NodeIdentity::load(folder).unwrap().unwrap()
}
