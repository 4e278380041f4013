//! A whole pool on loopback: the real Element between simulated neighbours.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]

mod calls;
mod commands;
mod log;
mod relay;
mod simulation;
mod storage;

use std::sync::Arc;

use gridmart_schemas::{
    id::CallId,
    role::NodeKind,
    wire::{
        control_element::JoinTokenCreate, desired::ApplicationWish, element_host::HeldLease,
        queue::Lease,
    },
};
use simulation::{Element, PATIENCE, client::Client, controller::Controller, host::Host};
use tempfile::TempDir;

/// A controller, an Element, one Host and an application.
struct Pool {
    control: Arc<Controller>,
    address: String,
    folder: TempDir,
    element: Element,
    host: Arc<Host>,
    application: ApplicationWish,
    _control_folder: TempDir,
}

async fn host_token(control: &Controller, uses: u32) -> String {
    let create = JoinTokenCreate {
        kind: NodeKind::ComputeHost,
        uses,
        expires_in: 60,
        label: "test".into(),
    };
    control
        .element()
        .await
        .ask(&create, PATIENCE)
        .await
        .unwrap()
        .token
}

impl Pool {
    async fn open(slots: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = Controller::new(folder.path());
        Self::of(control, folder, slots).await
    }

    async fn of(control: Arc<Controller>, control_folder: TempDir, slots: u32) -> Self {
        let address = control.open().await;
        let folder = tempfile::tempdir().unwrap();
        let element = Element::start(folder.path(), &address, Some(control.element_token())).await;
        let application = control.package("spf", "1.0");
        control
            .desire(|desired| desired.applications.push(application.clone()))
            .await;
        let token = host_token(&control, 1).await;
        let host = Host::join(&element.door, &token, slots).await.unwrap();
        host.connect().await.unwrap();
        Self {
            control,
            address,
            folder,
            element,
            host,
            application,
            _control_folder: control_folder,
        }
    }

    async fn client(&self) -> Client {
        let client = Client::new(self.control.root_pem());
        client.connect(&self.element).await;
        client
    }

    fn ticket(&self, client: &Client, person: &str) -> String {
        self.control.ticket(
            self.element.id,
            person,
            client.key(),
            &self.application,
            |_| {},
        )
    }

    fn hold(&self, lease: &Lease, person: &str) {
        self.host.leases.lock().push(HeldLease {
            lease: lease.lease,
            owner: person.parse().unwrap(),
            digest: self.application.digest.clone(),
            application: self.application.name.clone(),
            slots: lease.slots,
            running: vec![CallId::generate()],
            attached: true,
        });
    }
}
