//! Each fault at each step of a life of a volume.

use gridmart_fabric::disk::test_disk::Fault;

use super::model_tests::{Expected, Harness};

/// Puts, deletes, fills segments, has garbage, compacts, puts again.
fn live(harness: &mut Harness) {
    harness.put(&[1, 3]);
    for number in [2, 6, 10] {
        harness.put(&[number, number + 2]);
    }
    harness.delete(2);
    harness.delete(3);
    harness.delete(6);
    harness.delete(10);
    let _ = harness.volume.maintain();
    let _ = harness.volume.maintain();
    harness.put(&[3, 6, 7]);
    let _ = harness.volume.maintain();
    harness.delete(1);
}

#[test]
fn what_was_acknowledged_is_there_after_any_fault_at_any_step() {
    let steps = {
        let mut harness = Harness::new(0);
        let before = harness.disk.steps();
        live(&mut harness);
        let acknowledged = harness.expected.values();
        assert!(acknowledged.into_iter().all(|e| *e != Expected::Either));
        harness.disk.steps() - before
    };
    assert!(steps > 40, "only {steps} steps");
    for fault in Fault::ALL {
        for step in 0..steps {
            let mut harness = Harness::new(step);
            harness.disk.fail_at(step, fault);
            live(&mut harness);
            if fault != Fault::Crash {
                // The same process goes on when the disk is mended.
                harness.disk.mend();
                harness.check();
                harness.put(&[1, 2, 3]);
                harness.put(&[1, 2, 3]);
                for number in 1..4 {
                    let expected = harness.expected[&number];
                    assert_eq!(expected, Expected::Present, "{fault:?} at {step}");
                }
                harness.delete(7);
                harness.delete(7);
                assert_eq!(harness.expected[&7], Expected::Absent);
                harness.check();
            }
            harness.cut_power();
            harness.put(&[1, 2, 3, 14]);
            super::tests::tidy(&harness.volume);
            harness.cut_power();
        }
    }
}

#[test]
fn a_crash_while_it_is_opened_loses_nothing() {
    let mut harness = Harness::new(3);
    live(&mut harness);
    for step in 0..20 {
        harness.disk.crash_at(step);
        harness.kill();
        harness.cut_power();
    }
}
