//! The Element's half: simulated Hosts, each on its own stream.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use gridmart_schemas::{
    api::person::{ApiTokenCreate, ApiTokenMade, PersonCreate, PersonView},
    id::{LeaseId, NodeId},
    role::Role as PersonRole,
};

use super::{
    super::{
        Bench, Figure, check_interrupted, pass,
        sample::{Sample, milliseconds, rate},
    },
    Limits, Watch, float,
    market::{APPLICATION, Market},
    mebibytes, reads,
};
use crate::swarm::{Arrivals, Heard, Person, QueueClient, Role, SimulatedHost};

/// Slots of each Host.
const SLOTS: u32 = 2;
/// Hosts that join at a time.
const JOINING_AT_A_TIME: usize = 64;
/// Programs that ask for slots at a time.
const CLIENTS: usize = 8;
/// How long the Element is away when it is restarted.
const AWAY: Duration = Duration::from_secs(3);
/// So long all Hosts may take to join.
const JOIN_MAX: Duration = Duration::from_mins(30);

struct Half<'a> {
    bench: &'a Bench,
    limits: &'a Limits,
    market: Market,
    element: Role,
    root_pem: String,
    hosts: Vec<SimulatedHost>,
    arrivals: Arc<Arrivals>,
    wanted: usize,
    figures: Vec<Figure>,
}

pub(super) fn measure(
    bench: &Bench,
    limits: &Limits,
    wanted: usize,
) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut market = Market::open(folder.path())?;
    market.upload(folder.path())?;
    let token = market.token(None, 1)?;
    let element = Role::element(
        &folder.path().join("ce"),
        &market.control.address("nodes"),
        &token,
    );
    let mut half = Half {
        bench,
        limits,
        root_pem: root_pem(market.control.folder())?,
        market,
        element,
        hosts: Vec::new(),
        arrivals: Arc::default(),
        wanted,
        figures: Vec::new(),
    };
    let empty = mebibytes(&half.element);
    half.join().context("join")?;
    half.heartbeats(empty).context("heartbeats")?;
    half.updates().context("updates")?;
    half.queue().context("queue")?;
    half.recall().context("recall")?;
    half.stop().context("stop")?;
    half.restart().context("restart")?;
    Ok(half.figures)
}

/// The root that programs pin.
fn root_pem(control: &Path) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(control.join("authority/root.pem"))?)
}

