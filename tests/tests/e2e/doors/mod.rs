//! Doors under attack: whoever comes, the processes stay small, give back what
//! they took, and go on serving.
//!
//! By default the attacks are small; `GRIDMART_SIEGE=1` (`make siege`) runs them
//! whole: 1 GiB of garbage at each door, 10,000 connections.

mod crowd;
mod garbage;
mod guess;
mod sink;
mod slow;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gridmart_tests::{Application, LONG, Supermarket, processes::Identity, wait_for};

use self::wire::Door;

/// What a role may grow by under an attack: far above what it does, far below
/// what it would if anything were kept for each byte or connection.
const GROWTH_MAX: u64 = 128 << 20;
/// Open files that come and go by themselves.
const OPEN_FILES_SLACK: usize = 12;
/// How long the pace is measured in peace, right before each attack and right
/// after: others on the machine come and go.
const PEACE: Duration = Duration::from_secs(1);
/// Under attack the pace stays above this part of the peaceful one. The aim is
/// a half, and the figures that are printed show it; a machine that is busy
/// with other tests may miss it.
const PACE_PART_MIN: f64 = 0.05;
/// Smaller parts of a CPU are not told.
const SHARE_TOLD: f64 = 0.05;

/// A supermarket that is attacked, and what it was like before.
struct Siege {
    market: Supermarket,
    before: BTreeMap<String, usize>,
    resident: BTreeMap<String, u64>,
    pace: Pace,
}

impl Siege {
    fn begin() -> Self {
        let market = Supermarket::builder().hosts(1).start();
        market.upload(&Application::script("echo", "cat"));
        market.upload(&Application::program("nothing", "/bin/true"));
        let pace = Pace::start(&market);
        let roles = market.role_names();
        let before = roles
            .iter()
            .map(|role| (role.clone(), open_files(&market, role)));
        let before = before.collect();
        let resident = roles.iter().map(|role| {
            // Lets the kernel begin its high-water mark anew.
            fs::write(format!("/proc/{}/clear_refs", market.role_pid(role)), "5").unwrap();
            (role.clone(), memory(&market, role, "VmRSS:"))
        });
        let resident = resident.collect();
        Self {
            market,
            before,
            resident,
            pace,
        }
    }

    /// The doors, with who listens there.
    fn doors(&self) -> Vec<Door> {
        Door::all(&self.market)
    }

    /// CPU time so far: of each role, and of this program, which attacks and
    /// calls.
    fn cpu(&self) -> BTreeMap<String, Duration> {
        let pids = self.before.keys().map(|role| {
            let pid = self.market.role_pid(role);
            (role.clone(), pid)
        });
        pids.chain([("attacker and caller".to_owned(), std::process::id())])
            .map(|(who, pid)| {
                let cpu = Identity::of(pid).map_or(Duration::ZERO, Identity::cpu);
                (who, cpu)
            })
            .collect()
    }

    /// Runs an attack; tells and judges what it did to the calls beside it.
    #[track_caller]
    fn under<T>(&self, what: &str, attack: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let before = self.pace.over(PEACE);
        let (used, calls, began) = (self.cpu(), self.pace.calls(), Instant::now());
        let outcome = runtime.block_on(attack);
        let wall = began.elapsed();
        // An attack that is over at once says nothing about the pace.
        let rest = Duration::from_secs(1).saturating_sub(wall);
        let more = if rest.is_zero() {
            0.0
        } else {
            self.pace.over(rest) * rest.as_secs_f64()
        };
        #[expect(clippy::cast_precision_loss, reason = "few calls")]
        let during = ((self.pace.calls() - calls) as f64).max(more) / wall.max(rest).as_secs_f64();
        let span = began.elapsed().as_secs_f64();
        let shares: Vec<String> = self
            .cpu()
            .into_iter()
            .map(|(who, cpu)| (cpu.saturating_sub(used[&who]).as_secs_f64() / span, who))
            .filter(|(share, _)| *share >= SHARE_TOLD)
            .map(|(share, who)| format!("{who} {:.0} %", 100.0 * share))
            .collect();
        let in_peace = f64::midpoint(before, self.pace.over(PEACE));
        eprintln!(
            "{what}: {in_peace:.0} calls/s in peace, {during:.0} beside it ({:.0} %), {:.1} s; of a CPU: {}",
            100.0 * during / in_peace,
            wall.as_secs_f64(),
            shares.join(", ")
        );
        assert!(
            during >= in_peace * PACE_PART_MIN,
            "{what}: {during} calls/s beside it, {in_peace} in peace"
        );
        outcome
    }

    /// Ends the attack: memory was bounded, nothing is kept, all goes on.
    #[track_caller]
    fn end(self) {
        for (role, resident) in &self.resident {
            let most = memory(&self.market, role, "VmHWM:");
            eprintln!(
                "{role}: {} MiB before, {} MiB at most",
                resident >> 20,
                most >> 20
            );
            assert!(
                most <= resident + GROWTH_MAX,
                "{role} has grown from {resident} to {most} bytes"
            );
        }
        for (role, before) in &self.before {
            wait_for(
                LONG,
                &format!("{role} has let go of all connections"),
                || {
                    let now = open_files(&self.market, role);
                    if now <= before + OPEN_FILES_SLACK {
                        Ok(())
                    } else {
                        Err(format!("{now} open files, {before} before"))
                    }
                },
            );
        }
        self.pace.stop();
        let run = self.market.cli_with(&["call", "echo"], "still here").ok();
        assert_eq!(run.text(), "still here");
        self.market.stop();
    }
}

fn open_files(market: &Supermarket, role: &str) -> usize {
    fs::read_dir(format!("/proc/{}/fd", market.role_pid(role)))
        .unwrap()
        .count()
}

fn memory(market: &Supermarket, role: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", market.role_pid(role))).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

/// Calls one after the other under a held lease, and counts them.
struct Pace {
    calls: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pace {
    fn start(market: &Supermarket) -> Self {
        let client = market.client();
        let (calls, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, told) = (Arc::clone(&calls), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                while !told.load(Ordering::Relaxed) {
                    client.apps().call("nothing").output().await.unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
                client.close().await;
            });
        });
        wait_for(LONG, "the first call", || {
            match calls.load(Ordering::Relaxed) {
                0 => Err("none".to_owned()),
                _ => Ok(()),
            }
        });
        Self {
            calls,
            stop,
            thread,
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls per second over the next span.
    fn over(&self, span: Duration) -> f64 {
        let (calls, began) = (self.calls(), Instant::now());
        std::thread::sleep(span);
        #[expect(clippy::cast_precision_loss, reason = "few calls")]
        let made = (self.calls() - calls) as f64;
        made / began.elapsed().as_secs_f64()
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no call has failed");
    }
}

/// Another address of this machine: what it does must not be laid to ours.
fn stranger(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 66, last], 0))
}
