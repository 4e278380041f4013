//! Random parts that Elements and Hosts of all kinds have.

use gridmart_schemas::{
    resource::{
        common::{CommonInfo, CommonPolicy, CommonState},
        element_doc::{CommonConfiguration, JoinTokenEntry, JoinTokens},
        enumeration::{HealthState, QualityLevel, ServingState},
    },
    scalar::{Decimal, TokenHash},
};

use super::Dice;

pub(super) fn common_info(dice: &mut Dice<'_>) -> CommonInfo {
    let has_place = dice.coin();
    CommonInfo {
        name: dice.token(),
        domain: dice.local_id(),
        implementation_name: dice.maybe(Dice::token),
        implementation_version: dice.maybe(Dice::token),
        endpoints: dice.several(Dice::uri),
        capabilities: dice.several(Dice::token),
        quality_level: *dice.pick(QualityLevel::ALL),
        place: dice.maybe(Dice::token),
        country: dice.maybe(Dice::token),
        latitude: has_place.then(|| Decimal::from_millionths(i64::from(dice.byte()) * 300_000 - 1)),
        longitude: has_place.then(|| Decimal::from_millionths(i64::from(dice.byte()) * -300_000)),
        contacts: dice.several(Dice::uri),
    }
}

pub(super) fn common_state(dice: &mut Dice<'_>) -> CommonState {
    CommonState {
        serving_state: *dice.pick(ServingState::ALL),
        health_state: *dice.pick(HealthState::ALL),
        health_state_info: dice.maybe(Dice::text),
        start_time: dice.maybe(Dice::utc),
    }
}

pub(super) fn common_policy(dice: &mut Dice<'_>) -> CommonPolicy {
    let start = dice.maybe(Dice::utc);
    CommonPolicy {
        downtime_start: start,
        downtime_end: start,
        downtime_info: dice.maybe(Dice::text),
    }
}

pub(super) fn common_configuration(dice: &mut Dice<'_>) -> CommonConfiguration {
    CommonConfiguration {
        heartbeat_interval: dice.seconds(),
        probe_timeout: dice.seconds(),
        response_time_floor: dice.seconds(),
    }
}

pub(super) fn join_tokens(dice: &mut Dice<'_>) -> JoinTokens {
    let tokens = (0..dice.below(3)).map(|number| JoinTokenEntry {
        hash: TokenHash::new(&format!("{number:064x}")).unwrap(),
        label: dice.maybe(Dice::token),
        expires: dice.utc(),
        remaining: dice.u32(),
    });
    JoinTokens {
        tokens: tokens.collect(),
    }
}
