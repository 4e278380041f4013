//! Rules of Computing Elements and their Hosts.

use super::{
    checker::{Check, Checker},
    common::check_hosts,
};
use crate::resource::{
    ce::{CeInfo, CePolicy, CeState, ComputingElement},
    ce_doc::{CeDocument, Configuration},
    host::{ComputeHost, HostInfo, HostState},
};

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
        checker.sum(
            ("TotalJobs", self.total_jobs),
            (
                "running, waiting, staging, suspended and pre-LRMS waiting jobs",
                parts,
            ),
        );
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
        self.common.check(checker);
        checker.positive("LeaseDuration", self.lease_duration);
    }
}

impl Check for CeDocument {
    fn check(&self, checker: &mut Checker) {
        checker.child("ComputingElement", &self.element);
        checker.child("Configuration", &self.configuration);
        check_hosts(&self.host_table, &self.element.id, checker);
        checker.child("JoinTokens", &self.join_tokens);
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
