//! The application resource: what is deployed, how it is run, what limits it.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    enumeration::{AeKind, AppEnvState, HandleType, License, ParallelSupport},
};
use crate::{
    id::Digest,
    scalar::{LocalId, Seconds, Text, Token, Uri, UtcTime, VariableName},
    xml::xml_record,
};

/// What an application is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AeInfo {
    /// Its name; not a key without the version.
    pub app_name: LocalId,
    /// Its version.
    pub app_version: Token,
    /// How it is run.
    pub kind: AeKind,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<Uri>,
    /// How it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// What it does for callers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// How it uses several processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_support: Option<ParallelSupport>,
    /// How to reach existing installations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handles: Vec<Handle>,
    /// Content hash of the package; the controller sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AeInfo {
    children {
        app_name = "AppName",
        app_version = "AppVersion",
        kind = "Kind",
        description = "Description",
        repository = "Repository",
        license = "License",
        capabilities = "Capability",
        parallel_support = "ParallelSupport",
        handles = "Handle",
        digest = "Digest",
    }
    open { extensions }
});

impl AeInfo {
    /// The least that an application says of itself.
    pub fn new(app_name: LocalId, app_version: Token, kind: AeKind) -> Self {
        Self {
            app_name,
            app_version,
            kind,
            description: None,
            repository: None,
            license: None,
            capabilities: Vec::new(),
            parallel_support: None,
            handles: Vec::new(),
            digest: None,
            extensions: Extensions::default(),
        }
    }
}

/// Something that an application does for callers: `spf` `2.1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Capability {
    /// What.
    pub name: LocalId,
    /// In which version.
    pub version: Token,
}

xml_record!(Capability {
    children {
        name = "Name",
        version = "Version",
    }
});

/// How to reach an existing installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Handle {
    /// Which way.
    pub kind: HandleType,
    /// The path or key.
    pub value: Text,
}

xml_record!(Handle {
    children {
        kind = "Type",
        value = "Value",
    }
});

/// How an application is, on one Element or Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AeState {
    /// When it was observed.
    pub creation_time: UtcTime,
    /// For how long it is a fact.
    pub validity: Seconds,
    /// How far its deployment has come.
    pub deployment_state: AppEnvState,
    /// Slots that it could get now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_slots: Option<u32>,
    /// Jobs that could start now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_jobs: Option<u32>,
    /// Licence seats left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_user_seats: Option<u32>,
    /// When it will be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal_date: Option<UtcTime>,
    /// Its jobs executing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_jobs: Option<u32>,
    /// Its jobs waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_jobs: Option<u32>,
    /// Worst time from submission to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_response_time: Option<Seconds>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AeState {
    attributes {
        creation_time = "CreationTime",
        validity = "Validity",
    }
    children {
        deployment_state = "DeploymentState",
        free_slots = "FreeSlots",
        free_jobs = "FreeJobs",
        free_user_seats = "FreeUserSeats",
        removal_date = "RemovalDate",
        running_jobs = "RunningJobs",
        waiting_jobs = "WaitingJobs",
        worst_response_time = "WorstResponseTime",
    }
    open { extensions }
});

/// What limits an application. An absent limit is no limit of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AePolicy {
    /// Slots of one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_slots: Option<u32>,
    /// Jobs at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u32>,
    /// Licence seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_user_seats: Option<u32>,
    /// Seconds of a call, its whole process tree included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_time_limit: Option<u64>,
    /// CPU seconds of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time_limit: Option<u64>,
    /// Bytes of memory of the whole call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Bytes of address space of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_memory_limit: Option<u64>,
    /// Bytes of data segment of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_segment_limit: Option<u64>,
    /// Bytes of stack of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_size_limit: Option<u64>,
    /// Bytes that one process may lock in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_memory_limit: Option<u64>,
    /// Bytes of one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size_limit: Option<u64>,
    /// Bytes of a core dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_dump_limit: Option<u64>,
    /// Processes of the whole call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_count_limit: Option<u32>,
    /// Threads of the whole call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_count_limit: Option<u32>,
    /// Open files of one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_descriptors_limit: Option<u32>,
    /// It may run again, and twice at a time; absent: it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Attempts at one part, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Bytes of output of one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_size: Option<u64>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AePolicy {
    children {
        max_slots = "MaxSlots",
        max_jobs = "MaxJobs",
        max_user_seats = "MaxUserSeats",
        wall_time_limit = "WallTimeLimit",
        cpu_time_limit = "CPUTimeLimit",
        memory_limit = "MemoryLimit",
        virtual_memory_limit = "VirtualMemoryLimit",
        data_segment_limit = "DataSegmentLimit",
        stack_size_limit = "StackSizeLimit",
        locked_memory_limit = "LockedMemoryLimit",
        file_size_limit = "FileSizeLimit",
        core_dump_limit = "CoreDumpLimit",
        process_count_limit = "ProcessCountLimit",
        thread_count_limit = "ThreadCountLimit",
        open_descriptors_limit = "OpenDescriptorsLimit",
        retryable = "Retryable",
        max_attempts = "MaxAttempts",
        max_output_size = "MaxOutputSize",
    }
    open { extensions }
});

/// How an application is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Command {
    /// The program: a path in the package, or an absolute one on the Host.
    pub executable: Text,
    /// Its arguments, before those of the call; may be empty texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Text>,
    /// A file for its standard input; not applied yet, so refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Text>,
    /// A file for its standard output; not applied yet, so refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Text>,
    /// A file for its standard error; not applied yet, so refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// Where it starts, inside of the work folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<Text>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Environment>,
    /// Makes parts of an input: one line for each part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Step>,
    /// Makes one result of all outputs, in the order of the parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Step>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(Command {
    children {
        executable = "Executable",
        arguments = "Argument",
        input = "Input",
        output = "Output",
        error = "Error",
        working_directory = "WorkingDirectory",
        environment = "Environment",
        split = "Split",
        merge = "Merge",
    }
    open { extensions }
});

impl Command {
    /// A program without arguments.
    pub fn new(executable: Text) -> Self {
        Self {
            executable,
            arguments: Vec::new(),
            input: None,
            output: None,
            error: None,
            working_directory: None,
            environment: Vec::new(),
            split: None,
            merge: None,
            extensions: Extensions::default(),
        }
    }
}

/// One environment variable: `<Environment name="…">value</Environment>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Environment {
    /// The variable.
    pub name: VariableName,
    /// Its value.
    pub value: Text,
}

xml_record!(Environment {
    attributes { name = "name" }
    text { value }
});

/// A command beside the main one; environment and folder are the main one's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Step {
    /// The program.
    pub executable: Text,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Text>,
}

xml_record!(Step {
    children {
        executable = "Executable",
        arguments = "Argument",
    }
});
