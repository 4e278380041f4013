use std::path::Path;

use gridmart_fabric::disk::test_disk::{Fault, TestDisk};
use proptest::prelude::*;

use super::*;

const FOLDER: &str = "/data/ledger";

fn at(epoch: u64, sequence: u64) -> Position {
    Position { epoch, sequence }
}

fn record(epoch: u64, sequence: u64) -> LedgerRecord {
    let content = format!("{epoch}:{sequence}").repeat(usize::try_from(sequence % 5).unwrap());
    LedgerRecord {
        position: at(epoch, sequence),
        bytes: content.into(),
    }
}

fn settings() -> LedgerSettings {
    LedgerSettings {
        log_file_bytes: 1000,
        ..LedgerSettings::new(FOLDER)
    }
}

fn open(disk: &TestDisk) -> Arc<Ledger> {
    Arc::new(Ledger::open(Arc::new(disk.clone()), settings()).unwrap())
}

fn all(ledger: &Ledger) -> Vec<LedgerRecord> {
    ledger.read(ledger.base().sequence, usize::MAX).unwrap()
}

fn positions(ledger: &Ledger) -> Vec<Position> {
    all(ledger).iter().map(|record| record.position).collect()
}

fn put_snapshot(
    ledger: &Arc<Ledger>,
    epoch: u64,
    position: Position,
    content: &[u8],
) -> Result<(), LedgerError> {
    let info = SnapshotInfo {
        position,
        bytes: content.len() as u64,
        hash: *blake3::hash(content).as_bytes(),
    };
    let mut writer = ledger.snapshot_put(epoch, info)?;
    for piece in content.chunks(7) {
        writer.write(piece)?;
    }
    writer.finish()
}

