//! A stream ends with the certificates that opened it. Before that it is
//! succeeded by another, so that nobody finds the node away meanwhile.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use gridmart_schemas::problem::Problem;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{Dialer, Peer};
use crate::identity::PeerIdentity;

/// How long a stream that has a successor is left to what is unanswered on it.
const HANDOVER: Duration = Duration::from_secs(10);
/// A successor is dialled when this share of a stream's life is left: by then
/// both sides have renewed their certificates.
const SHARE: std::ops::Range<f64> = 0.2..0.3;
/// Between two looks: a clock may be set, and a node is not to be pestered.
const PAUSE_MAX: Duration = Duration::from_mins(1);
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// How long the certificates of a stream are good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    own_end: Option<OffsetDateTime>,
    end: Option<OffsetDateTime>,
    due: Option<OffsetDateTime>,
}

impl Term {
    pub(super) fn new(own_end: Option<OffsetDateTime>, peer: &PeerIdentity) -> Self {
        let peer_end = peer.node.as_ref().map(|node| node.not_after);
        Self::beginning(OffsetDateTime::now_utc(), own_end, peer_end)
    }

    fn beginning(
        now: OffsetDateTime,
        own_end: Option<OffsetDateTime>,
        peer_end: Option<OffsetDateTime>,
    ) -> Self {
        let end = own_end.into_iter().chain(peer_end).min();
        // Not all of a crowd at once.
        let share = rand::random_range(SHARE);
        Self {
            own_end,
            end,
            due: end.map(|end| end - (end - now) * share),
        }
    }

    /// Whether a successor that is dialled now could stand longer, as far as
    /// this side knows.
    fn may_be_outlasted(&self, own_end: Option<OffsetDateTime>) -> bool {
        self.end != self.own_end || own_end > self.own_end
    }

    fn is_outlasted_by(&self, other: &Self) -> bool {
        other.end > self.end
    }

    /// How long to wait before a successor is thought of.
    fn pause(&self, now: OffsetDateTime) -> Duration {
        let (Some(end), Some(due)) = (self.end, self.due) else {
            return PAUSE_MAX;
        };
        let pause = if now < due {
            due - now
        } else {
            (end - now) / 4
        };
        let pause = Duration::try_from(pause).unwrap_or(Duration::ZERO);
        pause.clamp(PAUSE_MIN, PAUSE_MAX)
    }

    fn is_due(&self, now: OffsetDateTime) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

impl Dialer {
    /// Waits until the stream and all its successors have ended; gives since
    /// when the last one stood, or nothing if it was stopped.
    pub(super) async fn outlast<H>(
        &self,
        mut peer: Peer,
        mut term: Term,
        on_connected: &H,
        stop: &CancellationToken,
    ) -> Option<Instant>
    where
        H: Fn(Peer) -> BoxFuture<'static, Result<(), Problem>> + Send + Sync,
    {
        let mut since = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    peer.close();
                    return None;
                }
                () = peer.closed() => return Some(since),
                () = tokio::time::sleep(term.pause(OffsetDateTime::now_utc())) => {}
            }
            let may = term.may_be_outlasted(self.tls.own_end());
            if !may || !term.is_due(OffsetDateTime::now_utc()) {
                continue;
            }
            // Boxed: what dialling needs would be kept as long as the stream stands.
            let succeeding = Box::pin(self.succeed(&term, on_connected));
            match stop.run_until_cancelled(succeeding).await {
                None => {
                    peer.close();
                    return None;
                }
                Some(Ok(Some((successor, its_term)))) => {
                    tracing::debug!(node.id = %self.expected.0, "the stream has a successor");
                    let old = std::mem::replace(&mut peer, successor);
                    (term, since) = (its_term, Instant::now());
                    peer.succeed(old, true, stop);
                }
                Some(Ok(None)) => {}
                Some(Err(problem)) => {
                    tracing::warn!(node.id = %self.expected.0, %problem, "the stream has no successor yet");
                }
            }
        }
    }

    /// Dials a stream that stands longer than one of this term, if it can be
    /// had, and says hello on it.
    async fn succeed<H>(
        &self,
        term: &Term,
        on_connected: &H,
    ) -> Result<Option<(Peer, Term)>, Problem>
    where
        H: Fn(Peer) -> BoxFuture<'static, Result<(), Problem>>,
    {
        let (peer, its_term) = self.dial_once().await?;
        if !term.is_outlasted_by(&its_term) {
            peer.close();
            return Ok(None);
        }
        self.greet(&peer, on_connected).await?;
        Ok(Some((peer, its_term)))
    }
}

impl Peer {
    /// Takes the place of an older stream to the same node. One of the same
    /// start of the node is left for a while to what is unanswered on it; one of
    /// an earlier start is closed: who waited there is gone.
    pub fn succeed(&self, older: Self, is_same_start: bool, stop: &CancellationToken) {
        if self.is_same(&older) {
            return;
        }
        if !is_same_start {
            return older.close();
        }
        let stop = stop.clone();
        tokio::spawn(async move { older.hand_over(&stop).await });
    }

    /// Leaves a stream that has a successor to what is unanswered on it, and
    /// closes it then.
    async fn hand_over(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.closed() => {}
            () = tokio::time::sleep(HANDOVER) => {}
        }
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StreamLimits;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn after(seconds: u64) -> OffsetDateTime {
        NOW + Duration::from_secs(seconds)
    }

    fn stream() -> Peer {
        let identity = PeerIdentity {
            key_hash: None,
            node: None,
            refusal: None,
        };
        Peer::new(identity, StreamLimits::default()).0
    }

    #[tokio::test]
    async fn only_a_stream_of_the_same_start_is_left_to_its_answers() {
        let stop = CancellationToken::new();
        let (first, second, third) = (stream(), stream(), stream());
        second.succeed(first.clone(), true, &stop);
        second.succeed(second.clone(), false, &stop);
        assert!(!first.is_closed() && !second.is_closed());
        third.succeed(second.clone(), false, &stop);
        assert!(second.is_closed() && !first.is_closed());
        stop.cancel();
        first.closed().await;
        assert!(!third.is_closed());
    }

    #[test]
    fn a_successor_is_due_before_the_first_certificate_ends() {
        for (own, peer) in [(1000, 5000), (5000, 1000)] {
            let term = Term::beginning(NOW, Some(after(own)), Some(after(peer)));
            assert!(!term.is_due(after(600)) && term.is_due(after(850)));
            assert_eq!(term.pause(NOW), PAUSE_MAX);
            assert_eq!(term.pause(after(920)), Duration::from_secs(20));
            assert_eq!(term.pause(after(2000)), PAUSE_MIN);
        }
        let endless = Term::beginning(NOW, None, None);
        assert!(!endless.is_due(after(1_000_000)));
    }

    #[test]
    fn only_a_newer_certificate_makes_a_stream_stand_longer() {
        let own = Some(after(1000));
        let bound_by_own = Term::beginning(NOW, own, Some(after(5000)));
        assert!(!bound_by_own.may_be_outlasted(own));
        assert!(bound_by_own.may_be_outlasted(Some(after(2000))));
        let bound_by_peer = Term::beginning(NOW, own, Some(after(500)));
        assert!(bound_by_peer.may_be_outlasted(own));
        assert!(bound_by_peer.is_outlasted_by(&bound_by_own));
        assert!(!bound_by_own.is_outlasted_by(&bound_by_own));
    }
}
