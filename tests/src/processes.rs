//! Processes as the system shows them in `/proc`.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::Path,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};

/// State of a socket that takes connections.
const LISTEN: &str = "0A";

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Clock ticks per second where the system does not say.
const TICKS_DEFAULT: i64 = 100;

/// Starts a process from a thread that lives as long as this program: the
/// kernel ties a child that follows its parent to the thread that started it,
/// and the threads of tests end before their program.
pub fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // Nobody waits for the answer only if that test has panicked.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = mpsc::channel();
    spawner
        .send((command, answer))
        .expect("the spawner lives on");
    child.recv().expect("the spawner answers")
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    started: u64,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.command_line())
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of its pages that are in memory.
    pub resident: u64,
    /// The same, with pages that are shared counted in parts.
    pub proportional: u64,
}

impl Identity {
    /// Gives the identity of a living process.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        stat.lives().then_some(Self {
            pid,
            started: stat.started,
        })
    }

    /// Tells whether it lives.
    pub fn lives(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Gives its command line.
    pub fn command_line(self) -> String {
        command_line(self.pid).join(" ")
    }

    /// CPU time of the process itself and of its children that have ended and
    /// were waited for.
    pub fn cpu(self) -> Duration {
        let ticks = stat(self.pid)
            .filter(|stat| stat.started == self.started)
            .map_or(0, |stat| stat.ticks);
        let per_second = sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .unwrap_or(TICKS_DEFAULT);
        #[expect(
            clippy::cast_precision_loss,
            reason = "no process lives for 2^52 ticks"
        )]
        Duration::from_secs_f64(ticks as f64 / per_second as f64)
    }

    /// How often its threads were woken so far after they had waited.
    pub fn wakes(self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid));
        let woken = |thread: fs::DirEntry| -> Option<u64> {
            let text = fs::read_to_string(thread.path().join("status")).ok()?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse().ok()
        };
        threads
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(woken)
            .sum()
    }

    /// How many files it has open; 0 if it has ended or may not be looked at.
    pub fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// The most memory that it ever had, in bytes.
    pub fn resident_peak(self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// Gives its memory, unless it has ended or may not be looked at.
    pub fn memory(self) -> Option<Memory> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
        };
        Some(Memory {
            resident: field("Rss:")?,
            proportional: field("Pss:")?,
        })
    }
}

struct Stat {
    state: char,
    parent: u32,
    /// Of its own and of its children that were waited for.
    ticks: u64,
    threads: u64,
    started: u64,
}

impl Stat {
    /// A zombie has ended; only its parent has not looked yet. But while it has
    /// other threads, these end still, and hold its files and locks.
    const fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, blanks and parentheses too.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        threads: number(17)?,
        started: number(19)?,
    })
}

/// Gives the words of a process's command line.
pub fn command_line(pid: u32) -> Vec<String> {
    words(pid, "cmdline")
}

/// Gives a process and all that descend from it, as far as they live.
pub fn tree(root: u32) -> BTreeSet<Identity> {
    let living: Vec<(Identity, u32)> = all()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .filter(|(_, stat)| stat.lives())
        .map(|(pid, stat)| {
            (
                Identity {
                    pid,
                    started: stat.started,
                },
                stat.parent,
            )
        })
        .collect();
    let mut numbers = BTreeSet::from([root]);
    loop {
        let before = numbers.len();
        for (process, parent) in &living {
            if numbers.contains(parent) {
                numbers.insert(process.pid);
            }
        }
        if numbers.len() == before {
            return living
                .into_iter()
                .map(|(process, _)| process)
                .filter(|process| numbers.contains(&process.pid))
                .collect();
        }
    }
}

/// Gives the CPU time that a process and all that descend from it have used so
/// far. What has ended counts with who waited for it.
pub fn tree_cpu(root: u32) -> Duration {
    tree(root).into_iter().map(Identity::cpu).sum()
}

/// How often a process and all that descend from it were woken so far.
pub fn tree_wakes(root: u32) -> u64 {
    tree(root).into_iter().map(Identity::wakes).sum()
}

/// Gives the processes whose command line names a folder.
pub fn naming(folder: &Path) -> BTreeSet<Identity> {
    let folder = folder.to_string_lossy();
    living(|pid| {
        command_line(pid)
            .iter()
            .any(|word| word.contains(folder.as_ref()))
    })
}

/// Gives the processes that were started with a variable of this value in
/// their environment.
pub fn with_variable(name: &str, value: &str) -> BTreeSet<Identity> {
    let wanted = format!("{name}={value}");
    living(|pid| words(pid, "environ").contains(&wanted))
}

fn living(wanted: impl Fn(u32) -> bool) -> BTreeSet<Identity> {
    let others = all().into_iter().filter(|pid| *pid != std::process::id());
    others
        .filter(|pid| wanted(*pid))
        .filter_map(Identity::of)
        .collect()
}

fn all() -> Vec<u32> {
    fs::read_dir("/proc")
        .expect("/proc is there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn words(pid: u32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Gives the addresses at which a process takes TCP connections, as the system
/// writes them.
pub fn listening(pid: u32) -> BTreeSet<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process runs")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let sockets: BTreeSet<String> = links
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = |name: &str| fs::read_to_string(format!("/proc/{pid}/net/{name}"));
    let rows = ["tcp", "tcp6"].map(|name| table(name).unwrap_or_default());
    rows.iter()
        .flat_map(|rows| rows.lines())
        .filter_map(|row| {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let listens = fields.get(3) == Some(&LISTEN);
            (listens && sockets.contains(*fields.get(9)?)).then(|| fields[1].to_owned())
        })
        .collect()
}

/// Sends a signal; a process that has ended already is no fault.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("process numbers are small");
    let _ = kill(Pid::from_raw(pid), signal);
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };

    use super::*;

    #[test]
    fn a_family_is_found_by_its_root_and_by_its_mark() {
        let mark = uuid::Uuid::new_v4().to_string();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "sleep 1000 & echo started; wait"])
            .env("GRIDMART_TEST_FAMILY", &mark)
            .stdout(Stdio::piped());
        let mut shell = spawn(command).unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let family = tree(shell.id());
        assert_eq!(family.len(), 2, "{family:?}");
        assert_eq!(with_variable("GRIDMART_TEST_FAMILY", &mark), family);
        assert!(
            family
                .iter()
                .all(|process| process.memory().unwrap().resident > 0)
        );
        for process in &family {
            signal(process.pid, Signal::SIGKILL);
        }
        shell.wait().unwrap();
        assert!(tree(shell.id()).is_empty());
    }
}
