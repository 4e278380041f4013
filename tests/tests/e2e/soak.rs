//! A short spell of bad weather; `make soak SEED=… FAULTS=…` makes a long one.

use gridmart_tests::{
    data_soak,
    soak::{Plan, run},
    storage_soak,
};

#[test]
fn what_was_promised_holds_in_bad_weather() {
    let plan = Plan::from_environment(Plan {
        seed: 1,
        faults: 12,
    });
    run(plan.unwrap());
}

#[test]
fn what_was_acknowledged_of_objects_holds_in_bad_weather() {
    let plan = Plan::from_environment(Plan {
        seed: 3,
        faults: 10,
    });
    storage_soak::run(plan.unwrap());
}

#[test]
fn what_was_committed_holds_in_bad_weather() {
    let plan = Plan::from_environment(Plan {
        seed: 5,
        faults: 10,
    });
    data_soak::run(plan.unwrap());
}
