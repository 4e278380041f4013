//! A program at the door: signs requests as AWS Signature Version 4 has it, and
//! speaks plain HTTP.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr};

use aws_lc_rs::{digest, hmac};
use time::{OffsetDateTime, macros::format_description};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::public::key::NewKey;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What stands between two tags.
    pub(super) fn tag(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>"))
            .map(|(value, _)| value.to_owned())
    }

    /// The code of a refusal.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.tag("Code").as_deref()),
            (status, Some(code)),
            "{}",
            self.text()
        );
    }

    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert!(
            (200..300).contains(&self.status),
            "{} {}",
            self.status,
            self.text()
        );
        self
    }
}

/// A request that is not signed yet.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Path, percent-encoded.
    pub(super) path: &'a str,
    /// Query, percent-encoded, sorted.
    pub(super) query: &'a str,
    pub(super) headers: Vec<(&'a str, String)>,
    pub(super) body: &'a [u8],
    pub(super) region: &'a str,
    pub(super) time: OffsetDateTime,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            query: "",
            headers: Vec::new(),
            body: b"",
            region: "us-east-1",
            time: OffsetDateTime::now_utc(),
        }
    }

    pub(super) fn query(mut self, query: &'a str) -> Self {
        self.query = query;
        self
    }

    pub(super) fn header(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// Signs it with a key.
    pub(super) fn signed(mut self, address: SocketAddr, key: &NewKey) -> Self {
        let stamp = self
            .time
            .format(format_description!(
                "[year][month][day]T[hour][minute][second]Z"
            ))
            .unwrap();
        let day = stamp[..8].to_owned();
        self.headers.push(("host", address.to_string()));
        self.headers.push(("x-amz-date", stamp.clone()));
        self.headers
            .push(("x-amz-content-sha256", sha256(self.body)));
        self.headers.sort();
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for (name, value) in &self.headers {
            writeln!(canonical, "{name}:{value}").unwrap();
        }
        write!(canonical, "\n{names}\n{}", sha256(self.body)).unwrap();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            sha256(canonical.as_bytes())
        );
        let mut signing = hmac_sha256(format!("AWS4{}", key.secret).as_bytes(), &day);
        for piece in [self.region, "s3", "aws4_request"] {
            signing = hmac_sha256(&signing, piece);
        }
        let signature = hex::encode(hmac_sha256(&signing, &to_sign));
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            key.id
        );
        self.headers.push(("authorization", text));
        self
    }

    /// Its head, as it is sent.
    pub(super) fn head(&self, address: SocketAddr) -> String {
        let query = if self.query.is_empty() {
            String::new()
        } else {
            format!("?{}", self.query)
        };
        let mut head = format!("{} {}{query} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| *name == "host") {
            write!(head, "host: {address}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(
            head,
            "content-length: {}\r\nconnection: close\r\n\r\n",
            self.body.len()
        )
        .unwrap();
        head
    }

    /// Sends it, and reads the answer to its end.
    pub(super) async fn send(self, address: SocketAddr) -> Answer {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(self.head(address).as_bytes())
            .await
            .unwrap();
        // Whoever is refused may find the connection closed.
        let _ = stream.write_all(self.body).await;
        read(&mut stream, self.method == "HEAD").await
    }
}

/// Reads an answer whose connection is closed after it.
pub(super) async fn read(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let at = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("an answer has a head");
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = bytes[at + 4..].to_vec();
    if let Some(length) = headers
        .get("content-length")
        .filter(|_| !is_head && status != 304)
    {
        assert_eq!(length, &body.len().to_string(), "{head}");
    }
    Answer {
        status,
        headers,
        body,
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
        .as_ref()
        .to_vec()
}
