//! Connections to one Host, kept alive between requests.

use std::sync::Arc;

use gridmart_schemas::problem::{Code, Problem};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{ClientLimits, body::Pieces};
use crate::{
    request::{Answer, Driver, lost},
    tls::{CONNECT_TIMEOUT, ClientTls, Expected, connect},
};

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// The connection was lost.
    Lost(hyper::Error),
    /// Nothing moved for too long.
    TimedOut,
}

impl SendError {
    pub(super) const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    pub(super) fn problem(&self, path: &str) -> Problem {
        match self {
            Self::Lost(error) => lost(error),
            Self::TimedOut => Problem::new(
                Code::TimedOut,
                format!("{path} has come to a halt, or was not answered in time."),
            ),
        }
    }
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Pieces>,
    _driver: Driver,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pool {
    endpoints: Vec<String>,
    expected: Expected,
    tls: ClientTls,
    limits: ClientLimits,
    /// One for each connection that is in use.
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    pub(super) fn new(
        endpoints: Vec<String>,
        expected: Expected,
        tls: ClientTls,
        limits: ClientLimits,
    ) -> Self {
        Self {
            endpoints,
            expected,
            tls,
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            idle: Mutex::default(),
        }
    }

    pub(super) const fn limits(&self) -> &ClientLimits {
        &self.limits
    }

    /// A connection, once there is a place.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Taken, Problem> {
        let place = timeout(self.limits.place, self.places.clone().acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| {
                let detail = format!(
                    "All connections to {} were in use for {} s.",
                    self.expected.0,
                    self.limits.place.as_secs()
                );
                Problem::new(Code::Busy, detail)
            })?;
        let idle = self.idle().await;
        let has_idled = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.dial().await?,
        };
        Ok(Taken {
            connection,
            has_idled,
            pool: self.clone(),
            place,
        })
    }

    /// The one that idled least and is still good.
    async fn idle(&self) -> Option<Connection> {
        loop {
            let mut connection = self.newest_idle()?;
            // Its last answer was read: it is ready at once, or never.
            let ready = timeout(self.limits.progress, connection.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(connection);
            }
        }
    }

    fn newest_idle(&self) -> Option<Connection> {
        let mut all = self.idle.lock();
        all.retain(|idle| {
            idle.since.elapsed() < self.limits.idle && !idle.connection.sender.is_closed()
        });
        Some(all.pop()?.connection)
    }

    async fn dial(&self) -> Result<Connection, Problem> {
        let (channel, _) = connect(&self.endpoints, self.expected, &self.tls).await?;
        let shaken = timeout(CONNECT_TIMEOUT, http1::handshake(TokioIo::new(channel)));
        let (sender, connection) = shaken
            .await
            .map_err(|_| Problem::new(Code::TimedOut, "The connection did not begin in time."))?
            .map_err(|error| lost(&error))?;
        Ok(Connection {
            sender,
            _driver: Driver::of(connection),
        })
    }
}

/// A connection in use. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Taken {
    connection: Connection,
    has_idled: bool,
    pool: Arc<Pool>,
    place: OwnedSemaphorePermit,
}

impl Taken {
    /// Whether it was kept from an earlier request.
    pub(super) const fn has_idled(&self) -> bool {
        self.has_idled
    }

    /// Another one in its place, newly dialled. What idles is most likely as
    /// dead as this one.
    pub(super) async fn renewed(self) -> Result<Self, Problem> {
        let Self { pool, place, .. } = self;
        pool.idle.lock().clear();
        Ok(Self {
            connection: pool.dial().await?,
            has_idled: false,
            pool,
            place,
        })
    }

    /// Sends a request and waits for the head of its answer, as long as bytes
    /// move.
    pub(super) async fn send(
        &mut self,
        request: http::Request<Pieces>,
    ) -> Result<Answer, SendError> {
        let progress = request.body().progress();
        let limit = self.pool.limits.progress;
        let sending = self.connection.sender.send_request(request);
        tokio::pin!(sending);
        loop {
            let before = progress.bytes();
            match timeout(limit, &mut sending).await {
                Ok(answer) => return answer.map_err(SendError::Lost),
                Err(_) if progress.bytes() != before => {}
                Err(_) => return Err(SendError::TimedOut),
            }
        }
    }

    /// Keeps it for the next request; its answer has to be read to the end.
    pub(super) fn give_back(self) {
        let Self {
            connection,
            pool,
            place,
            ..
        } = self;
        if !connection.sender.is_closed() {
            pool.idle.lock().push(Idle {
                connection,
                since: Instant::now(),
            });
        }
        // Only now may another one be dialled.
        drop(place);
    }
}
