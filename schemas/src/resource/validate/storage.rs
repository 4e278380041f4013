//! Rules of Storage Elements, their buckets and their Hosts.
//!
//! Not a rule: that there are as many Hosts as a bucket's redundancy has blocks.
//! Hosts come and go and are revoked, and the document has to be written also
//! then; who puts an object is told that it cannot be kept as its bucket wants.

use super::{
    BrokenRule,
    checker::{Check, Checker},
    common::check_hosts,
};
use crate::{
    resource::{
        enumeration::RetentionPolicy,
        host::{StorageDeviceState, StorageHost, StorageHostInfo, StorageHostState},
        se::{SeInfo, SePolicy, SeState, StorageElement},
        se_doc::{Buckets, SeConfiguration, SeDocument},
        storage_area::{AreaInfo, AreaPolicy, AreaState, StorageArea, path_of},
    },
    scalar::FailureLabel,
};

/// What makes a total of online bytes.
const ONLINE_PARTS: &str = "UsedOnlineSize, FreeOnlineSize and ReservedOnlineSize";

impl Check for SeInfo {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        let ids = self.access_protocols.iter().map(|door| &door.local_id);
        checker.unique("AccessProtocol", "LocalID", ids);
        let ids = self.control_protocols.iter().map(|door| &door.local_id);
        checker.unique("ControlProtocol", "LocalID", ids);
    }
}

impl Check for SeState {
    fn check(&self, checker: &mut Checker) {
        let parts = [
            self.used_online_size,
            self.free_online_size,
            self.reserved_online_size,
        ];
        checker.sum(
            ("TotalOnlineSize", self.total_online_size),
            (ONLINE_PARTS, parts),
        );
        checker.both(
            ("TotalNearlineSize", self.total_nearline_size.is_some()),
            ("UsedNearlineSize", self.used_nearline_size.is_some()),
        );
        checker.ordered(
            ("UsedNearlineSize", self.used_nearline_size),
            ("TotalNearlineSize", self.total_nearline_size),
        );
        checker.ordered(
            ("RawFreeSize", self.raw_free_size),
            ("RawTotalSize", self.raw_total_size),
        );
        checker.ordered(
            ("EstimatedResponseTime", self.estimated_response_time),
            ("WorstResponseTime", self.worst_response_time),
        );
    }
}

impl Check for SePolicy {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        checker.ordered(
            ("MinFileSize", self.min_file_size),
            ("MaxFileSize", self.max_file_size),
        );
    }
}

