//! Calls from programs, at the Host's door.

use std::sync::Arc;

use gridmart_fabric::{
    door::{self, Request, Response},
    identity::PeerIdentity,
    socket::SocketLimits,
};
use gridmart_schemas::problem::Problem;

use super::{calls, leases::Leases};
use crate::member::{Member, nothing_there};

/// Answers what comes for compute.
pub(super) fn answer(
    member: &Member,
    leases: &Arc<Leases>,
    peer: PeerIdentity,
    mut request: Request,
) -> Result<Response, Problem> {
    match (request.method().as_str(), request.uri().path()) {
        ("GET", "/v1/calls") => {
            peer.require_key()?;
            let (response, pending) = door::upgrade(&mut request, SocketLimits::FRAMES)?;
            let leases = Arc::clone(leases);
            member.visits.spawn(async move {
                match pending.socket().await {
                    Ok(socket) => calls::serve(socket, peer, leases).await,
                    Err(problem) => {
                        tracing::debug!(%problem, "a calls stream did not come about");
                    }
                }
            });
            Ok(response)
        }
        _ => Err(nothing_there(&request)),
    }
}
