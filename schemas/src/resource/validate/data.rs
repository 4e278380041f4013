//! Rules of Data Elements, their databases and their Hosts.

use super::{
    BrokenRule,
    checker::{Check, Checker},
    common::check_hosts,
};
use crate::resource::{
    database::{Database, DatabaseRule, Replica, ReplicaFilter},
    de::DataElement,
    de_doc::{Databases, DeDocument},
    enumeration::ReplicaRole,
    host::DataHost,
};
use crate::role::Operation;

impl Check for DataElement {
    fn check(&self, checker: &mut Checker) {
        checker.child("Info", &self.info.common);
        checker.within("Info", |checker| {
            let ids = self.info.access_protocols.iter().map(|door| &door.local_id);
            checker.unique("AccessProtocol", "LocalID", ids);
        });
        if let Some(state) = &self.state {
            checker.within("State", |checker| {
                checker.ordered(
                    ("UsedSize", state.used_size),
                    ("TotalSize", state.total_size),
                );
            });
        }
        checker.child("Policy", &self.policy.common);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for DataHost {
    fn check(&self, checker: &mut Checker) {
        checker.child("Info", &self.info.common);
        checker.within("Info", |checker| {
            let names = self.info.engines.iter().map(|engine| &engine.name);
            checker.unique("Engine", "engine", names);
        });
        if let Some(state) = &self.state {
            checker.within("State", |checker| {
                let databases = state.replicas.iter().map(|replica| &replica.database);
                checker.unique("Replica", "database", databases);
            });
        }
        checker.child("Policy", &self.policy.common);
        checker.child("AccessControlBase", &self.access);
    }
}

impl Check for DatabaseRule {
    fn check(&self, checker: &mut Checker) {
        if let Some(operations) = &self.operations {
            if operations.is_empty() {
                checker.report(BrokenRule::Empty { what: "Operations" });
            }
            let other = operations
                .iter()
                .find(|operation| !matches!(operation, Operation::Read | Operation::Write));
            if let Some(other) = other {
                checker.report(BrokenRule::OutOfRange {
                    found: other.to_string(),
                    expected: "read or write",
                });
            }
        }
        if self.table.is_none() && (self.rows.is_some() || !self.columns.is_empty()) {
            checker.report(BrokenRule::Incomplete {
                present: "a condition on rows or columns",
                missing: "Table",
            });
        }
        let names = self.columns.iter().map(|column| &column.name);
        checker.unique("Column", "column", names);
    }
}

impl Check for ReplicaFilter {
    fn check(&self, checker: &mut Checker) {
        if self.rules.is_empty() {
            checker.report(BrokenRule::Empty { what: "Rule" });
        }
        checker.unique("Rule", "table", self.rules.iter().map(|rule| &rule.table));
        for rule in &self.rules {
            let names = rule.columns.iter().map(|column| &column.name);
            checker.unique("Column", "column", names);
        }
    }
}

impl Check for Database {
    fn check(&self, checker: &mut Checker) {
        if self.database().is_none() {
            let rule = BrokenRule::OutOfRange {
                found: self.local_id.to_string(),
                expected: "`database-` and a lower-case UUID",
            };
            checker.report_at("LocalID", rule);
        }
        checker.within("Replicas", |checker| {
            let replicas = &self.replicas.replicas;
            let hosts = replicas.iter().map(|replica| &replica.host);
            checker.unique("Replica", "Host", hosts);
            for replica in replicas {
                let Some(filter) = &replica.filter else {
                    continue;
                };
                filter.check(checker);
                if replica.role == ReplicaRole::Core {
                    checker.report(BrokenRule::OutOfRange {
                        found: "a Filter of the core".to_owned(),
                        expected: "one of a shadow",
                    });
                }
            }
            let is_core = |replica: &&Replica| replica.role == ReplicaRole::Core;
            if replicas.iter().filter(is_core).count() > 1 {
                checker.report(BrokenRule::Duplicate {
                    what: "Role",
                    value: ReplicaRole::Core.to_string(),
                });
            }
        });
        checker.within("AccessControlBase", |checker| {
            for (index, rule) in self.access.rules.iter().enumerate() {
                checker.within(format_args!("Rule[{}]", index + 1), |checker| {
                    rule.check(checker);
                });
            }
        });
    }
}

impl Check for Databases {
    fn check(&self, checker: &mut Checker) {
        for (index, database) in self.databases.iter().enumerate() {
            checker.within(format_args!("Database[{}]", index + 1), |checker| {
                database.check(checker);
            });
        }
        let ids = self.databases.iter().map(|database| &database.local_id);
        checker.unique("Database", "LocalID", ids);
        let names = self.databases.iter().map(|database| &database.name);
        checker.unique("Database", "Name", names);
    }
}

impl Check for DeDocument {
    fn check(&self, checker: &mut Checker) {
        checker.child("DataElement", &self.element);
        checker.within("Configuration", |checker| {
            self.configuration.common.check(checker);
        });
        check_hosts(&self.host_table, &self.element.id, checker);
        checker.child("JoinTokens", &self.join_tokens);
        checker.child("Databases", &self.databases);
    }
}
