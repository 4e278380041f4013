//! What simulated nodes say of themselves: as much as real ones do.

use gridmart_schemas::{
    id::NodeId,
    resource::{
        ce::{CeInfo, CePolicy, CeState, ComputingElement},
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState, Who},
        enumeration::{HealthState, LrmsType, OsFamily, Platform, Sandbox, ServingState},
        host::{
            Architecture, ComputeHost, FileSystem, FileSystemState, HostInfo, HostPolicy,
            HostState, LoadAverage, MainMemory, MemoryState, NetworkAdapter, OperatingSystem,
            Processor,
        },
    },
    role::Desired,
    scalar::{Seconds, UtcTime},
};

/// Three heartbeats of Hosts.
const VALIDITY: Seconds = Seconds::from_secs(15);
const GIBIBYTE: u64 = 1 << 30;

/// A Host of an Element.
pub(super) fn host(id: NodeId, name: &str, domain: &str, element: NodeId) -> ComputeHost {
    let mut common = CommonInfo::new(text(name), text(domain));
    common.implementation_name = Some(text("gridmart"));
    common.implementation_version = Some(text(env!("CARGO_PKG_VERSION")));
    common.endpoints = vec![text("wss://127.0.0.1:9/v1/calls")];
    common.capabilities = vec![text("executionmanagement.jobexecution")];
    let architecture = Architecture {
        platform_type: Platform::Amd64,
        smp_size: 8.try_into().expect("eight is above zero"),
    };
    let memory = MainMemory {
        ram_size: 32 * GIBIBYTE,
        virtual_size: Some(40 * GIBIBYTE),
    };
    let system = OperatingSystem {
        family: OsFamily::Linux,
        name: text("debian"),
        release: Some(text("12")),
        version: Some(text("6.1.0-28-amd64")),
    };
    let mut info = HostInfo::new(
        common,
        text(&element.to_urn()),
        text(name),
        architecture,
        memory,
        system,
    );
    info.processor = Some(Processor {
        vendor: Some(text("GenuineIntel")),
        model: Some(text("Intel(R) Xeon(R) Processor @ 2.10GHz")),
        clock_speed: Some(2100),
        physical_cpus: Some(1),
        ..Processor::default()
    });
    info.network_adapters = vec![NetworkAdapter {
        name: text("eth0"),
        ip_address: Some(text("10.0.0.7")),
        mtu: Some(1500),
        inbound_ip: None,
        outbound_ip: None,
    }];
    info.sandbox = Some(Sandbox::Bubblewrap);
    info.file_systems = vec![FileSystem {
        root: text("/var/lib/gridmart"),
        kind: Some(text("ext4")),
        size: Some(500 * GIBIBYTE),
        read_only: Some(false),
    }];
    ComputeHost {
        id: text(&id.to_urn()),
        info,
        state: None,
        policy: HostPolicy::default(),
        access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
    }
}

/// The state of a Host: another one with each `beat`, as memory and load are.
pub(super) fn host_state(desired: Desired, slots: u32, beat: u64) -> HostState {
    let serving = match desired {
        Desired::Production => ServingState::Production,
        Desired::Closed => ServingState::Closed,
    };
    let common = CommonState::new(serving, HealthState::Ok);
    let mut state = HostState::new(UtcTime::now(), VALIDITY, common, slots);
    state.main_memory = Some(MemoryState {
        ram_available: Some(24 * GIBIBYTE + beat * 4096),
        virtual_available: Some(32 * GIBIBYTE + beat * 4096),
    });
    state.file_systems = vec![FileSystemState {
        root: text("/var/lib/gridmart"),
        available_space: 400 * GIBIBYTE - beat * 4096,
    }];
    let load = text(&format!("0.{:02}", beat % 100));
    state.load_average = Some(LoadAverage {
        last_1_min: Some(load),
        last_5_min: Some(load),
        last_15_min: Some(load),
    });
    state
}

/// An Element.
pub(super) fn element(id: NodeId, name: &str, domain: &str) -> ComputingElement {
    let common = CommonInfo::new(text(name), text(domain));
    let mut info = CeInfo::new(common, LrmsType::Fork, text("127.0.0.1"));
    info.bulk_submission = Some(true);
    ComputingElement {
        id: text(&id.to_urn()),
        info,
        state: None,
        policy: CePolicy::default(),
        access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
    }
}

/// The state of an idle Element.
pub(super) fn element_state(hosts: u32, slots: u32) -> CeState {
    let common = CommonState::new(ServingState::Production, HealthState::Ok);
    let mut state = CeState::new(UtcTime::now(), VALIDITY, common);
    state.total_instances = hosts;
    state.total_slots = slots;
    state.free_job_slots = slots;
    state.estimated_response_time = Some(Seconds::default());
    state.worst_response_time = Some(Seconds::default());
    state
}

/// Reads what is written in this file.
fn text<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse()
        .expect("what simulated nodes say is well-formed")
}
