//! The controller's half: simulated Elements with their Hosts.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use gridmart_fabric::identity::EphemeralKey;
use gridmart_schemas::{
    api::access::{AccessDecision, ApplicationAccessRequest},
    id::NodeId,
    role::Operation,
};

use super::{
    super::{
        Bench, Figure, check_interrupted, pass,
        sample::{Sample, milliseconds, rate},
    },
    HOSTS_PER_ELEMENT, Limits, Watch, float,
    market::{APPLICATION, Market},
    mebibytes,
};
use crate::swarm::{Arrivals, Person, SimulatedElement};

const AIM_P99: f64 = 2.0;
const AIM_SHARE: f64 = 50.0;
const AIM_MEBIBYTES: f64 = 300.0;
/// Connections on which access is asked for as fast as it is answered.
const ASKERS: usize = 4;
/// How long the controller is away when it is restarted.
const AWAY: Duration = Duration::from_secs(3);

/// A controller with its swarm.
struct Half<'a> {
    bench: &'a Bench,
    limits: &'a Limits,
    market: Market,
    elements: Vec<SimulatedElement>,
    arrivals: Arc<Arrivals>,
    hosts: usize,
    figures: Vec<Figure>,
}

pub(super) fn measure(bench: &Bench, limits: &Limits, hosts: usize) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let market = Market::open(folder.path())?;
    market.upload(folder.path())?;
    let mut half = Half {
        bench,
        limits,
        market,
        elements: Vec::new(),
        arrivals: Arc::default(),
        hosts,
        figures: Vec::new(),
    };
    let empty = mebibytes(&half.market.control);
    half.join().context("join")?;
    half.heartbeats(empty).context("heartbeats")?;
    half.access().context("access")?;
    half.stop().context("stop")?;
    half.restart().context("restart")?;
    Ok(half.figures)
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
        Figure::new(format!("{} Hosts: {what}", self.hosts), value, unit)
    }

    /// The last Host of each Element: when these are heard of, all are.
    fn last_hosts(&self) -> Vec<NodeId> {
        let last = |element: &SimulatedElement| element.hosts().last().copied();
        self.elements.iter().filter_map(last).collect()
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let usual = self.hosts.div_ceil(HOSTS_PER_ELEMENT).max(10);
        let count = self.bench.elements.unwrap_or(usual).max(1);
        let token = self.market.token(None, count)?;
        let door = self.market.control.address("nodes");
        let told = |problem: gridmart_schemas::problem::Problem| anyhow::anyhow!("{problem}");
        for number in 1..=count {
            let name = format!("ce-{number}");
            let joining = SimulatedElement::join(&door, &token, &name, Arc::clone(&self.arrivals));
            let element = self.bench.wait(async { joining.await.map_err(told) })?;
            self.elements.push(element);
        }
        let watch = Watch::start(&self.market.control);
        let joining = self
            .elements
            .iter()
            .map(|element| element.join_hosts(self.hosts / count));
        let joined = try_join_all(joining);
        self.bench
            .wait_within(JOIN_MAX, async { joined.await.map_err(told) })?;
        let (vouched, share) = (watch.elapsed(), watch.share(&self.market.control));
        let last = self.last_hosts();
        self.market.wait_heard(&last);
        let figure = self
            .figure(
                "join, certificates included",
                rate(self.hosts, vouched),
                "1/s",
            )
            .beside("SQLite commits", self.limits.commits)
            .beside("ECDSA signatures", self.limits.signatures)
            .note(format!(
                "{:.1} s, all heard of after {:.1} s; controller {share:.0} % of a CPU",
                vouched.as_secs_f64(),
                watch.elapsed().as_secs_f64()
            ));
        self.tell([figure]);
        Ok(())
    }

    fn heartbeats(&mut self, empty: f64) -> anyhow::Result<()> {
        pass(
            self.bench
                .time(Duration::from_secs(5), Duration::from_secs(1)),
        )?;
        let bytes = || {
            self.elements
                .iter()
                .map(SimulatedElement::heartbeat_bytes)
                .sum::<u64>()
        };
        let (watch, before) = (Watch::start(&self.market.control), bytes());
        pass(
            self.bench
                .time(Duration::from_secs(20), Duration::from_secs(4)),
        )?;
        let share = watch.share(&self.market.control);
        let told = float(bytes() - before);
        let hosts = float(self.hosts as u64);
        let memory = mebibytes(&self.market.control);
        let figures = [
            self.figure("controller's CPU share, heartbeats alone", share, "%")
                .aim("under half of one CPU", share < AIM_SHARE),
            self.figure(
                "heartbeats, bytes per Host and second",
                told / hosts / watch.elapsed().as_secs_f64(),
                "B/s",
            )
            .note("JSON, before TLS; each Host tells a new State every 4 s"),
            self.figure("controller's memory", memory, "MiB")
                .aim(format!("under {AIM_MEBIBYTES} MiB"), memory < AIM_MEBIBYTES)
                .note(format!("RSS; without Hosts {empty:.0}")),
            self.figure(
                "controller's memory per Host",
                (memory - empty) * 1024.0 / hosts,
                "KiB",
            ),
        ];
        self.tell(figures);
        Ok(())
    }

    fn access(&mut self) -> anyhow::Result<()> {
        let key = EphemeralKey::generate()?;
        let request = ApplicationAccessRequest {
            application: Some(APPLICATION.to_owned()),
            needs: Vec::new(),
            operations: vec![Operation::Call],
            presenter: key.key_hash().clone(),
            avoid: Vec::new(),
        };
        let count = self.bench.count(5_000, 300);
        let sample = ask(&mut self.market.person, &request, count)?;
        let http = &self.limits.http;
        let p99 = milliseconds(sample.quantile(0.99));
        let figures = [
            self.figure("access decision, p50", milliseconds(sample.median()), "ms")
                .beside("bare HTTP round trip", milliseconds(http.median()))
                .beside("four signatures", 4e3 / self.limits.signatures),
            self.figure("access decision, p99", p99, "ms")
                .beside("bare HTTP round trip", milliseconds(http.quantile(0.99)))
                .aim(format!("under {AIM_P99} ms"), p99 < AIM_P99)
                .note("one connection, heartbeats on, swarm and asker on the same CPUs"),
        ];
        self.tell(figures);
        let watch = Watch::start(&self.market.control);
        thread::scope(|scope| -> anyhow::Result<()> {
            let askers: Vec<_> = (0..ASKERS)
                .map(|_| {
                    let (person, request) = (self.market.person.again(), &request);
                    scope.spawn(move || ask(&mut person?, request, count))
                })
                .collect();
            for asker in askers {
                asker
                    .join()
                    .map_err(|_| anyhow::anyhow!("an asker has failed"))??;
            }
            Ok(())
        })?;
        let (wall, share) = (watch.elapsed(), watch.share(&self.market.control));
        let figure = self
            .figure(
                "access decisions, 4 connections",
                rate(count * ASKERS, wall),
                "1/s",
            )
            .beside(
                "a fourth of the ECDSA signatures",
                self.limits.signatures / 4.0,
            )
            .note(format!(
                "controller {share:.0} % of a CPU; each answer has four signed tickets"
            ));
        self.tell([figure]);
        check_interrupted()
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let count = (self.hosts / 2).min(1_000);
        let share = count / self.elements.len();
        let stopped: Vec<NodeId> = self
            .elements
            .iter()
            .flat_map(|element| element.hosts().into_iter().take(share))
            .collect();
        let mut one = Sample::default();
        for id in stopped.iter().take(10) {
            let began = Instant::now();
            self.market.command("stop", std::slice::from_ref(id))?;
            one.push(began.elapsed());
        }
        let watch = Watch::start(&self.market.control);
        self.market.command("stop", &stopped)?;
        let wall = watch.elapsed();
        let commits = float(stopped.len() as u64) / self.limits.commits;
        let figure = self
            .figure(
                &format!("stop of {} of them, until applied", stopped.len()),
                wall.as_secs_f64(),
                "s",
            )
            .beside("as many SQLite commits", commits)
            .note(format!(
                "one command each, 100 at a time; one alone {:.0} ms; controller {:.0} % of a CPU",
                milliseconds(one.median()),
                watch.share(&self.market.control)
            ));
        self.tell([figure]);
        check_interrupted()
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.market.control.kill();
        pass(AWAY)?;
        let began = Instant::now();
        self.market.control.restart();
        let ready = began.elapsed();
        self.market.reconnect()?;
        let last = self.last_hosts();
        self.market.wait_heard(&last);
        let back = began.elapsed();
        let arrivals = self.arrivals.histogram(began, Duration::from_millis(500));
        let figure = self
            .figure(
                "controller killed and started, until all are back",
                back.as_secs_f64(),
                "s",
            )
            .note(format!(
                "serving after {:.2} s; Elements back, by half seconds since the start: {arrivals}",
                ready.as_secs_f64()
            ));
        self.tell([figure]);
        Ok(())
    }
}

fn ask(
    person: &mut Person,
    request: &ApplicationAccessRequest,
    count: usize,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    for _ in 0..count {
        let began = Instant::now();
        let _: AccessDecision = person.post("/api/v1/access/applications", request)?;
        sample.push(began.elapsed());
    }
    Ok(sample)
}

/// So long a hundred thousand Hosts may take to join.
const JOIN_MAX: Duration = Duration::from_mins(30);
