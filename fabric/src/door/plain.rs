//! Callers who do not speak TLS: told so in the tongue they speak.

use std::{io, time::Duration};

use gridmart_schemas::problem::{Code, Problem};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// First byte of a TLS handshake record.
const HANDSHAKE: u8 = 0x16;
/// How long such a caller may take to hear the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most bytes of such a caller that are read for the answer's sake.
const UNREAD_BYTES_MAX: usize = 64 * 1024;

/// Looks at the first byte without taking it.
pub(super) async fn speaks_tls(tcp: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let read = tcp.peek(&mut first).await?;
    if read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(first[0] == HANDSHAKE)
}

/// Answers in plain HTTP and closes.
pub(super) async fn refuse(mut tcp: TcpStream) {
    let problem = Problem::new(
        Code::TlsRequired,
        "This door speaks TLS 1.3, and the request came without.",
    );
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let said = async {
        tcp.write_all(answer.as_bytes()).await?;
        tcp.shutdown().await?;
        // Closing with bytes unread would reset the connection, and the answer
        // be lost. What is read so is bounded.
        let mut sink = [0; 1024];
        let mut left = UNREAD_BYTES_MAX;
        while left > 0 {
            match tcp.read(&mut sink).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // The caller is refused either way.
    let _ = timeout(PATIENCE, said).await;
}
