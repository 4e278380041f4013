//! From a configuration to a running Element, and to its end.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use gridmart_fabric::{
    clock::ParentClock,
    disk::RealDisk,
    door::{
        Door,
        advertised::{endpoint, host_of},
    },
    identity::{IdentityCell, NodeIdentity},
    ready::{self, Ready},
    telemetry::Metrics,
    throttle::Throttle,
    ticket::VerifyingKeys,
    tls::{ClientTls, Revocations, ServerTls},
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    scalar::{Uri, UtcTime},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Element,
    command::ticket_keys_of,
    door::ElementDoor,
    goods::{ElementDocument as _, Goods, KnownHost, Opening, TableHost as _},
    link::Links,
    measure::Measures,
    standing::StandingFile,
};
use crate::{
    config::Config,
    group::Group,
    info_base::InfoBase,
    monitor::Monitor,
    run::{ElementError, bind_door, open_info_base, reached_by, start},
};

/// What the controller has said last.
const STANDING_FILE: &str = "controller.json";
/// How often the goods are told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// How long tasks may go on when the Element ends.
const END_GRACE: Duration = Duration::from_secs(3);
/// How long Hosts may take to dial an Element that has started again, before one
/// of them is called down: their longest pause, and a bit.
const RETURN_TIME: Duration = Duration::from_secs(20);

/// Runs an Element until `stop`.
pub(crate) async fn run<G: Goods>(
    config: Config,
    stop: CancellationToken,
) -> Result<(), ElementError> {
    run_with(config, G::open, stop).await
}

