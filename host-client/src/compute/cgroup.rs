//! Control groups: one per sandbox, where this Host may make them. They hold
//! what rlimits cannot: the memory and the number of tasks of a whole tree,
//! and a fair share of the CPU between sandboxes.
//!
//! Both versions are spoken: each controller is taken where the system has
//! mounted it. Where none can be had the Host works on without.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// What is counted or limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Memory,
    Pids,
    Cpu,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }
}

/// A folder under which groups can be made for some controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    unified: bool,
    controllers: Vec<Controller>,
}

/// Where this Host makes its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroups {
    places: Vec<Place>,
}

/// What a group holds its processes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CgroupLimits {
    /// Bytes of memory, swap included.
    pub(crate) memory: Option<u64>,
    /// Processes and threads.
    pub(crate) tasks: Option<u64>,
}

/// How often the limits of a group were hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CgroupHits {
    /// Processes that were killed for want of memory.
    pub(crate) memory: u64,
    /// Forks that were refused.
    pub(crate) tasks: u64,
}

/// The group of one sandbox.
#[derive(Debug)]
pub(crate) struct Cgroup {
    places: Vec<Place>,
    /// Held open: they are read after every call of some length.
    memory_events: Option<File>,
    tasks_events: Option<File>,
}

/// A file of counters has a few short lines.
const EVENTS_BYTES_MAX: usize = 1024;

impl Cgroups {
    /// Finds where groups can be made, and removes those of an earlier start.
    /// The error says, for people, why there are none.
    pub(crate) fn find(name: &str) -> Result<Self, String> {
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let mut places: Vec<Place> = Vec::new();
        let mut refused = "no controller is mounted".to_owned();
        for place in candidates(&mounts, &own) {
            let place = Place {
                folder: place.folder.join(format!("gridmart-{name}")),
                ..place
            };
            match prepare(&place) {
                Ok(()) => places.push(place),
                Err(error) => refused = format!("{}: {error}", place.folder.display()),
            }
        }
        if places.is_empty() {
            Err(refused)
        } else {
            Ok(Self { places })
        }
    }

    /// Tells whether the memory of a tree can be limited.
    pub(crate) fn limits_memory(&self) -> bool {
        self.has(Controller::Memory)
    }

    /// Tells whether the tasks of a tree can be counted.
    pub(crate) fn limits_tasks(&self) -> bool {
        self.has(Controller::Pids)
    }

    fn has(&self, controller: Controller) -> bool {
        self.places
            .iter()
            .any(|place| place.controllers.contains(&controller))
    }

