//! From a configuration to a running Computing Element, and to its end.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

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
    resource::{
        ce::{CeInfo, CePolicy, ComputingElement},
        ce_doc::CeDocument,
        common::{AccessControlBase, AccessRule, CommonInfo, Who},
        enumeration::{LrmsType, SchedulingPolicy},
    },
    role::NodeKind,
    scalar::{Port, ScalarError, Seconds, Token, Uri, UtcTime},
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    command::{settings_of, ticket_keys_of},
    deploy::Shelf,
    door::ElementDoor,
    element::Ce,
    explain::EndedCalls,
    journal::lease::LeaseJournal,
    link::Links,
    measure::Measures,
    queue::Queue,
    record::RecordDesk,
    standing::StandingFile,
    state::ServiceTimes,
};
use crate::{
    config::Config,
    group::Group,
    info_base::InfoBase,
    monitor::Monitor,
    run::{ElementError, bind_door, open_info_base, reached_by, start},
};

/// Name of the information base in the data folder.
const LIB_FILE: &str = "CEDoc.xml";
/// What the controller has said last.
const STANDING_FILE: &str = "controller.json";
/// How often the queue is told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// How long tasks may go on when the Element ends.
const END_GRACE: Duration = Duration::from_secs(3);
/// Waiting entries of a new Element, until its owner says otherwise.
const MAX_WAITING_JOBS: u32 = 10_000;
/// Probe timeout of a new Element.
const PROBE_TIMEOUT: Seconds = Seconds::from_secs(3);
/// How long Hosts may take to dial an Element that has started again, before one
/// of them is called down: their longest pause, and a bit.
const RETURN_TIME: Duration = Duration::from_secs(20);

/// Runs a Computing Element until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), ElementError> {
    // Boxed: what joining needs would be carried along for good.
    let joining = Box::pin(start(&config, NodeKind::ComputingElement, &stop));
    let Some(started) = joining.await? else {
        return Ok(());
    };
    let path = config.data_dir.join(LIB_FILE);
    let base = open_info_base(&path, config.restore_lib, || {
        first_document(&config, &started.identity)
    })?;
    let identity = IdentityCell::new(started.identity);
    let revocations = Revocations::new();
    let server = ServerTls::new(identity.clone(), revocations.clone())?;
    let last_port = base.read().element.info.gatekeeper_port.map(Port::get);
    let door = bind_door(config.listen, last_port, server).await?;
    let ce = assemble(&config, base, identity, revocations, &door, stop.clone())?;
    ce.note_door(door.local_addr().port())?;
    ce.take_up()?;
    let serving = tokio::spawn(door.serve(
        Arc::new(ElementDoor {
            ce: Arc::clone(&ce),
        }),
        stop.clone(),
    ));
    for task in [
        tokio::spawn(Arc::clone(&ce).keep_controller()),
        tokio::spawn(Arc::clone(&ce).keep_records()),
        tokio::spawn(Arc::clone(&ce).send_records()),
        tokio::spawn(Arc::clone(&ce).keep_certificate()),
        tokio::spawn(Arc::clone(&ce).keep_time()),
    ] {
        ce.tasks.spawn(task);
    }
    if ce.wait_until_ready(started.joined).await {
        ce.announce(&config)?;
    }
    stop.cancelled().await;
    ce.links.close_all();
    if let Err(error) = ready::withdraw(&config.data_dir) {
        tracing::warn!(%error, "the ready file cannot be withdrawn");
    }
    if let Err(error) = serving.await {
        tracing::error!(%error, "the door has ended badly");
    }
    ce.tasks.close();
    if tokio::time::timeout(END_GRACE, ce.tasks.wait())
        .await
        .is_err()
    {
        tracing::info!("some work is cut off at the end");
    }
    ce.flush().await;
    drop(started.lock);
    tracing::info!("the Element has ended");
    Ok(())
}

/// The information base of a new Element.
fn first_document(config: &Config, identity: &NodeIdentity) -> Result<CeDocument, ElementError> {
    let setting = |what: &'static str| {
        move |error: ScalarError| ElementError::Setting {
            what,
            reason: error.to_string(),
        }
    };
    let mut common = CommonInfo::new(
        config.name.parse().map_err(setting("name"))?,
        identity.domain().parse().map_err(setting("domain"))?,
    );
    common.implementation_name = "gridmart".parse().ok();
    common.implementation_version = env!("CARGO_PKG_VERSION").parse().ok();
    common.capabilities = [
        "executionmanagement.jobexecution",
        "executionmanagement.jobmanager",
    ]
    .into_iter()
    .filter_map(|capability| capability.parse().ok())
    .collect();
    let reached = reached_by(config, config.listen);
    let machine = host_of(&reached);
    let mut info = CeInfo::new(
        common,
        LrmsType::Fork,
        machine.parse().map_err(setting("address"))?,
    );
    info.bulk_submission = Some(true);
    let policy = CePolicy {
        max_waiting_jobs: Some(MAX_WAITING_JOBS),
        scheduling_policy: Some(SchedulingPolicy::Fairshare),
        ..CePolicy::default()
    };
    let element = ComputingElement {
        id: identity.node().to_urn().parse().map_err(setting("id"))?,
        info,
        state: None,
        policy,
        access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
    };
    let mut document = CeDocument::new(element);
    document.configuration.common.probe_timeout = PROBE_TIMEOUT;
    Ok(document)
}

