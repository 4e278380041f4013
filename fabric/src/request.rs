//! Requests to other nodes' doors: one connection each.

use std::time::Duration;

use bytes::Bytes;
use gridmart_schemas::problem::{Code, Problem};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{task::JoinHandle, time::timeout};
use tokio_tungstenite::tungstenite::{
    handshake::{client::generate_key, derive_accept_key},
    protocol::Role,
};

use crate::{
    identity::PeerIdentity,
    socket::{Socket, SocketLimits},
    tls::{CONNECT_TIMEOUT, Channel, ClientTls, Expected, connect},
    tunnel::{self, Tunnel},
};

/// How long a door may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the next piece of a body may take.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of an answer that is read whole.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

pub(crate) type Answer = http::Response<Incoming>;

/// Drives a connection while somebody wants its answer.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<()>);

impl Driver {
    /// Begins to drive one.
    pub(crate) fn of(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to another node ended early");
            }
        }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn lost(error: &hyper::Error) -> Problem {
    Problem::new(
        Code::Unavailable,
        format!("The connection was lost: {error}."),
    )
}

async fn send(
    channel: Channel,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
    headers: &[(header::HeaderName, HeaderValue)],
) -> Result<(Answer, Driver), Problem> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "gridmart")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    for (name, value) in headers {
        request.headers_mut().insert(name, value.clone());
    }
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(channel)).await?;
        let driver = Driver::of(connection.with_upgrades());
        let answer = sender.send_request(request).await?;
        Ok((answer, driver))
    };
    timeout(ANSWER_TIMEOUT, exchange)
        .await
        .map_err(|_| Problem::new(Code::TimedOut, format!("{path} was not answered in time.")))?
        .map_err(|error: hyper::Error| lost(&error))
}

/// Reads the whole of an answer.
pub(crate) async fn whole(answer: Answer) -> Result<Bytes, Problem> {
    timeout(
        CHUNK_TIMEOUT,
        Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect(),
    )
    .await
    .map_err(|_| Problem::new(Code::TimedOut, "The answer did not come in time."))?
    .map(http_body_util::Collected::to_bytes)
    .map_err(|error| {
        Problem::new(
            Code::Unavailable,
            format!("The answer cannot be read: {error}."),
        )
    })
}

/// What a refusal says.
pub(crate) async fn refusal(answer: Answer) -> Problem {
    let status = answer.status();
    let told = whole(answer)
        .await
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    told.unwrap_or_else(|| {
        let code = if status == StatusCode::NOT_FOUND {
            Code::NotFound
        } else {
            Code::Unavailable
        };
        Problem::new(
            code,
            format!("The other node answered with HTTP status {status}."),
        )
    })
}

/// Sends JSON, reads JSON.
pub(crate) async fn post_json<A: DeserializeOwned>(
    channel: Channel,
    path: &str,
    body: &impl Serialize,
) -> Result<A, Problem> {
    let body = serde_json::to_vec(body)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let json = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )];
    let (answer, _driver) = send(channel, Method::POST, path, Some(body), &json).await?;
    if !answer.status().is_success() {
        return Err(refusal(answer).await);
    }
    serde_json::from_slice(&whole(answer).await?).map_err(|error| {
        Problem::new(
            Code::Unavailable,
            format!("The answer is not of its form: {error}."),
        )
    })
}

/// A body that is being fetched. Dropping it ends the transfer.
#[derive(Debug)]
pub struct Fetched {
    /// Bytes that the door has announced.
    pub length: Option<u64>,
    body: Incoming,
    _driver: Driver,
}