fn read_snapshot(ledger: &Ledger) -> Result<Vec<u8>, LedgerError> {
    let mut reader = ledger.snapshot_get()?;
    let (mut content, mut buffer) = (Vec::new(), [0; 10]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(content),
            count => content.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn records_are_taken_once_and_in_order() {
    let disk = TestDisk::new();
    let ledger = open(&disk);
    let records: Vec<_> = (1..=4).map(|sequence| record(1, sequence)).collect();
    assert_eq!(ledger.append(1, at(0, 0), &records[..2]).unwrap(), at(1, 2));
    assert_eq!(ledger.append(1, at(0, 0), &records).unwrap(), at(1, 4));
    let gap = ledger.append(1, at(1, 7), &[record(1, 8)]).unwrap_err();
    assert!(matches!(gap, LedgerError::Gap { there } if there == at(1, 4)));
    for bad in [
        vec![record(1, 6)],
        vec![record(2, 5)],
        vec![record(0, 5)],
        vec![record(1, 5), record(1, 5)],
    ] {
        let refused = ledger.append(1, at(1, 4), &bad).unwrap_err();
        assert!(matches!(refused, LedgerError::Malformed(_)), "{bad:?}");
    }
    disk.restart();
    let ledger = open(&disk);
    assert_eq!(all(&ledger), records);
    assert_eq!(ledger.read(1, 1).unwrap(), records[1..2]);
    assert_eq!(ledger.position().unwrap(), at(1, 4));
}

#[test]
fn a_newer_epoch_overrules_and_an_older_one_is_refused_also_after_a_restart() {
    let disk = TestDisk::new();
    let ledger = open(&disk);
    let records: Vec<_> = (1..=3).map(|sequence| record(1, sequence)).collect();
    ledger.append(1, at(0, 0), &records).unwrap();
    // Nothing but the announcement of an epoch.
    ledger.append(3, at(1, 3), &[]).unwrap();
    disk.restart();
    let ledger = open(&disk);
    assert_eq!(ledger.epoch(), 3);
    let refused = ledger.append(2, at(1, 3), &[record(2, 4)]).unwrap_err();
    assert_eq!(
        refused.to_problem().code,
        gridmart_schemas::problem::Code::StaleEpoch
    );
    ledger.append(3, at(1, 1), &[record(3, 2)]).unwrap();
    assert_eq!(positions(&ledger), [at(1, 1), at(3, 2)]);
    disk.restart();
    assert_eq!(positions(&open(&disk)), [at(1, 1), at(3, 2)]);
}

#[test]
fn a_snapshot_takes_the_place_of_what_it_covers() {
    let disk = TestDisk::new();
    let ledger = open(&disk);
    let records: Vec<_> = (1..=60).map(|sequence| record(1, sequence)).collect();
    for pair in records.chunks(2) {
        let before = pair[0].position.sequence - 1;
        let epoch = u64::from(before > 0);
        ledger.append(1, at(epoch, before), pair).unwrap();
    }
    let files = || {
        gridmart_fabric::disk::Disk::list(&disk, Path::new(FOLDER))
            .unwrap()
            .len()
    };
    let before = files();
    put_snapshot(&ledger, 1, at(1, 50), b"what fifty records amount to").unwrap();
    assert!(files() < before, "{} of {before}", files());
    disk.restart();
    let ledger = open(&disk);
    assert_eq!(ledger.base(), at(1, 50));
    assert_eq!(all(&ledger), records[50..]);
    assert_eq!(
        read_snapshot(&ledger).unwrap(),
        b"what fifty records amount to"
    );
    assert!(matches!(
        ledger.read(49, 1),
        Err(LedgerError::InSnapshot { .. })
    ));
    // One of another history, which this ledger has never seen.
    put_snapshot(&ledger, 2, at(2, 55), b"new").unwrap();
    assert_eq!(ledger.position().unwrap(), at(2, 55));
    ledger.append(2, at(2, 55), &[record(2, 56)]).unwrap();
    disk.restart();
    let ledger = open(&disk);
    assert_eq!(positions(&ledger), [at(2, 56)]);
    assert_eq!(read_snapshot(&ledger).unwrap(), b"new");
    assert!(put_snapshot(&ledger, 2, at(1, 50), b"old").is_err());
}

#[test]
fn a_snapshot_that_is_not_whole_is_not_taken() {
    let disk = TestDisk::new();
    let ledger = open(&disk);
    let info = SnapshotInfo {
        position: at(1, 5),
        bytes: 4,
        hash: *blake3::hash(b"good").as_bytes(),
    };
    for content in [&b"goo"[..], b"goof", b"goods"] {
        let mut writer = ledger.snapshot_put(1, info).unwrap();
        let again = ledger.snapshot_put(1, info).unwrap_err();
        assert!(again.to_string().contains("wait"), "{again}");
        let outcome = writer.write(content).and_then(|()| writer.finish());
        assert!(matches!(outcome, Err(LedgerError::Malformed(_))));
    }
    assert!(ledger.snapshot().is_none());
    put_snapshot(&ledger, 1, at(1, 5), b"good").unwrap();
}

#[test]
fn damage_is_found_and_never_served() {
    use gridmart_fabric::disk::{Disk as _, Secrecy};
    let disk = TestDisk::new();
    let ledger = open(&disk);
    let records: Vec<_> = (1..=6).map(|sequence| record(1, sequence)).collect();
    ledger.append(1, at(0, 0), &records).unwrap();
    put_snapshot(&ledger, 1, at(1, 2), b"two").unwrap();
    for path in disk.list(Path::new(FOLDER)).unwrap() {
        let sound = disk.read(&path).unwrap();
        for place in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
            disk.write(&path, &bytes, Secrecy::Open).unwrap();
            let Ok(ledger) = Ledger::open(Arc::new(disk.clone()), settings()) else {
                assert!(path.ends_with("epoch"));
                disk.write(&path, &sound, Secrecy::Open).unwrap();
                continue;
            };
            let base = usize::try_from(ledger.base().sequence).unwrap();
            let found = ledger.read(base as u64, usize::MAX).unwrap();
            assert_eq!(
                found,
                records[base..base + found.len()],
                "{}",
                path.display()
            );
            let whole = found.len() + base == 6 && base == 2;
            let snapshot = read_snapshot(&ledger);
            if let Ok(snapshot) = &snapshot {
                assert_eq!(snapshot, b"two");
            }
            let is_head = path.extension().is_some() && place < 64;
            assert!(
                !whole || snapshot.is_err() || is_head,
                "{} {place}",
                path.display()
            );
            // What is asked for again is taken.
            if base == 2 {
                Arc::new(ledger).append(1, at(1, 2), &records[2..]).unwrap();
            }
            for other in disk.list(Path::new(FOLDER)).unwrap() {
                if other.extension().is_some() {
                    disk.remove(&other).unwrap();
                }
            }
            disk.write(&path, &sound, Secrecy::Open).unwrap();
            if path.extension().is_none() {
                open(&disk).append(1, at(1, 2), &records[2..]).unwrap();
            }
        }
    }
}

#[test]
fn a_record_that_rots_under_a_running_ledger_is_asked_for_again() {
    use gridmart_fabric::disk::{Disk as _, Secrecy};
    let disk = TestDisk::new();
    let ledger = open(&disk);
    let records: Vec<_> = (1..=60).map(|sequence| record(1, sequence)).collect();
    for one in &records {
        let before = one.position.sequence - 1;
        let epoch = u64::from(before > 0);
        ledger
            .append(1, at(epoch, before), std::slice::from_ref(one))
            .unwrap();
    }
    let path = disk.list(Path::new(FOLDER)).unwrap().remove(1);
    let mut bytes = disk.read(&path).unwrap();
    bytes[64 + 40] ^= 1;
    disk.write(&path, &bytes, Secrecy::Open).unwrap();
    assert!(matches!(
        ledger.read(0, usize::MAX),
        Err(LedgerError::Damaged { .. })
    ));
    let LedgerError::Gap { there } = ledger.append(1, at(1, 60), &[record(1, 61)]).unwrap_err()
    else {
        panic!("it should ask for what it lacks");
    };
    let from = usize::try_from(there.sequence).unwrap();
    assert!(from > 3 && from < 30);
    ledger.append(1, there, &records[from..]).unwrap();
    disk.restart();
    assert_eq!(all(&open(&disk)), records);
}

/// A ledger, and the Element that it is of.
struct Harness {
    disk: TestDisk,
    ledger: Arc<Ledger>,
    epoch: u64,
    failures: u64,
    acknowledged: Vec<LedgerRecord>,
}

impl Harness {
    fn new(seed: u64) -> Self {
        let disk = TestDisk::seeded(seed);
        let ledger = open(&disk);
        Self {
            disk,
            ledger,
            epoch: 1,
            failures: 0,
            acknowledged: Vec::new(),
        }
    }

    fn last(&self) -> Position {
        let last = self.acknowledged.last();
        last.map_or(Position::ORIGIN, |record| record.position)
    }

    fn append(&mut self, count: u64) {
        let last = self.last();
        let next = last.sequence + 1;
        let records: Vec<_> = (next..next + count)
            .map(|sequence| record(self.epoch, sequence))
            .collect();
        match self.ledger.append(self.epoch, last, &records) {
            Ok(_) => self.acknowledged.extend(records),
            // The Element takes it back, and goes on under a new epoch; or
            // enough other Hosts have it, and it sends the same again.
            Err(LedgerError::Disk { .. }) => {
                self.failures += 1;
                self.epoch += self.failures % 2;
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn snapshot(&self) {
        let half = self.acknowledged.len() / 2;
        if let Some(record) = self.acknowledged.get(half) {
            let content = record.position.to_string();
            let outcome = put_snapshot(
                &self.ledger,
                self.epoch,
                record.position,
                content.as_bytes(),
            );
            if outcome.is_ok() {
                assert_eq!(self.ledger.base(), record.position);
            }
        }
    }

    fn kill(&mut self) {
        if let Ok(ledger) = Ledger::open(Arc::new(self.disk.clone()), settings()) {
            self.ledger = Arc::new(ledger);
        }
    }

    fn cut_power(&mut self) {
        self.disk.restart();
        self.ledger = open(&self.disk);
        self.check();
    }

    fn check(&self) {
        let base = usize::try_from(self.ledger.base().sequence).unwrap();
        let found = all(&self.ledger);
        let wanted = &self.acknowledged[base..];
        assert!(found.len() >= wanted.len(), "{found:?}, not {wanted:?}");
        assert_eq!(&found[..wanted.len()], wanted);
        if base > 0 {
            assert_eq!(self.acknowledged[base - 1].position, self.ledger.base());
            let content = read_snapshot(&self.ledger).unwrap();
            assert_eq!(content, self.ledger.base().to_string().as_bytes());
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Snapshot,
    Kill,
    CutPower,
    Fail(Fault, u64),
    Mend,
}

fn any_step() -> impl Strategy<Value = Step> {
    let fault = prop::sample::select(&Fault::ALL[..5]);
    prop_oneof![
        10 => (1u64..6).prop_map(Step::Append),
        2 => Just(Step::Snapshot),
        1 => Just(Step::Kill),
        1 => Just(Step::CutPower),
        3 => (fault, 0u64..10).prop_map(|(fault, step)| Step::Fail(fault, step)),
        1 => Just(Step::Mend),
    ]
}

proptest! {
    #[test]
    fn what_was_acknowledged_holds_whatever_happens(
        steps in prop::collection::vec(any_step(), 1..60), seed in 0u64..8,
    ) {
        let mut harness = Harness::new(seed);
        for step in steps {
            match step {
                Step::Append(count) => harness.append(count),
                Step::Snapshot => harness.snapshot(),
                Step::Kill => harness.kill(),
                Step::CutPower => harness.cut_power(),
                Step::Fail(fault, step) => harness.disk.fail_at(step, fault),
                Step::Mend => harness.disk.mend(),
            }
            harness.check();
        }
        harness.cut_power();
        let before = harness.acknowledged.len();
        harness.append(3);
        prop_assert_eq!(harness.acknowledged.len(), before + 3);
        harness.cut_power();
    }
}

#[test]
fn what_was_acknowledged_is_there_after_any_fault_at_any_step() {
    fn live(harness: &mut Harness) {
        for count in [3, 5, 2, 8, 1, 4] {
            harness.append(count);
        }
        harness.snapshot();
        harness.append(2);
        harness.kill();
        harness.append(9);
        harness.snapshot();
        harness.append(1);
    }
    let mut harness = Harness::new(0);
    let before = harness.disk.steps();
    live(&mut harness);
    assert_eq!(harness.acknowledged.len(), 35);
    let steps = harness.disk.steps() - before;
    for fault in Fault::ALL {
        for step in 0..steps {
            let mut harness = Harness::new(step);
            harness.disk.fail_at(step, fault);
            live(&mut harness);
            if fault != Fault::Crash {
                harness.disk.mend();
                harness.check();
                let before = harness.acknowledged.len();
                harness.append(1);
                harness.append(1);
                assert!(harness.acknowledged.len() > before, "{fault:?} at {step}");
            }
            harness.cut_power();
        }
    }
}
