//! What a Storage Element does by itself for what is kept: it lets new Hosts
//! take blocks, and looks after blocks that readers could not use.

mod audit;
mod carry;
mod collect;
mod damage;
pub(super) mod repair;
mod roster;

use std::sync::Arc;

pub(super) use self::collect::Collection;
use super::Se;

/// Takes care until the Element ends.
pub(super) async fn keep(se: Arc<Se>) {
    let caring = async {
        let service = se.goods.log.assured().await;
        let damaged = service.take_damaged();
        tokio::join!(
            Box::pin(roster::keep(&se, &service)),
            Box::pin(damage::keep(&service, damaged)),
            Box::pin(repair::keep(&se, &service)),
            Box::pin(collect::keep(&service, se.goods.collection)),
            Box::pin(carry::keep(&se, &service)),
            Box::pin(audit::keep(&service, se.goods.collection)),
        );
    };
    se.stop.run_until_cancelled(caring).await;
}
