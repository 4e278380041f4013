//! What changes, as it changes; the overview, events and history.

use futures_util::StreamExt as _;
use gridmart_schemas::problem::Code;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    element::{SimElement, host},
    grid::{DEADLINE, Grid, Person, command, wait_for},
};

/// A live stream, read event by event.
struct Stream {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(grid: &Grid, person: &Person, query: &str, last: Option<&str>) -> Self {
        Self::try_open(grid, person, query, last).await.unwrap()
    }

    async fn try_open(
        grid: &Grid,
        person: &Person,
        query: &str,
        last: Option<&str>,
    ) -> Result<Self, StatusCode> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .get(format!("{}/api/v1/live?{query}", grid.people))
            .bearer_auth(person.token.as_ref().unwrap());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Ok(Self {
            bytes: response.bytes_stream().boxed(),
            text: String::new(),
        })
    }

    /// The next event; nothing: the stream is over.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let Some(name) = field("event: ") else {
                    continue;
                };
                return Some(Event {
                    id: field("id: ").unwrap(),
                    name,
                    data: serde_json::from_str(&field("data: ").unwrap()).unwrap(),
                });
            }
            let next = tokio::time::timeout(DEADLINE, self.bytes.next());
            let chunk = next.await.unwrap()?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads on until an event is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    }
}

fn turned(event: &Event, name: &str, condition: &str) -> bool {
    let rows = event.data["changed"].as_array();
    event.name == "resources"
        && rows.is_some_and(|rows| {
            rows.iter()
                .any(|row| row["name"] == name && row["condition"] == condition)
        })
}

#[tokio::test]
async fn what_changes_is_told_as_it_changes() {
    let grid = Grid::start().await;
    let vera = grid.person("vera", "viewer").await;
    let topics = "topics=resources,events,overview";
    let mut stream = Stream::open(&grid, &vera, topics, None).await;
    let hello = stream.next().await.unwrap();
    assert_eq!(hello.name, "hello");
    let mut element = SimElement::join(&grid, "ce").await;
    stream.until(|event| turned(event, "h1", "ok")).await;
    // A Host is gone; who watches is told, and can read of it later.
    let mut away = host(element.hosts[0], element.id(), "h1", 0);
    away.connected = false;
    element.tell_host(away).await;
    let gone = stream.until(|event| turned(event, "h1", "away")).await;
    assert!(gone.id.starts_with(hello.data["epoch"].as_str().unwrap()));
    let told = stream
        .until(|event| event.name == "events" && event.data.to_string().contains("h1 is away"))
        .await;
    assert_eq!(told.data["events"][0]["severity"], "warning");
    let overview = stream
        .until(|event| {
            event.name == "overview" && event.data["needs"].to_string().contains("host-away")
        })
        .await;
    assert_eq!(overview.data["needs"][0]["remedy"], "NodeRevoke");
    let listed = vera
        .get("/api/v1/events?subject=h1")
        .await
        .ok(StatusCode::OK);
    assert_eq!(listed["items"][0]["text"], "h1 is away");
    // Cut off, the reader goes on where it was.
    drop(stream);
    element.add_host("h2").await;
    let mut again = Stream::open(&grid, &vera, topics, Some(&told.id)).await;
    let next = again.next().await.unwrap();
    assert!(
        ["overview", "events", "reset"].contains(&next.name.as_str()),
        "{}",
        next.name
    );
    // What is not known any more is said so.
    for last in [
        "00000000-5",
        "nonsense",
        &format!("{}-999999", ring_of(&hello.id)),
    ] {
        let mut lost = Stream::open(&grid, &vera, topics, Some(last)).await;
        assert_eq!(lost.next().await.unwrap().name, "reset", "{last}");
    }
    let (id, epoch) = (told.id.clone(), hello.data["epoch"].clone());
    let grid = grid.restart().await;
    let mut lost = Stream::open(&grid, &vera, topics, Some(&id)).await;
    let reset = lost.next().await.unwrap();
    assert_eq!(reset.name, "reset");
    assert_ne!(reset.data["epoch"], epoch, "of another start");
    grid.stop().await;
}

