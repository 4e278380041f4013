//! Random Storage Elements, their buckets and Hosts.

use gridmart_schemas::{
    id::BucketId,
    resource::{
        enumeration::{
            AccessLatency, AccessProtocolType, ExpirationMode, OsFamily, Platform, RetentionPolicy,
            SeArchitecture, StorageDeviceType,
        },
        host::{
            Architecture, NetworkAdapter, OperatingSystem, StorageDevice, StorageDeviceState,
            StorageHost, StorageHostInfo, StorageHostPolicy, StorageHostState,
        },
        se::{AccessProtocol, ControlProtocol, SeInfo, SePolicy, SeState, StorageElement},
        se_doc::{SeConfiguration, SeDocument, StorageHostEntry},
        storage_area::{AreaInfo, AreaPolicy, AreaState, StorageArea},
    },
    scalar::{BucketName, FailureLabel, LocalId, Percent, Text, Uri},
    storage::Redundancy,
};
use uuid::Uuid;

use super::{
    Dice, access,
    common::{common_configuration, common_info, common_policy, common_state, join_tokens},
};

fn numbered(name: &str, number: usize) -> LocalId {
    LocalId::new(&format!("{name}{number}")).unwrap()
}

fn percent(dice: &mut Dice<'_>) -> Percent {
    Percent::new(dice.byte() % 101).unwrap()
}

/// Bytes used, free and reserved, and their total.
fn online(dice: &mut Dice<'_>) -> [u64; 4] {
    let parts = [dice.u64() / 3, dice.u64() / 3, dice.u64() / 3];
    [parts[0], parts[1], parts[2], parts.iter().sum()]
}

pub(crate) fn access_protocols(dice: &mut Dice<'_>) -> Vec<AccessProtocol> {
    let doors = (0..dice.below(3)).map(|number| AccessProtocol {
        local_id: numbered("door", number),
        kind: dice.open::<AccessProtocolType>(&["s3", "https", "postgresql"]),
        version: dice.maybe(Dice::token),
        endpoint: dice.uri(),
        max_streams: dice.maybe(Dice::u32),
        capabilities: dice.several(Dice::token),
        supported_security: dice.several(Dice::token),
    });
    doors.collect()
}

fn se_info(dice: &mut Dice<'_>) -> SeInfo {
    let access_protocols = access_protocols(dice);
    let control_protocols = (0..dice.below(3)).map(|number| ControlProtocol {
        local_id: numbered("door", number),
        kind: dice.token(),
        version: dice.maybe(Dice::token),
        endpoint: dice.uri(),
    });
    let control_protocols = control_protocols.collect();
    SeInfo {
        common: common_info(dice),
        architecture: *dice.pick(SeArchitecture::ALL),
        access_protocols,
        control_protocols,
        extensions: dice.extensions(),
    }
}

fn se_state(dice: &mut Dice<'_>) -> SeState {
    let [used, free, reserved, total] = online(dice);
    let mut nearline = [dice.u64(), dice.u64()];
    nearline.sort_unstable();
    let has_nearline = dice.coin();
    let mut raw = [dice.u64(), dice.u64()];
    raw.sort_unstable();
    let estimate = dice.seconds();
    SeState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        common: common_state(dice),
        total_online_size: total,
        used_online_size: used,
        free_online_size: free,
        reserved_online_size: reserved,
        total_nearline_size: has_nearline.then_some(nearline[1]),
        used_nearline_size: has_nearline.then_some(nearline[0]),
        raw_total_size: dice.maybe(|_| raw[1]),
        raw_free_size: dice.maybe(|_| raw[0]),
        current_io_load: dice.maybe(percent),
        number_of_files: dice.maybe(Dice::u64),
        estimated_response_time: dice.maybe(|_| estimate),
        worst_response_time: dice.maybe(|dice| estimate.max(dice.seconds())),
        extensions: dice.extensions(),
    }
}

pub(crate) fn storage_element(dice: &mut Dice<'_>) -> StorageElement {
    let mut sizes = [dice.u64(), dice.u64()];
    sizes.sort_unstable();
    StorageElement {
        id: Uri::new("urn:uuid:0190d3c4-0000-7000-8000-000000000001").unwrap(),
        info: se_info(dice),
        state: dice.maybe(se_state),
        policy: SePolicy {
            common: common_policy(dice),
            max_file_size: dice.maybe(|_| sizes[1]),
            min_file_size: dice.maybe(|_| sizes[0]),
            max_streams: dice.maybe(Dice::u32),
            extensions: dice.extensions(),
        },
        access: access(dice),
    }
}

fn host_info(dice: &mut Dice<'_>, element: &Uri) -> StorageHostInfo {
    let devices = (0..=dice.below(3)).map(|number| StorageDevice {
        name: numbered("disk", number),
        kind: dice.open::<StorageDeviceType>(&["disk", "ssd"]),
        root: Text::new(&format!("/srv/<&>/{number}")).unwrap(),
        size: dice.u64(),
        transfer_rate: dice.maybe(Dice::u64),
    });
    let storage_devices = devices.collect();
    let labels = ["rack=r1", "room=a b=c", "x=\u{a0}<&>"];
    let labels = &labels[..dice.below(4)];
    StorageHostInfo {
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
        storage_devices,
        failure_labels: labels
            .iter()
            .map(|label| FailureLabel::new(label).unwrap())
            .collect(),
        extensions: dice.extensions(),
    }
}

