//! The Rust library that programs link to use gridmart.
//!
//! ```no_run
//! # async fn demo() -> Result<(), gridmart_sdk::Error> {
//! let client = gridmart_sdk::Client::from_env()?;
//! let output = client.apps().call("wordcount").stdin("one two").output().await?;
//! println!("{}", String::from_utf8_lossy(&output.stdout));
//! client.close().await;
//! # Ok(()) }
//! ```
//!
//! Invariants: the SDK decides nothing about access (the controller does) nor
//! about placement (the Element does); every wait has a bound or is ended by
//! dropping the future; payloads travel straight between this process and the
//! Hosts, through bounded windows.

mod apps;
#[cfg(feature = "blocking")]
pub mod blocking;
mod call;
mod client;
mod data;
mod error;
mod grid;
mod http;
mod login;
mod map;
mod people;
mod resources;
mod settings;
mod storage;

/// What the library decides, without I/O: for simulations, not for programs.
#[doc(hidden)]
pub mod cores {
    pub use crate::{
        call::course,
        grid::{presence, rounds, tries},
        map::core as map,
    };
}

pub use apps::{Apps, Compute, LogPiece, LogTail, UploadProgress};
pub use call::{CallBuilder, Output, OutputStream, RunningCall, Stdin, StdinSink};
pub use client::Client;
pub use data::{Data, Executed, Rows, Transaction, TransactionModes};
pub use error::Error;
pub use gridmart_schemas as schemas;
pub use login::{LoggedOut, Login, Trust, login, login_path, logout};
pub use map::{
    FailedPart, HostShare, JobSelect, MapBuilder, MapInput, MapProgress, MapReport, MapResult,
    MapStage,
};
pub use people::{AccessKeys, ApiTokens, Audit, Nodes, People};
pub use resources::{
    Activities, Calls, Command, Commands, Explanations, JoinTokens, Resources, SqlSessionFilter,
    SqlSessions, Target, TransferFilter, Transfers,
};
pub use settings::Settings;
pub use storage::{
    AccessSource, BrokenUpload, DelegatedStorage, GetBuilder, ObjectPages, ObjectReader,
    PartUpload, PutBuilder, Storage, TransferMemory, TransferProgress,
};
