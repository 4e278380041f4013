//! From a request to a WebSocket, or to a tunnel.

use std::time::Duration;

use gridmart_schemas::problem::{Code, Problem};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{handshake::derive_accept_key, protocol::Role};

use super::{Request, Response, empty_response};
use crate::{
    socket::{Socket, SocketLimits},
    tunnel::{self, Tunnel},
};

/// How long the answer to an upgrade may take to leave.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// A WebSocket that is there once the answer has left.
#[derive(Debug)]
pub struct PendingSocket {
    upgraded: OnUpgrade,
    limits: SocketLimits,
}

impl PendingSocket {
    /// Waits for the WebSocket. The answer has to be returned first: await this
    /// in a task of its own.
    pub async fn socket(self) -> Result<Socket, Problem> {
        let upgraded = begun(self.upgraded).await?;
        Socket::from_upgraded(upgraded, Role::Server, self.limits).await
    }
}

/// A tunnel that is there once the answer has left.
#[derive(Debug)]
pub struct PendingTunnel {
    upgraded: OnUpgrade,
}

impl PendingTunnel {
    /// Waits for the tunnel. The answer has to be returned first: await this in
    /// a task of its own.
    pub async fn tunnel(self) -> Result<Tunnel, Problem> {
        Tunnel::from_upgraded(begun(self.upgraded).await?)
    }
}

async fn begun(upgraded: OnUpgrade) -> Result<Upgraded, Problem> {
    timeout(UPGRADE_TIMEOUT, upgraded)
        .await
        .map_err(|_| Problem::new(Code::TimedOut, "The stream did not begin in time."))?
        .map_err(|error| {
            Problem::new(
                Code::Unavailable,
                format!("The stream did not begin: {error}."),
            )
        })
}

/// The ticket that a request for a tunnel shows.
pub fn ticket_shown(request: &Request) -> Result<&str, Problem> {
    let shown = request.headers().get(header::AUTHORIZATION);
    shown
        .and_then(|value| value.to_str().ok()?.strip_prefix(tunnel::TICKET_PREFIX))
        .ok_or_else(|| {
            Problem::new(
                Code::Unauthenticated,
                "This address is for holders of a ticket, and none was shown.",
            )
        })
}

/// Agrees to make a tunnel of this request's connection.
pub fn tunnel(request: &mut Request) -> Result<(Response, PendingTunnel), Problem> {
    let headers = request.headers();
    let asked = request.method() == Method::GET
        && names(headers, header::UPGRADE, tunnel::PROTOCOL)
        && names(headers, header::CONNECTION, "upgrade");
    if !asked {
        return Err(Problem::new(
            Code::InvalidRequest,
            format!(
                "This address is for tunnels ({}), and none was asked for.",
                tunnel::PROTOCOL
            ),
        ));
    }
    let mut response = empty_response(StatusCode::SWITCHING_PROTOCOLS);
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static(tunnel::PROTOCOL));
    let upgraded = hyper::upgrade::on(request);
    Ok((response, PendingTunnel { upgraded }))
}

/// Agrees to make a WebSocket of this request's connection.
pub fn upgrade(
    request: &mut Request,
    limits: SocketLimits,
) -> Result<(Response, PendingSocket), Problem> {
    let headers = request.headers();
    let asked = request.method() == Method::GET
        && names(headers, header::UPGRADE, "websocket")
        && names(headers, header::CONNECTION, "upgrade")
        && names(headers, header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|_| asked)
        .ok_or_else(|| {
            Problem::new(
                Code::InvalidRequest,
                "This address is for WebSockets, version 13, and none was asked for.",
            )
        })?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let mut response = empty_response(StatusCode::SWITCHING_PROTOCOLS);
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok((
        response,
        PendingSocket {
            upgraded: hyper::upgrade::on(request),
            limits,
        },
    ))
}

/// Whether a header's comma-separated list has this word.
fn names(headers: &HeaderMap, header: header::HeaderName, word: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(word))
}