/// The same, with the goods that `open` gives.
pub(crate) async fn run_with<G: Goods>(
    config: Config,
    open: impl FnOnce(&Opening<'_, G::Document>) -> Result<G, ElementError>,
    stop: CancellationToken,
) -> Result<(), ElementError> {
    // Boxed: what joining needs would be carried along for good.
    let joining = Box::pin(start(&config, G::KIND, &stop));
    let Some(started) = joining.await? else {
        return Ok(());
    };
    let path = config.data_dir.join(G::LIB_FILE);
    let base = open_info_base(&path, config.restore_lib, || {
        G::first_document(&config, &started.identity)
    })?;
    let identity = IdentityCell::new(started.identity);
    let revocations = Revocations::new();
    let server = ServerTls::new(identity.clone(), revocations.clone())?;
    let door = bind_door(config.listen, base.read().door_port(), server).await?;
    let element = assemble(
        &config,
        base,
        open,
        identity,
        revocations,
        &door,
        stop.clone(),
    )?;
    let address = door.local_addr();
    element.note_start(&config, address.port())?;
    element.take_up()?;
    let serving = tokio::spawn(door.serve(
        Arc::new(ElementDoor {
            element: Arc::clone(&element),
        }),
        stop.clone(),
    ));
    element.begin_tasks();
    if element.wait_until_ready(started.joined).await {
        element.announce(&config, address)?;
    }
    stop.cancelled().await;
    element.links.close_hosts();
    element.goods.close();
    if let Err(error) = ready::withdraw(&config.data_dir) {
        tracing::warn!(%error, "the ready file cannot be withdrawn");
    }
    if let Err(error) = serving.await {
        tracing::error!(%error, "the door has ended badly");
    }
    element.tasks.close();
    if tokio::time::timeout(END_GRACE, element.tasks.wait())
        .await
        .is_err()
    {
        tracing::info!("some work is cut off at the end");
    }
    element.flush().await;
    drop(started.lock);
    tracing::info!("the Element has ended");
    Ok(())
}

/// The error of a file in the data folder that refuses.
pub(crate) fn disk_fault(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> ElementError {
    let path = path.display().to_string();
    move |source| ElementError::Disk {
        action,
        path,
        source,
    }
}

fn assemble<G: Goods>(
    config: &Config,
    base: InfoBase<G::Document>,
    open: impl FnOnce(&Opening<'_, G::Document>) -> Result<G, ElementError>,
    identity: Arc<IdentityCell>,
    revocations: Revocations,
    door: &Door,
    stop: CancellationToken,
) -> Result<Arc<Element<G>>, ElementError> {
    let own = identity.current();
    let folder = &config.data_dir;
    let standing_path = folder.join(STANDING_FILE);
    let standing = StandingFile::open(Arc::new(RealDisk), &standing_path)
        .map_err(disk_fault("read", &standing_path))?;
    let returning = !base.read().hosts().is_empty();
    let registry = Metrics::new();
    // What is said at this start counts, and is noted when all is open.
    let mut document = G::Document::clone(&base.read());
    document.set_up(config);
    let goods = open(&Opening {
        folder,
        config,
        document: &document,
        registry: &registry,
        identity: &identity,
    })?;
    Ok(Arc::new(Element {
        id: own.node(),
        controller: own.parent(),
        incarnation: Incarnation::generate(),
        ticket_keys: RwLock::new(ticket_keys_of(own.parent(), &standing.get().ticket_keys)),
        own_keys: RwLock::new(own_keys(&own)),
        tls: ClientTls::node(identity.clone(), revocations.clone())?,
        identity,
        throttle: Throttle::default(),
        data_dir: folder.clone(),
        endpoints: vec![endpoint(
            &reached_by(config, door.local_addr()),
            door.local_addr().port(),
        )],
        controller_endpoints: vec![config.controller.clone()],
        base,
        standing: Mutex::new(standing),
        revocations,
        probes: Mutex::default(),
        links: Links::default(),
        monitor: Monitor::default(),
        beat: Mutex::default(),
        metrics: Measures::register(&registry, G::KIND),
        registry,
        applying: tokio::sync::Mutex::default(),
        telling: tokio::sync::Mutex::default(),
        welcomed: CancellationToken::new(),
        parent_clock: ParentClock::default(),
        vouching: Group::default(),
        untold: Mutex::default(),
        news: Notify::new(),
        desired_changed: Notify::new(),
        started: tokio::time::Instant::now(),
        started_at: UtcTime::now(),
        // A new Element has no Hosts that could be on their way back.
        return_time: if returning {
            RETURN_TIME
        } else {
            Duration::ZERO
        },
        tasks: TaskTracker::new(),
        stop,
        goods,
    }))
}

fn own_keys(own: &NodeIdentity) -> VerifyingKeys {
    let mut keys = VerifyingKeys::default();
    if let Err(problem) = keys.insert(own.node(), own.signing_key().spki_pem()) {
        tracing::error!(%problem, "the Element's own key cannot verify what clients bring along");
    }
    keys
}

impl<G: Goods> Element<G> {
    /// Keeps where the door is, for the next start to take the same port again,
    /// and what was said at this start.
    fn note_start(&self, config: &Config, port: u16) -> Result<(), ElementError> {
        let doors: Vec<Uri> = self
            .endpoints
            .iter()
            .filter_map(|door| format!("https://{door}").parse().ok())
            .collect();
        let mut noted = G::Document::clone(&self.base.read());
        noted.set_door(port, doors.clone());
        noted.set_up(config);
        if noted != *self.base.read() {
            self.base.update(|document| {
                document.set_door(port, doors);
                document.set_up(config);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes up what was there at the last end: Hosts, wishes, goods.
    fn take_up(self: &Arc<Self>) -> Result<(), ElementError> {
        let document = self.base.read();
        let desired = self.standing.lock().get().desired.clone();
        self.revocations.replace(desired.revoked.iter().copied());
        let mut hosts = Vec::with_capacity(document.hosts().len());
        for entry in document.hosts() {
            let text = entry.host.id().as_str().trim_start_matches("urn:uuid:");
            let id = text
                .parse::<NodeId>()
                .map_err(|error| ElementError::Setting {
                    what: "Host table",
                    reason: error.to_string(),
                })?;
            self.monitor.on_known(id, entry.host.clone().into());
            hosts.push(KnownHost {
                id,
                host: entry.host.clone(),
                wish: entry.wish,
                revoked: entry.is_revoked(),
            });
        }
        G::take_up(self, hosts, &desired);
        Ok(())
    }

    fn begin_tasks(self: &Arc<Self>) {
        self.tasks.spawn(Arc::clone(self).keep_controller());
        self.tasks.spawn(Arc::clone(self).keep_certificate());
        self.tasks.spawn(Arc::clone(self).keep_time());
        for task in G::tasks(self) {
            self.tasks.spawn(task);
        }
    }

    /// Lets time pass for the goods, and observed values reach the disk.
    async fn keep_time(self: Arc<Self>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shown = None;
        while self.stop.run_until_cancelled(tick.tick()).await.is_some() {
            G::on_tick(&self);
            let state = self.state(TICK);
            G::observe(&self, &state);
            let common = (state.common().serving_state, state.common().health_state);
            if shown != Some(common) {
                shown = Some(common);
                self.news.notify_one();
            }
            self.apply_again().await;
            let flushed = self.blocking(|element| {
                element.goods.flush();
                element.base.flush(false)
            });
            let flushed = flushed.await;
            if let Ok(Err(error)) = flushed {
                tracing::error!(%error, "observed values cannot reach the information base");
            }
        }
    }

    /// Ready is who was welcomed once; an Element that had joined before works
    /// without its controller. False if told to end.
    async fn wait_until_ready(&self, joined: bool) -> bool {
        if !joined {
            return true;
        }
        let welcomed = self.welcomed.cancelled();
        self.stop.run_until_cancelled(welcomed).await.is_some()
    }

    fn announce(&self, config: &Config, address: SocketAddr) -> Result<(), ElementError> {
        // Where it is, also if others reach it at another port.
        let reached = reached_by(config, address);
        let door = endpoint(host_of(&reached), address.port());
        let ready = Ready {
            role: "element".to_owned(),
            pid: std::process::id(),
            node: Some(self.id),
            name: self.base.read().common_info().name.to_string(),
            addresses: std::iter::once(("door", door.clone()))
                .chain(self.goods.doors())
                .map(|(name, address)| (name.to_owned(), address))
                .collect(),
        };
        ready::announce(&config.data_dir, &ready).map_err(disk_fault("write", &config.data_dir))?;
        tracing::info!(node.id = %self.id, door, "the Element is ready");
        Ok(())
    }

    async fn flush(self: &Arc<Self>) {
        let flushed = self.blocking(|element| element.base.flush(true)).await;
        if let Ok(Err(error)) = flushed {
            tracing::error!(%error, "observed values are not in the information base");
        }
    }
}
