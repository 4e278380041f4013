//! Tells an Element what should be: whole, whenever it differs from what the
//! Element has recorded. The same path for the first time and the thousandth.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    id::NodeId,
    problem::Problem,
    wire::{
        control_element::{ElementApplied, ElementDesire},
        desired::ElementDesired,
    },
};
use time::OffsetDateTime;

use crate::{access::deployment::element_desired, app::Control, catalogue::observed::StreamNumber};

/// Name on the task board.
const NAME: &str = "element_sync";
/// Changes within this time travel together.
const GATHER: Duration = Duration::from_millis(10);
/// Looking is at most so small a part of the time: while thousands of Hosts
/// join, the catalogue changes all the time.
const LOOKING_PART: u32 = 20;
/// But nobody waits longer for a command to leave.
const GATHER_MAX: Duration = Duration::from_millis(500);
/// Without a change, it looks again after this time.
const INTERVAL: Duration = Duration::from_secs(30);
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// How long an Element may take to record it.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Begins the task of one stream; it ends with the stream.
pub(crate) fn spawn(control: &Arc<Control>, element: NodeId, number: StreamNumber, peer: Peer) {
    let control = Arc::clone(control);
    let tracker = control.tracker.clone();
    tracker.spawn(async move {
        tokio::select! {
            () = peer.closed() => {}
            () = control.shutdown.cancelled() => {}
            () = keep(&control, element, number, &peer) => {}
        }
    });
}

async fn keep(control: &Control, element: NodeId, number: StreamNumber, peer: &Peer) {
    let mut changes = control.catalogue.changes();
    loop {
        // Marked as seen first, so that no change during a run is missed.
        changes.borrow_and_update();
        let mut looked = Duration::ZERO;
        let result = sync(control, element, number, peer, &mut looked).await;
        let gather = (looked * LOOKING_PART).clamp(GATHER, GATHER_MAX);
        let pause = match &result {
            Ok(None) => INTERVAL,
            Ok(Some(done)) => {
                control.tasks.on_run::<Problem>(NAME, &Ok(done.clone()));
                INTERVAL
            }
            Err(problem) => {
                tracing::warn!(node.id = %element, problem = %problem, "an Element did not record what should be");
                control.tasks.on_run(NAME, &Err(problem));
                RETRY_PAUSE
            }
        };
        // The other end of the channel lives as long as the catalogue.
        if let Ok(Ok(())) = tokio::time::timeout(pause, changes.changed()).await {
            tokio::time::sleep(gather).await;
        }
    }
}

/// Sends what should be if the Element has not recorded just that. Tells how
/// long it took to look.
async fn sync(
    control: &Control,
    element: NodeId,
    number: StreamNumber,
    peer: &Peer,
    looked: &mut Duration,
) -> Result<Option<String>, Problem> {
    let began = Instant::now();
    let view = control.catalogue.view();
    let desired = element_desired(&view.catalogue, element, OffsetDateTime::now_utc());
    let recorded = view
        .element_observed(element)
        .and_then(|observed| observed.recorded.clone());
    let is_recorded = recorded.is_some_and(|recorded| *recorded == desired);
    *looked = began.elapsed();
    if is_recorded {
        return Ok(None);
    }
    let words = words(&view.name_of(element), &desired);
    let message = ElementDesire { desired };
    let ElementApplied { generation } = peer.ask(&message, ANSWER_MAX).await?;
    control
        .catalogue
        .observed
        .on_recorded(element, number, generation, Arc::new(message.desired));
    Ok(Some(words))
}

fn words(name: &str, desired: &ElementDesired) -> String {
    format!(
        "{name} has recorded generation {}: {} applications, {} Hosts apart, {} revoked",
        desired.wish.generation,
        desired.applications.len(),
        desired.hosts.len(),
        desired.revoked.len()
    )
}
