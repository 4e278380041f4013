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

use gridmart_schemas::problem::Problem;

use self::{certificate::Tally, heal::heal, work::Work};
pub(super) use self::{
    heal::{read_back, read_block},
    pace::Pace,
};
use crate::storage::{Se, service::Service};

pub(crate) use self::certificate::certificates;

/// How often it is looked whether something is lost.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long nothing is tried after nothing could be repaired.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Stripes that are repaired at a time: their reads and writes overlap.
const AT_A_TIME: usize = 4;

/// Repairs until the Element ends.
pub(super) async fn keep(se: &Arc<Se>, service: &Arc<Service>) {
    let mut run: Option<Tally> = None;
    loop {
        let pause = match look(se, service, &mut run).await {
            Ok(pause) => pause,
            Err(problem) => {
                tracing::warn!(%problem, "repair waits");
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Does some of what is to be done; gives how long to wait then.
async fn look(
    se: &Arc<Se>,
    service: &Arc<Service>,
    run: &mut Option<Tally>,
) -> Result<Duration, Problem> {
    let (delay, rate) = {
        let document = se.base.read();
        let configuration = &document.configuration;
        let delay = configuration.repair_delay.to_duration();
        (delay, configuration.repair_rate)
    };
    let work = work::find(service, delay).await?;
    se.goods.metrics.observe_repair(work.left);
    if work.stripes.is_empty() {
        if let Some(tally) = run.take() {
            certificate::write(se, &tally).await?;
        }
        return Ok(LOOK_PAUSE);
    }
    let tally = run.get_or_insert_with(Tally::begin);
    tally.on_found(&work);
    let mut pace = Pace::new(rate);
    let before = tally.rebuilt();
    for stripes in work.stripes.chunks(AT_A_TIME) {
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
                    tracing::warn!(stripe = %lost.stripe.id, %problem, "a stripe is not repaired yet");
                    tally.on_failed();
                }
            }
        }
        pace.wait().await;
    }
    let is_stuck = tally.rebuilt() == before;
    Ok(if is_stuck {
        RETRY_PAUSE
    } else {
        Duration::ZERO
    })
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
