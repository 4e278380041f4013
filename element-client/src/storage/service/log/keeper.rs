//! Starts the log, and stays beside it until the Element ends.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{causes::with_causes, stream::Backoff};
use gridmart_schemas::{id::NodeId, resource::se_doc::SeDocument, scalar::UtcTime};
use rusqlite::Connection;
use tokio::{runtime::Handle, time::timeout};

use super::{
    super::Service,
    hosts::LogHosts,
    members::{Followed, Members, first_members},
    rebuilder::carry_out,
    replica::Ways,
    snapshots::{Bounds, Snapshots},
    standing::{Errand, Log, Watched},
};
use crate::{
    run::ElementError,
    storage::{
        Se,
        metadata::{
            FanOut, MemberSet, Membership, Readers, Replica, StoreError, Writer, WriterMark,
            WriterThread, open_writer, recover,
        },
    },
};

/// The store's file in the data folder.
const STORE_FILE: &str = "metadata.sqlite";
/// Connections that read beside the writer.
const READERS_MAX: usize = 8;
/// How long a change waits for Hosts before it is taken back.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether Hosts have come, at a start.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// How often the members are looked at, while they change and while they do not.
const MOVING_PAUSE: Duration = Duration::from_millis(500);
const SETTLED_PAUSE: Duration = Duration::from_secs(3);

/// Where the store is.
pub(super) fn store_path(folder: &Path) -> PathBuf {
    folder.join(STORE_FILE)
}

/// Opens the store. An empty one is made only where none ever was.
pub(crate) fn open_store(folder: &Path, base: &SeDocument) -> Result<Connection, ElementError> {
    let path = store_path(folder);
    if base.log_begun.is_some() && !path.exists() {
        return Err(ElementError::StoreLost {
            path: path.display().to_string(),
        });
    }
    Ok(open_writer(&path)?)
}

/// The log, begun and not assured yet.
struct Begun {
    readers: Readers,
    fan_out: Arc<FanOut>,
    writer: Writer,
    thread: WriterThread,
    hosts: LogHosts,
    members: Arc<Members>,
}

/// Keeps the log until the Element ends.
pub(crate) async fn keep(se: Arc<Se>) {
    match se.goods.log.take_errand() {
        Some(Errand::Serve(store)) => keep_store(se, store).await,
        Some(Errand::Rebuild(order)) => carry_out(se, order).await,
        None => {}
    }
}

/// How this Element reaches its Hosts.
pub(super) fn ways_of(se: &Se) -> Ways {
    Ways {
        pool: Arc::clone(&se.goods.pool),
        tls: se.tls.clone(),
        runtime: Handle::current(),
        stop: se.stop.clone(),
    }
}

async fn keep_store(se: Arc<Se>, connection: Connection) {
    let ways = ways_of(&se);
    let log = Arc::clone(&se.goods.log);
    let hosts = ways.log_hosts();
    let starting = start(&se, &hosts, connection);
    let begun = match se.stop.run_until_cancelled(starting).await {
        None => return,
        Some(Err(why)) => return log.refuse(why),
        Some(Ok(begun)) => begun,
    };
    let keeping = async {
        if assure(&se, &ways, &begun).await {
            let snapshots = snapshots(&se, &begun);
            tokio::join!(tend(&log, &begun), snapshots.tend());
        }
    };
    se.stop.run_until_cancelled(keeping).await;
    log.opening("the Element is going down");
    let Begun {
        fan_out, thread, ..
    } = begun;
    let ended = tokio::task::spawn_blocking(move || {
        thread.stop();
        fan_out.members_set(Vec::new(), Membership::default());
    });
    if let Err(error) = ended.await {
        tracing::error!(%error, "the log of the metadata has ended badly");
    }
}

/// Waits for the Hosts with the log, adopts what they have beyond the store, and
/// starts the writer. The error says why the store cannot be used.
async fn start(
    se: &Arc<Se>,
    log_hosts: &LogHosts,
    mut connection: Connection,
) -> Result<Begun, String> {
    let told = |error: StoreError| with_causes(&error);
    let membership = Membership::read(&connection).map_err(told)?;
    let is_new = membership.sets().is_empty();
    let hosts = hosts_return(se, &membership).await;
    let replicas = log_hosts.replicas(&hosts);
    let recovering = tokio::task::spawn_blocking(move || {
        if is_new {
            require_unused(&replicas)?;
        }
        let recovered = recover(&mut connection, &replicas, WriterMark::random())
            .map_err(|error| with_causes(&error))?;
        Ok::<_, String>((connection, recovered))
    });
    let (connection, recovered) = recovering.await.map_err(|error| error.to_string())??;
    let (epoch, position) = (recovered.epoch, recovered.position);
    let (adopted, answered) = (recovered.adopted, recovered.answered);
    tracing::info!(%epoch, %position, adopted, answered, "the metadata are recovered");
    // What was adopted may name others.
    let membership = Membership::read(&connection).map_err(told)?;
    let readers = Readers::open(&store_path(&se.data_dir), READERS_MAX).map_err(told)?;
    let fan_out = Arc::new(FanOut::new(readers.clone(), COMMIT_PATIENCE));
    fan_out.members_set(log_hosts.replicas(&membership.hosts()), membership.clone());
    let watched = Watched {
        fan_out: Arc::clone(&fan_out),
        log: Arc::clone(&se.goods.log),
    };
    let (writer, thread) = Writer::start(connection, &recovered, Arc::new(watched))
        .map_err(|error| error.to_string())?;
    let patience = se.base.read().configuration.repair_delay.to_duration();
    let members = Members::new(
        log_hosts.clone(),
        readers.clone(),
        Arc::clone(&fan_out),
        writer.clone(),
        membership,
        patience,
    );
    Ok(Begun {
        readers,
        fan_out,
        writer,
        thread,
        hosts: log_hosts.clone(),
        members: Arc::new(members),
    })
}