fn ring_of(id: &str) -> &str {
    id.split_once('-').unwrap().0
}

#[tokio::test]
async fn a_stream_ends_with_what_it_was_opened_with() {
    let grid = Grid::start().await;
    let vera = grid.person("vera", "viewer").await;
    let made = vera
        .post("/api/v1/api-tokens", &json!({}))
        .await
        .ok(StatusCode::CREATED);
    let other = Person::new(&grid.people, made["token"].as_str());
    let mut stream = Stream::open(&grid, &other, "topics=overview", None).await;
    stream.next().await.unwrap();
    let path = format!("/api/v1/api-tokens/{}", made["id"].as_str().unwrap());
    vera.send(Method::DELETE, &path, None, "").await;
    while stream.next().await.is_some() {}
    // So many at a time; and only of what there is.
    let mut held = Vec::new();
    for _ in 0..16 {
        held.push(Stream::open(&grid, &vera, "topics=calls", None).await);
    }
    vera.get("/api/v1/live?topics=calls")
        .await
        .refused(Code::QuotaExceeded);
    drop(held);
    // The controller notices at the next beat that they are gone.
    wait_for("a place", || async {
        match Stream::try_open(&grid, &vera, "topics=calls", None).await {
            Ok(_) => Ok(()),
            Err(status) => Err(status.to_string()),
        }
    })
    .await;
    vera.get("/api/v1/live?topics=weather")
        .await
        .refused(Code::InvalidRequest);
    vera.get("/api/v1/live").await.refused(Code::InvalidRequest);
    // The controller does not wait for whoever watches.
    let mut stream = Stream::open(&grid, &vera, "topics=overview", None).await;
    stream.next().await.unwrap();
    grid.stop().await;
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn operators_are_told_who_did_it() {
    let grid = Grid::start().await;
    let vera = grid.person("vera", "viewer").await;
    let element = SimElement::join(&grid, "ce").await;
    let overview = grid.admin.get("/api/v1/overview").await.ok(StatusCode::OK);
    assert_eq!(overview["storage"]["objects"], 0);
    command(&grid.admin, "/api/v1/resources/h1/stop").await;
    let stopped = |person: Person| async move {
        wait_for("the event of the stop", || async {
            let listed = person
                .get("/api/v1/events?subject=h1")
                .await
                .ok(StatusCode::OK);
            let rows = listed["items"].as_array().unwrap();
            let stop = rows.iter().find(|row| row["kind"] == "resource.stop");
            stop.cloned().ok_or(listed.to_string())
        })
        .await
    };
    let told = stopped(grid.admin.clone()).await;
    assert_eq!(
        (&told["actor"], &told["subject"]["kind"]),
        (&json!("admin"), &json!("chost"))
    );
    assert_eq!(stopped(vera.clone()).await.get("actor"), None);
    // People and their tokens are no events at all.
    let all = grid.admin.get("/api/v1/events").await.text;
    assert!(
        !all.contains("person.") && all.contains("node.join"),
        "{all}"
    );
    let shown = vera.get("/api/v1/overview").await.ok(StatusCode::OK);
    assert!(!shown["events"].to_string().contains("admin"), "{shown}");
    for path in [
        "/api/v1/resources/h1/history",
        "/api/v1/resources/h1/history?span=day",
        "/api/v1/overview/history",
    ] {
        let told = vera.get(path).await.ok(StatusCode::OK);
        let length = told["metrics"][0]["mean"].as_array().unwrap().len();
        assert_eq!(length, if path.ends_with("day") { 288 } else { 240 });
    }
    vera.get("/api/v1/resources/nobody/history")
        .await
        .refused(Code::NotFound);
    let map = vera.get("/api/v1/topology").await.ok(StatusCode::OK);
    assert_eq!(map["hosts"]["names"], json!(["h1"]));
    assert_eq!(map["elements"][0]["id"], json!(element.id()));
    grid.stop().await;
}
