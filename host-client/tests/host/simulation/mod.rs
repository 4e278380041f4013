//! Neighbours of a Host behind the same contracts: an Element and programs, on
//! the real fabric, in one process. The Host under test makes real sandboxes
//! with the real runner.

pub(crate) mod element;
pub(crate) mod program;

use std::{future::Future, path::Path, time::Duration};

use gridmart_fabric::{identity::NodeIdentity, ready};
use gridmart_host::{
    compute::{Config, Embedding, RunnerProgram, run_embedded},
    member::{HostError, MemberConfig},
    storage,
};
use gridmart_schemas::id::NodeId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::element::Element;

/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `look` finds something; says what it last saw when it does not.
pub(crate) async fn wait_for<T, S: std::fmt::Debug>(
    what: &str,
    mut look: impl FnMut() -> Result<T, S>,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if tokio::time::Instant::now() > deadline => {
                panic!("waited in vain for {what}; last seen: {seen:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The same for what has to be asked.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A running Host.
pub(crate) struct Host {
    pub id: NodeId,
    pub door: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), HostError>>,
}

impl Host {
    pub(crate) fn config(folder: &Path, element: &str) -> Config {
        Config {
            member: Self::member_config(folder, element),
            slots: Some(2),
            allow_unsandboxed: false,
        }
    }

    pub(crate) fn member_config(folder: &Path, element: &str) -> MemberConfig {
        MemberConfig {
            data_dir: folder.to_owned(),
            element: element.to_owned(),
            join_token: None,
            name: "host1".into(),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            relayed: false,
        }
    }

    pub(crate) fn embedding() -> Embedding {
        let runner = RunnerProgram {
            path: env!("CARGO_BIN_EXE_gridmart-host-runner").into(),
            arguments: Vec::new(),
        };
        Embedding {
            runner: Some(runner),
            ..Embedding::default()
        }
    }

    /// Starts one that has joined the Element, and waits until it is welcome.
    pub(crate) async fn start(folder: &Path, element: &Element) -> Self {
        Self::start_with(Self::config(folder, &element.address()), element).await
    }

    pub(crate) async fn start_with(config: Config, element: &Element) -> Self {
        Self::start_as(config, Self::embedding(), element).await
    }

    /// Starts one on a machine without bubblewrap.
    pub(crate) async fn start_bare(folder: &Path, element: &Element, allow: bool) -> Self {
        let config = Config {
            allow_unsandboxed: allow,
            ..Self::config(folder, &element.address())
        };
        let embedding = Embedding {
            bubblewrap: Some("/no/such/bwrap".into()),
            ..Self::embedding()
        };
        Self::start_as(config, embedding, element).await
    }

    async fn start_as(config: Config, embedding: Embedding, element: &Element) -> Self {
        let folder = config.member.data_dir.clone();
        Self::run(&folder, element, |stop| {
            tokio::spawn(run_embedded(config, embedding, stop))
        })
        .await
    }

    /// Starts a storage Host that has joined, and waits until it is welcome.
    pub(crate) async fn start_storage(config: storage::Config, element: &Element) -> Self {
        let folder = config.member.data_dir.clone();
        Self::run(&folder, element, |stop| {
            tokio::spawn(storage::run(config, stop))
        })
        .await
    }

    async fn run(
        folder: &Path,
        element: &Element,
        start: impl FnOnce(CancellationToken) -> JoinHandle<Result<(), HostError>>,
    ) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        if NodeIdentity::load(folder).unwrap().is_none() {
            element.host_identity().save(folder).unwrap();
        }
        let stop = CancellationToken::new();
        let task = start(stop.clone());
        let told = wait_for("the Host's ready file", || {
            assert!(!task.is_finished(), "the Host has ended");
            ready::read(folder).unwrap().ok_or("no file")
        })
        .await;
        let host = Self {
            id: told.node.unwrap(),
            door: told.addresses.get("door").cloned().unwrap_or_default(),
            stop,
            task,
        };
        element.host().await;
        host
    }

    /// Ends it as a TERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within("the Host's end", self.task).await.unwrap().unwrap();
    }
}
