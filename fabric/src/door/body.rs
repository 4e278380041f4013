//! Bodies that are handled as they come and as they go, piece by piece.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use gridmart_schemas::problem::{Code, Problem};
use http::{HeaderValue, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Request, Response};

/// How long the next piece of a body may take.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a body in a second, on the whole: who sends less is put out.
const PACE_BYTES: u64 = 16 * 1024;
/// How long a body that nobody wants is read, so that its sender hears why.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// A body as it comes in. Holds no more than the piece that came last.
#[derive(Debug)]
pub struct BodyPieces {
    body: Incoming,
    bytes_max: u64,
    bytes: u64,
    begun: Instant,
}

impl BodyPieces {
    /// Takes the body of a request, of at most `bytes_max` bytes; one that is
    /// announced to be larger is refused at once.
    pub fn new(request: Request, bytes_max: u64) -> Result<Self, Problem> {
        let body = request.into_body();
        if body.size_hint().lower() > bytes_max {
            return Err(too_large(bytes_max));
        }
        Ok(Self {
            body,
            bytes_max,
            bytes: 0,
            begun: Instant::now(),
        })
    }

    /// The next piece; `None` when the body was complete.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let late = || Problem::new(Code::TimedOut, "The request's body comes too slowly.");
            let paced = Duration::from_secs(self.bytes / PACE_BYTES);
            let until = (Instant::now() + PIECE_TIMEOUT).min(self.begun + PIECE_TIMEOUT + paced);
            let frame = timeout_at(until, self.body.frame())
                .await
                .map_err(|_| late())?;
            let frame = frame.transpose().map_err(|error| {
                Problem::new(
                    Code::InvalidRequest,
                    format!("The request's body cannot be read: {error}."),
                )
            })?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            if let Ok(piece) = frame.into_data() {
                self.bytes = self.bytes.saturating_add(piece.len() as u64);
                if self.bytes > self.bytes_max {
                    return Err(too_large(self.bytes_max));
                }
                return Ok(Some(piece));
            }
        }
    }

    /// Reads the rest and forgets it, for a moment and within the bound: a
    /// refusal is heard by who has sent all, and may be lost on who has not.
    pub async fn drain(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.next().await {} };
        let _ = timeout(DRAIN_TIME_MAX, rest).await;
    }
}

fn too_large(bytes_max: u64) -> Problem {
    Problem::new(
        Code::TooLarge,
        format!("The request's body is over the limit of {bytes_max} bytes."),
    )
}

/// An answer whose body is made while it is sent; an error cuts it off.
pub fn stream_response(
    content_type: &'static str,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Response {
    let mut response = Response::new(StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
