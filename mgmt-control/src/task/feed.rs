//! Looks at what has changed, tells it to whoever watches, and records what
//! people want to read of later.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    api::{
        live::{LiveApplications, LiveEvents, LiveResources, Topic},
        overview::OverviewView,
        resource::ResourceRow,
    },
    id::{Digest, NodeId},
};
use time::OffsetDateTime;

use crate::{
    app::{Control, application::application_list, event::told},
    catalogue::{View, event::EventEntry},
    failure::Failure,
    feed::{
        self,
        history::{History, Whole},
        overview_for,
        ring::Audience,
        rows::RowBook,
        series::look_of,
        turns::TurnBook,
    },
    store::{
        event::{EventFilter, event_page},
        history::{history_list, history_put},
    },
};

/// Name on the task board.
const NAME: &str = "feed";
/// Changes within this time are told together, while somebody watches.
const GATHER: Duration = Duration::from_millis(250);
/// Where so many rows change at a look, the next one waits longer.
const MANY_ROWS: usize = 500;
/// Without anybody who watches, and without a change, it looks so often.
const IDLE: Duration = Duration::from_secs(1);
/// Rows of one message.
const ROWS_MAX: usize = 500;
/// Events that are told at a time; of more, the newest.
const EVENTS_MAX: u32 = 200;
/// How long recording an event may take before the feed goes on without it.
const RECORD_MAX: Duration = Duration::from_secs(5);

/// What was told last.
#[derive(Default)]
struct Told {
    rows: RowBook,
    turns: TurnBook,
    applications: HashMap<Digest, String>,
    overviews: [String; 2],
    /// When the slower things were looked at.
    slowly: Option<Instant>,
    event: u64,
    look: u64,
}

/// Runs until the controller goes down.
pub(crate) async fn run(control: Arc<Control>) {
    let mut changes = (
        control.catalogue.changes(),
        control.catalogue.observed.changes(),
    );
    let mut told = Told::default();
    match control.catalogue.read(history_list).await {
        Ok(steps) => control.feed.history.restore(&steps),
        Err(error) => tracing::warn!(error = %error, "how it was cannot be read"),
    }
    // Whoever is there at the start is no news.
    told.rows.look(&control.catalogue.view());
    loop {
        // Marked as seen first, so that no change during a look is missed.
        changes.0.borrow_and_update();
        changes.1.borrow_and_update();
        let result = look(&control, &mut told).await;
        let rows = *result.as_ref().unwrap_or(&0);
        let result = result.map(|rows| format!("{rows} rows told"));
        if let Err(error) = &result {
            tracing::warn!(error = %error, "what has changed could not be recorded");
        }
        if rows > 0 || result.is_err() {
            control.tasks.on_run(NAME, &result);
        }
        let gather = match (control.feed.seats.is_anybody(), rows) {
            (true, rows) if rows < MANY_ROWS => GATHER,
            _ => IDLE,
        };
        let wait = async {
            tokio::time::sleep(gather).await;
            let either = async {
                tokio::select! {
                    _ = changes.0.changed() => {}
                    _ = changes.1.changed() => {}
                }
            };
            // What was heard grows old without a change.
            let _ = tokio::time::timeout(IDLE.saturating_sub(gather), either).await;
        };
        if control.shutdown.run_until_cancelled(wait).await.is_none() {
            return;
        }
    }
}

/// Gives the rows that were told.
async fn look(control: &Control, told: &mut Told) -> Result<usize, Failure> {
    let view = control.catalogue.view();
    let delta = told.rows.look(&view);
    let rows = delta.changed.len() + delta.gone.len();
    tell_rows(control, delta.changed, delta.gone);
    let events = told.turns.events(delta.turns, &view.catalogue, view.now);
    let recorded = record(control, events).await;
    tell_events(control, told).await?;
    let is_due = |when: Instant| view.now.saturating_duration_since(when) >= IDLE;
    if told.slowly.is_none_or(is_due) {
        told.slowly = Some(view.now);
        tell_overview(control, told);
        tell_applications(control, told);
        note_history(control, told, &view).await?;
    }
    recorded.map(|()| rows)
}

fn tell_rows(control: &Control, changed: Vec<ResourceRow>, gone: Vec<NodeId>) {
    if !control.feed.seats.reads(Topic::Resources) {
        // Whoever comes reads the list first; but nobody reads on over a gap.
        if !changed.is_empty() || !gone.is_empty() {
            control.feed.ring.skip(Topic::Resources);
        }
        return;
    }
    let mut gone = Some(gone).filter(|gone| !gone.is_empty());
    let mut rest = changed.into_iter().peekable();
    while rest.peek().is_some() || gone.is_some() {
        let delta = LiveResources {
            changed: rest.by_ref().take(ROWS_MAX).collect(),
            gone: gone.take().unwrap_or_default(),
        };
        control.feed.tell(Topic::Resources, Audience::All, &delta);
    }
}

