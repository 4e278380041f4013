//! What is lost is made anew: single blocks that were found damaged or missing,
//! and all blocks of Hosts that are given up.
//!
//! A run begins when something is lost and ends when nothing is any more; then
//! it states in a certificate what it has done. A block counts as repaired when
//! it was read back from its new Host and is what it was before.

mod certificate;
mod heal;
mod pace;
mod work;

use std::{sync::Arc, time::Duration};

use gridmart_schemas::{id::StripeId, problem::Problem};

use self::{certificate::Tally, heal::heal, work::Work};
pub(super) use self::{
    heal::{read_back, read_block},
    pace::Pace,
};
use crate::storage::{Se, metadata::RepairMark, service::Service};

pub(crate) use self::certificate::certificates;

/// How often it is looked whether something is lost.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long nothing is tried after nothing could be repaired.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Pause before the next ones are tried where some could not be repaired.
const STUCK_PAUSE: Duration = Duration::from_millis(200);
/// Stripes that are repaired at a time: their reads and writes overlap, and those
/// of small objects share syncs.
const AT_A_TIME: usize = 32;
/// Bytes that these move together, if they are more than one.
const AT_A_TIME_BYTES: u64 = 96 * 1024 * 1024;

/// Repairs until the Element ends.
pub(super) async fn keep(se: &Arc<Se>, service: &Arc<Service>) {
    let (mut run, mut after) = (None, RepairMark::default());
    loop {
        let pause = match look(se, service, &mut run, &mut after).await {
            Ok(pause) => pause,
            Err(problem) => {
                tracing::warn!(%problem, "repair waits");
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Does some of what is to be done; gives how long to wait then. `after`: what comes
/// before it could not be repaired, and must not keep others waiting.
async fn look(
    se: &Arc<Se>,
    service: &Arc<Service>,
    run: &mut Option<Tally>,
    after: &mut RepairMark,
) -> Result<Duration, Problem> {
    let (delay, rate) = {
        let document = se.base.read();
        let configuration = &document.configuration;
        let delay = configuration.repair_delay.to_duration();
        (delay, configuration.repair_rate)
    };
    let from = std::mem::take(after);
    let work = work::find(service, delay, from).await?;
    se.goods.metrics.observe_repair(work.left);
    if work.stripes.is_empty() {
        if work.left > 0 {
            return Ok(RETRY_PAUSE);
        }
        if let Some(tally) = run.take() {
            certificate::write(se, &tally).await?;
        }
        return Ok(LOOK_PAUSE);
    }
    let tally = run.get_or_insert_with(Tally::begin);
    tally.on_found(&work);
    let before = tally.rebuilt();
    let stuck = heal_all(service, &work, tally, Pace::new(rate)).await;
    if let Some((stripe, problem)) = stuck.first() {
        tracing::warn!(stripes = stuck.len(), %stripe, %problem, "stripes are not repaired yet");
    }
    if let Some(last) = work.last.filter(|_| !stuck.is_empty()) {
        *after = last;
        return Ok(STUCK_PAUSE);
    }
    let is_stuck = tally.rebuilt() == before;
    Ok(if is_stuck {
        RETRY_PAUSE
    } else {
        Duration::ZERO
    })
}

/// Tries to repair what was found; gives what was not, and why.
async fn heal_all(
    service: &Arc<Service>,
    work: &Work,
    tally: &mut Tally,
    mut pace: Pace,
) -> Vec<(StripeId, Problem)> {
    let mut stuck = Vec::new();
    let mut left = &work.stripes[..];
    while !left.is_empty() {
        let (stripes, later) = left.split_at(batch(left));
        left = later;
        let healed = stripes.iter().map(|lost| heal(service, lost));
        for (lost, healed) in stripes
            .iter()
            .zip(futures_util::future::join_all(healed).await)
        {
            match healed {
                Ok(blocks) => {
                    pace.on_bytes(lost.bytes_moved());
                    tally.on_healed(&blocks);
                }
                Err(problem) => {
                    tally.on_failed();
                    stuck.push((lost.stripe.id, problem));
                }
            }
        }
        pace.wait().await;
    }
    stuck
}

/// How many of these are repaired at a time: one at least.
fn batch(lost: &[Lost]) -> usize {
    let mut bytes = 0;
    let fits = lost.iter().take(AT_A_TIME).take_while(|lost| {
        bytes += lost.bytes_moved();
        bytes <= AT_A_TIME_BYTES
    });
    fits.count().max(1).min(lost.len())
}

/// What a stripe lacks.
pub(super) struct Lost {
    pub(super) stripe: crate::storage::metadata::LayoutStripe,
    pub(super) positions: Vec<u8>,
}

impl Lost {
    /// Bytes that are read and written to make it whole.
    fn bytes_moved(&self) -> u64 {
        let blocks = u64::from(self.stripe.redundancy.data()) + self.positions.len() as u64;
        blocks * self.stripe.payload_length
    }
}

impl Work {
    fn is_more_than_told(&self) -> bool {
        self.left > self.stripes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{id::StripeId, storage::Redundancy};

    use super::*;
    use crate::storage::metadata::LayoutStripe;

    fn lost(payload_length: u64) -> Lost {
        Lost {
            stripe: LayoutStripe {
                id: StripeId::generate(),
                start: 0,
                ordinal: 0,
                data_length: payload_length * 4,
                redundancy: Redundancy::rs(4, 2).unwrap(),
                payload_length,
                blocks: Vec::new(),
            },
            positions: vec![0],
        }
    }

    #[test]
    fn many_small_stripes_are_repaired_together_and_few_large_ones() {
        let of = |payload, count: usize| {
            let stripes: Vec<Lost> = (0..count).map(|_| lost(payload)).collect();
            batch(&stripes)
        };
        assert_eq!(of(4096, 64), AT_A_TIME);
        assert_eq!(of(4096, 3), 3);
        assert_eq!(of(4 * 1024 * 1024, 64), 4);
        assert_eq!(of(AT_A_TIME_BYTES, 2), 1, "one at least");
    }
}
