//! What the register decides, by examples and under random histories.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{BucketId, NodeId, PersonName, StripeId, TransferId, UploadId, VersionId},
    problem::Code,
    role::Desired,
    wire::{
        desired::Wish,
        record::CallState,
        transfer::{TransferDirection, TransferDoor, TransferMark, TransferSubject},
    },
};
use proptest::prelude::*;
use time::OffsetDateTime;

use super::{
    present::{Ends, Kill, Leftover, Word, finished},
    register::Register,
};

fn wish(desired: Desired, cut_epoch: u64) -> Wish {
    Wish {
        desired,
        generation: cut_epoch,
        cut_epoch,
    }
}

const OPEN: Wish = Wish {
    desired: Desired::Production,
    generation: 0,
    cut_epoch: 0,
};

struct Scene {
    register: Register,
    bucket: BucketId,
    now: Instant,
}

fn ada() -> PersonName {
    "ada".parse().unwrap()
}

impl Scene {
    fn new() -> Self {
        Self {
            register: Register::default(),
            bucket: BucketId::generate(),
            now: Instant::now(),
        }
    }

    fn subject(&self, door: TransferDoor) -> TransferSubject {
        TransferSubject {
            transfer: TransferId::generate(),
            owner: Some(ada()),
            element: NodeId::generate(),
            bucket: self.bucket,
            bucket_name: "data".to_owned(),
            key: Some("key".to_owned()),
            direction: TransferDirection::Put,
            door,
            started: OffsetDateTime::now_utc(),
        }
    }

    fn word(&self, mark: Option<TransferMark>, version: Option<VersionId>, stream: u64) -> Word {
        Word {
            subject: self.subject(TransferDoor::Sdk),
            mark,
            version,
            upload: None,
            stream,
            is_named: true,
        }
    }

    fn put(&mut self, version: VersionId, stream: u64) -> TransferMark {
        let word = self.word(None, Some(version), stream);
        self.register.on_word(word, OPEN, self.now).unwrap()
    }

    fn go_on(&mut self, mark: TransferMark, wish: Wish) -> Result<TransferMark, Code> {
        let word = self.word(Some(mark), None, 1);
        let done = self.register.on_word(word, wish, self.now);
        done.map_err(|problem| problem.code)
    }
}

#[test]
fn a_stop_lets_go_on_what_has_begun_and_nothing_else() {
    let mut scene = Scene::new();
    let mark = scene.put(VersionId::generate(), 1);
    let stopped = wish(Desired::Closed, 0);
    assert_eq!(scene.go_on(mark, stopped), Ok(mark));
    let other = scene.word(None, Some(VersionId::generate()), 1);
    let refused = scene.register.on_word(other, stopped, scene.now);
    assert_eq!(refused.unwrap_err().code, Code::NotAccepting);
    let subject = scene.subject(TransferDoor::S3);
    let refused = scene
        .register
        .on_request(subject, None, Ends::default(), stopped);
    assert_eq!(refused.unwrap_err().code, Code::NotAccepting);
    assert!(!scene.register.is_idle());
    scene.register.on_committing(mark.transfer).unwrap();
    let record = scene.register.on_end(mark.transfer, Some(7), finished());
    assert_eq!(record.unwrap().bytes, 7);
    assert!(scene.register.is_idle());
}

#[test]
fn a_kill_of_the_element_ends_all_and_a_start_revives_none() {
    let mut scene = Scene::new();
    let mark = scene.put(VersionId::generate(), 1);
    let ends = Ends::default();
    let subject = scene.subject(TransferDoor::S3);
    let request = subject.transfer;
    scene
        .register
        .on_request(subject, None, ends.clone(), OPEN)
        .unwrap();
    let records = scene.register.end_cut(wish(Desired::Closed, 3));
    assert_eq!(records.len(), 2);
    assert!(
        records
            .iter()
            .all(|record| record.end.state == CallState::Terminated)
    );
    assert!(ends.work.is_cancelled());
    assert!(scene.register.on_committing(request).is_err());
    let started = wish(Desired::Production, 3);
    assert_eq!(scene.go_on(mark, started), Err(Code::Terminated));
    assert!(scene.register.on_committing(mark.transfer).is_err());
    // What is begun now is another one.
    let word = scene.word(None, Some(VersionId::generate()), 1);
    assert!(scene.register.on_word(word, started, scene.now).is_ok());
}

