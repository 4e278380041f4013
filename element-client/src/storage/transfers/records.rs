//! Records of transfers that have ended, kept for the controller.

use std::{sync::Arc, time::Duration};

use gridmart_schemas::wire::record::CallRecords;

use crate::{element::record::outbox::Way, storage::Se};

/// When the Element ends, what is under way has so long to end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const END_STEP: Duration = Duration::from_millis(50);

/// Keeps records until the Element ends, and then what is left.
pub(in crate::storage) async fn keep_records(se: Arc<Se>) {
    let way = Way {
        desk: &se.goods.records,
        from: (se.id, se.incarnation),
        stop: &se.stop,
    };
    let batch = |transfers| CallRecords {
        transfers,
        ..CallRecords::default()
    };
    se.goods
        .transfers
        .outbox
        .keep(way, batch, settle(&se))
        .await;
}

/// Lets what is under way end, for a while.
async fn settle(se: &Se) {
    let transfers = &se.goods.transfers;
    let idle = async {
        while !transfers.is_idle() {
            tokio::time::sleep(END_STEP).await;
        }
    };
    // What takes longer has ended with the Element.
    let _ = tokio::time::timeout(END_PATIENCE, idle).await;
    transfers.end_all();
}
