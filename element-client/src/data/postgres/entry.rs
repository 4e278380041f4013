//! Coming in: TLS, who it is, which database.
//!
//! Invariants: whoever does not sign in in time is put out; a name that nobody has gets
//! the same dialogue and the same refusal as a wrong password; nothing of a password is
//! logged.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration, time::Instant};

use gridmart_fabric::{door::Origin, throttle::Guesser};
use gridmart_schemas::{id::PersonName, scalar::DatabaseName, wire::sql_session::SqlDoor};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{
    scram::{Dialogue, MECHANISM},
    session::Session,
    sessions::Standing,
    settings::Settings,
    wire::{
        Inbox, Malformed, Outbox, WireError,
        backend::{self, Fault, Severity},
        frontend::{First, Message, Startup, sasl_begin},
    },
};
use crate::data::{De, keys::KnownKey, sessions::Arrival};

/// To sign in takes so long at most.
const ENTRY_TIME: Duration = Duration::from_secs(20);
/// The first byte of TLS, which some clients begin with at once.
const TLS_BYTE: u8 = 0x16;
/// Longer names are nobody's.
const NAME_BYTES_MAX: usize = 128;

/// Whatever carries a session.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}
pub(super) type Channel = Box<dyn Carrier>;

/// Somebody who has signed in, and has a database.
struct Entered {
    channel: Channel,
    session: Session,
    standing: Standing,
}

/// Serves a connection to its end.
pub(super) async fn come(
    de: Arc<De>,
    tcp: TcpStream,
    remote: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
) -> Result<(), WireError> {
    let entering = enter(&de, tcp, remote, tls);
    let entered = match timeout(ENTRY_TIME, Box::pin(entering)).await {
        Ok(entered) => entered?,
        Err(_) => return Err(WireError::TooSlow),
    };
    let Some(Entered {
        channel,
        session,
        standing,
    }) = entered
    else {
        return Ok(());
    };
    let served = Box::pin(session.serve(channel)).await;
    drop(standing);
    served
}

/// `None`: whoever came is gone again, or was refused.
async fn enter(
    de: &Arc<De>,
    tcp: TcpStream,
    remote: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
) -> Result<Option<Entered>, WireError> {
    let mut byte = [0];
    let begins_with_tls = tcp.peek(&mut byte).await? == 1 && byte == [TLS_BYTE];
    let mut channel: Channel = Box::new(tcp);
    let mut is_secure = false;
    if let (true, Some(config)) = (begins_with_tls, &tls) {
        channel = Box::new(
            TlsAcceptor::from(Arc::clone(config))
                .accept(channel)
                .await?,
        );
        is_secure = true;
    }
    // Each kind of encryption may be asked for once.
    for _ in 0..3 {
        let mut inbox = Inbox::new(channel, de.goods.postgres.weigh.clone());
        let first = inbox.first().await;
        channel = inbox.into_inner();
        match (first, &tls) {
            (Ok(First::Tls), Some(config)) if !is_secure => {
                // Nothing is read ahead, so that nothing unencrypted is taken for more.
                channel.write_all(b"S").await?;
                channel.flush().await?;
                channel = Box::new(
                    TlsAcceptor::from(Arc::clone(config))
                        .accept(channel)
                        .await?,
                );
                is_secure = true;
            }
            (Ok(First::Tls | First::Gss), _) => {
                channel.write_all(b"N").await?;
                channel.flush().await?;
            }
            (Ok(First::Cancel(key)), _) => {
                de.goods.postgres.sessions.cancel(key);
                return Ok(None);
            }
            (Ok(First::Startup(_)), Some(_)) if !is_secure => {
                let fault = Fault::new("28000", "this door speaks TLS only")
                    .hint("Connect with sslmode=require, or verify-full and the supermarket's CA.");
                refuse(channel, &fault).await?;
                return Ok(None);
            }
            (Ok(First::Startup(startup)), _) => return begin(de, channel, remote, startup).await,
            (Err(WireError::Malformed(error)), _) => {
                refuse(channel, &Fault::new("08P01", error.to_string())).await?;
                return Err(error.into());
            }
            (Err(error), _) => return Err(error),
        }
    }
    Err(Malformed("encryption is asked for again and again").into())
}

async fn refuse(channel: Channel, fault: &Fault) -> Result<(), WireError> {
    let mut out = Outbox::new(channel);
    backend::fault(out.messages(), Severity::Fatal, fault);
    out.flush().await?;
    // The last word is to arrive.
    out.into_inner().shutdown().await?;
    Ok(())
}

/// Has somebody sign in, and begins their session.
async fn begin(
    de: &Arc<De>,
    channel: Channel,
    remote: SocketAddr,
    startup: Startup,
) -> Result<Option<Entered>, WireError> {
    let Startup { minor, parameters } = startup;
    let mut inbox = Inbox::new(channel, de.goods.postgres.weigh.clone());
    let options: Vec<&str> = parameters
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("_pq_."))
        .collect();
    let mut early = bytes::BytesMut::new();
    if minor > 0 || !options.is_empty() {
        backend::negotiate(&mut early, &options);
    }
    let user = parameters.get("user").cloned().unwrap_or_default();
    let signed = sign_in(de, &mut inbox, early, remote, &user).await;
    let channel = inbox.into_inner();
    let (person, said) = match signed? {
        Ok(signed) => signed,
        Err(fault) => {
            tracing::info!(%remote, state = fault.state, key = shown(&user), "the PostgreSQL door refuses somebody");
            refuse(channel, &fault).await?;
            return Ok(None);
        }
    };
    let opened = match open(de, &user, person, remote, &parameters) {
        // Whoever removes a key ends the sessions that stand; this one stands since.
        Ok(opened) => match known(de, &user).await {
            Ok(Some(_)) => Ok(opened),
            Ok(None) => Err(wrong(&user)),
            Err(fault) => Err(fault),
        },
        Err(fault) => Err(fault),
    };
    match opened {
        Ok((mut session, standing)) => {
            session.greet(&said);
            Ok(Some(Entered {
                channel,
                session,
                standing,
            }))
        }
        Err(fault) => {
            refuse(channel, &fault).await?;
            Ok(None)
        }
    }
}

