//! The ways to data Hosts: one stream to each, dialled when it is needed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    stream::{Handler, Incoming, Peer, StreamLimits, dial},
    tls::ClientTls,
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
    wire::Request,
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::pool::Pool;

/// Where databases are at a Host's door.
const PATH: &str = "/v1/databases";
/// A Host may take so long to let the Element in.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// Answers nothing: Hosts ask nothing there.
struct Nobody;

impl Handler for Nobody {
    fn on_request<'a>(
        &'a self,
        _: &'a Peer,
        incoming: Incoming,
    ) -> BoxFuture<'a, Result<Box<RawValue>, Problem>> {
        Box::pin(std::future::ready(Err(incoming.unknown())))
    }

    fn on_notice<'a>(&'a self, _: &'a Peer, _: Incoming) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A way: where the Host was when it was dialled, and the stream.
type Way = (Vec<String>, Peer);

/// See the module.
#[derive(Default)]
pub(super) struct Hosts {
    ways: Mutex<HashMap<NodeId, Arc<tokio::sync::Mutex<Option<Way>>>>>,
}

/// Why a Host did not do what it was asked.
pub(super) enum Failure {
    /// It was never asked: another one may be.
    NotAsked(Problem),
    /// It has refused.
    Refused(Problem),
    /// Whether it has done it is open.
    Open(Problem),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotAsked(problem) | Failure::Refused(problem) | Failure::Open(problem) => {
                problem
            }
        }
    }
}

impl Hosts {
    /// The stream to a Host.
    pub(super) async fn stream(
        &self,
        pool: &Mutex<Pool>,
        tls: &ClientTls,
        host: NodeId,
    ) -> Result<Peer, Problem> {
        let endpoints = {
            let pool = pool.lock();
            let known = pool
                .host(host)
                .filter(|host| !host.revoked && host.connected);
            known.map(|host| host.endpoints.clone()).unwrap_or_default()
        };
        if endpoints.is_empty() {
            let detail = format!("The Host {host} is not connected to its Element.");
            return Err(Problem::new(Code::HostDown, detail));
        }
        let way = Arc::clone(self.ways.lock().entry(host).or_default());
        let mut way = way.lock().await;
        if let Some((known, peer)) = way.as_ref()
            && *known == endpoints
            && !peer.is_closed()
        {
            return Ok(peer.clone());
        }
        let handler = Arc::new(Nobody);
        let expected = (host, NodeKind::DataHost);
        let dialled = dial(
            &endpoints,
            expected,
            tls,
            PATH,
            handler,
            StreamLimits::default().with_rows(),
        );
        let peer = match timeout(DIAL_MAX, dialled).await {
            Ok(Ok(peer)) => peer,
            Ok(Err(problem)) => return Err(away(host, &problem.detail)),
            Err(_) => return Err(away(host, "It does not answer.")),
        };
        *way = Some((endpoints, peer.clone()));
        Ok(peer)
    }

    /// Asks over a stream.
    pub(super) async fn ask<R: Request>(
        peer: &Peer,
        request: &R,
        deadline: Duration,
    ) -> Result<R::Answer, Failure> {
        peer.ask(request, deadline)
            .await
            .map_err(|problem| match problem.code {
                Code::Unavailable | Code::TimedOut => Failure::Open(problem),
                _ => Failure::Refused(problem),
            })
    }
}

fn away(host: NodeId, why: &str) -> Problem {
    Problem::new(
        Code::HostDown,
        format!("The Host {host} cannot be reached by its Element: {why}"),
    )
}