    /// Makes the group of one sandbox.
    pub(crate) fn make(&self, name: &str, limits: CgroupLimits) -> io::Result<Cgroup> {
        let places: Vec<_> = self
            .places
            .iter()
            .filter(|place| place.serves(limits))
            .map(|place| Place {
                folder: place.folder.join(name),
                ..place.clone()
            })
            .collect();
        let mut group = Cgroup {
            places,
            memory_events: None,
            tasks_events: None,
        };
        for place in &group.places {
            match fs::create_dir(&place.folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        group.memory_events =
            group.events(Controller::Memory, "memory.events", "memory.oom_control");
        group.tasks_events = group.events(Controller::Pids, "pids.events", "pids.events");
        group.limit(limits)?;
        Ok(group)
    }

    /// Removes the Host's own folders, when all groups in them are gone.
    pub(crate) fn remove(&self) {
        for place in &self.places {
            // Left over at worst: the next start finds and uses it.
            let _ = fs::remove_dir(&place.folder);
        }
    }
}

impl Place {
    /// Whether the group is of use here. Where each controller has a hierarchy
    /// of its own, one that limits nothing only costs: every page that a short
    /// process touches would be counted for nobody.
    fn serves(&self, limits: CgroupLimits) -> bool {
        self.unified
            || self.controllers.iter().any(|controller| match controller {
                Controller::Memory => limits.memory.is_some(),
                Controller::Pids => limits.tasks.is_some(),
                Controller::Cpu => true,
            })
    }
}

impl Cgroup {
    fn limit(&self, limits: CgroupLimits) -> io::Result<()> {
        if let (Some(bytes), Some(place)) = (limits.memory, self.place(Controller::Memory)) {
            if place.unified {
                fs::write(place.folder.join("memory.max"), bytes.to_string())?;
                write_if_there(&place.folder.join("memory.swap.max"), "0")?;
            } else {
                fs::write(
                    place.folder.join("memory.limit_in_bytes"),
                    bytes.to_string(),
                )?;
                write_if_there(
                    &place.folder.join("memory.memsw.limit_in_bytes"),
                    &bytes.to_string(),
                )?;
            }
        }
        if let (Some(tasks), Some(place)) = (limits.tasks, self.place(Controller::Pids)) {
            // The runner is one more.
            fs::write(
                place.folder.join("pids.max"),
                tasks.saturating_add(1).to_string(),
            )?;
        }
        Ok(())
    }

    /// Moves a process in; what it starts from now on is in as well.
    pub(crate) fn add(&self, pid: u32) -> io::Result<()> {
        for place in &self.places {
            fs::write(place.folder.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// Counts how often limits were hit since the group was made.
    pub(crate) fn hits(&self) -> CgroupHits {
        let read = |events: &Option<File>, key| {
            let mut buffer = [0; EVENTS_BYTES_MAX];
            let read = events.as_ref()?.read_at(&mut buffer, 0).ok()?;
            Some(counter(std::str::from_utf8(&buffer[..read]).ok()?, key))
        };
        CgroupHits {
            memory: read(&self.memory_events, "oom_kill").unwrap_or_default(),
            tasks: read(&self.tasks_events, "max").unwrap_or_default(),
        }
    }

    fn events(&self, controller: Controller, unified: &str, split: &str) -> Option<File> {
        let place = self.place(controller)?;
        let name = if place.unified { unified } else { split };
        File::open(place.folder.join(name)).ok()
    }

    /// Kills what is left in the group.
    pub(crate) fn kill(&self) {
        for place in &self.places {
            if fs::write(place.folder.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            let listed = fs::read_to_string(place.folder.join("cgroup.procs")).unwrap_or_default();
            for pid in listed.lines().filter_map(|line| line.parse().ok()) {
                let pid = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
    }

    /// Removes the group; fails while a process is in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for place in &self.places {
            match fs::remove_dir(&place.folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn place(&self, controller: Controller) -> Option<&Place> {
        self.places
            .iter()
            .find(|place| place.controllers.contains(&controller))
    }
}

/// The folders of this process's own groups: one per version 1 hierarchy that
/// has something for us, and the unified one for what is left.
fn candidates(mounts: &str, own: &str) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut left = Controller::ALL.to_vec();
    for mount in mounts
        .lines()
        .filter_map(Mount::read)
        .filter(|mount| mount.kind == "cgroup")
    {
        let controllers: Vec<_> = left
            .iter()
            .copied()
            .filter(|controller| mount.has_option(controller.name()))
            .collect();
        if controllers.is_empty() {
            continue;
        }
        let path = own_path(own, |names| {
            names.split(',').any(|name| name == controllers[0].name())
        });
        if let Some(folder) = path.and_then(|path| mount.folder(path)) {
            left.retain(|controller| !controllers.contains(controller));
            places.push(Place {
                folder,
                unified: false,
                controllers,
            });
        }
    }
    let unified = mounts
        .lines()
        .filter_map(Mount::read)
        .find(|mount| mount.kind == "cgroup2");
    if let Some(folder) = unified.and_then(|mount| mount.folder(own_path(own, str::is_empty)?)) {
        let offered = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        left.retain(|controller| {
            offered
                .split_whitespace()
                .any(|name| name == controller.name())
        });
        if !left.is_empty() {
            places.push(Place {
                folder,
                unified: true,
                controllers: left,
            });
        }
    }
    places
}

/// A line of `/proc/self/mountinfo`, as far as it is needed.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let mut right = right.split(' ');
        Some(Self {
            root: left.next()?,
            point: left.next()?,
            kind: right.next()?,
            options: right.nth(1).unwrap_or_default(),
        })
    }

    fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }

    /// Where a group lies; a container may show only a part of the hierarchy.
    fn folder(&self, group: &str) -> Option<PathBuf> {
        let below = Path::new(group).strip_prefix(self.root).ok()?;
        Some(Path::new(self.point).join(below))
    }
}

fn own_path(own: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        wanted(names).then_some(path)
    })
}

/// Makes the Host's folder and sees to it that groups in it have controllers.
fn prepare(place: &Place) -> io::Result<()> {
    if place.unified
        && let Some(own) = place.folder.parent()
    {
        hand_down(own, &place.controllers)?;
    }
    match fs::create_dir(&place.folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if place.unified {
        hand_down(&place.folder, &place.controllers)?;
    }
    for entry in fs::read_dir(&place.folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // Busy at worst: then its processes are ending still.
            let _ = fs::remove_dir(entry.path());
        }
    }
    // What cannot be joined is of no use.
    let trial = Place {
        folder: place.folder.join("trial"),
        ..place.clone()
    };
    fs::create_dir(&trial.folder)?;
    let usable = fs::OpenOptions::new()
        .write(true)
        .open(trial.folder.join("cgroup.procs"))
        .map(drop);
    fs::remove_dir(&trial.folder)?;
    usable
}

fn hand_down(folder: &Path, controllers: &[Controller]) -> io::Result<()> {
    let wanted: Vec<_> = controllers
        .iter()
        .map(|controller| format!("+{}", controller.name()))
        .collect();
    fs::write(folder.join("cgroup.subtree_control"), wanted.join(" "))
}

fn write_if_there(file: &Path, value: &str) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).open(file) {
        Ok(mut file) => io::Write::write_all(&mut file, value.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn counter(text: &str, key: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_hierarchies_are_found() {
        let mounts = "31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      32 25 0:28 /docker/1 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      33 25 0:29 / /proc rw - proc proc rw\n";
        let own = "4:memory:/jobs/7\n3:cpu,cpuacct:/docker/1/a\n0::/\n";
        let places = candidates(mounts, own);
        assert_eq!(places.len(), 2);
        assert_eq!(places[0].folder, Path::new("/sys/fs/cgroup/memory/jobs/7"));
        assert_eq!(places[1].folder, Path::new("/sys/fs/cgroup/cpu/a"));
        assert_eq!(places[1].controllers, [Controller::Cpu]);
    }

    #[test]
    fn the_unified_hierarchy_is_found() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("own")).unwrap();
        fs::write(
            place.path().join("own/cgroup.controllers"),
            "cpuset cpu memory pids\n",
        )
        .unwrap();
        let mounts = format!(
            "40 25 0:30 / {} rw - cgroup2 cgroup2 rw\n",
            place.path().display()
        );
        let places = candidates(&mounts, "0::/own\n");
        assert_eq!(places.len(), 1);
        assert!(places[0].unified);
        assert_eq!(places[0].controllers, Controller::ALL);
    }

    #[test]
    fn counters_are_read() {
        assert_eq!(
            counter("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill"),
            3
        );
        assert_eq!(counter("low 0\noom 1\noom_kill 2\n", "oom_kill"), 2);
        assert_eq!(counter("max 4\n", "max"), 4);
        assert_eq!(counter("", "max"), 0);
    }
}