/// As much of a name as a log shows.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Whose key it is, and the server's last word.
async fn sign_in(
    de: &Arc<De>,
    inbox: &mut Inbox<Channel>,
    early: bytes::BytesMut,
    remote: SocketAddr,
    user: &str,
) -> Result<Result<(PersonName, String), Fault>, WireError> {
    let origin = Origin::from(remote.ip());
    let guessers = [
        Guesser::Person(shown(user), origin),
        Guesser::Address(origin),
    ];
    if let Err(problem) = de.throttle.admit(&guessers, Instant::now()) {
        return Ok(Err(Fault::new("57P03", problem.detail)));
    }
    let (person, verifier) = match known(de, user).await {
        Ok(Some(key)) => (Some(key.person), key.verifier),
        Ok(None) => (None, de.goods.keys.mock(user)),
        Err(fault) => return Ok(Err(fault)),
    };
    let mut out = early;
    backend::sasl(&mut out, MECHANISM);
    inbox.say(&mut out).await?;
    let Message::Password(word) = inbox.early().await? else {
        return Err(Malformed("something else than SASL is said").into());
    };
    let (mechanism, word) = sasl_begin(&word)?;
    if mechanism != MECHANISM {
        return Ok(Err(Fault::new(
            "28000",
            format!("only {MECHANISM} is spoken here"),
        )));
    }
    let (dialogue, answer) = match Dialogue::begin(&word, verifier) {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(Fault::new("08P01", error.to_string()))),
    };
    backend::sasl_continue(&mut out, &answer);
    inbox.say(&mut out).await?;
    let Message::Password(word) = inbox.early().await? else {
        return Err(Malformed("something else than SASL is said").into());
    };
    let proved = match dialogue.end(&word) {
        Ok(proved) => proved,
        Err(error) => return Ok(Err(Fault::new("08P01", error.to_string()))),
    };
    if let (Some(said), Some(person)) = (proved, person) {
        return Ok(Ok((person, said)));
    }
    de.throttle.on_failure(&guessers, Instant::now());
    Ok(Err(wrong(user)))
}

/// The key of that name, of somebody who may use keys.
async fn known(de: &Arc<De>, user: &str) -> Result<Option<KnownKey>, Fault> {
    if user.len() > NAME_BYTES_MAX {
        return Ok(None);
    }
    let name = user.to_owned();
    let found = de.blocking(move |de| de.goods.keys.find(&name)).await;
    let found = found.map_err(|problem| Fault::new("XX000", problem.detail))?;
    let found = found.map_err(|error| {
        tracing::error!(%error, "access keys cannot be read");
        Fault::new("58030", "the Element cannot read its access keys")
    })?;
    // Whoever is nobody any more has no key.
    Ok(found.filter(|key| de.goods.people.role(&key.person).is_some()))
}

fn wrong(user: &str) -> Fault {
    let message = format!(
        "password authentication failed for user \"{}\"",
        shown(user)
    );
    Fault::new("28P01", message).hint(
        "The user is the id of an access key (`gridmart key create --element ID`), the password \
         its secret.",
    )
}

/// Begins the session of somebody who has signed in.
fn open(
    de: &Arc<De>,
    user: &str,
    person: PersonName,
    remote: SocketAddr,
    parameters: &BTreeMap<String, String>,
) -> Result<(Session, Standing), Fault> {
    if !de.accepts() {
        return Err(Fault::new("57P03", "the Data Element is stopped"));
    }
    if parameters
        .get("replication")
        .is_some_and(|value| !["false", "off", "no", "0"].contains(&value.as_str()))
    {
        return Err(Fault::new("0A000", "replication is not supported here"));
    }
    let database = parameters.get("database").map_or(user, String::as_str);
    let unknown = || {
        let message = format!("database \"{}\" does not exist", shown(database));
        Fault::new("3D000", message)
            .hint("`gridmart db list` shows those that you may use; the client has to name one.")
    };
    let name = DatabaseName::new(database).map_err(|_| unknown())?;
    let id = de.database_named(&name, &person).ok_or_else(unknown)?;
    let (settings, warnings) = Settings::of(parameters)?;
    let arrival = Arrival {
        person: person.clone(),
        database: (id, name.clone()),
        door: SqlDoor::Postgres,
        remote: Some(remote.to_string()),
        application: Some(settings.get("application_name").to_owned())
            .filter(|name| !name.is_empty()),
    };
    let begun = de.session_begin(arrival);
    let begun = begun.map_err(|problem| Fault::new("53300", problem.detail))?;
    let sessions = &de.goods.postgres.sessions;
    let standing = sessions.begin(begun, user.to_owned());
    let known = Arc::clone(&standing.known);
    let session = Session::new(
        Arc::clone(de),
        known,
        person,
        (id, name),
        settings,
        warnings,
    );
    Ok((session, standing))
}
