//! What changes, told to whoever watches: found once for all readers, kept in
//! one ring of bounded size from which each reads at its own pace.
//!
//! Nothing here decides anything: the lists are the truth, the feed says when
//! to look and what is new. A reader that is too slow is told to read the
//! lists anew, never waited for.

pub mod history;
pub(crate) mod pulse;
pub(crate) mod ring;
pub(crate) mod rows;
pub(crate) mod seats;
pub(crate) mod series;
pub(crate) mod turns;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::api::{event::EventView, live::Topic, overview::OverviewView};
use parking_lot::Mutex;
use serde::Serialize;

use self::{
    history::History,
    pulse::Pulse,
    ring::{Audience, Ring},
    seats::Seats,
};
use crate::{
    app::{
        Control,
        event::told,
        overview::{Seen, overview},
    },
    catalogue::View,
};

/// An overview serves so long.
const OVERVIEW_LIFE: Duration = Duration::from_secs(1);
/// Events that the overview shows.
pub(crate) const EVENTS_SHOWN: usize = 20;

/// What changes, and who watches.
#[derive(Default)]
pub struct Feed {
    /// What was told lately.
    pub(crate) ring: Ring,
    /// Who reads.
    pub(crate) seats: Arc<Seats>,
    /// How many calls end.
    pub(crate) pulse: Pulse,
    /// How it was.
    pub(crate) history: History,
    /// The last events, newest first.
    events: Mutex<VecDeque<EventView>>,
    made: Mutex<Option<(Instant, Arc<OverviewView>)>>,
}

impl Feed {
    /// Tells everybody who may know.
    pub(crate) fn tell(&self, topic: Topic, audience: Audience, what: &impl Serialize) {
        match serde_json::to_string(what) {
            Ok(text) => self.ring.push(topic, audience, text),
            Err(error) => tracing::error!(error = %error, topic = %topic, "it cannot be told"),
        }
    }

    /// Takes events that are in the store, oldest first.
    pub(crate) fn on_events(&self, fresh: &[EventView]) {
        let mut events = self.events.lock();
        for event in fresh {
            events.push_front(event.clone());
        }
        events.truncate(EVENTS_SHOWN);
    }

    /// The overview, a second old at most.
    pub(crate) fn overview(&self, control: &Control) -> Arc<OverviewView> {
        let mut made = self.made.lock();
        let view = control.catalogue.view();
        if let Some((when, known)) = &*made
            && view.now.saturating_duration_since(*when) < OVERVIEW_LIFE
        {
            return Arc::clone(known);
        }
        let fresh = Arc::new(self.overview_of(&view, control));
        *made = Some((view.now, Arc::clone(&fresh)));
        fresh
    }

    fn overview_of(&self, view: &View, control: &Control) -> OverviewView {
        overview(Seen {
            view,
            beat: self.pulse.beat(view.now),
            ailment: control.catalogue.ailment(),
            certificate_life: control.certificate_lifetime,
            events: self.events.lock().iter().cloned().collect(),
        })
    }
}

/// The overview as a role may see it: what people do with goods and calls, and
/// who did what, is the operators' affair.
pub(crate) fn overview_for(whole: &OverviewView, operator: bool) -> OverviewView {
    let mut shown = whole.clone();
    if !operator {
        shown.events.retain(is_open);
        shown.events = shown
            .events
            .into_iter()
            .map(|event| told(event, false))
            .collect();
    }
    shown
}

/// Whether everybody is told of an event.
pub(crate) fn is_open(event: &EventView) -> bool {
    const OPEN: [&str; 4] = ["resource.", "application.", "node.", "layout."];
    OPEN.iter().any(|kind| event.kind.starts_with(kind))
}
