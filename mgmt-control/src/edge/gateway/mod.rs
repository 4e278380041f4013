//! What browsers ask of Elements and Hosts, through the controller's gateway: HTTP in,
//! the SDK's client of the session out.

pub(super) mod call;
pub(super) mod object;
mod range;
pub(super) mod statement;
pub(super) mod upload;

use actix_web::web::{Data, Payload};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use gridmart_schemas::problem::{Code, Problem};
use serde::de::DeserializeOwned;

use super::{
    answer::{Refusal, malformed},
    authorization::{Action, Allowed},
};
use crate::{app::Control, gateway::Turn};

/// The session's client, for this request.
fn turn<A: Action>(control: &Data<Control>, allowed: &Allowed<A>) -> Result<Turn, Problem> {
    control.gateway.turn(control, &allowed.signed_in())
}

/// Reads a JSON body of at most so many bytes.
async fn read_json<T: DeserializeOwned>(mut body: Payload, most: usize) -> Result<T, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| malformed("body", &error))?;
        if bytes.len() + piece.len() > most {
            let detail = format!("This body has {most} bytes at most.");
            return Err(Problem::new(Code::TooLarge, detail).into());
        }
        bytes.extend_from_slice(&piece);
    }
    serde_json::from_slice(&bytes).map_err(|error| malformed("body", &error))
}
