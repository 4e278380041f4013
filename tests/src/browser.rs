//! A browser, as far as a server sees one: a cookie that it keeps, and the headers with
//! which pages of the console ask.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, COOKIE, HeaderName, SET_COOKIE},
};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Longest that an answer is waited for.
const ANSWER_MAX: Duration = Duration::from_mins(2);
/// What a page says to prove that it is the console's own.
const CSRF: HeaderName = HeaderName::from_static("x-gridmart-csrf");

/// See the module.
#[derive(Debug)]
pub struct Browser {
    runtime: Runtime,
    client: reqwest::Client,
    door: String,
    cookie: Mutex<String>,
    csrf: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Browser {
    /// Signs in with an API token.
    ///
    /// # Panics
    /// If that is refused.
    #[track_caller]
    pub fn sign_in(door: &str, token: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let builder = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX);
        let mut browser = Self {
            runtime,
            client: builder.build().expect("a client"),
            door: door.to_owned(),
            cookie: Mutex::default(),
            csrf: String::new(),
        };
        let body = serde_json::json!({ "token": token }).to_string();
        let answer = browser.send(Method::POST, "/api/v1/session", "application/json", body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let csrf = answer.json()["csrf"].as_str().map(str::to_owned);
        browser.csrf = csrf.expect("the session tells its word");
        browser
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "", Bytes::new())
    }

    /// Asks with further headers.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_with(Method::GET, path, headers, Bytes::new())
    }

    /// Asks for something to be done, told as JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, "application/json", body.to_string())
    }

    /// Sends a body of some type.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let headers = [(CONTENT_TYPE.as_str(), content_type)];
        let headers = if content_type.is_empty() {
            &headers[..0]
        } else {
            &headers
        };
        self.send_with(method, path, headers, body)
    }

    fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let url = format!("{}{path}", self.door);
        let mut request = self
            .client
            .request(method, url)
            .header("sec-fetch-site", "same-origin")
            .body(body.into());
        let cookie = self.cookie.lock().clone();
        if !cookie.is_empty() {
            request = request.header(COOKIE, cookie).header(CSRF, &self.csrf);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.runtime.block_on(async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let headers = answer.headers().clone();
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = answer.expect("an answer");
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap_or_default();
            line.split(';')
                .next()
                .unwrap_or_default()
                .clone_into(&mut self.cookie.lock());
        }
        let text = |value: &reqwest::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)));
        Answer {
            status,
            headers: headers.collect(),
            body,
        }
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Itself, if that is its status.
    ///
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}
