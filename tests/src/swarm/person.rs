//! A person's program at the people's door: one kept connection, one request
//! at a time, with as little of a client's own time as can be.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::{Serialize, de::DeserializeOwned};

/// A door may close a connection on which nothing was asked for so long.
const IDLE_MAX: Duration = Duration::from_secs(3);
/// No answer takes longer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A connection to the people's door.
#[derive(Debug)]
pub struct Person {
    address: String,
    token: String,
    connection: BufReader<TcpStream>,
    used: Instant,
}

impl Person {
    /// Connects to `HOST:PORT`, with an API token.
    pub fn connect(address: &str, token: &str) -> anyhow::Result<Self> {
        Ok(Self {
            address: address.to_owned(),
            token: token.to_owned(),
            connection: open(address)?,
            used: Instant::now(),
        })
    }

    /// Another connection of the same person.
    pub fn again(&self) -> anyhow::Result<Self> {
        Self::connect(&self.address, &self.token)
    }

    /// Sends JSON and reads JSON.
    pub fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.exchange("POST", path, &serde_json::to_vec(body)?)
    }

    /// Gives a command that has no body.
    pub fn command<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        self.exchange("POST", path, &[])
    }

    /// Reads JSON.
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        self.exchange("GET", path, &[])
    }

    fn exchange<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> anyhow::Result<T> {
        let answer = self.exchange_bytes(method, path, body)?;
        serde_json::from_slice(&answer).with_context(|| {
            format!(
                "the answer of {path} is not understood: {}",
                String::from_utf8_lossy(&answer)
            )
        })
    }

    /// Gives the answer's body; an answer that is no success is an error.
    pub fn exchange_bytes(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: gridmart\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.token,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        if self.used.elapsed() > IDLE_MAX {
            self.connection = open(&self.address)?;
        }
        self.used = Instant::now();
        self.connection.get_mut().write_all(&request)?;
        let (status, answer) = answer(&mut self.connection)?;
        if !(200..300).contains(&status) {
            bail!(
                "{method} {path} was answered with {status}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        Ok(answer)
    }
}

fn open(address: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(BufReader::with_capacity(64 * 1024, stream))
}

/// Reads one answer: status and body.
fn answer(connection: &mut BufReader<TcpStream>) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut status = None;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            bail!("the connection has ended");
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if status.is_none() {
            status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        } else if let Some((name, value)) = text.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("answers in chunks are not read here");
            }
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok((status.context("no status line")?, body))
}
