//! Random applications.

use gridmart_schemas::{
    resource::{
        ae::{AeInfo, AePolicy, AeState, Capability, Command, Environment, Handle, Step},
        ae_doc::{AeDocument, ApplicationEnvironment},
        enumeration::{
            AeKind, AppEnvState, CpuArchitectureName, HandleType, License, OperatingSystemName,
            ParallelSupport,
        },
        needs::{Boundary, CandidateHosts, Exact, Needs, Range, RangeValue},
    },
    scalar::VariableName,
};

use super::{Dice, accelerator, access};

fn ae_info(dice: &mut Dice<'_>) -> AeInfo {
    AeInfo {
        app_name: dice.local_id(),
        app_version: dice.token(),
        kind: AeKind::Task,
        description: dice.maybe(Dice::text),
        repository: dice.maybe(Dice::uri),
        license: dice.maybe(|dice| dice.open::<License>(&["opensource", "unknown"])),
        capabilities: dice.maybe(capability).into_iter().collect(),
        parallel_support: dice.maybe(|dice| dice.open::<ParallelSupport>(&["none", "mpi"])),
        handles: dice.several(|dice| Handle {
            kind: dice.open::<HandleType>(&["path", "module"]),
            value: dice.text(),
        }),
        digest: dice.maybe(Dice::digest),
        extensions: dice.extensions(),
    }
}

fn capability(dice: &mut Dice<'_>) -> Capability {
    Capability {
        name: dice.local_id(),
        version: dice.token(),
    }
}

fn ae_policy(dice: &mut Dice<'_>) -> AePolicy {
    AePolicy {
        max_slots: dice.maybe(Dice::u32),
        max_jobs: dice.maybe(Dice::u32),
        max_user_seats: dice.maybe(Dice::u32),
        wall_time_limit: dice.maybe(Dice::u64),
        cpu_time_limit: dice.maybe(Dice::u64),
        memory_limit: dice.maybe(Dice::u64),
        virtual_memory_limit: dice.maybe(Dice::u64),
        data_segment_limit: dice.maybe(Dice::u64),
        stack_size_limit: dice.maybe(Dice::u64),
        locked_memory_limit: dice.maybe(Dice::u64),
        file_size_limit: dice.maybe(Dice::u64),
        core_dump_limit: dice.maybe(Dice::u64),
        process_count_limit: dice.maybe(Dice::u32),
        thread_count_limit: dice.maybe(Dice::u32),
        open_descriptors_limit: dice.maybe(Dice::u32),
        retryable: dice.maybe(Dice::coin),
        max_attempts: dice.maybe(|dice| dice.positive().get()),
        max_output_size: dice.maybe(Dice::u64),
        extensions: dice.extensions(),
    }
}

fn command(dice: &mut Dice<'_>) -> Command {
    let step = |dice: &mut Dice<'_>| Step {
        executable: dice.path(),
        arguments: dice.several(Dice::text),
    };
    let variables = (0..dice.below(3)).map(|number| Environment {
        name: VariableName::new(&format!("_V{number}")).unwrap(),
        value: dice.text(),
    });
    Command {
        environment: variables.collect(),
        executable: dice.path(),
        arguments: dice.several(Dice::text),
        // Refused by rule.
        input: None,
        output: None,
        error: None,
        working_directory: dice.maybe(Dice::path),
        split: dice.maybe(step),
        merge: dice.maybe(step),
        extensions: dice.extensions(),
    }
}

fn range(dice: &mut Dice<'_>) -> RangeValue {
    let bound = |dice: &mut Dice<'_>, value| Boundary {
        value,
        exclusive_bound: dice.maybe(Dice::coin),
    };
    let first = dice.u64();
    RangeValue {
        upper_bounded_range: dice.maybe(|dice| bound(dice, first)),
        lower_bounded_range: Some(bound(dice, first)),
        exact: dice.several(|dice| Exact {
            value: dice.u64(),
            epsilon: dice.maybe(Dice::u64),
        }),
        ranges: dice.several(|dice| {
            let (one, other) = (dice.u64(), dice.u64());
            Range {
                lower_bound: bound(dice, one.min(other)),
                upper_bound: bound(dice, one.max(other)),
            }
        }),
    }
}

fn needs(dice: &mut Dice<'_>) -> Needs {
    Needs {
        cpu_architecture_name: dice.maybe(|dice| *dice.pick(CpuArchitectureName::ALL)),
        operating_system_name: dice.maybe(|dice| *dice.pick(OperatingSystemName::ALL)),
        operating_system_version: dice.maybe(Dice::token),
        individual_cpu_count: dice.maybe(range),
        individual_physical_memory: dice.maybe(range),
        individual_virtual_memory: dice.maybe(range),
        individual_disk_space: dice.maybe(range),
        individual_cpu_speed: dice.maybe(range),
        individual_network_bandwidth: dice.maybe(range),
        individual_cpu_time: dice.maybe(range),
        total_cpu_time: dice.maybe(range),
        total_cpu_count: dice.maybe(range),
        total_physical_memory: dice.maybe(range),
        total_disk_space: dice.maybe(range),
        total_resource_count: dice.maybe(range),
        candidate_hosts: dice.maybe(|dice| CandidateHosts {
            host_names: vec![dice.token(), dice.token()],
        }),
        exclusive_execution: dice.maybe(Dice::coin),
        capabilities: dice.several(capability),
        domain: dice.maybe(Dice::local_id),
        accelerators: dice.several(accelerator),
        extensions: dice.extensions(),
    }
}

pub(crate) fn ae_document(dice: &mut Dice<'_>) -> AeDocument {
    let mut document = AeDocument::new(ae_info(dice), command(dice));
    document.policy = ae_policy(dice);
    document.access = access(dice);
    document.needs = needs(dice);
    document.extensions = dice.extensions();
    document
}

pub(crate) fn application(dice: &mut Dice<'_>) -> ApplicationEnvironment {
    ApplicationEnvironment {
        id: dice.uri(),
        info: ae_info(dice),
        state: dice.maybe(|dice| AeState {
            creation_time: dice.utc(),
            validity: dice.seconds(),
            deployment_state: dice.open::<AppEnvState>(&["installedverified", "removing"]),
            free_slots: dice.maybe(Dice::u32),
            free_jobs: dice.maybe(Dice::u32),
            free_user_seats: dice.maybe(Dice::u32),
            removal_date: dice.maybe(Dice::utc),
            running_jobs: dice.maybe(Dice::u32),
            waiting_jobs: dice.maybe(Dice::u32),
            worst_response_time: dice.maybe(Dice::seconds),
            extensions: dice.extensions(),
        }),
        policy: ae_policy(dice),
        access: access(dice),
        command: command(dice),
        needs: needs(dice),
    }
}
