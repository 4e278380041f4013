//! Rules of Computing Elements and their Hosts.

use super::{
    BrokenRule,
    checker::{Check, Checker},
};
use crate::resource::{
    ce::{CeInfo, CePolicy, CeState, ComputingElement},
    ce_doc::{CeDocument, Configuration, HostEntry},
    common::{AccessControlBase, CommonInfo, CommonPolicy},
    host::{ComputeHost, HostInfo, HostState},
};

impl Check for CommonInfo {
    fn check(&self, checker: &mut Checker) {
        checker.both(
            ("Latitude", self.latitude.is_some()),
            ("Longitude", self.longitude.is_some()),
        );
        checker.degrees("Latitude", self.latitude, 90, "-90 to 90 degrees");
        checker.degrees("Longitude", self.longitude, 180, "-180 to 180 degrees");
    }
}

impl Check for CommonPolicy {
    fn check(&self, checker: &mut Checker) {
        checker.both(
            ("DowntimeStart", self.downtime_start.is_some()),
            ("DowntimeEnd", self.downtime_end.is_some()),
        );
        checker.ordered(
            ("DowntimeStart", self.downtime_start),
            ("DowntimeEnd", self.downtime_end),
        );
    }
}

impl Check for AccessControlBase {
    fn check(&self, checker: &mut Checker) {
        if let Some(scheme) = self
            .scheme
            .as_ref()
            .filter(|scheme| scheme.as_str() != "basic")
        {
            let found = scheme.to_string();
            checker.report_at("Scheme", BrokenRule::UnknownScheme { found });
        }
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.operations.as_ref().is_some_and(Vec::is_empty) {
                checker.within(format_args!("Rule[{}]", index + 1), |checker| {
                    checker.report(BrokenRule::Empty { what: "Operations" });
                });
            }
        }
    }
}

impl Check for CeInfo {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        checker.ordered(
            ("TotalPhysicalCPUs", self.total_physical_cpus),
            ("TotalLogicalCPUs", self.total_logical_cpus),
        );
    }
}

impl Check for CeState {
    fn check(&self, checker: &mut Checker) {
        checker.no_more_than(
            (
                "UsedInstances and UnavailableInstances",
                [self.used_instances, self.unavailable_instances],
            ),
            ("TotalInstances", self.total_instances),
        );
        checker.no_more_than(
            (
                "UsedSlots and FreeJobSlots",
                [self.used_slots, self.free_job_slots],
            ),
            ("TotalSlots", self.total_slots),
        );
        let parts = [
            self.running_jobs,
            self.waiting_jobs,
            self.staging_jobs,
            self.suspended_jobs,
            self.pre_lrms_waiting_jobs.unwrap_or(0),
        ];
        let sum = parts.into_iter().map(u64::from).sum();
        let found = u64::from(self.total_jobs);
        if sum != found {
            let rule = BrokenRule::NotSum {
                total: "TotalJobs",
                found,
                parts: "running, waiting, staging, suspended and pre-LRMS waiting jobs",
                sum,
            };
            checker.report_at("TotalJobs", rule);
        }
        checker.ordered(
            ("EstimatedResponseTime", self.estimated_response_time),
            ("WorstResponseTime", self.worst_response_time),
        );
    }
}

impl Check for CePolicy {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        let min = ("MinWallTime", self.min_wall_time);
        let default = ("DefaultWallTime", self.default_wall_time);
        let max = ("MaxWallClockTime", self.max_wall_clock_time);
        checker.ordered(min, default);
        checker.ordered(default, max);
        checker.ordered(min, max);
        checker.ordered(
            ("DefaultCPUTime", self.default_cpu_time),
            ("MaxCPUTime", self.max_cpu_time),
        );
        checker.ordered(
            ("GuaranteedMainMemory", self.guaranteed_main_memory),
            ("MaxMainMemory", self.max_main_memory),
        );
    }
}

impl Check for ComputingElement {
    fn check(&self, checker: &mut Checker) {
        checker.child("Info", &self.info);
        if let Some(state) = &self.state {
            checker.child("State", state);
        }
        checker.child("Policy", &self.policy);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for HostInfo {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        checker.within("MainMemory", |checker| {
            checker.ordered(
                ("RAMSize", Some(self.main_memory.ram_size)),
                ("VirtualSize", self.main_memory.virtual_size),
            );
        });
        let roots = self
            .file_systems
            .iter()
            .map(|file_system| &file_system.root);
        checker.unique("FileSystem", "the file system at", roots);
    }
}

impl Check for HostState {
    fn check(&self, checker: &mut Checker) {
        checker.no_more_than(
            (
                "UsedSlots and FreeJobSlots",
                [self.used_slots, self.free_job_slots],
            ),
            ("TotalSlots", self.total_slots),
        );
        let roots = self
            .file_systems
            .iter()
            .map(|file_system| &file_system.root);
        checker.unique("FileSystem", "the file system at", roots);
    }
}

impl Check for ComputeHost {
    fn check(&self, checker: &mut Checker) {
        checker.child("Info", &self.info);
        if let Some(state) = &self.state {
            checker.child("State", state);
        }
        checker.child("Policy", &self.policy.common);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for Configuration {
    fn check(&self, checker: &mut Checker) {
        checker.positive("HeartbeatInterval", self.heartbeat_interval);
        checker.positive("ProbeTimeout", self.probe_timeout);
        checker.positive("LeaseDuration", self.lease_duration);
    }
}

impl CeDocument {
    fn check_host(&self, entry: &HostEntry, checker: &mut Checker) {
        checker.child("ComputeHost", &entry.host);
        let (element, named) = (&self.element.id, &entry.host.info.element);
        if named != element {
            let rule = BrokenRule::Dangling {
                what: "the Host's Element",
                found: named.to_string(),
                expected: element.to_string(),
            };
            checker.within("ComputeHost/Info/Element", |checker| checker.report(rule));
        }
        if entry.host.id == *element {
            let rule = BrokenRule::Duplicate {
                what: "ID",
                value: element.to_string(),
            };
            checker.report_at("ComputeHost", rule);
        }
    }
}

impl Check for CeDocument {
    fn check(&self, checker: &mut Checker) {
        checker.child("ComputingElement", &self.element);
        checker.child("Configuration", &self.configuration);
        checker.within("HostTable", |checker| {
            for (index, entry) in self.host_table.hosts.iter().enumerate() {
                checker.within(format_args!("Host[{}]", index + 1), |checker| {
                    self.check_host(entry, checker);
                });
            }
            let ids = self.host_table.hosts.iter().map(|entry| &entry.host.id);
            checker.unique("Host", "Host", ids);
        });
        checker.within("JoinTokens", |checker| {
            let hashes = self.join_tokens.tokens.iter().map(|token| &token.hash);
            checker.unique("JoinToken", "hash", hashes);
        });
        checker.within("Applications", |checker| {
            let entries = &self.applications.applications;
            checker.unique(
                "Application",
                "package",
                entries.iter().map(|entry| &entry.digest),
            );
            let versions = entries
                .iter()
                .map(|entry| format!("{} {}", entry.app_name, entry.app_version));
            checker.unique("Application", "application", versions);
        });
    }
}