impl Half<'_> {
    /// Keeps figures, and shows them at once: all of it takes its time.
    fn tell<const N: usize>(&mut self, figures: [Figure; N]) {
        for figure in figures {
            eprintln!("gridmart-bench: {figure}");
            self.figures.push(figure);
        }
    }

    fn figure(&self, what: &str, value: f64, unit: &'static str) -> Figure {
        Figure::new(format!("Element of {}: {what}", self.wanted), value, unit)
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let token = self.market.token(Some(self.element.node()), self.wanted)?;
        let (door, began) = (self.element.address("door"), Instant::now());
        let (of_element, of_control) = (
            Watch::start(&self.element),
            Watch::start(&self.market.control),
        );
        let join = |number: usize| {
            let (door, token, arrivals) = (&door, &token, Arc::clone(&self.arrivals));
            async move {
                let name = format!("host-{number}");
                SimulatedHost::join(door, token, &name, SLOTS, arrivals)
                    .await
                    .map_err(|problem| anyhow::anyhow!("{problem}"))
            }
        };
        let joining = stream::iter(0..self.wanted)
            .map(join)
            .buffer_unordered(JOINING_AT_A_TIME);
        self.hosts = self.bench.wait_within(JOIN_MAX, joining.try_collect())?;
        self.wait_arrivals(began)?;
        let wall = of_element.elapsed();
        let figure = self
            .figure("join, until welcomed", rate(self.wanted, wall), "1/s")
            .beside("mutual TLS handshakes, both ends", self.limits.handshakes)
            .beside("fsyncs", self.limits.fsyncs)
            .note(format!(
                "{:.1} s; Element {:.0} %, controller {:.0} % of a CPU; two handshakes each",
                wall.as_secs_f64(),
                of_element.share(&self.element),
                of_control.share(&self.market.control)
            ));
        self.tell([figure]);
        Ok(())
    }

    /// Waits until all Hosts were welcomed since then.
    fn wait_arrivals(&self, since: Instant) -> anyhow::Result<()> {
        const STEP: Duration = Duration::from_millis(20);
        while self.arrivals.since(since) < self.wanted {
            check_interrupted()?;
            if since.elapsed() > JOIN_MAX {
                bail!(
                    "only {} of {} Hosts have come",
                    self.arrivals.since(since),
                    self.wanted
                );
            }
            thread::sleep(STEP);
        }
        Ok(())
    }

    fn heartbeats(&mut self, empty: f64) -> anyhow::Result<()> {
        pass(
            self.bench
                .time(Duration::from_secs(6), Duration::from_secs(1)),
        )?;
        let bytes = || {
            self.hosts
                .iter()
                .map(SimulatedHost::heartbeat_bytes)
                .sum::<u64>()
        };
        let before = bytes();
        let (watch, of_control) = (
            Watch::start(&self.element),
            Watch::start(&self.market.control),
        );
        pass(
            self.bench
                .time(Duration::from_secs(20), Duration::from_secs(6)),
        )?;
        let hosts = float(self.wanted as u64);
        let told = float(bytes() - before) / hosts / watch.elapsed().as_secs_f64();
        let (memory, share) = (mebibytes(&self.element), watch.share(&self.element));
        let figures = [
            self.figure("CPU share, heartbeats alone", share, "%")
                .note(format!(
                    "controller {:.1} %",
                    of_control.share(&self.market.control)
                )),
            self.figure("heartbeats, bytes per Host and second", told, "B/s")
                .note("JSON, before TLS"),
            self.figure("memory", memory, "MiB")
                .note(format!("RSS; without Hosts {empty:.0}")),
            self.figure("memory per Host", (memory - empty) * 1024.0 / hosts, "KiB"),
        ];
        self.tell(figures);
        Ok(())
    }

    /// A join token for Hosts is one update of the information base.
    fn updates(&mut self) -> anyhow::Result<()> {
        let count = self.bench.count(20, 5);
        let (mut sample, id) = (Sample::default(), self.element.node());
        for _ in 0..count {
            let began = Instant::now();
            self.market.token(Some(id), 1)?;
            sample.push(began.elapsed());
        }
        let (count, at_a_time, began) = (self.bench.count(160, 32), 16, Instant::now());
        thread::scope(|scope| -> anyhow::Result<()> {
            let threads: Vec<_> = (0..at_a_time)
                .map(|_| {
                    let control = &self.market.control;
                    let (people, token) = (control.address("people"), control.admin_token());
                    scope.spawn(move || -> anyhow::Result<()> {
                        let mut person = Person::connect(&people, &token)?;
                        (0..count / at_a_time).try_for_each(|_| host_token(&mut person, id))
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread failed"))?
            })
        })?;
        let bytes = std::fs::metadata(self.element.folder().join("CEDoc.xml"))?.len();
        let figure = self
            .figure("updates of its LIB, 16 at a time", rate(count, began.elapsed()), "1/s")
            .beside("fsyncs", self.limits.fsyncs)
            .note(format!(
                "asked for at the people's door; one at a time p50 {:.0} ms; the document has {bytes} bytes",
                milliseconds(sample.median())
            ));
        self.tell([figure]);
        self.reads()
    }

    fn reads(&mut self) -> anyhow::Result<()> {
        let document = self.element.folder().join("CEDoc.xml");
        let lasting = self
            .bench
            .time(Duration::from_secs(3), Duration::from_millis(300));
        let reads = reads::measure(&document, lasting)?;
        let figures = [
            self.figure("its LIB opened", milliseconds(reads.opened), "ms")
                .note("read from the disk, parsed and checked"),
            self.figure("reads of its LIB, two threads", reads.alone, "1/s")
                .note(format!(
                    "{:.0} while it is written all the time",
                    reads.beside_writes
                )),
        ];
        self.tell(figures);
        Ok(())
    }

    fn queue(&mut self) -> anyhow::Result<()> {
        let count = self.bench.count(1_000, 50);
        let mut client = self.client(None)?;
        let sample = self.bench.wait(cycle(&mut client, count))?;
        let mut clients = (0..CLIENTS)
            .map(|_| self.client(None))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let watch = Watch::start(&self.element);
        let cycling = try_join_all(clients.iter_mut().map(|client| cycle(client, count)));
        self.bench.wait(cycling)?;
        let (wall, share) = (watch.elapsed(), watch.share(&self.element));
        let figures = [
            self.figure(
                "slot wanted until granted, p50",
                milliseconds(sample.median()),
                "ms",
            )
            .beside("a signature", 1e3 / self.limits.signatures),
            self.figure(
                "slot wanted until granted, p99",
                milliseconds(sample.quantile(0.99)),
                "ms",
            ),
            self.figure(
                "queue operations, 8 programs",
                2.0 * rate(count * CLIENTS, wall),
                "1/s",
            )
            .beside("twice the signatures", 2.0 * self.limits.signatures)
            .note(format!("grants and returns; Element {share:.0} % of a CPU")),
        ];
        self.tell(figures);
        Ok(())
    }

    /// A program, of the admin or of this other person.
    fn client(&mut self, person: Option<&mut Person>) -> anyhow::Result<QueueClient> {
        let person = person.unwrap_or(&mut self.market.person);
        self.bench
            .wait(QueueClient::open(person, &self.root_pem, APPLICATION))
    }

    fn recall(&mut self) -> anyhow::Result<()> {
        let slots = u32::try_from(self.wanted)? * SLOTS;
        let mut other = self.other_person()?;
        let mut holder = self.client(None)?;
        let mut waiter = self.client(Some(&mut other))?;
        let rounds = self.bench.count(200, 20);
        let began = Instant::now();
        let mut held = Held::new();
        self.bench.wait(take(&mut holder, slots, &mut held))?;
        let filled = held.len();
        let took = began.elapsed();
        // The application is there now: one decision grants all of them.
        self.bench.wait(give_back(&holder, &mut held))?;
        let began = Instant::now();
        self.bench.wait(take(&mut holder, slots, &mut held))?;
        let took_again = began.elapsed();
        let (told, granted) =
            self.bench
                .wait(recall(&mut holder, &mut held, &mut waiter, rounds))?;
        let figures = [
            self.figure(
                "lease recall, until its holder hears, p50",
                milliseconds(told.median()),
                "ms",
            ),
            self.figure(
                "lease recall, until its holder hears, p99",
                milliseconds(told.quantile(0.99)),
                "ms",
            ),
            self.figure(
                "lease recall, until the next has it, p50",
                milliseconds(granted.median()),
                "ms",
            )
            .note(format!(
                "{filled} leases on {slots} slots, granted in {:.2} s, once more in {:.2} s",
                took.as_secs_f64(),
                took_again.as_secs_f64()
            )),
        ];
        self.tell(figures);
        Ok(())
    }

    fn other_person(&mut self) -> anyhow::Result<Person> {
        let name: gridmart_schemas::id::PersonName = "grace".parse()?;
        let create = PersonCreate {
            name: name.clone(),
            role: PersonRole::User,
            domain: None,
            password: "correct horse battery staple".to_owned(),
        };
        let _: PersonView = self.market.person.post("/api/v1/people", &create)?;
        let create = ApiTokenCreate {
            person: Some(name),
            ..ApiTokenCreate::default()
        };
        let made: ApiTokenMade = self.market.person.post("/api/v1/api-tokens", &create)?;
        Person::connect(&self.market.control.address("people"), &made.token)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let stopped: Vec<NodeId> = self
            .hosts
            .iter()
            .take(self.wanted / 2)
            .map(|host| host.id)
            .collect();
        let told = || {
            self.hosts
                .iter()
                .map(SimulatedHost::desires_told)
                .sum::<u64>()
        };
        let (before, watch) = (told(), Watch::start(&self.element));
        self.market.command("stop", &stopped)?;
        let (wall, messages) = (watch.elapsed(), told() - before);
        let figure = self
            .figure(
                &format!("stop of {} Hosts, until applied", stopped.len()),
                wall.as_secs_f64(),
                "s",
            )
            .beside(
                "as many SQLite commits",
                float(stopped.len() as u64) / self.limits.commits,
            )
            .note(format!(
                "{messages} messages to Hosts; Element {:.0} % of a CPU",
                watch.share(&self.element)
            ));
        self.tell([figure]);
        check_interrupted()
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.element.kill();
        pass(AWAY)?;
        let began = Instant::now();
        self.element.restart();
        let ready = began.elapsed();
        let watch = Watch::start(&self.element);
        self.wait_arrivals(began)?;
        let back = began.elapsed();
        let handshakes = float(self.wanted as u64) / self.limits.handshakes;
        let arrivals = self.arrivals.histogram(began, Duration::from_millis(500));
        let figure = self
            .figure("killed and started, until all Hosts are back", back.as_secs_f64(), "s")
            .beside("as many handshakes", handshakes)
            .note(format!(
                "serving after {:.2} s; Element {:.0} % of a CPU; Hosts back, by half seconds since the start: {arrivals}",
                ready.as_secs_f64(),
                watch.share(&self.element)
            ));
        self.tell([figure]);
        Ok(())
    }
}

fn host_token(person: &mut Person, element: NodeId) -> anyhow::Result<()> {
    let request = gridmart_schemas::api::join_token::JoinTokenRequest {
        kind: gridmart_schemas::role::NodeKind::ComputeHost,
        domain: None,
        element: Some(element.to_string()),
        uses: 1,
        expires_in: 3600,
        label: "swarm".to_owned(),
    };
    let _: gridmart_schemas::api::join_token::JoinTokenView =
        person.post("/api/v1/join-tokens", &request)?;
    Ok(())
}

/// Takes a slot and gives it back, so often.
async fn cycle(client: &mut QueueClient, count: usize) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    for _ in 0..count {
        let began = Instant::now();
        client.enter(1).await?;
        let (lease, _, at) = client.granted().await?;
        sample.push(at.saturating_duration_since(began));
        client.release(lease).await?;
    }
    Ok(sample)
}