async fn record(control: &Control, events: Vec<EventEntry>) -> Result<(), Failure> {
    if events.is_empty() || control.catalogue.ailment().is_some() {
        return Ok(());
    }
    let recorded = control.catalogue.update(move |update| {
        for event in &events {
            update.put_event(event)?;
        }
        Ok(())
    });
    match tokio::time::timeout(RECORD_MAX, recorded).await {
        Ok(recorded) => recorded,
        Err(error) => Err(Failure::internal("recording events", &error)),
    }
}

async fn tell_events(control: &Control, told: &mut Told) -> Result<(), Failure> {
    let newest = control.catalogue.snapshot().newest_event;
    if newest == told.event {
        return Ok(());
    }
    let filter = EventFilter {
        since: told.event,
        limit: EVENTS_MAX,
        ..EventFilter::default()
    };
    let mut fresh = control
        .catalogue
        .read(move |store| event_page(store, &filter))
        .await?;
    fresh.reverse();
    control.feed.on_events(&fresh);
    // Those of before the start are shown, but no news.
    let is_news = std::mem::replace(&mut told.event, newest) > 0 || told.slowly.is_some();
    if is_news {
        for operator in [true, false] {
            let seen = fresh
                .iter()
                .filter(|event| operator || feed::is_open(event));
            let events: Vec<_> = seen
                .cloned()
                .map(|event| self::told(event, operator))
                .collect();
            if !events.is_empty() {
                let events = LiveEvents { events };
                control
                    .feed
                    .tell(Topic::Events, audience(operator), &events);
            }
        }
    }
    Ok(())
}

const fn audience(operator: bool) -> Audience {
    if operator {
        Audience::Operators
    } else {
        Audience::Others
    }
}

fn tell_overview(control: &Control, told: &mut Told) {
    if !control.feed.seats.reads(Topic::Overview) {
        return;
    }
    let whole = control.feed.overview(control);
    for (operator, last) in [true, false].into_iter().zip(&mut told.overviews) {
        let shown: OverviewView = overview_for(&whole, operator);
        let text = serde_json::to_string(&shown).unwrap_or_default();
        if text != *last {
            last.clone_from(&text);
            control
                .feed
                .ring
                .push(Topic::Overview, audience(operator), text);
        }
    }
}

fn tell_applications(control: &Control, told: &mut Told) {
    if !control.feed.seats.reads(Topic::Applications) {
        if !told.applications.is_empty() {
            told.applications.clear();
            control.feed.ring.skip(Topic::Applications);
        }
        return;
    }
    // Whoever has just come may have read a list of before.
    let whole = told.applications.is_empty();
    let mut before = std::mem::take(&mut told.applications);
    let mut delta = LiveApplications {
        whole,
        ..LiveApplications::default()
    };
    for version in application_list(control) {
        let text = serde_json::to_string(&version).unwrap_or_default();
        if before.remove(&version.digest).as_ref() != Some(&text) {
            delta.changed.push(version.clone());
        }
        told.applications.insert(version.digest, text);
    }
    delta.gone = before.into_keys().collect();
    if !delta.changed.is_empty() || !delta.gone.is_empty() {
        control
            .feed
            .tell(Topic::Applications, Audience::All, &delta);
    }
}

async fn note_history(control: &Control, told: &mut Told, view: &View) -> Result<(), Failure> {
    let now = OffsetDateTime::now_utc();
    let look = look_of(now);
    if look == told.look {
        return Ok(());
    }
    told.look = look;
    let overview = control.feed.overview(control);
    let (ended, failed) = control.feed.pulse.rates(view.now);
    let whole = Whole {
        running: overview.calls.running,
        waiting: overview.calls.waiting,
        used_slots: overview.compute.used_slots,
        storage_used_bytes: overview.storage.used_bytes,
        away: overview.kinds.iter().map(|kind| kind.counts.away).sum(),
        calls_per_second: ended,
        failures_per_second: failed,
    };
    let beat = control.feed.pulse.beat(view.now);
    let ended = control.feed.history.look(view, whole, &beat, now);
    let Some(step) = ended.filter(|_| control.catalogue.ailment().is_none()) else {
        return Ok(());
    };
    let oldest = History::oldest_step(now);
    let kept = control
        .catalogue
        .update(move |update| Ok(history_put(update.transaction(), &step, oldest)?));
    match tokio::time::timeout(RECORD_MAX, kept).await {
        Ok(kept) => kept,
        Err(error) => Err(Failure::internal("keeping how it was", &error)),
    }
}
