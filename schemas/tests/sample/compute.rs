//! Random Elements and Hosts.

use std::num::NonZeroU16;

use gridmart_schemas::{
    resource::{
        ce::{CeInfo, CePolicy, CeState, ComputingElement},
        ce_doc::{ApplicationEntry, Applications, CeDocument, Configuration, HostEntry, HostTable},
        enumeration::{LrmsType, OsFamily, Platform, Sandbox, SchedulingPolicy},
        host::{
            Architecture, Benchmark, ComputeHost, FileSystem, FileSystemState, HostInfo,
            HostPolicy, HostState, LoadAverage, MainMemory, MemoryState, NetworkAdapter,
            OperatingSystem, Processor,
        },
    },
    scalar::Uri,
};

use super::{
    Dice, accelerator, access,
    common::{common_configuration, common_info, common_policy, common_state, join_tokens},
};

fn ce_info(dice: &mut Dice<'_>) -> CeInfo {
    let cpus = dice.u32();
    CeInfo {
        common: common_info(dice),
        lrms_type: dice.open::<LrmsType>(&["fork", "slurm"]),
        lrms_version: dice.maybe(Dice::token),
        host_name: dice.token(),
        gatekeeper_port: dice
            .maybe(|dice| NonZeroU16::new(u16::from(dice.byte())).unwrap_or(NonZeroU16::MAX)),
        job_manager: dice.maybe(Dice::token),
        job_descriptions: dice.several(Dice::token),
        default_se: dice.maybe(Dice::uri),
        homogeneous: dice.maybe(Dice::coin),
        bulk_submission: dice.maybe(Dice::coin),
        reservation: dice.maybe(Dice::coin),
        total_physical_cpus: dice.maybe(|_| cpus),
        total_logical_cpus: dice.maybe(|dice| cpus.saturating_add(dice.u32())),
        extensions: dice.extensions(),
    }
}

fn ce_state(dice: &mut Dice<'_>) -> CeState {
    let count = |dice: &mut Dice<'_>| u32::from(dice.byte());
    let (used, free, busy, away) = (count(dice), count(dice), count(dice), count(dice));
    let jobs: [u32; 5] = std::array::from_fn(|_| count(dice));
    let pre = dice.maybe(|_| jobs[4]);
    let estimate = dice.seconds();
    CeState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        common: common_state(dice),
        total_instances: busy + away + count(dice),
        used_instances: busy,
        unavailable_instances: away,
        total_slots: used + free + count(dice),
        used_slots: used,
        free_job_slots: free,
        requested_slots: dice.maybe(Dice::u32),
        slots_used_by_local_jobs: dice.maybe(Dice::u32),
        running_jobs: jobs[0],
        waiting_jobs: jobs[1],
        staging_jobs: jobs[2],
        suspended_jobs: jobs[3],
        pre_lrms_waiting_jobs: pre,
        total_jobs: jobs[..4].iter().sum::<u32>() + pre.unwrap_or(0),
        estimated_response_time: dice.maybe(|_| estimate),
        worst_response_time: dice.maybe(|dice| estimate.max(dice.seconds())),
        extensions: dice.extensions(),
    }
}

fn ce_policy(dice: &mut Dice<'_>) -> CePolicy {
    let mut walls = [dice.u64(), dice.u64(), dice.u64()];
    walls.sort_unstable();
    let mut cpus = [dice.u64(), dice.u64()];
    cpus.sort_unstable();
    let mut memory = [dice.u64(), dice.u64()];
    memory.sort_unstable();
    CePolicy {
        common: common_policy(dice),
        max_running_jobs: dice.maybe(Dice::u32),
        max_waiting_jobs: dice.maybe(Dice::u32),
        max_total_jobs: dice.maybe(Dice::u32),
        max_user_running_jobs: dice.maybe(Dice::u32),
        max_slots_per_job: dice.maybe(Dice::positive),
        assigned_job_slots: dice.maybe(Dice::u32),
        max_wall_clock_time: dice.maybe(|_| walls[2]),
        min_wall_time: dice.maybe(|_| walls[0]),
        default_wall_time: dice.maybe(|_| walls[1]),
        max_cpu_time: dice.maybe(|_| cpus[1]),
        default_cpu_time: dice.maybe(|_| cpus[0]),
        max_total_cpu_time: dice.maybe(Dice::u64),
        max_main_memory: dice.maybe(|_| memory[1]),
        guaranteed_main_memory: dice.maybe(|_| memory[0]),
        max_virtual_memory: dice.maybe(Dice::u64),
        max_disk_space: dice.maybe(Dice::u64),
        priority: dice.maybe(|dice| dice.u32().cast_signed()),
        preemption: dice.maybe(Dice::coin),
        scheduling_policy: dice.maybe(|dice| dice.open::<SchedulingPolicy>(&["fifo", "fairshare"])),
        extensions: dice.extensions(),
    }
}

pub(crate) fn element(dice: &mut Dice<'_>) -> ComputingElement {
    ComputingElement {
        id: Uri::new("urn:uuid:0190d3c4-0000-7000-8000-000000000001").unwrap(),
        info: ce_info(dice),
        state: dice.maybe(ce_state),
        policy: ce_policy(dice),
        access: access(dice),
    }
}