/// Slots of each lease that a program has.
type Held = HashMap<LeaseId, u32>;

/// Takes so many slots.
async fn take(client: &mut QueueClient, slots: u32, held: &mut Held) -> anyhow::Result<()> {
    client.enter(slots).await?;
    let mut taken = 0;
    while taken < slots {
        let (lease, slots, _) = client.granted().await?;
        held.insert(lease, slots);
        taken += slots;
    }
    Ok(())
}

/// Gives all of them back.
async fn give_back(client: &QueueClient, held: &mut Held) -> anyhow::Result<()> {
    for (lease, _) in held.drain() {
        client.release(lease).await?;
    }
    Ok(())
}

/// One waits, the other is asked to give back, and takes as many slots again:
/// times until the holder was told, and until the waiter had one.
async fn recall(
    holder: &mut QueueClient,
    held: &mut Held,
    waiter: &mut QueueClient,
    rounds: usize,
) -> anyhow::Result<(Sample, Sample)> {
    let (mut told, mut granted) = (Sample::default(), Sample::default());
    for _ in 0..rounds {
        let began = Instant::now();
        waiter.enter(1).await?;
        let Heard::Recalled(lease, at) = holder.heard().await? else {
            bail!("a recall was awaited");
        };
        told.push(at.saturating_duration_since(began));
        let slots = held.remove(&lease).context("a recall of no lease")?;
        holder.release(lease).await?;
        let (lease, _, at) = waiter.granted().await?;
        granted.push(at.saturating_duration_since(began));
        waiter.release(lease).await?;
        take(holder, slots, held).await?;
    }
    Ok((told, granted))
}