impl Check for StorageElement {
    fn check(&self, checker: &mut Checker) {
        checker.child("Info", &self.info);
        if let Some(state) = &self.state {
            checker.child("State", state);
        }
        checker.child("Policy", &self.policy);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for StorageHostInfo {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        let names = self.storage_devices.iter().map(|device| &device.name);
        checker.unique("StorageDevice", "storage device", names);
        let roots = self.storage_devices.iter().map(|device| &device.root);
        checker.unique("StorageDevice", "the folder", roots);
        let keys = self.failure_labels.iter().map(FailureLabel::key);
        checker.unique("FailureLabel", "failure label", keys);
    }
}

impl Check for StorageHostState {
    fn check(&self, checker: &mut Checker) {
        let names = self.storage_devices.iter().map(|device| &device.name);
        checker.unique("StorageDevice", "storage device", names);
        checker.ordered(
            ("DamagedBlockCount", self.damaged_block_count),
            ("BlockCount", self.block_count),
        );
    }
}

impl StorageHost {
    fn check_device(&self, state: &StorageDeviceState, checker: &mut Checker) {
        if state.read_only && state.available_space != 0 {
            let rule = BrokenRule::OutOfRange {
                found: state.available_space.to_string(),
                expected: "0, as ReadOnly is true",
            };
            checker.report_at("AvailableSpace", rule);
        }
        let mut devices = self.info.storage_devices.iter();
        let Some(device) = devices.find(|device| device.name == state.name) else {
            let rule = BrokenRule::Dangling {
                what: "the storage device",
                found: state.name.to_string(),
                expected: "one that Info names".to_owned(),
            };
            return checker.report_at("Name", rule);
        };
        // Not the sum with what is used: a file system that compresses holds more.
        checker.ordered(
            ("AvailableSpace", Some(state.available_space)),
            ("Size", Some(device.size)),
        );
    }
}

impl Check for StorageHost {
    fn check(&self, checker: &mut Checker) {
        checker.child("Info", &self.info);
        if let Some(state) = &self.state {
            checker.child("State", state);
            checker.within("State", |checker| {
                for (index, device) in state.storage_devices.iter().enumerate() {
                    checker.within(format_args!("StorageDevice[{}]", index + 1), |checker| {
                        self.check_device(device, checker);
                    });
                }
            });
        }
        checker.child("Policy", &self.policy.common);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for AreaInfo {
    fn check(&self, checker: &mut Checker) {
        if self.retention_policy == RetentionPolicy::Custodial && self.redundancy.parity() == 0 {
            let rule = BrokenRule::OutOfRange {
                found: self.redundancy.to_string(),
                expected: "a redundancy that bears the loss of a Host, as RetentionPolicy is custodial",
            };
            checker.report_at("Redundancy", rule);
        }
    }
}

impl Check for AreaState {
    fn check(&self, checker: &mut Checker) {
        let parts = [
            self.used_online_size,
            self.free_online_size,
            self.reserved_online_size,
        ];
        checker.sum(
            ("TotalOnlineSize", self.total_online_size),
            (ONLINE_PARTS, parts),
        );
    }
}

impl Check for AreaPolicy {
    fn check(&self, checker: &mut Checker) {
        checker.ordered(
            ("DefaultLifeTime", self.default_life_time),
            ("MaximumLifeTime", self.maximum_life_time),
        );
    }
}

impl Check for StorageArea {
    fn check(&self, checker: &mut Checker) {
        if self.bucket().is_none() {
            let rule = BrokenRule::OutOfRange {
                found: self.local_id.to_string(),
                expected: "`bucket-` and a lower-case UUID",
            };
            checker.report_at("LocalID", rule);
        }
        let path = path_of(&self.name);
        if self.path.as_str() != path {
            let rule = BrokenRule::Dangling {
                what: "the Path of the bucket",
                found: self.path.as_str().chars().take(80).collect(),
                expected: path,
            };
            checker.report_at("Path", rule);
        }
        checker.child("Info", &self.info);
        if let Some(state) = &self.state {
            checker.child("State", state);
        }
        checker.child("Policy", &self.policy);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for SeConfiguration {
    fn check(&self, checker: &mut Checker) {
        self.common.check(checker);
        checker.positive("ScrubInterval", self.scrub_interval);
        if self.repair_rate == 0 {
            let rule = BrokenRule::OutOfRange {
                found: self.repair_rate.to_string(),
                expected: "more than 0 bytes per second",
            };
            checker.report_at("RepairRate", rule);
        }
        if self.small_object_size > Self::SMALL_OBJECT_SIZE_MAX {
            let rule = BrokenRule::OutOfRange {
                found: self.small_object_size.to_string(),
                expected: "at most 4194304 bytes, the payload of one block",
            };
            checker.report_at("SmallObjectSize", rule);
        }
    }
}

impl Check for Buckets {
    fn check(&self, checker: &mut Checker) {
        for (index, area) in self.areas.iter().enumerate() {
            checker.within(format_args!("StorageArea[{}]", index + 1), |checker| {
                area.check(checker);
            });
        }
        let ids = self.areas.iter().map(|area| &area.local_id);
        checker.unique("StorageArea", "LocalID", ids);
        let names = self.areas.iter().map(|area| &area.name);
        checker.unique("StorageArea", "bucket", names);
    }
}

impl Check for SeDocument {
    fn check(&self, checker: &mut Checker) {
        checker.child("StorageElement", &self.element);
        checker.child("Configuration", &self.configuration);
        check_hosts(&self.host_table, &self.element.id, checker);
        checker.child("JoinTokens", &self.join_tokens);
        checker.child("Buckets", &self.buckets);
    }
}