fn host_info(dice: &mut Dice<'_>, element: &Uri) -> HostInfo {
    let ram = dice.u64();
    HostInfo {
        common: common_info(dice),
        element: element.clone(),
        host_name: dice.token(),
        architecture: Architecture {
            platform_type: dice.open::<Platform>(&["amd64", "arm64"]),
            smp_size: dice.positive(),
        },
        processor: dice.maybe(|dice| Processor {
            vendor: dice.maybe(Dice::token),
            model: dice.maybe(Dice::token),
            version: dice.maybe(Dice::token),
            instruction_set: dice.maybe(Dice::token),
            clock_speed: dice.maybe(Dice::u32),
            physical_cpus: dice.maybe(Dice::u32),
            cores_per_cpu: dice.maybe(Dice::u32),
        }),
        main_memory: MainMemory {
            ram_size: ram,
            virtual_size: dice.maybe(|dice| ram.saturating_add(dice.u64())),
        },
        operating_system: OperatingSystem {
            family: dice.open::<OsFamily>(&["linux", "macosx"]),
            name: dice.token(),
            release: dice.maybe(Dice::token),
            version: dice.maybe(Dice::token),
        },
        network_adapters: dice.several(|dice| NetworkAdapter {
            name: dice.token(),
            ip_address: dice.maybe(Dice::token),
            mtu: dice.maybe(Dice::u32),
            inbound_ip: dice.maybe(Dice::coin),
            outbound_ip: dice.maybe(Dice::coin),
        }),
        virtual_machine: dice.maybe(Dice::coin),
        sandbox: dice.maybe(|dice| dice.open::<Sandbox>(&["bubblewrap", "none"])),
        relayed: dice.maybe(Dice::coin),
        benchmarks: dice.several(|dice| Benchmark {
            kind: dice.token(),
            value: dice.decimal(),
        }),
        accelerators: dice.several(accelerator),
        file_systems: dice
            .maybe(|dice| FileSystem {
                root: dice.text(),
                kind: dice.maybe(Dice::token),
                size: dice.maybe(Dice::u64),
                read_only: dice.maybe(Dice::coin),
            })
            .into_iter()
            .collect(),
        extensions: dice.extensions(),
    }
}

fn host_state(dice: &mut Dice<'_>) -> HostState {
    let (used, free) = (u32::from(dice.byte()), u32::from(dice.byte()));
    HostState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        common: common_state(dice),
        total_slots: used + free + u32::from(dice.byte()),
        used_slots: used,
        free_job_slots: free,
        running_jobs: dice.u32(),
        main_memory: dice.maybe(|dice| MemoryState {
            ram_available: dice.maybe(Dice::u64),
            virtual_available: dice.maybe(Dice::u64),
        }),
        file_systems: dice
            .maybe(|dice| FileSystemState {
                root: dice.text(),
                available_space: dice.u64(),
            })
            .into_iter()
            .collect(),
        load_average: dice.maybe(|dice| LoadAverage {
            last_1_min: dice.maybe(Dice::decimal),
            last_5_min: dice.maybe(Dice::decimal),
            last_15_min: dice.maybe(Dice::decimal),
        }),
        worst_response_time: dice.maybe(Dice::seconds),
        last_heartbeat: dice.utc(),
        recent_job_starts: dice.maybe(Dice::u32),
        recent_job_failures: dice.maybe(Dice::u32),
        recent_job_busy_time_avg: dice.maybe(Dice::seconds),
        extensions: dice.extensions(),
    }
}

pub(crate) fn host(dice: &mut Dice<'_>, element: &Uri, number: usize) -> ComputeHost {
    ComputeHost {
        id: Uri::new(&format!("urn:example:host:{number}")).unwrap(),
        info: host_info(dice, element),
        state: dice.maybe(host_state),
        policy: HostPolicy {
            common: common_policy(dice),
            max_running_jobs: dice.maybe(Dice::u32),
            max_main_memory: dice.maybe(Dice::u64),
            max_disk_space: dice.maybe(Dice::u64),
            extensions: dice.extensions(),
        },
        access: access(dice),
    }
}

pub(crate) fn ce_document(dice: &mut Dice<'_>) -> CeDocument {
    let mut document = CeDocument::new(element(dice));
    document.generation = dice.u64();
    document.wish = dice.wish();
    document.configuration = Configuration {
        common: common_configuration(dice),
        lease_duration: dice.seconds(),
        reattach_grace: dice.seconds(),
        extensions: dice.extensions(),
    };
    let id = document.element.id.clone();
    let hosts = (0..dice.below(4)).map(|number| HostEntry {
        host: host(dice, &id, number),
        joined_at: dice.utc(),
        wish: dice.wish(),
        revoked: dice.maybe(Dice::coin),
        extensions: dice.extensions(),
    });
    document.host_table = HostTable {
        hosts: hosts.collect(),
    };
    document.join_tokens = join_tokens(dice);
    let applications = dice.maybe(|dice| ApplicationEntry {
        digest: dice.digest(),
        app_name: dice.local_id(),
        app_version: dice.token(),
        size: dice.maybe(Dice::u64),
        wish: dice.wish(),
        extensions: dice.extensions(),
    });
    document.applications = Applications {
        applications: applications.into_iter().collect(),
    };
    document.extensions = dice.extensions();
    document
}
