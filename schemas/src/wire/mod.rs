//! Messages between tiers: the envelope, and one file per pair of speakers.
//!
//! Rules: additive within a major version; unknown fields are ignored, an
//! unknown kind is answered with [`Code::UnknownMessage`](crate::problem::Code).
//! A request carries `id`, its answer `re`; a notice carries neither.

pub mod access_key;
pub mod block;
pub mod bucket;
pub mod call;
pub mod control_element;
pub mod data;
pub mod database;
pub mod desired;
pub mod element_host;
pub mod enrol;
pub mod frame;
pub mod layout;
pub mod ledger;
pub mod queue;
pub mod record;
pub mod replica;
pub mod sql_session;
pub mod staging;
pub mod storage;
pub mod transfer;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{id::RequestId, problem::Problem};

/// The protocol's major version: another one cannot be talked to.
pub const MAJOR: u16 = 1;
/// The protocol's minor version: grows with each addition.
pub const MINOR: u16 = 3;
/// The most bytes that one message between tiers may have.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes of one where rows of databases travel: the largest row, as JSON has it.
pub const ROW_MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What wraps every message on a control or queue stream (JSON text frames).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Version, as `[major, minor]`.
    pub v: [u16; 2],
    /// Sender's number of a request; absent on notices and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Number of the request that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<u64>,
    /// Kind of the message; empty on answers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The person's request that caused it, for the logs of all tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<RequestId>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
    /// On an answer: why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Box<Problem>>,
}

/// A message that wants no answer.
pub trait Notice: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind, as the envelope names it.
    const KIND: &'static str;
}

/// A message that is answered once, with its answer or a problem.
pub trait Request: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind, as the envelope names it.
    const KIND: &'static str;
    /// What answers it.
    type Answer: Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// The empty answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

macro_rules! notices {
    ($($name:ty = $kind:literal),+ $(,)?) => {
        $(impl $crate::wire::Notice for $name { const KIND: &'static str = $kind; })+
    };
}
macro_rules! requests {
    ($($name:ty = $kind:literal => $answer:ty),+ $(,)?) => {
        $(impl $crate::wire::Request for $name { const KIND: &'static str = $kind; type Answer = $answer; })+
    };
}
pub(crate) use {notices, requests};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_of_a_newer_node_are_ignored() {
        let text = r#"{"v":[1,7],"id":4,"kind":"probe","novel":{"a":[1]},"body":{"x":1}}"#;
        let envelope: Envelope = serde_json::from_str(text).unwrap();
        assert_eq!((envelope.v, envelope.id), ([1, 7], Some(4)));
        let body = envelope.body.unwrap();
        let _: element_host::Probe = serde_json::from_str(body.get()).unwrap();
    }
}
