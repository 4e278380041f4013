//! The Storage Element: a pool of storage Hosts.
//!
//! `pool` decides, as a plain state without I/O, which Hosts count and which
//! have to be probed; `state` sums them up; `goods` says what of it happens
//! when, and is what an `Element` of this kind has on its shelf. What has to
//! survive, beyond what every Element keeps, is in `SEDoc.xml`.
//!
//! `metadata` is what it knows of the objects on them, and `placement` where
//! blocks go; `service` brings them together over real Hosts. `door` is for
//! programs with the SDK, which write and read blocks on the Hosts themselves;
//! `data` does that for those who come to the Element's other doors. `bucket`
//! answers the controller, and `care` looks after what is kept. `transfers`
//! knows what is under way at all doors.

mod bucket;
mod care;
mod data;
mod document;
mod door;
mod goods;
mod keys;
mod layout;
mod measure;
pub mod metadata;
pub mod placement;
pub mod pool;
mod s3;
mod service;
pub mod state;
mod transfers;

use gridmart_schemas::resource::se_doc::SeDocument;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use self::service::{AwayHost, RebuildFailure, RebuildReport};
use self::{goods::Storage, metadata::Loss, service::RebuildOrder};
use crate::{
    config::Config,
    element::{self, Element, goods::Opening},
    run::ElementError,
};

/// A running Storage Element.
type Se = Element<Storage>;

/// Runs a Storage Element until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), ElementError> {
    element::start::run::<Storage>(config, stop).await
}

/// Makes the lost store of a Storage Element anew from its Hosts, which dial it
/// as they always do; then ends. Nothing, if it was stopped before.
///
/// With `accept_loss` what answers is taken, although others may have had more.
pub async fn rebuild(
    config: Config,
    accept_loss: bool,
    stop: CancellationToken,
) -> Result<Option<RebuildReport>, RebuildFailure> {
    let (told, telling) = oneshot::channel();
    let end = stop.child_token();
    let order = RebuildOrder {
        loss: if accept_loss {
            Loss::Accept
        } else {
            Loss::Refuse
        },
        told,
        end: end.clone(),
    };
    let open = |opening: &Opening<'_, SeDocument>| Storage::to_rebuild(opening, order);
    element::start::run_with(config, open, end).await?;
    telling.await.ok().transpose()
}

#[cfg(test)]
mod scene;