impl Fetched {
    /// The next piece; `None` when the body was complete.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = timeout(CHUNK_TIMEOUT, self.body.frame())
                .await
                .map_err(|_| Problem::new(Code::TimedOut, "The transfer has come to a halt."))?;
            let Some(frame) = frame.transpose().map_err(|error| lost(&error))? else {
                return Ok(None);
            };
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// Begins to fetch what is at `path` of another node's door.
pub async fn fetch(
    endpoints: &[String],
    expected: Expected,
    tls: &ClientTls,
    path: &str,
) -> Result<Fetched, Problem> {
    let (channel, _) = connect(endpoints, expected, tls).await?;
    let (answer, driver) = send(channel, Method::GET, path, None, &[]).await?;
    if answer.status() != StatusCode::OK {
        return Err(refusal(answer).await);
    }
    let length = answer
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    Ok(Fetched {
        length,
        body: answer.into_body(),
        _driver: driver,
    })
}

/// Opens a WebSocket at `path` of another node's door.
pub(crate) async fn dial_socket(
    endpoints: &[String],
    expected: Expected,
    tls: &ClientTls,
    path: &str,
    limits: SocketLimits,
) -> Result<(Socket, PeerIdentity), Problem> {
    let (channel, peer) = connect(endpoints, expected, tls).await?;
    Ok((open_socket(channel, path, limits).await?, peer))
}

/// Opens a WebSocket at `path` of the door at the other end.
pub(crate) async fn open_socket(
    channel: Channel,
    path: &str,
    limits: SocketLimits,
) -> Result<Socket, Problem> {
    let key = generate_key();
    let accept = derive_accept_key(key.as_bytes());
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        ),
        (header::SEC_WEBSOCKET_KEY, header_value(key)?),
    ];
    let (told, upgraded) = Box::pin(switch(channel, path, &headers)).await?;
    if told
        .get(header::SEC_WEBSOCKET_ACCEPT)
        .is_none_or(|value| value.as_bytes() != accept.as_bytes())
    {
        return Err(Problem::new(
            Code::Unavailable,
            format!("{path} was answered by something else than a WebSocket."),
        ));
    }
    // Boxed: a socket is large, and dialling rare.
    Box::pin(Socket::from_upgraded(upgraded, Role::Client, limits)).await
}

/// Opens a tunnel at `path` of another node's door, with the ticket that it
/// asks for, if it asks for one.
pub(crate) async fn dial_tunnel(
    endpoints: &[String],
    expected: Expected,
    tls: &ClientTls,
    path: &str,
    ticket: Option<&str>,
) -> Result<Tunnel, Problem> {
    let (channel, _) = connect(endpoints, expected, tls).await?;
    let mut headers = vec![
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static(tunnel::PROTOCOL)),
    ];
    if let Some(ticket) = ticket {
        let mut shown = header_value(format!("{}{ticket}", tunnel::TICKET_PREFIX))?;
        shown.set_sensitive(true);
        headers.push((header::AUTHORIZATION, shown));
    }
    let (told, upgraded) = Box::pin(switch(channel, path, &headers)).await?;
    if told
        .get(header::UPGRADE)
        .is_none_or(|value| value.as_bytes() != tunnel::PROTOCOL.as_bytes())
    {
        return Err(Problem::new(
            Code::Unavailable,
            format!("{path} was answered by something else than a tunnel."),
        ));
    }
    Tunnel::from_upgraded(upgraded)
}

fn header_value(text: String) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(text).map_err(|error| Problem::new(Code::Internal, error.to_string()))
}

/// Asks the door at the other end to go on with another protocol; gives what
/// its answer says, and the connection.
async fn switch(
    channel: Channel,
    path: &str,
    headers: &[(header::HeaderName, HeaderValue)],
) -> Result<(HeaderMap, Upgraded), Problem> {
    let (answer, _driver) = send(channel, Method::GET, path, None, headers).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answer).await);
    }
    let told = answer.headers().clone();
    let upgraded = timeout(CONNECT_TIMEOUT, hyper::upgrade::on(answer))
        .await
        .map_err(|_| {
            Problem::new(
                Code::TimedOut,
                format!("The stream {path} did not begin in time."),
            )
        })?
        .map_err(|error| lost(&error))?;
    Ok((told, upgraded))
}
