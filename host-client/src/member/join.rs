//! How a Host gets its identity: from its data folder, or with a join token.

use gridmart_fabric::{
    identity::NodeIdentity,
    join::{JoinToken, enrol},
    stream::Backoff,
};
use gridmart_schemas::role::NodeKind;
use tokio_util::sync::CancellationToken;

use super::{config::MemberConfig, error::HostError};

/// Reads the identity of a Host that has joined before.
pub(super) fn load_identity(
    config: &MemberConfig,
    kind: NodeKind,
) -> Result<Option<NodeIdentity>, HostError> {
    let folder = &config.data_dir;
    let identity = NodeIdentity::load(folder).map_err(|source| HostError::Identity {
        folder: folder.clone(),
        source,
    })?;
    match identity {
        Some(identity) if identity.kind() != kind => Err(HostError::OtherKind {
            folder: folder.clone(),
            kind: identity.kind(),
            goods: kind.goods(),
        }),
        identity => Ok(identity),
    }
}

/// Joins with the token; tries on while the Element cannot be reached.
pub(super) async fn join(
    config: &MemberConfig,
    kind: NodeKind,
    stop: &CancellationToken,
) -> Result<Option<NodeIdentity>, HostError> {
    let folder = config.data_dir.clone();
    let token = config.join_token.as_ref().ok_or(HostError::NotJoined {
        folder: folder.clone(),
        kind,
    })?;
    let token: JoinToken =
        token
            .trim()
            .parse()
            .map_err(
                |error: gridmart_fabric::join::JoinTokenError| HostError::Token {
                    reason: error.to_string(),
                },
            )?;
    if token.kind != kind {
        return Err(HostError::Token {
            reason: format!("it is for a node of kind {}", token.kind),
        });
    }
    let endpoints = [config.element.clone()];
    let backoff = Backoff::default();
    let mut failures = 0;
    loop {
        let tried = stop
            .run_until_cancelled(enrol(&endpoints, &token, &config.name))
            .await;
        match tried {
            None => return Ok(None),
            Some(Ok(identity)) => {
                identity
                    .save(&folder)
                    .map_err(|source| HostError::Identity { folder, source })?;
                tracing::info!(node.id = %identity.node(), domain = identity.domain(), "joined");
                return Ok(Some(identity));
            }
            Some(Err(problem)) if problem.retryable => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%problem, element = config.element, "the Element cannot be joined now, trying on");
                }
                stop.run_until_cancelled(tokio::time::sleep(backoff.pause(failures)))
                    .await;
            }
            Some(Err(problem)) => {
                return Err(HostError::Join {
                    element: config.element.clone(),
                    problem: Box::new(problem),
                });
            }
        }
    }
}