fn disk_fault(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ElementError {
    let path = path.display().to_string();
    move |source| ElementError::Disk {
        action,
        path,
        source,
    }
}

fn assemble(
    config: &Config,
    base: InfoBase<CeDocument>,
    identity: Arc<IdentityCell>,
    revocations: Revocations,
    door: &Door,
    stop: CancellationToken,
) -> Result<Arc<Ce>, ElementError> {
    let own = identity.current();
    let folder = &config.data_dir;
    let standing_path = folder.join(STANDING_FILE);
    let standing = StandingFile::open(Arc::new(RealDisk), &standing_path)
        .map_err(disk_fault("read", &standing_path))?;
    let records_path = folder.join("records.journal");
    let records = RecordDesk::open(&records_path).map_err(disk_fault("open", &records_path))?;
    let leases_path = folder.join("leases.journal");
    let (lease_journal, leases) =
        LeaseJournal::open(Arc::new(RealDisk), &leases_path, Instant::now())
            .map_err(disk_fault("open", &leases_path))?;
    let shelf = Shelf::open(folder).map_err(disk_fault("open", folder))?;
    let mut own_keys = VerifyingKeys::default();
    if let Err(problem) = own_keys.insert(own.node(), own.signing_key().spki_pem()) {
        tracing::error!(%problem, "the Element's own key cannot verify leases that clients bring along");
    }
    let document = base.read();
    let mut queue = Queue::new(settings_of(&document));
    let capabilities = &document.element.info.common.capabilities;
    queue.on_element_offers(capabilities.iter().map(Token::as_str));
    for lease in leases {
        queue.on_lease_remembered(lease, Instant::now());
    }
    let returning = !base.read().host_table.hosts.is_empty();
    let registry = Metrics::new();
    Ok(Arc::new(Ce {
        id: own.node(),
        controller: own.parent(),
        incarnation: Incarnation::generate(),
        ticket_keys: RwLock::new(ticket_keys_of(own.parent(), &standing.get().ticket_keys)),
        own_keys: RwLock::new(own_keys),
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
        queue: Mutex::new(queue),
        lease_journal: Mutex::new(lease_journal),
        records,
        service_times: Mutex::new(ServiceTimes::default()),
        ended_calls: Mutex::new(EndedCalls::default()),
        shelf,
        probes: Mutex::default(),
        relays: Arc::default(),
        links: Links::default(),
        monitor: Monitor::default(),
        beat: Mutex::default(),
        metrics: Measures::register(&registry),
        registry,
        applying: tokio::sync::Mutex::default(),
        telling: tokio::sync::Mutex::default(),
        welcomed: CancellationToken::new(),
        parent_clock: ParentClock::default(),
        late: Mutex::default(),
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
    }))
}

impl Ce {
    /// Keeps where the door is; the next start takes the same port again.
    fn note_door(&self, port: u16) -> Result<(), ElementError> {
        let port = Port::new(port);
        let doors: Vec<Uri> = self
            .endpoints
            .iter()
            .filter_map(|door| format!("https://{door}").parse().ok())
            .collect();
        let info = self.base.read().element.info.clone();
        if info.gatekeeper_port != port || info.common.endpoints != doors {
            self.base.update(|document| {
                document.element.info.gatekeeper_port = port;
                document.element.info.common.endpoints = doors;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Takes up what was there at the last end: Hosts, wishes, applications.
    fn take_up(self: &Arc<Self>) -> Result<(), ElementError> {
        let document = self.base.read();
        let desired = self.standing.lock().get().desired.clone();
        self.revocations.replace(desired.revoked.iter().copied());
        self.decide(|queue, now| {
            for entry in &document.host_table.hosts {
                let id = entry
                    .host
                    .id
                    .as_str()
                    .trim_start_matches("urn:uuid:")
                    .parse::<NodeId>();
                let id = id.map_err(|error| ElementError::Setting {
                    what: "Host table",
                    reason: error.to_string(),
                })?;
                self.monitor.on_known(id, entry.host.clone().into());
                queue.on_host_known(
                    id,
                    Arc::new(entry.host.clone()),
                    entry.wish,
                    entry.is_revoked(),
                );
            }
            queue.on_desired(&desired, now);
            Ok(())
        })
    }

    /// Lets time pass for the queue, and observed values reach the disk.
    async fn keep_time(self: Arc<Self>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shown = None;
        while self.stop.run_until_cancelled(tick.tick()).await.is_some() {
            let settings = settings_of(&self.base.read());
            self.decide(|queue, now| {
                queue.on_settings_if_changed(settings, now);
                queue.on_tick(now);
            });
            let state = self.state(TICK);
            self.metrics.observe(&state);
            let common = (state.common.serving_state, state.common.health_state);
            if shown != Some(common) {
                shown = Some(common);
                self.news.notify_one();
            }
            self.metrics
                .records_waiting
                .set(i64::try_from(self.records.len()).unwrap_or(i64::MAX));
            self.apply_again().await;
            let flushed = self.blocking(|ce| {
                ce.lease_journal.lock().on_tick();
                ce.base.flush(false)
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

    fn announce(&self, config: &Config) -> Result<(), ElementError> {
        let door = self.endpoints.first().cloned().unwrap_or_default();
        let ready = Ready {
            role: "element".to_owned(),
            pid: std::process::id(),
            node: Some(self.id),
            name: self.base.read().element.info.common.name.to_string(),
            addresses: BTreeMap::from([("door".to_owned(), door.clone())]),
        };
        ready::announce(&config.data_dir, &ready).map_err(disk_fault("write", &config.data_dir))?;
        tracing::info!(node.id = %self.id, door, "the Element is ready");
        Ok(())
    }

    async fn flush(self: &Arc<Self>) {
        let flushed = self.blocking(|ce| ce.base.flush(true)).await;
        if let Ok(Err(error)) = flushed {
            tracing::error!(%error, "observed values are not in the information base");
        }
    }
}