/// Waits until the Hosts with the log have come, or should have; a new log needs
/// one at least. Gives those to ask.
async fn hosts_return(se: &Arc<Se>, membership: &Membership) -> BTreeSet<NodeId> {
    let members = membership.hosts();
    let deadline = se.started + se.return_time;
    loop {
        let (there, known) = {
            let pool = se.goods.pool.lock();
            let (mut there, mut known) = (BTreeSet::new(), BTreeSet::new());
            for (id, host) in pool.hosts().filter(|(_, host)| !host.revoked) {
                known.insert(id);
                if host.writable().is_some() {
                    there.insert(id);
                }
            }
            (there, known)
        };
        let expected = if members.is_empty() { &known } else { &members };
        let is_late = tokio::time::Instant::now() >= deadline;
        let missing = expected.difference(&there).count();
        if !members.is_empty() && (missing == 0 || is_late) {
            return members;
        }
        if members.is_empty() && !there.is_empty() && (missing == 0 || is_late) {
            return there;
        }
        se.goods.log.opening(if expected.is_empty() {
            "no storage Host has come yet to hold their log".to_owned()
        } else {
            format!("{missing} of {} Hosts have not come yet", expected.len())
        });
        // Nothing is missed: it is looked again.
        let _ = timeout(LOOK_PAUSE, se.links.changed()).await;
    }
}

/// A store that never was written does not begin beside a log that was.
fn require_unused(replicas: &[Arc<dyn Replica>]) -> Result<(), String> {
    for replica in replicas {
        match replica.tail() {
            Ok(tail) if tail.last.sequence > 0 => {
                return Err(format!(
                    "the store is new, and the Host {} has the log of an earlier one, up to record \
                     {}; rebuild the store with `gridmart element storage --rebuild`",
                    replica.host(),
                    tail.last
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Tries until enough Hosts have all that the store has; false if that can never
/// be in this run.
async fn assure(se: &Arc<Se>, ways: &Ways, begun: &Begun) -> bool {
    let log = &se.goods.log;
    let backoff = Backoff::default();
    let mut first: Option<MemberSet> = None;
    for failures in 1.. {
        match assure_once(se, begun, &mut first).await {
            Ok(()) => break,
            Err(_) if log.is_refused() => return false,
            Err(why) => log.opening(why),
        }
        tokio::time::sleep(backoff.pause(failures)).await;
    }
    log.ready(Arc::new(Service::new(
        ways,
        begun.readers.clone(),
        begun.writer.clone(),
        Arc::clone(&begun.members),
    )));
    tracing::info!("the metadata are assured");
    true
}

async fn assure_once(
    se: &Arc<Se>,
    begun: &Begun,
    first: &mut Option<MemberSet>,
) -> Result<(), String> {
    // Before a Host has anything of it.
    mark_begun(se).await?;
    if begun.members.membership().await.sets().is_empty() {
        return begin(begun, first).await;
    }
    let Err(error) = begun.writer.assure().await else {
        return Ok(());
    };
    // Members may have been revoked while the Element was down.
    if let Err(problem) = begun.members.follow().await {
        tracing::debug!(%problem, "the Hosts of the log stay as they are");
    }
    Err(error.to_string())
}

/// Notes in the information base that there is a log.
pub(super) async fn mark_begun(se: &Arc<Se>) -> Result<(), String> {
    if se.base.read().log_begun.is_some() {
        return Ok(());
    }
    let marked = se.blocking(|se| {
        se.base.update(|document| {
            document.log_begun = Some(UtcTime::now());
            Ok(())
        })
    });
    let marked = marked.await.map_err(|problem| problem.detail)?;
    marked.map_err(|error| with_causes(&error))
}

/// Writes the very first record. The Hosts are chosen once: a try that failed may
/// have left it on some, and another choice, of which none has heard, would not
/// be told from it.
async fn begin(begun: &Begun, first: &mut Option<MemberSet>) -> Result<(), String> {
    let is_whole = first.as_ref().is_some_and(|first| {
        let pool = begun.hosts.pool.lock();
        let mut hosts = first.hosts.iter();
        hosts.all(|host| pool.host(*host).is_some_and(|host| !host.revoked))
    });
    if !is_whole {
        *first = Some(first_members(&begun.hosts).map_err(|problem| problem.detail)?);
    }
    let Some(first) = first.clone() else {
        return Ok(());
    };
    let written = begun.members.begin(first).await;
    written.map_err(|error| error.to_string())
}

fn snapshots(se: &Se, begun: &Begun) -> Snapshots {
    Snapshots {
        store: store_path(&se.data_dir),
        bounds: Bounds::default(),
        hosts: begun.hosts.clone(),
        fan_out: Arc::clone(&begun.fan_out),
        writer: begun.writer.clone(),
        members: Arc::clone(&begun.members),
    }
}

/// Has the right Hosts hold the log, as Hosts come and go.
async fn tend(log: &Log, begun: &Begun) {
    loop {
        if log.is_troubled() {
            // As soon as enough are back, it is told.
            let _ = begun.writer.assure().await;
        }
        let pause = match begun.members.follow().await {
            Ok(Followed::Settled) => SETTLED_PAUSE,
            Ok(Followed::Moving { .. }) => MOVING_PAUSE,
            Err(problem) => {
                tracing::warn!(%problem, "the Hosts of the log stay as they are");
                SETTLED_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}
