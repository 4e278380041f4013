//! The console's way in and what it watches, as a browser sees it: through the
//! people's door alone, with real processes.

use std::fs;

use futures_util::{StreamExt as _, stream::BoxStream};
use gridmart_tests::{LONG, Supermarket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::timeout};

/// A browser that keeps one cookie, as the console's page uses it.
struct Browser {
    client: reqwest::Client,
    url: String,
    cookie: String,
    csrf: String,
}

/// What a live stream tells.
struct Live {
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

struct Told {
    id: String,
    event: String,
    data: Value,
}

impl Browser {
    async fn sign_in(market: &Supermarket) -> Self {
        let file = market.seen("control/first-admin.json");
        let first: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = market.ready.url.clone();
        let answer = client
            .post(format!("{url}/api/v1/session"))
            .json(&json!({"name": first["user"], "password": first["password"]}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
        let cookie = set.split(';').next().unwrap().to_owned();
        let view: Value = answer.json().await.unwrap();
        let csrf = view["csrf"].as_str().unwrap().to_owned();
        Self {
            client,
            url,
            cookie,
            csrf,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin")
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.request(Method::GET, path).timeout(LONG).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    /// Asks for a change; gives the status and what was said.
    async fn change(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.request(method, path).timeout(LONG);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or_default(),
        )
    }

    async fn live(&self, last: Option<&str>) -> Live {
        let mut request =
            self.request(Method::GET, "/api/v1/live?topics=resources,events,overview");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Live {
            bytes: answer.bytes_stream().boxed(),
            text: String::new(),
        }
    }
}

impl Live {
    /// The next event; nothing: the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    let mut lines = block.lines();
                    lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
                };
                if let (Some(id), Some(event)) = (field("id: "), field("event: ")) {
                    let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                    return Some(Told { id, event, data });
                }
                continue;
            }
            let chunk = timeout(LONG, self.bytes.next()).await;
            let chunk = chunk.expect("not even a comment came")?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn until(&mut self, what: &str, wanted: impl Fn(&Told) -> bool) -> Told {
        let seen = async {
            loop {
                let told = self.next().await.expect("the stream has ended");
                if wanted(&told) {
                    return told;
                }
            }
        };
        timeout(LONG, seen)
            .await
            .unwrap_or_else(|_| panic!("it was not told: {what}"))
    }
}

fn has_turned(told: &Told, name: &str, condition: &str) -> bool {
    let rows = told.data["changed"].as_array();
    let is_it = |row: &Value| row["name"] == name && row["condition"] == condition;
    told.event == "resources" && rows.is_some_and(|rows| rows.iter().any(is_it))
}

#[test]
fn who_watches_is_told_of_a_host_that_dies_and_of_a_restart() {
    let market = Supermarket::builder().hosts(2).start();
    Runtime::new().unwrap().block_on(async {
        let browser = Browser::sign_in(&market).await;
        let mut live = browser.live(None).await;
        let hello = live.next().await.unwrap();
        assert_eq!(hello.event, "hello");
        // Both Hosts are known to be well, before one is not.
        live.until("two Hosts are well", |told| {
            let kinds = told.data["kinds"].as_array();
            let well = |kind: &Value| kind["kind"] == "chost" && kind["ok"] == 2;
            told.event == "overview" && kinds.is_some_and(|kinds| kinds.iter().any(well))
        })
        .await;
        market.kill9("host-2");
        live.until("host-2 is away", |told| has_turned(told, "host-2", "away"))
            .await;
        let told = live
            .until("the event", |told| {
                told.event == "events" && told.data.to_string().contains("host-2 is away")
            })
            .await;
        live.until("what needs a person", |told| {
            let needs = told.data["needs"].as_array();
            let is_it =
                |need: &Value| need["code"] == "host-away" && need["subject"]["name"] == "host-2";
            needs.is_some_and(|needs| needs.iter().any(is_it))
        })
        .await;
        market.restart("host-2");
        live.until("host-2 is back", |told| has_turned(told, "host-2", "ok"))
            .await;
        // The stream ends with the controller, and a reader that comes again
        // with what it read last learns that it has to read anew.
        market.kill9("control");
        while live.next().await.is_some() {}
        market.restart("control");
        let mut again = browser.live(Some(&told.id)).await;
        let reset = again.next().await.unwrap();
        assert_eq!(reset.event, "reset");
        assert_ne!(reset.data["epoch"], hello.data["epoch"]);
        // Nobody was signed out, and what happened is remembered.
        let events = browser.get("/api/v1/events?subject=host-2").await;
        assert!(events.to_string().contains("host-2 is away"), "{events}");
        // Read anew, the list is as it was.
        market.wait_resource("host-1", "well", |row| row["condition"] == "ok");
        let list = browser.get("/api/v1/resources?search=host-1").await;
        assert_eq!(list["items"][0]["condition"], "ok", "{list}");
    });
    market.stop();
}

#[test]
fn the_console_commands_and_nobody_else_does() {
    let market = Supermarket::builder().hosts(3).start();
    Runtime::new().unwrap().block_on(async {
        let browser = Browser::sign_in(&market).await;
        let stop = "/api/v1/resources/host-1/stop";
        let csrf = ("x-gridmart-csrf", browser.csrf.as_str());
        for forged in [
            vec![],
            vec![("x-gridmart-csrf", "0000")],
            vec![csrf, ("origin", "http://evil.example")],
        ] {
            let (status, problem) = browser.change(Method::POST, stop, &forged).await;
            assert_eq!((status, &problem["code"]), (403, &json!("request-forged")));
        }
        let row = market.resource("host-1").unwrap();
        assert_eq!(row["desired"], "production", "{row}");
        let own = [csrf, ("origin", market.ready.url.as_str())];
        let (status, done) = browser.change(Method::POST, stop, &own).await;
        assert_eq!(status, 200, "{done}");
        market.wait_resource("host-1", "closed", |row| row["condition"] == "closed");
        // Lists come a page at a time, sorted and counted at the controller.
        let mut names = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("/api/v1/resources?sort=name&descending=true&limit=2{next}");
            let page = browser.get(&path).await;
            assert_eq!(
                (&page["total"], &page["offset"]),
                (&json!(4), &json!(names.len()))
            );
            for row in page["items"].as_array().unwrap() {
                names.push(row["name"].as_str().unwrap().to_owned());
            }
            let Some(last) = page["next"].as_str() else {
                break;
            };
            next = format!("&after={last}");
        }
        assert_eq!(names[..3], ["host-3", "host-2", "host-1"], "{names:?}");
        let found = browser
            .get("/api/v1/resources?search=HOST-1&condition=closed")
            .await;
        assert_eq!(found["total"], 1, "{found}");
        // The page itself is under a strict policy, wherever it is entered.
        for path in ["/", "/resources/host-1"] {
            let page = browser
                .request(Method::GET, path)
                .header("accept", "text/html");
            let page = page.send().await.unwrap();
            assert_eq!(page.status(), StatusCode::OK, "{path}");
            let policy = page.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src 'unsafe"));
        }
        let nothing = browser
            .request(Method::GET, "/api/v1/nothing")
            .header("accept", "text/html");
        assert_eq!(
            nothing.send().await.unwrap().status(),
            StatusCode::NOT_FOUND
        );
        let (status, _) = browser
            .change(Method::DELETE, "/api/v1/session", &own)
            .await;
        assert_eq!(status, 204);
        let after = browser.request(Method::GET, "/api/v1/session").send().await;
        assert_eq!(after.unwrap().status(), StatusCode::UNAUTHORIZED);
    });
    market.stop();
}
