//! The bounds of the S3 door.

use std::time::Duration;

/// See the fields.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct S3Limits {
    /// Connections at a time.
    pub(in super::super) connections: usize,
    /// Of these, of one address (of IPv6: one network of 64 bits).
    pub(in super::super) connections_per_address: usize,
    /// Requests that are worked on at a time; the next ones wait.
    pub(in super::super) requests: usize,
    /// Of these, forms of web pages, whose files are held whole.
    pub(in super::super) forms: usize,
    /// How long a request may wait for that.
    pub(in super::super) request_wait: Duration,
    /// How long TLS may take to shake hands.
    pub(in super::super) handshake: Duration,
    /// How long a request's head may take, and a connection may idle.
    pub(in super::super) head: Duration,
    /// Headers of a request.
    pub(in super::super) headers: usize,
    /// Bytes of a request's head: metadata of 2 KiB, a key of 1 KiB, presigned
    /// URLs.
    pub(in super::super) head_bytes: usize,
    /// A body from which nothing comes for so long is given up; an answer of which
    /// nothing is taken as well.
    pub(in super::super) stall: Duration,
    /// Bytes a second that a body must have on average,
    pub(in super::super) body_rate: u64,
    /// after so long.
    pub(in super::super) body_grace: Duration,
    /// Bytes of one chunk of a body in signed chunks, which is held until its
    /// signature is verified.
    pub(in super::super) chunk_bytes: u64,
    /// How long requests may go on when the door ends.
    pub(in super::super) grace: Duration,
}

impl Default for S3Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            connections_per_address: 512,
            requests: 256,
            forms: 4,
            request_wait: Duration::from_secs(20),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            headers: 100,
            head_bytes: 32 * 1024,
            stall: Duration::from_secs(30),
            body_rate: 1024,
            body_grace: Duration::from_mins(1),
            chunk_bytes: 4 * 1024 * 1024,
            grace: Duration::from_secs(10),
        }
    }
}
