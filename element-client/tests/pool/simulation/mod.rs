//! Neighbours of an Element behind the same contracts: a controller, Hosts and
//! clients, on the real fabric, in one process.

pub(crate) mod client;
pub(crate) mod controller;
pub(crate) mod host;
pub(crate) mod ledger;
pub(crate) mod real_host;
pub(crate) mod storage_host;

use std::{future::Future, path::Path, time::Duration};

use gridmart_element::{Config, ElementError, compute, storage};
use gridmart_fabric::ready;
use gridmart_schemas::id::NodeId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// The same for what has to be asked.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A running Element.
pub(crate) struct Element {
    pub id: NodeId,
    pub door: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), ElementError>>,
}

impl Element {
    pub(crate) fn config(folder: &Path, controller: &str, join_token: Option<String>) -> Config {
        Config {
            data_dir: folder.to_owned(),
            controller: controller.to_owned(),
            join_token,
            name: "ce1".into(),
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            s3_listen: "127.0.0.1:0".parse().unwrap(),
            postgres_listen: "127.0.0.1:0".parse().unwrap(),
            restore_lib: false,
            repair_delay: None,
            repair_rate: None,
            collect_after: None,
            lifecycle_day: None,
            check_interval: None,
            data_limits: gridmart_element::DataLimits::default(),
        }
    }

    /// Starts one of compute and waits until it is ready.
    pub(crate) async fn start(folder: &Path, controller: &str, join_token: Option<String>) -> Self {
        let config = Self::config(folder, controller, join_token);
        Self::started(folder, |stop| tokio::spawn(compute::run(config, stop))).await
    }

    /// Starts one of storage and waits until it is ready.
    pub(crate) async fn start_storage(
        folder: &Path,
        controller: &str,
        join_token: Option<String>,
    ) -> Self {
        let config = Self::config(folder, controller, join_token);
        Self::started(folder, |stop| tokio::spawn(storage::run(config, stop))).await
    }

    async fn started(
        folder: &Path,
        begin: impl FnOnce(CancellationToken) -> JoinHandle<Result<(), ElementError>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = begin(stop.clone());
        let told = wait_for("the Element's ready file", || {
            assert!(!task.is_finished(), "the Element has ended");
            ready::read(folder).unwrap().ok_or("no file")
        })
        .await;
        assert_eq!(told.role, "element");
        Self {
            id: told.node.unwrap(),
            door: told.addresses["door"].clone(),
            stop,
            task,
        }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        within("the Element's end", self.task)
            .await
            .unwrap()
            .unwrap();
    }
}
