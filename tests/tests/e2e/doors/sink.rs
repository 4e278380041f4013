//! A bare sink: takes garbage with nothing behind it, so that what the same
//! garbage costs the machine by itself stands beside what it costs at a door.

use std::{net::TcpListener, sync::Arc, thread::JoinHandle, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::wire::{Door, Wire, provider};

/// Name in the sink's certificate.
const NAME: &str = "sink";
/// Who sends nothing for so long has poured all.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A listener on a thread of its own that takes so many bytes of each
/// connection, and closes it as a door does.
pub(super) struct Sink {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Opens one, with TLS or without, and gives what leads to it.
    pub(super) fn open(has_tls: bool, is_upgraded: bool, bytes_of_each: usize) -> (Self, Door) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
        let mut root = RootCertStore::empty();
        root.add(made.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.send_tls13_tickets = 0;
        let manner = Manner {
            tls: has_tls.then(|| TlsAcceptor::from(Arc::new(config))),
            is_upgraded,
            bytes: bytes_of_each,
        };
        let (stop, told) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, Arc::new(manner)) => {}
                    _ = told => {}
                }
            });
        });
        let sink = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        let socket = is_upgraded.then_some("/");
        let name = has_tls.then_some(NAME);
        (sink, Door::bare(address, socket, name, root))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A failure there is one of the attack that it took.
            let _ = thread.join();
        }
    }
}

/// How connections are taken.
struct Manner {
    tls: Option<TlsAcceptor>,
    /// Whether it agrees to a WebSocket, whatever is asked.
    is_upgraded: bool,
    /// Of each connection, before it is closed.
    bytes: usize,
}

async fn serve(listener: TcpListener, manner: Arc<Manner>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tokio::spawn(take(tcp, Arc::clone(&manner)));
    }
}

async fn take(tcp: TcpStream, manner: Arc<Manner>) {
    let mut wire: Box<dyn Wire> = match &manner.tls {
        None => Box::new(tcp),
        Some(tls) => match tls.accept(tcp).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
    };
    if manner.is_upgraded && wire.write_all(b"HTTP/1.1 101 -\r\n\r\n").await.is_err() {
        return;
    }
    let mut buffer = vec![0; 16 * 1024];
    let mut left = manner.bytes;
    while left > 0 {
        match timeout(SILENCE_MAX, wire.read(&mut buffer)).await {
            Ok(Ok(read @ 1..)) => left = left.saturating_sub(read),
            _ => return,
        }
    }
}
