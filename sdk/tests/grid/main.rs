//! The SDK against a simulated grid: a controller, an Element and Hosts that
//! speak the real protocols over real doors on loopback, and run "programs"
//! that are functions of this test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a simulation that breaks fails its test; its sizes are small"
)]

mod calls;
mod controller;
mod cost;
mod element;
mod failures;
mod host;
mod maps;
mod nodes;
mod shelf;
mod staging;
mod storage;

use std::{path::PathBuf, sync::Arc, time::Duration};

use gridmart_sdk::{Client, Settings};

use self::{controller::Controller, element::Element, host::Host, nodes::Site};

/// A wait that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A whole simulated grid.
struct Grid {
    controller: Arc<Controller>,
    element: Arc<Element>,
    hosts: Vec<Arc<Host>>,
    jobs: tempfile::TempDir,
    site: Site,
}

impl Grid {
    /// One Element with Hosts of so many slots each.
    async fn start(slots: &[u32]) -> Self {
        let site = Site::new();
        let mut hosts = Vec::new();
        for (number, slots) in slots.iter().enumerate() {
            hosts.push(Host::start(&site, &format!("host{number}"), *slots).await);
        }
        let element = Element::start(&site, &hosts).await;
        let controller = Controller::start(&site, vec![element.access()]).await;
        Self {
            controller,
            element,
            hosts,
            jobs: tempfile::tempdir().unwrap(),
            site,
        }
    }

    fn client(&self) -> Client {
        let settings = Settings {
            jobs: Some(self.jobs.path().to_owned()),
            ..Settings::new(&self.controller.url, "token")
        };
        Client::connect(settings).unwrap()
    }

    fn job_folder(&self, job: &str) -> PathBuf {
        self.jobs.path().join(job)
    }
}

/// Waits until it is so, and says what was awaited if it never is.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
