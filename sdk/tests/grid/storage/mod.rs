//! Objects: put, got, listed; with Hosts lost, blocks damaged, streams cut and
//! tickets ended.

mod buckets;
mod element;
mod get;
mod host;
mod put;
mod uploads;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use gridmart_sdk::{Client, Settings, Storage, schemas::storage::Redundancy};
use tokio::io::{AsyncRead, ReadBuf};

use self::{element::Element, host::Shelf};
use crate::{controller::Controller, nodes::Site};

/// A bucket `photos` on some Hosts.
struct Scene {
    controller: Arc<Controller>,
    element: Arc<Element>,
    client: Client,
    storage: Storage,
    state: tempfile::TempDir,
    _site: Site,
}

impl Scene {
    async fn start(hosts: usize, redundancy: Redundancy) -> Self {
        let site = Site::new();
        let mut shelves = Vec::new();
        for _ in 0..hosts {
            shelves.push(Shelf::start(&site).await);
        }
        let element = Element::start(&site, shelves, redundancy).await;
        let controller = Controller::start(&site, Vec::new()).await;
        *controller.bucket.lock() = Some((element.access.clone(), element.way()));
        let state = tempfile::tempdir().unwrap();
        let settings = Settings {
            uploads: Some(state.path().to_owned()),
            ..Settings::new(&controller.url, "token")
        };
        let client = Client::connect(settings).unwrap();
        Self {
            storage: client.storage(),
            controller,
            element,
            client,
            state,
            _site: site,
        }
    }

    /// Enough Hosts for 2+1, and two more.
    async fn usual() -> Self {
        Self::start(5, Redundancy::rs(2, 1).unwrap()).await
    }

    fn host(&self, at: usize) -> &Shelf {
        &self.element.hosts[at]
    }
}

/// Bytes of which no two stretches are alike.
fn pattern(bytes: usize) -> Bytes {
    let mut whole = Vec::with_capacity(bytes + 8);
    let mut at = 0_u64;
    while whole.len() < bytes {
        whole.extend_from_slice(&at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        at += 1;
    }
    Bytes::from(whole).slice(..bytes)
}

/// Gives a pattern, and tells how much of it was taken.
struct Tap {
    content: Bytes,
    taken: Arc<AtomicU64>,
    /// Fails at its end instead of ending.
    breaks: bool,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.breaks && self.content.is_empty() {
            return Poll::Ready(Err(std::io::Error::other("the pipe broke")));
        }
        let length = self.content.len().min(buffer.remaining()).min(1 << 20);
        let piece = self.content.split_to(length);
        buffer.put_slice(&piece);
        self.taken.fetch_add(length as u64, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}
