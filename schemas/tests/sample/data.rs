//! Random Data Elements, their databases and Hosts.

use gridmart_schemas::{
    id::{DatabaseId, NodeId},
    resource::{
        database::{
            ColumnRule, Database, DatabaseRule, DatabaseRules, DatabaseState, HiddenColumn,
            Replica, ReplicaFilter, ShadowRule,
        },
        de::{DataElement, DeInfo, DePolicy, DeState},
        de_doc::{DataHostEntry, DeConfiguration, DeDocument, RemovedCopy},
        enumeration::{DataEngine, OsFamily, Platform, ReplicaRole, SyncState},
        host::{
            Architecture, DataHost, DataHostInfo, DataHostPolicy, DataHostState, EngineInfo,
            NetworkAdapter, OperatingSystem, ReplicaCheck, ReplicaState, SetAside,
        },
    },
    role::Operation,
    scalar::Uri,
};
use uuid::Uuid;

use super::{
    Dice, access,
    common::{common_configuration, common_info, common_policy, common_state, join_tokens},
};

pub(crate) fn data_element(dice: &mut Dice<'_>) -> DataElement {
    let mut sizes = [dice.u64(), dice.u64()];
    sizes.sort_unstable();
    DataElement {
        id: Uri::new("urn:uuid:0190d3c4-0000-7000-8000-000000000001").unwrap(),
        info: DeInfo {
            common: common_info(dice),
            engines: dice.several(|dice| dice.open::<DataEngine>(&["sqlite"])),
            access_protocols: super::storage::access_protocols(dice),
            extensions: dice.extensions(),
        },
        state: dice.maybe(|dice| DeState {
            creation_time: dice.utc(),
            validity: dice.seconds(),
            common: common_state(dice),
            running_requests: dice.u32(),
            waiting_requests: dice.u32(),
            active_sessions: dice.u32(),
            total_size: dice.maybe(|_| sizes[1]),
            used_size: dice.maybe(|_| sizes[0]),
            worst_response_time: dice.maybe(Dice::seconds),
            extensions: dice.extensions(),
        }),
        policy: DePolicy {
            common: common_policy(dice),
            max_sessions: dice.maybe(Dice::u32),
            max_running_requests: dice.maybe(Dice::u32),
            max_waiting_requests: dice.maybe(Dice::u32),
            max_request_time: dice.maybe(Dice::seconds),
            max_result_size: dice.maybe(Dice::u64),
            max_result_rows: dice.maybe(Dice::u64),
            extensions: dice.extensions(),
        },
        access: access(dice),
    }
}

fn database_id(number: usize) -> DatabaseId {
    DatabaseId::from_uuid(Uuid::from_u128(number as u128))
}

fn replica_state(dice: &mut Dice<'_>, number: usize) -> ReplicaState {
    ReplicaState {
        database: Uri::from_uuid(database_id(number).as_uuid()),
        role: *dice.pick(ReplicaRole::ALL),
        sync_state: *dice.pick(SyncState::ALL),
        log_position: dice.u64(),
        epoch: dice.u64(),
        used_size: dice.u64(),
        filter_version: dice.maybe(Dice::u64),
        log_room: dice.maybe(Dice::u64),
        check: dice.maybe(|dice| ReplicaCheck {
            creation_time: dice.utc(),
            log_position: dice.u64(),
            row_count: dice.u64(),
            difference_count: dice.u64(),
            differences: dice.several(Dice::text),
        }),
        set_aside: dice.several(|dice| SetAside {
            file: dice.text(),
            first_position: dice.u64(),
            last_position: dice.u64(),
            entry_count: dice.u64(),
            missing_count: dice.u64(),
        }),
    }
}

fn host_state(dice: &mut Dice<'_>) -> DataHostState {
    let replicas = (0..dice.below(3)).map(|number| replica_state(dice, number));
    let replicas = replicas.collect();
    DataHostState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        common: common_state(dice),
        available_space: dice.u64(),
        used_space: dice.u64(),
        running_requests: dice.u32(),
        replicas,
        worst_response_time: dice.maybe(Dice::seconds),
        last_heartbeat: dice.utc(),
        extensions: dice.extensions(),
    }
}

