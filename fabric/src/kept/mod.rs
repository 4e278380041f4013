//! Requests to one node's door over connections that are kept between them.
//!
//! Invariants: no more connections than stated, none waited for without end; a
//! transfer may take as long as its bytes move; every request may be repeated
//! without harm, and is, once, when it was the first on a connection that had
//! idled and failed there.

mod answer;
mod body;
mod pool;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gridmart_schemas::problem::{Code, Problem};
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

pub(crate) use self::answer::AnswerBody;
use self::{
    body::Pieces,
    pool::{Pool, Taken},
};
use crate::{
    request::{Answer, refusal, whole},
    tls::{ClientTls, Expected},
    tunnel::TICKET_PREFIX,
};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The bounds of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Connections to the Host at a time.
    pub connections: usize,
    /// How long a request may wait for one.
    pub place: Duration,
    /// Connections that idled for this long are not used again; less than
    /// doors let them idle.
    pub idle: Duration,
    /// A transfer in which nothing moves for this long is given up; after the
    /// last byte was sent, how long its answer may take. May be exceeded once
    /// by as much.
    pub progress: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: 4,
            place: Duration::from_secs(30),
            idle: Duration::from_secs(5),
            progress: Duration::from_secs(30),
        }
    }
}

/// What is sent; may be sent again.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// What programs show.
    pub(crate) ticket: Option<&'a str>,
    pub(crate) kind: HeaderValue,
    pub(crate) pieces: Vec<Bytes>,
}

impl<'a> Request<'a> {
    /// One without a body.
    pub(crate) const fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            ticket: None,
            kind: BYTES,
            pieces: Vec::new(),
        }
    }

    fn http(&self) -> Result<http::Request<Pieces>, Problem> {
        let fault = |error: String| Problem::new(Code::Internal, error);
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(self.path)
            .header(header::HOST, "gridmart")
            .header(header::CONTENT_TYPE, self.kind.clone())
            .body(Pieces::new(self.pieces.clone()))
            .map_err(|error| fault(error.to_string()))?;
        if let Some(ticket) = self.ticket {
            let mut shown = HeaderValue::try_from(format!("{TICKET_PREFIX}{ticket}"))
                .map_err(|error| fault(error.to_string()))?;
            shown.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, shown);
        }
        Ok(request)
    }
}

/// A way to one door. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pool: Arc<Pool>,
}

impl Kept {
    /// To the expected node, whose door is at one of the endpoints. Nothing is
    /// dialled yet.
    pub(crate) fn new(
        endpoints: Vec<String>,
        expected: Expected,
        tls: ClientTls,
        limits: ClientLimits,
    ) -> Self {
        Self {
            pool: Arc::new(Pool::new(endpoints, expected, tls, limits)),
        }
    }

    /// Sends a request, and reads its answer as JSON.
    pub(crate) async fn json<A: DeserializeOwned>(
        &self,
        request: &Request<'_>,
    ) -> Result<A, Problem> {
        let (answer, taken) = self.exchange(request).await?;
        read_json(answer, taken).await
    }

    /// Sends a request; gives the head of its answer, and the body as it comes.
    pub(crate) async fn pieces(
        &self,
        request: &Request<'_>,
    ) -> Result<(http::response::Parts, AnswerBody), Problem> {
        let (answer, taken) = self.exchange(request).await?;
        let (head, body) = answer.into_parts();
        let progress = self.pool.limits().progress;
        Ok((head, AnswerBody::new(body, taken, progress)))
    }

    /// Sends a request whose body of so many bytes comes while it is sent, which
    /// is sent once, and reads its answer as JSON.
    pub(crate) async fn json_of_stream<A: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        bytes: u64,
        source: mpsc::Receiver<Bytes>,
    ) -> Result<A, Problem> {
        let mut taken = self.pool.take().await?;
        if taken.has_idled() {
            taken = taken.renewed().await?;
        }
        let request_sent = request.http()?.map(|_| Pieces::streamed(bytes, source));
        let sent = taken.send(request_sent).await;
        let answer = sent.map_err(|error| error.problem(request.path))?;
        read_json(accepted(answer).await?, taken).await
    }

    /// Sends a request; gives what is no refusal, and the connection that it
    /// is still coming on.
    async fn exchange(&self, request: &Request<'_>) -> Result<(Answer, Taken), Problem> {
        let mut taken = self.pool.take().await?;
        let mut sent = taken.send(request.http()?).await;
        if taken.has_idled() && sent.as_ref().is_err_and(pool::SendError::is_lost) {
            // The node may have closed it at that moment.
            taken = taken.renewed().await?;
            sent = taken.send(request.http()?).await;
        }
        let answer = sent.map_err(|error| error.problem(request.path))?;
        Ok((accepted(answer).await?, taken))
    }
}

/// What is no refusal.
async fn accepted(answer: Answer) -> Result<Answer, Problem> {
    if answer.status() != StatusCode::OK {
        return Err(refusal(answer).await);
    }
    Ok(answer)
}

async fn read_json<A: DeserializeOwned>(answer: Answer, taken: Taken) -> Result<A, Problem> {
    let bytes = whole(answer).await?;
    taken.give_back();
    serde_json::from_slice(&bytes).map_err(|error| formless(&error.to_string()))
}

/// A value as the body of a request.
pub(crate) fn json(value: &impl Serialize) -> Result<Bytes, Problem> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

pub(crate) fn formless(what: &str) -> Problem {
    Problem::new(
        Code::Unavailable,
        format!("The answer is not of its form: {what}."),
    )
}
