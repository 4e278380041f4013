//! What a call may use: the application's Policy and the Host owner's Policy
//! together, under the names that GLUE and JSDL give them.

use gridmart_schemas::resource::{ae::AePolicy, host::HostPolicy};

use super::{cgroup::CgroupLimits, runner::protocol::ProcessLimit};

/// Tasks of one call where nobody states a limit: enough for any build tool,
/// too few to choke the machine.
const TASKS_DEFAULT: u64 = 4096;
/// The limits in force for the calls of one lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `WallTimeLimit`, seconds.
    pub(crate) wall_seconds: Option<u64>,
    /// `CPUTimeLimit`, seconds of one process.
    pub(crate) cpu_seconds: Option<u64>,
    /// `MaxOutputSize`, bytes of stdout and stderr.
    pub(crate) output_bytes: Option<u64>,
    /// Of the whole tree.
    pub(crate) tree: CgroupLimits,
    /// Of each process.
    pub(crate) processes: Vec<(ProcessLimit, u64)>,
}

/// What the system can enforce for a whole tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enforceable {
    pub(crate) memory: bool,
    pub(crate) tasks: bool,
}

impl Limits {
    /// The stricter of what the application asks for and the owner allows.
    pub(crate) fn of(application: &AePolicy, host: &HostPolicy, enforceable: Enforceable) -> Self {
        let memory = least(application.memory_limit, host.max_main_memory);
        // A task is a thread: a limit on threads is exact, one on processes is
        // taken for one on threads where nothing else is said.
        let tasks = application
            .thread_count_limit
            .or(application.process_count_limit)
            .map(u64::from);
        let tasks = tasks.unwrap_or(TASKS_DEFAULT);
        let mut data = application.data_segment_limit;
        if !enforceable.memory {
            // Nearest that rlimits have: private memory, per process.
            data = least(data, memory);
        }
        let mut processes: Vec<_> = [
            (ProcessLimit::AddressSpace, application.virtual_memory_limit),
            (ProcessLimit::Data, data),
            (ProcessLimit::Stack, application.stack_size_limit),
            (ProcessLimit::LockedMemory, application.locked_memory_limit),
            (
                ProcessLimit::FileSize,
                least(application.file_size_limit, host.max_disk_space),
            ),
            (
                ProcessLimit::OpenFiles,
                application.open_descriptors_limit.map(u64::from),
            ),
            (ProcessLimit::CpuSeconds, application.cpu_time_limit),
        ]
        .into_iter()
        .filter_map(|(limit, value)| Some((limit, value?)))
        .collect();
        processes.push((
            ProcessLimit::CoreDump,
            application.core_dump_limit.unwrap_or(0),
        ));
        if !enforceable.tasks {
            processes.push((ProcessLimit::Processes, tasks));
        }
        Self {
            wall_seconds: application.wall_time_limit,
            cpu_seconds: application.cpu_time_limit,
            output_bytes: application.max_output_size,
            tree: CgroupLimits {
                memory,
                tasks: Some(tasks),
            },
            processes,
        }
    }

    /// Wall time of one call, milliseconds, 0 for no limit; the caller may ask
    /// for less.
    pub(crate) fn wall_ms(&self, asked_seconds: Option<u64>) -> u64 {
        least(self.wall_seconds, asked_seconds)
            .map_or(0, |seconds| seconds.saturating_mul(1000).max(1))
    }
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Enforceable = Enforceable {
        memory: true,
        tasks: true,
    };

    #[test]
    fn the_stricter_limit_wins() {
        let application = AePolicy {
            memory_limit: Some(100),
            wall_time_limit: Some(60),
            cpu_time_limit: Some(9),
            ..AePolicy::default()
        };
        let host = HostPolicy {
            max_main_memory: Some(50),
            ..HostPolicy::default()
        };
        let limits = Limits::of(&application, &host, ALL);
        assert_eq!(
            limits.tree,
            CgroupLimits {
                memory: Some(50),
                tasks: Some(TASKS_DEFAULT)
            }
        );
        assert!(limits.processes.contains(&(ProcessLimit::CpuSeconds, 9)));
        assert!(limits.processes.contains(&(ProcessLimit::CoreDump, 0)));
        assert_eq!(
            (
                limits.wall_ms(None),
                limits.wall_ms(Some(2)),
                limits.wall_ms(Some(90))
            ),
            (60_000, 2_000, 60_000)
        );
        assert_eq!(Limits::default().wall_ms(None), 0);
    }

    #[test]
    fn without_groups_rlimits_stand_in() {
        let application = AePolicy {
            memory_limit: Some(100),
            process_count_limit: Some(3),
            ..AePolicy::default()
        };
        let limits = Limits::of(&application, &HostPolicy::default(), Enforceable::default());
        assert!(limits.processes.contains(&(ProcessLimit::Data, 100)));
        assert!(limits.processes.contains(&(ProcessLimit::Processes, 3)));
    }
}