pub(crate) fn data_host(dice: &mut Dice<'_>, element: &Uri, number: usize) -> DataHost {
    let info = DataHostInfo {
        common: common_info(dice),
        element: element.clone(),
        host_name: dice.token(),
        architecture: Architecture {
            platform_type: dice.open::<Platform>(&["amd64", "arm64"]),
            smp_size: dice.positive(),
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
        engines: vec![EngineInfo {
            name: dice.open::<DataEngine>(&["sqlite"]),
            version: dice.token(),
        }],
        extensions: dice.extensions(),
    };
    DataHost {
        id: Uri::new(&format!("urn:example:host:{number}")).unwrap(),
        info,
        state: dice.maybe(host_state),
        policy: DataHostPolicy {
            common: common_policy(dice),
            extensions: dice.extensions(),
        },
        access: access(dice),
    }
}

fn rule(dice: &mut Dice<'_>) -> DatabaseRule {
    let has_table = dice.coin();
    let column = |dice: &mut Dice<'_>| ColumnRule {
        name: dice.token(),
        mask: dice.maybe(Dice::text),
    };
    DatabaseRule {
        who: dice
            .word(&["ALL", "user:ada", "role:user"])
            .parse()
            .unwrap(),
        operations: dice.maybe(|dice| vec![*dice.pick(&[Operation::Read, Operation::Write])]),
        table: has_table.then(|| dice.text()),
        columns: if has_table && dice.coin() {
            vec![column(dice)]
        } else {
            Vec::new()
        },
        rows: if has_table {
            dice.maybe(Dice::text)
        } else {
            None
        },
    }
}

fn filter(dice: &mut Dice<'_>) -> ReplicaFilter {
    let rules = (0..=dice.below(2)).map(|number| ShadowRule {
        table: format!("table_{number}").parse().unwrap(),
        columns: dice
            .maybe(|dice| HiddenColumn { name: dice.token() })
            .into_iter()
            .collect(),
        rows: dice.maybe(Dice::text),
    });
    ReplicaFilter {
        rules: rules.collect(),
        version: dice.u64(),
        confirmed: dice.maybe(Dice::coin),
    }
}

fn database(dice: &mut Dice<'_>, number: usize) -> Database {
    let node = |number: usize| NodeId::from_uuid(Uuid::from_u128(number as u128));
    let mut replicas = vec![Replica::on(node(1), ReplicaRole::Core)];
    replicas.extend((0..dice.below(3)).map(|at| Replica::on(node(at + 2), ReplicaRole::Shadow)));
    let name = format!("shop_{number}").parse().unwrap();
    let mut database =
        Database::new(database_id(number), name, "ada".parse().unwrap(), replicas).unwrap();
    database.replicas.epoch = dice.maybe(Dice::u64);
    for replica in &mut database.replicas.replicas {
        replica.engine = dice.maybe(|dice| dice.open::<DataEngine>(&["sqlite", "postgresql"]));
        replica.state = dice.maybe(|dice| replica_state(dice, number));
        if replica.role == ReplicaRole::Shadow {
            replica.filter = dice.maybe(filter);
        }
    }
    database.info.engine = dice.open::<DataEngine>(&["sqlite"]);
    database.info.extensions = dice.extensions();
    database.state = dice.maybe(|dice| DatabaseState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        log_position: dice.u64(),
        epoch: dice.u64(),
        shadow_count: dice.u32(),
        fresh_shadow_count: dice.u32(),
        used_size: dice.maybe(Dice::u64),
        extensions: dice.extensions(),
    });
    database.access = DatabaseRules {
        rules: dice.several(rule),
    };
    database
}

pub(crate) fn de_document(dice: &mut Dice<'_>) -> DeDocument {
    let mut document = DeDocument::new(data_element(dice));
    document.generation = dice.u64();
    document.wish = dice.wish();
    document.configuration = DeConfiguration {
        common: common_configuration(dice),
        check_interval: dice.maybe(Dice::seconds),
        extensions: dice.extensions(),
    };
    let id = document.element.id.clone();
    let hosts = (0..dice.below(4)).map(|number| DataHostEntry {
        host: data_host(dice, &id, number),
        joined_at: dice.utc(),
        wish: dice.wish(),
        revoked: dice.maybe(Dice::coin),
        extensions: dice.extensions(),
    });
    document.host_table.hosts = hosts.collect();
    document.join_tokens = join_tokens(dice);
    document.databases.databases = (0..dice.below(4))
        .map(|number| database(dice, number))
        .collect();
    document.removed_copies.copies = dice.several(|dice| {
        let host = NodeId::from_uuid(Uuid::from_u128(7));
        RemovedCopy::of(database_id(9), host, dice.coin())
    });
    document.extensions = dice.extensions();
    document
}
