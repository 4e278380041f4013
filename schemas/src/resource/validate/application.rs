//! Rules of applications.

use super::{
    BrokenRule,
    checker::{Check, Checker},
};
use crate::{
    resource::{
        ae::{AeInfo, AePolicy, Command},
        ae_doc::{AeDocument, ApplicationEnvironment},
        common::AccessControlBase,
        enumeration::AeKind,
        needs::{Needs, RangeValue},
    },
    scalar::Text,
};

impl Check for AeInfo {
    fn check(&self, checker: &mut Checker) {
        let capabilities = self
            .capabilities
            .iter()
            .map(|one| format!("{}/{}", one.name, one.version));
        checker.unique("Capability", "capability", capabilities);
    }
}

impl Check for AePolicy {
    fn check(&self, checker: &mut Checker) {
        if self.max_attempts == Some(0) {
            let rule = BrokenRule::OutOfRange {
                found: "0".to_owned(),
                expected: "1 attempt at least",
            };
            checker.report_at("MaxAttempts", rule);
        }
    }
}

impl Check for Command {
    fn check(&self, checker: &mut Checker) {
        checker.program(&self.executable);
        for (what, present, goes) in [
            ("Input", self.input.is_some(), "stdin comes from the caller"),
            ("Output", self.output.is_some(), "stdout goes to the caller"),
            ("Error", self.error.is_some(), "stderr goes to the caller"),
        ] {
            if present {
                checker.report_at(what, BrokenRule::NotApplied { what, goes });
            }
        }
        checker.inside(
            "WorkingDirectory",
            self.working_directory.as_ref(),
            "work folder",
        );
        checker.unique(
            "Environment",
            "variable",
            self.environment.iter().map(|one| &one.name),
        );
        if let Some(split) = &self.split {
            checker.within("Split", |checker| checker.program(&split.executable));
        }
        if let Some(merge) = &self.merge {
            checker.within("Merge", |checker| checker.program(&merge.executable));
        }
    }
}

impl Checker {
    /// A program: in the package by a relative path, or on the Host by an
    /// absolute one.
    fn program(&mut self, executable: &Text) {
        if !executable.as_str().starts_with('/') {
            self.inside("Executable", Some(executable), "package");
        }
    }

    fn range(&mut self, step: &'static str, range: Option<&RangeValue>) {
        let Some(range) = range else {
            return;
        };
        self.within(step, |checker| {
            if *range == RangeValue::default() {
                checker.report(BrokenRule::Empty { what: step });
            }
            for (index, one) in range.ranges.iter().enumerate() {
                checker.within(format_args!("Range[{}]", index + 1), |checker| {
                    checker.ordered(
                        ("LowerBound", Some(one.lower_bound.value)),
                        ("UpperBound", Some(one.upper_bound.value)),
                    );
                });
            }
        });
    }
}

impl Check for Needs {
    fn check(&self, checker: &mut Checker) {
        for (step, range) in [
            ("IndividualCPUCount", &self.individual_cpu_count),
            ("IndividualPhysicalMemory", &self.individual_physical_memory),
            ("IndividualVirtualMemory", &self.individual_virtual_memory),
            ("IndividualDiskSpace", &self.individual_disk_space),
            ("IndividualCPUSpeed", &self.individual_cpu_speed),
            (
                "IndividualNetworkBandwidth",
                &self.individual_network_bandwidth,
            ),
            ("IndividualCPUTime", &self.individual_cpu_time),
            ("TotalCPUTime", &self.total_cpu_time),
            ("TotalCPUCount", &self.total_cpu_count),
            ("TotalPhysicalMemory", &self.total_physical_memory),
            ("TotalDiskSpace", &self.total_disk_space),
            ("TotalResourceCount", &self.total_resource_count),
        ] {
            checker.range(step, range.as_ref());
        }
        if self
            .candidate_hosts
            .as_ref()
            .is_some_and(|hosts| hosts.host_names.is_empty())
        {
            checker.report_at(
                "CandidateHosts",
                BrokenRule::Empty {
                    what: "CandidateHosts",
                },
            );
        }
    }
}

/// The groups that a manifest and the catalogue's entry have in common.
fn check_application(
    info: &AeInfo,
    policy: &AePolicy,
    access: &AccessControlBase,
    command: &Command,
    needs: &Needs,
    checker: &mut Checker,
) {
    checker.child("Info", info);
    checker.child("Policy", policy);
    checker.child("AccessControlBase", access);
    checker.child("Command", command);
    let kind = info.kind;
    for (what, present) in [
        ("Split", command.split.is_some()),
        ("Merge", command.merge.is_some()),
    ] {
        if present && kind != AeKind::Task {
            checker.within("Command", |checker| {
                checker.report_at(what, BrokenRule::NotForKind { what, kind });
            });
        }
    }
    checker.child("Needs", needs);
}

impl Check for AeDocument {
    fn check(&self, checker: &mut Checker) {
        check_application(
            &self.info,
            &self.policy,
            &self.access,
            &self.command,
            &self.needs,
            checker,
        );
    }
}

impl Check for ApplicationEnvironment {
    fn check(&self, checker: &mut Checker) {
        check_application(
            &self.info,
            &self.policy,
            &self.access,
            &self.command,
            &self.needs,
            checker,
        );
    }
}
