//! The Computing Element: a pool of compute Hosts with one queue.
//!
//! `queue` decides, as a plain state without I/O; `element` holds everything
//! together and turns decisions into deeds; the other modules are what their
//! names say. What has to survive is in the information base (`CEDoc.xml`), in
//! `controller.json` (`standing`), and in two journals (`journal`).

pub mod admit;
pub(crate) mod call;
pub(crate) mod comm;
pub(crate) mod command;
pub(crate) mod deploy;
pub(crate) mod door;
pub(crate) mod element;
pub(crate) mod explain;
pub mod journal;
pub(crate) mod late;
pub mod lease;
pub(crate) mod link;
pub(crate) mod measure;
pub mod need;
pub mod probe;
pub mod queue;
pub(crate) mod record;
mod relay;
pub mod standing;
mod start;
pub mod state;

pub use self::start::run;
pub use crate::{config::Config, run::ElementError};
