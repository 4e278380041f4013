//! Messages that came in, and answers to them.

use gridmart_schemas::{
    id::RequestId,
    problem::{Code, Problem},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

/// A request or a notice, still unread.
#[derive(Debug)]
pub struct Incoming {
    /// The kind, to be compared with `R::KIND`.
    pub kind: String,
    /// The message.
    pub body: Option<Box<RawValue>>,
    /// The person's request that caused it.
    pub request: Option<RequestId>,
}

impl Incoming {
    /// Reads the message; unknown fields are ignored.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let text = self.body.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(text).map_err(|error| {
            Problem::new(
                Code::InvalidRequest,
                format!("The message {} cannot be read: {error}.", self.shown_kind()),
            )
        })
    }

    /// The refusal of a kind that nobody here knows.
    pub fn unknown(&self) -> Problem {
        Problem::new(
            Code::UnknownMessage,
            format!("Messages of kind {} are unknown here.", self.shown_kind()),
        )
    }

    fn shown_kind(&self) -> String {
        self.kind.chars().take(64).collect()
    }
}

/// Makes an answer.
pub fn reply<T: Serialize>(answer: &T) -> Result<Box<RawValue>, Problem> {
    to_raw_value(answer).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        Problem::new(Code::Internal, "The answer cannot be written.")
    })
}
