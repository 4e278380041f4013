//! The Computing Element: a pool of compute Hosts with one queue.
//!
//! `queue` decides, as a plain state without I/O; `effect` turns decisions into
//! deeds; `goods` says what of it happens when, and is what an `Element` of this
//! kind has on its shelf; the other modules are what their names say. What has
//! to survive, beyond what every Element keeps, is in `CEDoc.xml` and in two
//! journals (`journal`).

pub mod admit;
mod call;
mod client;
mod clients;
mod deploy;
mod document;
mod door;
mod effect;
mod explain;
mod goods;
pub mod journal;
mod late;
pub mod lease;

mod logs;
mod measure;
pub mod need;
pub mod queue;
mod record;
mod relay;
pub mod state;
mod untold;

use tokio_util::sync::CancellationToken;

use self::goods::Compute;
use crate::element::{self, Element};
use crate::{config::Config, run::ElementError};

/// A running Computing Element.
type Ce = Element<Compute>;

/// Runs a Computing Element until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), ElementError> {
    element::start::run::<Compute>(config, stop).await
}