fn host_state(dice: &mut Dice<'_>, info: &StorageHostInfo) -> StorageHostState {
    let devices = info.storage_devices.iter().map(|device| {
        let read_only = dice.coin();
        StorageDeviceState {
            name: device.name.clone(),
            available_space: if read_only { 0 } else { device.size / 3 },
            used_space: device.size / 3,
            reserved_space: device.size / 4,
            read_only,
        }
    });
    let storage_devices = devices.collect();
    let mut blocks = [dice.u64(), dice.u64()];
    blocks.sort_unstable();
    StorageHostState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        common: common_state(dice),
        storage_devices,
        current_io_load: dice.maybe(percent),
        block_count: dice.maybe(|_| blocks[1]),
        damaged_block_count: dice.maybe(|_| blocks[0]),
        last_scrub_time: dice.maybe(Dice::utc),
        worst_response_time: dice.maybe(Dice::seconds),
        last_heartbeat: dice.utc(),
        extensions: dice.extensions(),
    }
}

pub(crate) fn storage_host(dice: &mut Dice<'_>, element: &Uri, number: usize) -> StorageHost {
    let info = host_info(dice, element);
    StorageHost {
        id: Uri::new(&format!("urn:example:host:{number}")).unwrap(),
        state: dice.maybe(|dice| host_state(dice, &info)),
        info,
        policy: StorageHostPolicy {
            common: common_policy(dice),
            max_used_space: dice.maybe(Dice::u64),
            max_streams: dice.maybe(Dice::u32),
            extensions: dice.extensions(),
        },
        access: access(dice),
    }
}

fn area_info(dice: &mut Dice<'_>) -> AreaInfo {
    let redundancy: Redundancy = dice
        .word(&["replica(2)", "replica(16)", "rs(4,2)", "rs(16,8)"])
        .parse()
        .unwrap();
    AreaInfo {
        retention_policy: dice.open::<RetentionPolicy>(&["custodial", "output", "replica"]),
        access_latency: *dice.pick(AccessLatency::ALL),
        expiration_mode: dice.maybe(|dice| *dice.pick(ExpirationMode::ALL)),
        redundancy,
        extensions: dice.extensions(),
    }
}

fn area_state(dice: &mut Dice<'_>) -> AreaState {
    let [used, free, reserved, total] = online(dice);
    AreaState {
        creation_time: dice.utc(),
        validity: dice.seconds(),
        total_online_size: total,
        used_online_size: used,
        free_online_size: free,
        reserved_online_size: reserved,
        number_of_files: dice.u64(),
        number_of_short_files: dice.maybe(Dice::u64),
        extensions: dice.extensions(),
    }
}

pub(crate) fn area(dice: &mut Dice<'_>, number: usize) -> StorageArea {
    let bucket = BucketId::from_uuid(Uuid::from_u128(number as u128));
    let prefix = dice.word(&["a-", "0.", "data.of-"]);
    let name = BucketName::new(&format!("{prefix}x{number}")).unwrap();
    let mut lives = [dice.u64(), dice.u64()];
    lives.sort_unstable();
    let mut area = StorageArea::new(bucket, name, area_info(dice)).unwrap();
    area.state = dice.maybe(area_state);
    area.policy = AreaPolicy {
        quota: dice.maybe(Dice::u64),
        max_num_files: dice.maybe(Dice::u64),
        default_life_time: dice.maybe(|_| lives[0]),
        maximum_life_time: dice.maybe(|_| lives[1]),
        max_pin_duration: dice.maybe(Dice::u64),
        allow_degraded: dice.maybe(Dice::u64),
        extensions: dice.extensions(),
    };
    area.access = access(dice);
    area
}

pub(crate) fn se_document(dice: &mut Dice<'_>) -> SeDocument {
    let mut document = SeDocument::new(storage_element(dice));
    document.generation = dice.u64();
    document.wish = dice.wish();
    document.configuration = SeConfiguration {
        common: common_configuration(dice),
        scrub_interval: dice.seconds(),
        repair_rate: dice.u64().max(1),
        repair_delay: dice.seconds(),
        small_object_size: dice.u64() % (SeConfiguration::SMALL_OBJECT_SIZE_MAX + 1),
        extensions: dice.extensions(),
    };
    let id = document.element.id.clone();
    let hosts = (0..dice.below(4)).map(|number| StorageHostEntry {
        host: storage_host(dice, &id, number),
        joined_at: dice.utc(),
        wish: dice.wish(),
        revoked: dice.maybe(Dice::coin),
        extensions: dice.extensions(),
    });
    document.host_table.hosts = hosts.collect();
    document.join_tokens = join_tokens(dice);
    document.log_begun = dice.maybe(Dice::utc);
    let areas = (0..dice.below(4)).map(|number| area(dice, number));
    document.buckets.areas = areas.collect();
    document.extensions = dice.extensions();
    document
}
