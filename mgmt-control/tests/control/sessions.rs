//! Sessions of browsers: the cookie, and requests that others forge.

use gridmart_schemas::problem::Code;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::grid::{DEADLINE, Grid, Reply, read_json};

const SESSION: &str = "/api/v1/session";

/// A browser: it keeps the cookie that it was given.
struct Browser {
    base: String,
    client: reqwest::Client,
    cookie: Option<String>,
}

struct Answer {
    reply: Reply,
    headers: HeaderMap,
}

impl Browser {
    fn new(grid: &Grid) -> Self {
        Self {
            base: grid.people.clone(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            cookie: None,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .timeout(DEADLINE);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("theme=dark; {cookie}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let headers = response.headers().clone();
        let text = |name: &str| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        let kind = text("content-type").to_owned();
        Answer {
            headers: headers.clone(),
            reply: Reply {
                status: response.status(),
                kind,
                text: response.text().await.unwrap(),
            },
        }
    }

    /// Signs in; gives the session as it is told.
    async fn sign_in(&mut self, body: Value) -> Value {
        let answer = self.send(Method::POST, SESSION, &[], Some(body)).await;
        let view = answer.reply.ok(StatusCode::OK);
        self.cookie = Some(answer.cookie().split(';').next().unwrap().to_owned());
        view
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], None).await.reply
    }

    /// Asks for something that changes something.
    async fn change(&self, headers: &[(&str, &str)]) -> Reply {
        let body = json!({"label": "made by a browser"});
        self.send(Method::POST, "/api/v1/api-tokens", headers, Some(body))
            .await
            .reply
    }
}

impl Answer {
    fn cookie(&self) -> &str {
        self.headers["set-cookie"].to_str().unwrap()
    }
}

fn password(grid: &Grid) -> Value {
    let first = read_json(&grid.config.data_dir.join("first-admin.json"));
    json!({"name": "admin", "password": first["password"]})
}

#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let grid = Grid::start().await;
    let mut browser = Browser::new(&grid);
    browser.get(SESSION).await.refused(Code::Unauthenticated);
    let answer = browser
        .send(Method::POST, SESSION, &[], Some(password(&grid)))
        .await;
    let view = answer.reply.ok(StatusCode::OK);
    let set = answer.cookie().to_owned();
    for part in [
        "gridmart_session=gms1.",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/;",
    ] {
        assert!(set.contains(part), "{part} is not in {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    assert!(
        !answer.reply.text.contains("gms1."),
        "a script could read it"
    );
    browser.cookie = Some(set.split(';').next().unwrap().to_owned());
    assert_eq!(browser.get(SESSION).await.ok(StatusCode::OK), view);
    assert_eq!(
        (&view["person"], &view["role"]),
        (&json!("admin"), &json!("admin"))
    );
    let may: Vec<&str> = view["may"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        may.contains(&"PersonCreate") && may.contains(&"SessionDelete"),
        "{may:?}"
    );
    let people = browser.get("/api/v1/people").await.ok(StatusCode::OK);
    assert_eq!(people["items"][0]["name"], "admin");
    // It stands with the API tokens, and in the audit log.
    let tokens = browser.get("/api/v1/api-tokens").await.ok(StatusCode::OK);
    let of_browsers: Vec<&Value> = tokens["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["session"] == true)
        .collect();
    assert_eq!(of_browsers.len(), 1, "{tokens}");
    // A restart of the controller signs nobody out.
    let grid = grid.restart().await;
    browser.base.clone_from(&grid.people);
    let csrf = browser.get(SESSION).await.ok(StatusCode::OK)["csrf"].clone();
    assert_eq!(csrf, view["csrf"]);
    let gone = browser
        .send(
            Method::DELETE,
            SESSION,
            &[("x-gridmart-csrf", csrf.as_str().unwrap())],
            None,
        )
        .await;
    assert_eq!(
        gone.reply.status,
        StatusCode::NO_CONTENT,
        "{}",
        gone.reply.text
    );
    assert!(gone.cookie().contains("Max-Age=0"), "{}", gone.cookie());
    browser.get(SESSION).await.refused(Code::CredentialsRefused);
    let audit = grid.admin.get("/api/v1/audit").await.ok(StatusCode::OK);
    let actions: Vec<&str> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["action"].as_str())
        .collect();
    assert_eq!(
        actions[..2],
        ["person.logout", "person.login"],
        "{actions:?}"
    );
    grid.stop().await;
}

#[tokio::test]
async fn what_others_forge_is_refused() {
    let grid = Grid::start().await;
    let mut browser = Browser::new(&grid);
    let view = browser.sign_in(password(&grid)).await;
    let csrf = view["csrf"].as_str().unwrap();
    let own = grid.people.as_str();
    let other_csrf = "0".repeat(64);
    let forged: &[&[(&str, &str)]] = &[
        &[],
        &[("x-gridmart-csrf", "")],
        &[("x-gridmart-csrf", &other_csrf)],
        &[("x-gridmart-csrf", csrf), ("x-gridmart-csrf", csrf)],
        &[
            ("x-gridmart-csrf", csrf),
            ("origin", "https://evil.example"),
        ],
        &[("x-gridmart-csrf", csrf), ("origin", "null")],
        &[("x-gridmart-csrf", csrf), ("origin", "http://127.0.0.1:1")],
        &[
            ("x-gridmart-csrf", csrf),
            ("origin", own),
            ("origin", "http://evil.example"),
        ],
        &[("x-gridmart-csrf", csrf), ("sec-fetch-site", "cross-site")],
        &[("x-gridmart-csrf", csrf), ("sec-fetch-site", "same-site")],
        &[
            ("x-gridmart-csrf", csrf),
            ("origin", own),
            ("sec-fetch-site", "cross-site"),
        ],
    ];
    for headers in forged {
        let refused = browser.change(headers).await;
        assert_eq!(
            refused.value()["code"],
            "request-forged",
            "{headers:?}: {}",
            refused.text
        );
        refused.refused(Code::RequestForged);
    }
    for site in ["cross-site", "same-site"] {
        let headers = [("sec-fetch-site", site)];
        let read = browser
            .send(Method::GET, "/api/v1/people", &headers, None)
            .await;
        read.reply.refused(Code::RequestForged);
        // Nor can a page have a browser sign in as somebody.
        let signed_in = browser
            .send(Method::POST, SESSION, &headers, Some(password(&grid)))
            .await;
        signed_in.reply.refused(Code::RequestForged);
        assert!(!signed_in.headers.contains_key("set-cookie"));
    }
    // What the console itself sends is taken.
    let good = [
        ("x-gridmart-csrf", csrf),
        ("origin", own),
        ("sec-fetch-site", "same-origin"),
    ];
    browser.change(&good).await.ok(StatusCode::CREATED);
    // Whoever shows two is refused, and so is a cookie as a token.
    let bearer = format!("Bearer {}", grid.admin.token.as_ref().unwrap());
    let both = [
        ("authorization", bearer.as_str()),
        ("x-gridmart-csrf", csrf),
    ];
    browser.change(&both).await.refused(Code::InvalidRequest);
    let text = browser
        .cookie
        .as_ref()
        .unwrap()
        .split_once('=')
        .unwrap()
        .1
        .to_owned();
    for text in [text.clone(), text.replace("gms1", "gmt1")] {
        let mut thief = grid.nobody();
        thief.token = Some(text);
        thief
            .get("/api/v1/whoami")
            .await
            .refused(Code::CredentialsRefused);
    }
    // An API token goes on without any of it.
    let made = grid
        .admin
        .post("/api/v1/api-tokens", &json!({}))
        .await
        .ok(StatusCode::CREATED);
    let mut program = Browser::new(&grid);
    program.cookie = Some(format!(
        "gridmart_session={}",
        made["token"].as_str().unwrap()
    ));
    program.get(SESSION).await.refused(Code::CredentialsRefused);
    grid.admin.get(SESSION).await.refused(Code::InvalidRequest);
    grid.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_what_it_rests_on() {
    let grid = Grid::start().await;
    let uma = grid.person("uma", "user").await;
    let made = uma
        .post("/api/v1/api-tokens", &json!({"expires_in": 3600}))
        .await
        .ok(StatusCode::CREATED);
    let mut by_token = Browser::new(&grid);
    let view = by_token.sign_in(json!({"token": made["token"]})).await;
    assert_eq!(
        (&view["person"], &view["expires"]),
        (&json!("uma"), &made["expires"])
    );
    let mut by_password = Browser::new(&grid);
    by_password
        .sign_in(json!({"name": "uma", "password": "a long password"}))
        .await;
    let may = by_password.get(SESSION).await.ok(StatusCode::OK)["may"].to_string();
    assert!(
        may.contains("CallKill") && !may.contains("PersonCreate"),
        "{may}"
    );
    by_password
        .get("/api/v1/people")
        .await
        .refused(Code::NotAuthorized);
    let path = format!("/api/v1/api-tokens/{}", made["id"].as_str().unwrap());
    uma.send(Method::DELETE, &path, None, "").await;
    by_token
        .get(SESSION)
        .await
        .refused(Code::CredentialsRefused);
    by_password.get(SESSION).await.ok(StatusCode::OK);
    // Signing in anew ends the session of before.
    let before = by_password.cookie.clone();
    by_password
        .sign_in(json!({"name": "uma", "password": "a long password"}))
        .await;
    let now = std::mem::replace(&mut by_password.cookie, before);
    by_password
        .get(SESSION)
        .await
        .refused(Code::CredentialsRefused);
    by_password.cookie = now;
    by_password.get(SESSION).await.ok(StatusCode::OK);
    let change = json!({"enabled": false});
    grid.admin
        .json(Method::PATCH, "/api/v1/people/uma", &change)
        .await
        .ok(StatusCode::OK);
    by_password
        .get(SESSION)
        .await
        .refused(Code::CredentialsRefused);
    grid.stop().await;
}

#[tokio::test]
async fn guessing_at_the_console_is_slowed_down() {
    let grid = Grid::start().await;
    let browser = Browser::new(&grid);
    let wrong = json!({"name": "admin", "password": "not the password"});
    let send = |body: &Value| browser.send(Method::POST, SESSION, &[], Some(body.clone()));
    for _ in 0..5 {
        send(&wrong).await.reply.refused(Code::CredentialsRefused);
    }
    // The door for programs counts the same tries.
    send(&wrong).await.reply.refused(Code::RateLimited);
    grid.nobody()
        .post("/api/v1/login", &wrong)
        .await
        .refused(Code::RateLimited);
    for neither in [
        json!({}),
        json!({"name": "admin"}),
        json!({"name": "admin", "token": "x"}),
    ] {
        send(&neither).await.reply.refused(Code::InvalidRequest);
    }
    let token = json!({"token": "gmt1.00000000-0000-0000-0000-000000000000.x"});
    send(&token).await.reply.refused(Code::CredentialsRefused);
    grid.stop().await;
}
