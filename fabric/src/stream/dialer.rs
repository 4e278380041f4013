//! Dialling, and dialling again: when a stream has ended, and before the
//! certificates end with which it was opened.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_schemas::problem::Problem;
use tokio_util::sync::CancellationToken;

use super::{Handler, Peer, StreamLimits, run_stream, succession::Term};
use crate::{
    request::dial_socket,
    socket::SocketLimits,
    tls::{ClientTls, Expected},
};

/// Opens a stream at `path` of the expected node's door.
pub async fn dial(
    endpoints: &[String],
    expected: Expected,
    tls: &ClientTls,
    path: &str,
    handler: Arc<dyn Handler>,
    limits: StreamLimits,
) -> Result<Peer, Problem> {
    let bounds = SocketLimits::envelopes(limits.message_bytes);
    let (socket, identity) = dial_socket(endpoints, expected, tls, path, bounds).await?;
    Ok(run_stream(socket, identity, handler, limits).0)
}

/// How long to wait between tries: twice as long each time, half of it random,
/// so that a crowd does not come back at once.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Before the second try.
    pub first: Duration,
    /// At the most.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            most: Duration::from_secs(15),
        }
    }
}

impl Backoff {
    /// The pause after so many failures in a row (from 1).
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let whole = self.first.saturating_mul(1 << doublings).min(self.most);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// Keeps one stream to a node, as long as it is wanted.
pub struct Dialer {
    /// `HOST:PORT`, most preferred first.
    pub endpoints: Vec<String>,
    /// Who has to be there.
    pub expected: Expected,
    /// Who dials.
    pub tls: ClientTls,
    /// Path of the stream.
    pub path: String,
    /// What is behind this end.
    pub handler: Arc<dyn Handler>,
    /// Bounds of each stream.
    pub limits: StreamLimits,
    /// Pauses between tries.
    pub backoff: Backoff,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("endpoints", &self.endpoints)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Dials, says hello with `on_connected`, and does so again whenever the
    /// stream ends, until `stop`. A hello that fails counts as a failed dial,
    /// and so does a stream that ends soon.
    ///
    /// A stream that is going to end with a certificate is succeeded by another
    /// while it stands: hello is said on the new one, and the old one is left
    /// to what is unanswered on it for a while.
    pub async fn keep_connected<H>(self, on_connected: H, stop: CancellationToken)
    where
        H: Fn(Peer) -> BoxFuture<'static, Result<(), Problem>> + Send + Sync,
    {
        let mut failures = 0u32;
        let mut told = None;
        while !stop.is_cancelled() {
            // Boxed: what dialling needs would be kept as long as the stream stands.
            let dialling = Box::pin(self.try_once(&on_connected));
            let tried = stop.run_until_cancelled(dialling).await;
            match tried {
                None => return,
                Some(Ok((peer, term))) => {
                    tracing::info!(node.id = %self.expected.0, "connected");
                    told = None;
                    let Some(since) = self.outlast(peer, term, &on_connected, &stop).await else {
                        return;
                    };
                    tracing::info!(node.id = %self.expected.0, "the stream has ended, dialling again");
                    // A parent that drops each stream at once is not hammered.
                    failures = if since.elapsed() < self.backoff.most {
                        failures.saturating_add(1)
                    } else {
                        0
                    };
                }
                Some(Err(problem)) => {
                    failures = failures.saturating_add(1);
                    // Once per cause: a node may be away for days.
                    if told != Some(problem.code) {
                        tracing::warn!(node.id = %self.expected.0, %problem, hint = problem.hint, "not connected, trying on");
                        told = Some(problem.code);
                    }
                }
            }
            let pause = self.backoff.pause(failures.max(1));
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    async fn try_once<H>(&self, on_connected: &H) -> Result<(Peer, Term), Problem>
    where
        H: Fn(Peer) -> BoxFuture<'static, Result<(), Problem>>,
    {
        let (peer, term) = self.dial_once().await?;
        self.greet(&peer, on_connected).await?;
        Ok((peer, term))
    }

    pub(super) async fn dial_once(&self) -> Result<(Peer, Term), Problem> {
        // Looked at before, so that a certificate that comes meanwhile is news.
        let own_end = self.tls.own_end();
        let peer = dial(
            &self.endpoints,
            self.expected,
            &self.tls,
            &self.path,
            self.handler.clone(),
            self.limits,
        )
        .await?;
        let term = Term::new(own_end, peer.identity());
        Ok((peer, term))
    }

    /// Says hello; a stream on which that fails is closed.
    pub(super) async fn greet<H>(&self, peer: &Peer, on_connected: &H) -> Result<(), Problem>
    where
        H: Fn(Peer) -> BoxFuture<'static, Result<(), Problem>>,
    {
        let closing = CloseOnDrop(Some(peer.clone()));
        on_connected(peer.clone()).await?;
        closing.keep();
        Ok(())
    }
}

/// Closes a stream whose hello failed, or was given up.
struct CloseOnDrop(Option<Peer>);

impl CloseOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(peer) = &self.0 {
            peer.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let backoff = Backoff::default();
        for failures in 0..100 {
            let pause = backoff.pause(failures);
            assert!(
                pause >= Duration::from_millis(100) && pause <= backoff.most,
                "{failures}: {pause:?}"
            );
        }
        assert!(backoff.pause(1) <= backoff.first);
        assert!(backoff.pause(40) >= backoff.most / 2);
        let pauses: std::collections::BTreeSet<_> = (0..20).map(|_| backoff.pause(40)).collect();
        assert!(pauses.len() > 1);
    }
}
