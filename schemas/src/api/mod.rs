//! The people's API (`/api/v1/…` on the controller's people's door): request
//! and response types, one file per noun. Requests refuse unknown fields;
//! answers may grow.

pub mod access;
pub mod access_key;
pub mod activity;
pub mod application;
pub mod audit;
pub mod bucket;
pub mod call_event;
pub mod command;
pub mod database;
pub mod event;
pub mod explain;
pub mod history;
pub mod join_token;
pub mod layout;
pub mod live;
pub mod object;
pub mod overview;
pub mod person;
pub mod resource;
pub mod session;
pub mod sql_session;
pub mod statement;
pub mod task;
pub mod topology;
pub mod transfer;

use serde::{Deserialize, Serialize};

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give this as `after` to read on; absent: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
