//! What changes, as it changes: server-sent events out of the feed's ring.
//!
//! A stream has no buffer of its own: it reads the ring when its reader takes
//! more, and whoever is too slow is told to read the lists anew.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{HeaderName, HeaderValue},
    web::{Bytes, Data, Query},
};
use futures_util::stream;
use gridmart_schemas::{
    api::live::{LiveApplications, LiveBegin, LiveCalls, LiveEvents, LiveResources, Topic},
    id::TokenId,
    role::Role,
};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::{sync::watch, time::Instant};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    answer::{Refusal, Refusals, malformed},
    authorization::{self as allow, Allowed},
};
use crate::{
    app::Control,
    feed::{ring::Found, seats::Seat},
};

/// A comment is sent so often: a stream without one for longer is dead.
const BEAT: Duration = Duration::from_secs(10);
/// How often it is looked whether the reader may read still.
const LOOK: Duration = Duration::from_secs(1);
/// What a browser gives back when it comes again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What is told, and from where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LiveQuery {
    /// `overview`, `resources`, `calls`, `applications`, `events`, with commas
    /// between them.
    topics: String,
    /// The id of the last event that was read, as the header `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// Tells what changes, as it changes: server-sent events. It begins with
/// `hello`, or goes on behind `last_event_id`; `reset` says that something was
/// missed. Each ten seconds there is a comment at least.
#[utoipa::path(tag = "watching", security(("token" = [])), params(LiveQuery),
    responses((status = 200, description = "Events `hello` and `reset` (LiveBegin), `overview` (OverviewView), `resources` (LiveResources), `calls` (LiveCalls), `applications` (LiveApplications), `events` (LiveEvents)",
        body = String, content_type = "text/event-stream"), Refusals))]
#[get("/api/v1/live")]
pub(super) async fn live(
    request: HttpRequest,
    allowed: Allowed<allow::Live>,
    control: Data<Control>,
    query: Query<LiveQuery>,
) -> Result<HttpResponse, Refusal> {
    let LiveQuery {
        topics,
        last_event_id,
    } = query.into_inner();
    let topics: Vec<Topic> = topics
        .split(',')
        .map(|topic| topic.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|error| malformed("query", &error))?;
    // Before anything is read: what changes from now on is told.
    let seat = control.feed.seats.take(&allowed.actor.name, &topics)?;
    let header = request.headers().get(&LAST_EVENT_ID);
    let last = header
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
        .or(last_event_id);
    let (changes, now) = (control.feed.ring.changes(), Instant::now());
    let mut reader = Reader {
        control: control.into_inner(),
        topics,
        role: allowed.actor.role,
        token: allowed.token().id,
        last: 0,
        begun: None,
        beat: now + BEAT,
        changes,
        _seat: seat,
    };
    reader.begin(last.as_deref());
    let events = stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), reader))
    });
    let mut response = HttpResponse::Ok();
    response.content_type("text/event-stream");
    // A proxy in front is not to gather it.
    let header = HeaderName::from_static("x-accel-buffering");
    response.insert_header((header, HeaderValue::from_static("no")));
    Ok(response.streaming(events))
}

/// One stream.
struct Reader {
    control: Arc<Control>,
    topics: Vec<Topic>,
    role: Role,
    token: TokenId,
    /// What was read of the ring.
    last: u64,
    /// What is to be said first.
    begun: Option<String>,
    /// When a comment is due.
    beat: Instant,
    changes: watch::Receiver<u64>,
    _seat: Seat,
}

impl Reader {
    /// Goes on where the reader was, as far as that is known still.
    fn begin(&mut self, last: Option<&str>) {
        let ring = &self.control.feed.ring;
        let Some(last) = last else {
            self.last = ring.newest();
            self.begun = Some(self.note("hello"));
            return;
        };
        let known = last
            .split_once('-')
            .filter(|(epoch, _)| *epoch == ring.epoch)
            .and_then(|(_, sequence)| sequence.parse().ok())
            .filter(|last| !ring.has_skipped(&self.topics, *last))
            .filter(|last| matches!(ring.after(*last), Found::Messages(_)));
        match known {
            Some(last) => {
                self.last = last;
                // So that headers and all are seen to have arrived.
                self.begun = Some(": goes on\n\n".to_owned());
            }
            None => self.reset(),
        }
    }

    fn reset(&mut self) {
        self.last = self.control.feed.ring.newest();
        self.begun = Some(self.note("reset"));
    }

    fn note(&self, event: &str) -> String {
        let begin = LiveBegin {
            epoch: self.control.feed.ring.epoch.clone(),
            sequence: self.last,
        };
        let mut text = String::new();
        let data = serde_json::to_string(&begin).unwrap_or_default();
        self.write(&mut text, self.last, event, &data);
        text
    }

    fn write(&self, into: &mut String, sequence: u64, event: &str, data: &str) {
        let epoch = &self.control.feed.ring.epoch;
        // Writing to a string does not fail.
        let _ = write!(
            into,
            "id: {epoch}-{sequence}\nevent: {event}\ndata: {data}\n\n"
        );
    }

    /// What is sent next; nothing: the stream is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            if !self.may_read() {
                return None;
            }
            if let Some(begun) = self.begun.take() {
                return Some(self.sent(begun));
            }
            self.changes.borrow_and_update();
            match self.control.feed.ring.after(self.last) {
                Found::Missed => {
                    self.reset();
                    continue;
                }
                Found::Messages(messages) if !messages.is_empty() => {
                    let mut text = String::new();
                    for message in messages {
                        self.last = message.sequence;
                        if self.topics.contains(&message.topic) && message.audience.has(self.role) {
                            let event = message.topic.as_str();
                            self.write(&mut text, message.sequence, event, &message.text);
                        }
                    }
                    if !text.is_empty() {
                        return Some(self.sent(text));
                    }
                    continue;
                }
                Found::Messages(_) => {}
            }
            if Instant::now() >= self.beat {
                return Some(self.sent(": alive\n\n".to_owned()));
            }
            let until = self.beat.min(Instant::now() + LOOK);
            tokio::select! {
                () = self.control.shutdown.cancelled() => return None,
                _ = self.changes.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    fn sent(&mut self, text: String) -> String {
        self.beat = Instant::now() + BEAT;
        text
    }

    /// A stream ends with what it was opened with; another role opens another.
    fn may_read(&self) -> bool {
        let catalogue = self.control.catalogue.snapshot();
        let token = catalogue.api_tokens.get(&self.token);
        let Some(token) = token.filter(|token| !token.is_over(OffsetDateTime::now_utc())) else {
            return false;
        };
        let person = catalogue.people.get(&token.person);
        let may = person.is_some_and(|person| person.enabled && person.role == self.role);
        may && !self.control.shutdown.is_cancelled()
    }
}

/// What events say, for the API document.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    fn add<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
        all.push((T::name().into_owned(), T::schema()));
        T::schemas(all);
    }
    let mut all = Vec::new();
    add::<LiveBegin>(&mut all);
    add::<LiveResources>(&mut all);
    add::<LiveCalls>(&mut all);
    add::<LiveApplications>(&mut all);
    add::<LiveEvents>(&mut all);
    all
}