#[test]
fn one_is_killed_by_its_owner_and_under_all_its_names() {
    let mut scene = Scene::new();
    let (version, upload) = (VersionId::generate(), UploadId::generate());
    let mut word = scene.word(None, Some(version), 1);
    word.upload = Some(upload);
    let mark = scene.register.on_word(word, OPEN, scene.now).unwrap();
    let id = mark.transfer;
    let (host, stripes) = (
        NodeId::generate(),
        [StripeId::generate(), StripeId::generate()],
    );
    let planned = stripes.map(|stripe| (stripe, vec![host]));
    scene
        .register
        .on_planned(id, 10, planned.clone().into_iter());
    scene.register.on_part(id, &stripes[..1]);
    let eve: PersonName = "eve".parse().unwrap();
    let foreign = scene.register.kill(id, Some(&eve), &eve);
    assert!(matches!(foreign, Kill::Unknown), "{foreign:?}");
    match scene.register.kill(id, Some(&ada()), &ada()) {
        Kill::Program(record, leftover) => {
            assert_eq!((record.bytes, record.subject.transfer), (10, id));
            assert_eq!(record.end.code, Some(Code::Terminated));
            let expected = Leftover {
                upload: Some(upload),
                planned: planned[1..].to_vec(),
            };
            assert_eq!(leftover, expected);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.go_on(mark, OPEN), Err(Code::Terminated));
    // A program that forgets the name is known by what its blocks say.
    let nameless = scene.word(None, Some(version), 2);
    let refused = scene.register.on_word(nameless, OPEN, scene.now);
    assert_eq!(refused.unwrap_err().code, Code::Terminated);
    assert!(matches!(
        scene.register.kill(id, None, &ada()),
        Kill::Unknown
    ));
}

#[test]
fn what_is_being_committed_is_not_killed_and_what_was_refused_is() {
    let mut scene = Scene::new();
    let id = scene.put(VersionId::generate(), 1).transfer;
    scene.register.on_committing(id).unwrap();
    assert!(matches!(
        scene.register.kill(id, None, &ada()),
        Kill::TooLate
    ));
    assert!(scene.register.end_cut(wish(Desired::Closed, 9)).is_empty());
    scene.register.on_not_committed(id);
    scene.register.on_planned(
        id,
        1,
        std::iter::once((StripeId::generate(), vec![NodeId::generate()])),
    );
    // Whether it was committed is not known: its blocks may be an object's.
    scene.register.on_doubt(id);
    match scene.register.kill(id, None, &ada()) {
        Kill::Program(_, leftover) => assert_eq!(leftover, Leftover::default()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_may_come_back_for_a_while_on_another_stream() {
    let mut scene = Scene::new();
    let mark = scene.put(VersionId::generate(), 7);
    scene.register.on_stream_lost(7, scene.now);
    let view = scene.register.list(1, |_| true).remove(0);
    assert_eq!(view.state, "Running:Silent");
    scene.now += Duration::from_secs(30);
    assert!(scene.register.on_tick(scene.now).is_empty());
    assert_eq!(scene.go_on(mark, OPEN), Ok(mark));
    scene.now += Duration::from_hours(1);
    assert!(scene.register.on_tick(scene.now).is_empty());
    scene.register.on_stream_lost(1, scene.now);
    scene.now += Duration::from_mins(1);
    assert_eq!(scene.register.on_tick(scene.now).len(), 1);
    // It is another one if it comes later still.
    assert_ne!(scene.go_on(mark, OPEN).unwrap().transfer, mark.transfer);
}

#[test]
fn an_older_program_is_over_when_its_tickets_are() {
    let mut scene = Scene::new();
    let mut word = scene.word(None, None, 1);
    word.is_named = false;
    scene.register.on_word(word, OPEN, scene.now).unwrap();
    assert!(
        scene
            .register
            .on_tick(scene.now + Duration::from_mins(5))
            .is_empty()
    );
    let over = scene.register.on_tick(scene.now + Duration::from_mins(6));
    assert_eq!(over.len(), 1);
}

#[test]
fn nobody_goes_on_with_what_is_anothers() {
    let mut scene = Scene::new();
    let mark = scene.put(VersionId::generate(), 1);
    let mut word = scene.word(Some(mark), None, 2);
    word.subject.owner = Some("eve".parse().unwrap());
    let refused = scene.register.on_word(word, OPEN, scene.now);
    assert_eq!(refused.unwrap_err().code, Code::NotAuthorized);
    // Nor says that it is over.
    let over = scene.register.on_over(mark.transfer, 2, None, finished());
    assert!(over.is_none());
}

#[test]
fn a_get_counts_what_it_was_told_of_once() {
    let mut scene = Scene::new();
    let mut word = scene.word(None, None, 1);
    word.subject.direction = TransferDirection::Get;
    let id = scene
        .register
        .on_word(word, OPEN, scene.now)
        .unwrap()
        .transfer;
    for (from, reached) in [(10, 40), (30, 40), (40, 90), (90, 200)] {
        scene.register.on_reached(id, from, (reached, 100));
    }
    let view = scene.register.list(1, |_| true).remove(0);
    assert_eq!((view.bytes, view.bytes_total), (90, Some(90)));
    let record = scene.register.on_over(id, 1, Some(u64::MAX), finished());
    assert_eq!(record.unwrap().bytes, 90, "no more than it was told of");
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u64),
    GoOn(usize),
    Commit(usize),
    Done(usize, bool),
    Kill(usize),
    KillAll,
    Stop,
    Start,
    Lose(u64),
    Pass,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..3).prop_map(Step::Begin),
        4 => (0usize..8).prop_map(Step::GoOn),
        3 => (0usize..8).prop_map(Step::Commit),
        3 => ((0usize..8), any::<bool>()).prop_map(|(at, done)| Step::Done(at, done)),
        2 => (0usize..8).prop_map(Step::Kill),
        1 => Just(Step::KillAll),
        1 => Just(Step::Stop),
        2 => Just(Step::Start),
        1 => (0u64..3).prop_map(Step::Lose),
        2 => Just(Step::Pass),
    ]
}

proptest! {
    /// A transfer has one record; what was killed is neither gone on with nor
    /// committed; nothing begins while the Element is stopped.
    #[test]
    fn whatever_happens_each_ends_once(steps in prop::collection::vec(step(), 1..60)) {
        let mut scene = Scene::new();
        let mut now_wish = OPEN;
        let mut begun: Vec<TransferMark> = Vec::new();
        let mut committing = BTreeSet::new();
        let (mut killed, mut ended) = (BTreeSet::new(), BTreeSet::new());
        let mut records = Vec::new();
        for step in steps {
            match step {
                Step::Begin(stream) => {
                    let word = scene.word(None, Some(VersionId::generate()), stream);
                    let done = scene.register.on_word(word, now_wish, scene.now);
                    prop_assert_eq!(done.is_ok(), now_wish.desired == Desired::Production);
                    begun.extend(done);
                }
                Step::GoOn(at) => if let Some(mark) = begun.get(at).copied() {
                    let done = scene.go_on(mark, now_wish);
                    if killed.contains(&mark.transfer) {
                        prop_assert_eq!(done, Err(Code::Terminated));
                    } else if let Ok(named) = done {
                        begun[at] = named;
                    }
                },
                Step::Commit(at) => if let Some(mark) = begun.get(at) {
                    let done = scene.register.on_committing(mark.transfer);
                    prop_assert!(done.is_err() || !killed.contains(&mark.transfer));
                    prop_assert!(done.is_err() || !ended.contains(&mark.transfer));
                    if done.is_ok() {
                        committing.insert(mark.transfer);
                    }
                },
                Step::Done(at, is_done) => if let Some(mark) = begun.get(at)
                    && committing.remove(&mark.transfer)
                {
                    if is_done {
                        records.extend(scene.register.on_end(mark.transfer, Some(1), finished()));
                    } else {
                        scene.register.on_not_committed(mark.transfer);
                    }
                },
                Step::Kill(at) => if let Some(mark) = begun.get(at) {
                    match scene.register.kill(mark.transfer, None, &ada()) {
                        Kill::Program(record, _) => {
                            prop_assert!(!committing.contains(&mark.transfer));
                            killed.insert(mark.transfer);
                            records.push(record);
                        }
                        Kill::TooLate => prop_assert!(committing.contains(&mark.transfer)),
                        Kill::Unknown => prop_assert!(ended.contains(&mark.transfer)),
                        Kill::Request(_) => prop_assert!(false, "it is no request"),
                    }
                },
                Step::KillAll => {
                    now_wish = wish(Desired::Closed, now_wish.cut_epoch + 1);
                    let cut = scene.register.end_cut(now_wish);
                    killed.extend(cut.iter().map(|record| record.subject.transfer));
                    records.extend(cut);
                }
                Step::Stop => now_wish.desired = Desired::Closed,
                Step::Start => now_wish.desired = Desired::Production,
                Step::Lose(stream) => scene.register.on_stream_lost(stream, scene.now),
                Step::Pass => {
                    scene.now += Duration::from_secs(40);
                    records.extend(scene.register.on_tick(scene.now));
                }
            }
            ended = records.iter().map(|record| record.subject.transfer).collect();
            prop_assert_eq!(ended.len(), records.len(), "one record each");
        }
        records.extend(scene.register.end_all());
        for id in committing {
            records.extend(scene.register.on_end(id, None, finished()));
        }
        prop_assert!(scene.register.is_idle());
    }
}
