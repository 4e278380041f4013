//! The seats of a map and what comes from them.
//!
//! When they are dropped with attempts on them, these are cancelled, and their
//! ends awaited for a moment: a stream that is closed with data unread is
//! reset, and the cancel might be lost with it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream, SelectAll},
};
use gridmart_fabric::frames::FrameSource;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::{
    grid::{Grid, LeaseState},
    map::{
        core::Seat,
        seat::{MapSeat, News},
    },
};

/// How long cancelled attempts may take to end.
const WIND_DOWN: Duration = Duration::from_secs(5);

/// What comes from a seat.
pub(super) enum SeatEvent {
    Message(Bytes),
    Cut,
    Lease(Box<LeaseState>),
}

type Seats = HashMap<Seat, MapSeat>;
type Streams = SelectAll<BoxStream<'static, (Seat, SeatEvent)>>;

/// All seats, and their streams.
pub(super) struct Lines {
    pub(super) seats: Seats,
    pub(super) streams: Streams,
    tasks: TaskTracker,
}

impl Lines {
    pub(super) fn new(grid: &Arc<Grid>) -> Self {
        Self {
            seats: HashMap::new(),
            streams: SelectAll::new(),
            tasks: grid.tasks().clone(),
        }
    }

    /// Slots of the seats that still take parts.
    pub(super) fn slots_held(&self) -> usize {
        let open = self.seats.values().filter(|seat| !seat.spent);
        open.map(|seat| seat.slots).sum()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut seats = std::mem::take(&mut self.seats);
        seats.retain(|_, seat| !seat.is_empty() && !seat.is_cut());
        // Outside a runtime nothing can be waited for.
        if seats.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let streams = std::mem::take(&mut self.streams);
        self.tasks
            .spawn(async move { tokio::time::timeout(WIND_DOWN, wind_down(seats, streams)).await });
    }
}

async fn wind_down(mut seats: Seats, mut streams: Streams) {
    for seat in seats.values_mut() {
        seat.cancel_all("the map was stopped");
        seat.flush();
    }
    let mut news = Vec::new();
    while !seats.is_empty() {
        let Some((id, event)) = streams.next().await else {
            return;
        };
        let Some(seat) = seats.get_mut(&id) else {
            continue;
        };
        let going = match event {
            SeatEvent::Message(message) => seat.on_message(&message, &mut news).is_ok(),
            SeatEvent::Cut => false,
            SeatEvent::Lease(state) => state.over.is_none(),
        };
        for item in news.drain(..) {
            if let News::Ended { channel, .. } = item {
                seat.close_channel(channel);
            }
        }
        seat.flush();
        if !going || seat.is_empty() {
            seats.remove(&id);
        }
    }
}

/// The messages of a stream, and at last its cut.
pub(super) fn messages(seat: Seat, source: FrameSource) -> BoxStream<'static, (Seat, SeatEvent)> {
    stream::unfold(Some(source), move |source| async move {
        let mut source = source?;
        match source.next().await {
            Some(Ok(message)) => Some(((seat, SeatEvent::Message(message)), Some(source))),
            Some(Err(_)) | None => Some(((seat, SeatEvent::Cut), None)),
        }
    })
    .boxed()
}

/// What becomes of a lease.
pub(super) fn lease_states(
    seat: Seat,
    watch: watch::Receiver<LeaseState>,
) -> BoxStream<'static, (Seat, SeatEvent)> {
    stream::unfold(watch, move |mut watch| async move {
        watch.changed().await.ok()?;
        let state = Box::new(watch.borrow_and_update().clone());
        Some(((seat, SeatEvent::Lease(state)), watch))
    })
    .boxed()
}
