//! Decisions, one file per noun: the edge calls them with a context (who asks,
//! under which request), they read snapshots, change the catalogue and talk to
//! Elements. No HTTP here, no SQL here.

pub mod access;
pub mod access_key;
pub mod activity;
pub mod api_token;
pub mod application;
pub mod applied;
pub mod audit;
pub mod bucket;
pub mod call;
pub mod command;
pub mod console_session;
pub mod context;
pub mod database;
pub mod description;
pub mod event;
pub mod explanation;
mod found;
pub mod join_token;
mod kept;
pub mod layout;
pub mod log;
mod need;
pub mod node;
pub(crate) mod overview;
pub mod package;
pub mod password;
pub mod person;
mod personal;
pub mod resource;
pub mod resource_page;
pub mod session;
pub mod shadow;
pub mod sql_session;
pub mod topology;
pub mod transfer;

use std::{sync::Arc, time::Duration};

use gridmart_fabric::{
    authority::Authority, identity::IdentityCell, throttle::Throttle, ticket::SigningKey,
    tls::Revocations,
};
use gridmart_schemas::id::NodeId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{explanation::Explanations, package::PackageShelf};
use crate::{
    catalogue::{Catalogue, Update, audit::AuditEntry},
    failure::Failure,
    feed::Feed,
    gateway::Gateway,
    metrics::ControlMetrics,
    node::streams::Streams,
    task::TaskBoard,
};

/// Everything that the controller's operations work with.
pub struct Control {
    /// This controller's node id.
    pub node: NodeId,
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// The certificate authority.
    pub authority: Authority,
    /// The controller's own certificate.
    pub identity: Arc<IdentityCell>,
    /// Signs access tickets.
    pub ticket_key: SigningKey,
    /// Nodes that are shut out.
    pub revocations: Revocations,
    /// Streams of Elements.
    pub streams: Streams,
    /// Reasons of late decisions.
    pub explanations: Explanations,
    /// Application packages.
    pub packages: PackageShelf,
    /// Slows down guessing.
    pub throttle: Throttle,
    /// What changes, for whoever watches.
    pub feed: Feed,
    /// Sessions of browsers whose secret has just changed.
    pub rotations: console_session::Rotations,
    /// The way of browsers to nodes.
    pub gateway: Gateway,
    /// Passwords are checked a few at a time.
    pub passwords: password::Passwords,
    /// What background tasks last did.
    pub tasks: TaskBoard,
    /// Numbers for Prometheus.
    pub metrics: ControlMetrics,
    /// `HOST:PORT` of the nodes' door, as other machines reach it.
    pub nodes_endpoint: String,
    /// Seconds between two heartbeats of Elements.
    pub heartbeat_interval: u32,
    /// How long certificates live that are signed from now on.
    pub certificate_lifetime: Duration,
    /// Ends when the controller goes down.
    pub shutdown: CancellationToken,
    /// Tasks that are awaited when the controller goes down.
    pub tracker: TaskTracker,
}

/// How long an Element may take to answer when people wait for it.
pub const ELEMENT_ANSWER_MAX: Duration = Duration::from_secs(5);

impl Control {
    /// Applies an administrative change and records it in the audit log, both
    /// in one transaction; a refusal is recorded by itself.
    pub async fn administer<T, F>(&self, entry: AuditEntry, change: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Update<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let recorded = entry.clone();
        let result = self
            .catalogue
            .update(move |update| {
                let value = change(update)?;
                update.audit(&recorded, "done")?;
                Ok(value)
            })
            .await;
        if let Err(Failure::Refused(problem)) = &result {
            self.audit_refusal(entry, problem.code.as_str()).await;
        }
        result
    }

    /// Records that an administrative act was refused.
    pub async fn audit_refusal(&self, entry: AuditEntry, code: &'static str) {
        let recorded = self
            .catalogue
            .update(move |update| Ok(update.audit(&entry, code)?))
            .await;
        if let Err(error) = recorded {
            tracing::error!(error = %error, "a refusal could not be written to the audit log");
        }
    }
}
