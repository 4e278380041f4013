//! What the machine itself can do of what a swarm asks of it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rcgen::SigningKey as _;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use super::super::sample::{Sample, rate};
use crate::swarm::Person;

/// How long each of them is looked at.
const LOOK: Duration = Duration::from_millis(500);
const ROUND_TRIPS: usize = 2_000;

/// Rates per second.
pub(super) struct Limits {
    /// Commits of one row, `synchronous=FULL`.
    pub(super) commits: f64,
    /// Writes of 4 KiB, each synced.
    pub(super) fsyncs: f64,
    /// TLS 1.3 handshakes, certificates on both sides, both ends together.
    pub(super) handshakes: f64,
    /// ECDSA P-256 signatures.
    pub(super) signatures: f64,
    /// A request and its answer over loopback, nothing behind it.
    pub(super) http: Sample,
}

impl Limits {
    /// Measures them; what needs a disk, in this folder.
    pub(super) fn measure(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            commits: commits(folder)?,
            fsyncs: fsyncs(folder)?,
            handshakes: handshakes()?,
            signatures: signatures()?,
            http: http()?,
        })
    }
}

/// How often per second it can be done.
fn per_second(mut deed: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < LOOK {
        deed()?;
        count += 1;
    }
    Ok(rate(count, began.elapsed()))
}

fn commits(folder: &Path) -> anyhow::Result<f64> {
    let database = rusqlite::Connection::open(folder.join("limit.sqlite"))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE node (id TEXT PRIMARY KEY, name TEXT)")?;
    per_second(|| {
        let id = uuid::Uuid::new_v4().to_string();
        database.execute("INSERT INTO node VALUES (?1, ?1)", [id])?;
        Ok(())
    })
}

fn fsyncs(folder: &Path) -> anyhow::Result<f64> {
    let mut file = File::create(folder.join("limit.bytes"))?;
    per_second(|| {
        file.write_all(&[7; 4096])?;
        Ok(file.sync_all()?)
    })
}

fn signatures() -> anyhow::Result<f64> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    per_second(|| {
        key.sign(b"a ticket of about so many bytes")?;
        Ok(())
    })
}

fn handshakes() -> anyhow::Result<f64> {
    let own = rcgen::generate_simple_self_signed(["gridmart".to_owned()])?;
    let chain = vec![own.cert.der().clone()];
    let key = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone())?;
    let (roots, provider) = (Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key())?;
    server.send_tls13_tickets = 0;
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key())?;
    let (server, client) = (Arc::new(server), Arc::new(client));
    per_second(|| {
        let mut dialling = ClientConnection::new(Arc::clone(&client), "gridmart".try_into()?)?;
        let mut dialled = ServerConnection::new(Arc::clone(&server))?;
        let mut bytes = Vec::new();
        while dialling.is_handshaking() || dialled.is_handshaking() {
            dialling.write_tls(&mut bytes)?;
            dialled.read_tls(&mut bytes.as_slice())?;
            dialled.process_new_packets()?;
            bytes.clear();
            dialled.write_tls(&mut bytes)?;
            dialling.read_tls(&mut bytes.as_slice())?;
            dialling.process_new_packets()?;
            bytes.clear();
        }
        Ok(())
    })
}

/// The same client as at the people's door, and a door with nothing behind it.
fn http() -> anyhow::Result<Sample> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let serving = thread::spawn(move || -> std::io::Result<()> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut requests = BufReader::new(stream);
        let mut line = String::new();
        while requests.read_line(&mut line)? > 0 {
            if line == "\r\n" {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                requests.get_mut().write_all(answer)?;
            }
            line.clear();
        }
        Ok(())
    });
    let mut person = Person::connect(&address, "nobody")?;
    let mut sample = Sample::default();
    for _ in 0..ROUND_TRIPS {
        let began = Instant::now();
        person.exchange_bytes("GET", "/", &[])?;
        sample.push(began.elapsed());
    }
    drop(person);
    let served = serving
        .join()
        .map_err(|_| anyhow::anyhow!("the door has failed"))?;
    served.context("the door has failed")?;
    Ok(sample)
}
