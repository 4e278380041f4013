//! The volume against a simple model: whatever happens, what was acknowledged
//! holds.

use std::collections::BTreeMap;

use gridmart_fabric::{
    block::EncodedBlock,
    disk::test_disk::{Fault, TestDisk},
};
use proptest::prelude::*;

use super::{
    tests::{LARGE, block_of, delete, id, open, put, tidy},
    *,
};

/// What has to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Present,
    Absent,
    /// Something about it was not acknowledged.
    Either,
}

/// A volume on a test disk, and what it was asked.
pub(super) struct Harness {
    pub(super) disk: TestDisk,
    pub(super) volume: Volume,
    pub(super) expected: BTreeMap<u64, Expected>,
}

fn block(number: u64) -> EncodedBlock {
    let payload = match number % 8 {
        0 | 4 => 0,
        1 | 5 => 300,
        2 | 6 => 3000,
        _ => LARGE,
    };
    block_of(number, payload, u8::try_from(number).unwrap())
}

impl Harness {
    pub(super) fn new(seed: u64) -> Self {
        let disk = TestDisk::seeded(seed);
        let (volume, _) = open(&disk);
        Self {
            disk,
            volume,
            expected: BTreeMap::new(),
        }
    }

    fn expect(&mut self, number: u64, outcome: bool, wanted: Expected) {
        let now = self.expected.entry(number).or_insert(Expected::Absent);
        if outcome {
            *now = wanted;
        } else if *now != wanted {
            *now = Expected::Either;
        }
    }

    pub(super) fn put(&mut self, numbers: &[u64]) {
        let blocks: Vec<_> = numbers.iter().map(|number| block(*number)).collect();
        for (number, outcome) in numbers.iter().zip(self.volume.put(&blocks)) {
            self.expect(*number, outcome.is_ok(), Expected::Present);
        }
    }

    pub(super) fn delete(&mut self, number: u64) {
        let outcome = delete(&self.volume, id(number));
        self.expect(number, outcome.is_ok(), Expected::Absent);
    }

    /// Ends the process, but not the machine.
    pub(super) fn kill(&mut self) {
        if let Ok((volume, _)) =
            Volume::open(Arc::new(self.disk.clone()), &super::tests::settings())
        {
            self.volume = volume;
        }
    }

    pub(super) fn cut_power(&mut self) {
        self.disk.restart();
        let (volume, report) = open(&self.disk);
        assert_eq!(report.damage, [""; 0]);
        self.volume = volume;
        self.check_all(usize::MAX);
        // What is there now stays.
        for (number, expected) in &mut self.expected {
            if *expected == Expected::Either {
                *expected = match self.volume.get(&id(*number), 0, 0) {
                    Ok(_) => Expected::Present,
                    Err(_) => Expected::Absent,
                };
            }
        }
    }

    pub(super) fn check(&self) {
        self.check_all(1);
    }

    fn check_all(&self, chunks: usize) {
        let mut listed = self.volume.list(None, usize::MAX).into_iter();
        let listed: Vec<_> = listed.by_ref().map(|block| block.id).collect();
        for (number, expected) in &self.expected {
            let found = self.volume.get(&id(*number), 0, chunks);
            let is_listed = listed.contains(&id(*number));
            match (expected, found) {
                (Expected::Present | Expected::Either, Ok(found)) => {
                    let block = block(*number);
                    assert_eq!(found.prefix, *block.prefix());
                    assert!(block.payload().starts_with(&found.payload));
                    assert_eq!(found.payload.is_empty(), block.payload().is_empty());
                    assert!(is_listed, "{number} is not listed");
                }
                (Expected::Absent | Expected::Either, Err(VolumeError::NotFound(_))) => {
                    assert!(!is_listed, "{number} is listed");
                }
                (expected, found) => {
                    let found = found.map(|found| found.payload.len());
                    panic!("{number} should be {expected:?}: {found:?}")
                }
            }
        }
        assert!(
            listed.len() <= self.expected.len(),
            "there is what nobody has put"
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u64>),
    Delete(u64),
    Maintain,
    Kill,
    CutPower,
    Fail(Fault, u64),
    Mend,
}

fn any_step() -> impl Strategy<Value = Step> {
    let number = 0u64..24;
    let numbers = prop::collection::vec(number.clone(), 1..4);
    let fault = prop::sample::select(&Fault::ALL[..5]);
    prop_oneof![
        8 => numbers.prop_map(Step::Put),
        6 => number.prop_map(Step::Delete),
        4 => Just(Step::Maintain),
        1 => Just(Step::Kill),
        1 => Just(Step::CutPower),
        2 => (fault, 0u64..12).prop_map(|(fault, step)| Step::Fail(fault, step)),
        1 => Just(Step::Mend),
    ]
}

fn run(steps: &[Step], seed: u64) {
    let mut harness = Harness::new(seed);
    for step in steps {
        match step {
            Step::Put(numbers) => harness.put(numbers),
            Step::Delete(number) => harness.delete(*number),
            Step::Maintain => drop(harness.volume.maintain()),
            Step::Kill => harness.kill(),
            Step::CutPower => harness.cut_power(),
            Step::Fail(fault, step) => harness.disk.fail_at(*step, *fault),
            Step::Mend => harness.disk.mend(),
        }
        harness.check();
    }
    harness.cut_power();
    tidy(&harness.volume);
    harness.check();
    let used = harness.volume.space().used;
    harness.cut_power();
    assert_eq!(harness.volume.space().used, used);
    // It works on.
    harness.put(&[1, 2, 3]);
    assert!(put(&harness.volume, &block(1)).is_ok());
    harness.cut_power();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_holds_whatever_happens(
        steps in prop::collection::vec(any_step(), 1..60), seed in 0u64..8,
    ) {
        run(&steps, seed);
    }
}
