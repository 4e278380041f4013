//! A Host with real sandboxes, between a simulated Element and programs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod call;
mod command;
mod figures;
mod lease;
mod map;
mod relay;
mod sandbox;
mod simulation;
mod staging;
mod storage;

use std::sync::Arc;

use gridmart_schemas::resource::ae::AePolicy;
use simulation::{Host, element::Element, program::Program};
use tempfile::TempDir;

/// An Element and its Host, which has joined.
struct Scene {
    element: Arc<Element>,
    host: Host,
    place: TempDir,
}

async fn scene() -> Scene {
    let place = tempfile::tempdir().unwrap();
    let element = Element::open(&place.path().join("element")).await;
    let host = Host::start(&place.path().join("host"), &element).await;
    Scene {
        element,
        host,
        place,
    }
}

impl Scene {
    /// A program with a lease on an application without limits of its own.
    async fn program(&self, slots: u32) -> Program {
        self.program_with("plain", AePolicy::default(), slots).await
    }

    async fn program_with(&self, name: &str, policy: AePolicy, slots: u32) -> Program {
        let wish = self.element.deploy(name, policy).await;
        Program::attach(&self.element, &self.host, &wish, slots).await
    }
}
