//! Histories of an Element and its replicas with crashes at each step: what was
//! acknowledged is there, what was taken back is not, and an old writer gets
//! nothing through.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use proptest::{prelude::*, sample::select};

use super::{
    fixture::{bucket, bucket_create, delete, dump, key, membership, node, put, version},
    sim_replica::{Fate, InTurn, SimReplica},
};
use crate::storage::metadata::{
    position::WriterMark,
    rebuild::{Loss, RebuildError, rebuild},
    record::{Change, DeleteTarget},
    recovery::recover,
    replica::Replica,
    snapshot::snapshot_export,
    store::{Readers, open_writer, query},
    writer::{Core, Step, WriteError},
};

const KEYS: usize = 3;

#[derive(Clone, Debug)]
enum Event {
    /// A group of puts (or deletes), what becomes of it on each replica, and
    /// where the Element crashes.
    Write(Vec<(usize, bool)>, Vec<Fate>, Option<Step>),
    Restart,
    Away(usize),
    Back(usize),
    PowerCut(usize),
    Snapshot,
    /// The Element's disk is lost, and these replicas are away while it is
    /// rebuilt, as many as may be.
    Lost(Vec<usize>),
}

fn events(replicas: usize) -> impl Strategy<Value = Vec<Event>> {
    let fate = select(vec![
        Fate::Well,
        Fate::Well,
        Fate::Well,
        Fate::Lost,
        Fate::Unanswered,
        Fate::Unsynced,
    ]);
    let step = select(vec![
        None,
        None,
        None,
        None,
        Some(Step::Applied),
        Some(Step::Replicated),
        Some(Step::Committed),
        Some(Step::TakenBack),
        Some(Step::EpochRaised),
    ]);
    let write = (
        proptest::collection::vec((0..KEYS, any::<bool>()), 1..4),
        proptest::collection::vec(fate, replicas),
        step,
    )
        .prop_map(|(changes, fates, step)| Event::Write(changes, fates, step));
    let one = 0..replicas;
    let event = prop_oneof![
        8 => write,
        1 => Just(Event::Restart),
        1 => one.clone().prop_map(Event::Away),
        2 => one.clone().prop_map(Event::Back),
        1 => one.clone().prop_map(Event::PowerCut),
        1 => Just(Event::Snapshot),
        1 => proptest::collection::vec(one, 0..replicas).prop_map(Event::Lost),
    ];
    proptest::collection::vec(event, 1..40)
}

/// What a key may be: the version that is seen, or nothing.
type Seen = Option<u64>;

struct World {
    folder: tempfile::TempDir,
    stores: usize,
    replicas: Vec<Arc<SimReplica>>,
    wanted: usize,
    core: Option<Core>,
    /// One that was rebuilt elsewhere while it lived.
    old: Option<Core>,
    versions: u64,
    /// What each key may be now.
    may_be: BTreeMap<usize, BTreeSet<Seen>>,
    /// What a rebuild may bring back: taken back, and nothing acknowledged
    /// since.
    may_return: Vec<(usize, Seen)>,
    /// All that the store has is on enough replicas: an Element makes no snapshots before.
    is_assured: bool,
}

impl World {
    fn new(replicas: usize, wanted: usize) -> Self {
        let hosts = 0..u64::try_from(replicas).unwrap();
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            stores: 0,
            replicas: hosts.map(|host| SimReplica::new(node(host))).collect(),
            wanted,
            core: None,
            old: None,
            versions: 0,
            may_be: (0..KEYS).map(|key| (key, BTreeSet::from([None]))).collect(),
            may_return: Vec::new(),
            is_assured: false,
        };
        world.start();
        let hosts: Vec<_> = world
            .replicas
            .iter()
            .map(|replica| replica.host())
            .collect();
        let mut opening = vec![membership(&hosts, wanted).to_change().unwrap()];
        opening.extend((0..6).map(|host| Change::HostKnown { host: node(host) }));
        opening.push(bucket_create(false));
        for result in world.core.as_mut().unwrap().run(&opening) {
            result.unwrap();
        }
        world
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join(format!("{}.sqlite", self.stores))
    }

    fn members(&self) -> Vec<Arc<dyn Replica>> {
        let members = self.replicas.iter().cloned();
        members.map(|replica| replica as Arc<dyn Replica>).collect()
    }

    fn start(&mut self) {
        let mut connection = open_writer(&self.store()).unwrap();
        // Crashes here are the process's, not the machine's.
        connection
            .pragma_update(None, "synchronous", "OFF")
            .unwrap();
        let mark = WriterMark::new(u32::try_from(self.versions).unwrap());
        let recovered = recover(&mut connection, &self.members(), mark).unwrap();
        let readers = Readers::open(&self.store(), 2).unwrap();
        let replicas = InTurn::new(&self.replicas, &readers, self.wanted);
        let mut core = Core::new(connection, &recovered, replicas);
        let before = self.may_be.clone();
        self.look();
        self.is_assured = core.assure().is_ok();
        if self.is_assured {
            self.may_return.clear();
        } else {
            // What was adopted may still go.
            let open = before.into_iter().filter(|(_, seen)| seen.len() > 1);
            self.may_return
                .extend(open.flat_map(|(at, seen)| seen.into_iter().map(move |seen| (at, seen))));
        }
        self.core = Some(core);
    }

    /// Compares what is there with what may be, and holds on to it.
    fn look(&mut self) {
        let readers = Readers::open(&self.store(), 1).unwrap();
        let exists = readers
            .read_here(|store| query::bucket(store, bucket()))
            .unwrap();
        if exists.is_none() {
            return;
        }
        for (at, may_be) in &mut self.may_be {
            let found = readers
                .read_here(|store| query::object_current(store, bucket(), &key(&name(*at))))
                .unwrap();
            let seen = found.map(|found| found.id);
            let is = may_be
                .iter()
                .find(|may| may.map(version) == seen)
                .unwrap_or_else(|| panic!("key {at} is {seen:?} and may be {may_be:?}"));
            *may_be = BTreeSet::from([*is]);
        }
    }

    fn write(&mut self, changes: &[(usize, bool)], fates: &[Fate], crash: Option<Step>) {
        let mut group = Vec::new();
        let mut effects = Vec::new();
        for (at, is_put) in changes {
            self.versions += 1;
            let marker = version(self.versions);
            let (change, seen) = if *is_put {
                let put = put(self.versions, &name(*at), 20);
                (Change::ObjectPut(put), Some(self.versions))
            } else {
                (delete(&name(*at), DeleteTarget::Object { marker }), None)
            };
            group.push(change);
            effects.push((*at, seen));
        }
        for (replica, fate) in self.replicas.iter().zip(fates) {
            replica.fate(*fate);
        }
        let core = self.core.as_mut().unwrap();
        core.steps.crash = crash;
        match catch_unwind(AssertUnwindSafe(|| core.run(&group))) {
            Err(_) => {
                self.core = None;
                for (at, seen) in effects {
                    self.may_be.get_mut(&at).unwrap().insert(seen);
                    self.may_return.push((at, seen));
                }
                self.start();
            }
            Ok(results) => {
                core.steps.crash = None;
                self.judge(effects, results);
            }
        }
    }

    fn judge(
        &mut self,
        effects: Vec<(usize, Seen)>,
        results: Vec<Result<crate::storage::metadata::Committed, WriteError>>,
    ) {
        assert_eq!(effects.len(), results.len());
        for ((at, seen), result) in effects.into_iter().zip(results) {
            match result {
                Ok(_) => {
                    self.may_be.insert(at, BTreeSet::from([seen]));
                    self.may_return.clear();
                    self.is_assured = true;
                }
                // A delete of what is not there.
                Err(WriteError::Refused(_)) => {}
                Err(WriteError::Degraded { .. }) => self.may_return.push((at, seen)),
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn snapshot(&mut self) {
        let path = self.folder.path().join("snapshot");
        let head = snapshot_export(&self.store(), &path).unwrap();
        let epoch = query::ledger(&open_writer(&self.store()).unwrap())
            .unwrap()
            .epoch;
        for replica in &self.replicas {
            // One that is away gets none.
            let _ = replica.snapshot_put(epoch, &head, &mut File::open(&path).unwrap());
        }
        std::fs::remove_file(&path).unwrap();
    }

    fn lose(&mut self, away: &[usize]) {
        // The rest is what it takes.
        let most = self.wanted - 1;
        let away: BTreeSet<usize> = away.iter().copied().take(most).collect();
        for (at, replica) in self.replicas.iter().enumerate() {
            replica.away(away.contains(&at));
            replica.power_cut();
        }
        for (at, seen) in std::mem::take(&mut self.may_return) {
            self.may_be.get_mut(&at).unwrap().insert(seen);
        }
        self.old = self.core.take();
        self.stores += 1;
        let mark = WriterMark::new(u32::try_from(self.versions).unwrap() + (1 << 20));
        rebuild(&self.store(), &self.members(), Loss::Refuse, mark).unwrap();
        for replica in &self.replicas {
            replica.away(false);
        }
        // The old one lives, and speaks to all that answer it.
        self.versions += 1;
        let stray = Change::ObjectPut(put(self.versions, "stray", 1));
        let old = self.old.as_mut().unwrap();
        assert!(matches!(
            old.run(&[stray])[0],
            Err(WriteError::Superseded { .. } | WriteError::Degraded { .. })
        ));
        self.start();
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Write(changes, fates, crash) => self.write(&changes, &fates, crash),
            Event::Restart => {
                self.core = None;
                self.start();
            }
            Event::Away(at) => self.replicas[at].away(true),
            Event::Back(at) => self.replicas[at].away(false),
            Event::PowerCut(at) => self.replicas[at].power_cut(),
            Event::Snapshot if self.is_assured => self.snapshot(),
            Event::Snapshot => {}
            Event::Lost(away) => self.lose(&away),
        }
    }
}

fn name(at: usize) -> String {
    format!("key-{at}")
}

/// At the end all is well, and the replicas make the store that the Element has.
fn finish(mut world: World) {
    for replica in &world.replicas {
        replica.away(false);
        for _ in 0..20 {
            // Fates that nothing has met.
            let _ = replica.append(&crate::storage::metadata::Append {
                epoch: crate::storage::metadata::Epoch::default(),
                previous: crate::storage::metadata::Position::START,
                entries: Vec::new(),
            });
        }
    }
    world.look();
    // The log of a rebuilt store begins at its snapshot: some may need one.
    world.snapshot();
    world.versions += 1;
    let last = Change::ObjectPut(put(world.versions, &name(0), 1));
    world.core.as_mut().unwrap().run(&[last])[0]
        .as_ref()
        .unwrap();
    let path = world.folder.path().join("again.sqlite");
    let mark = WriterMark::new(7);
    rebuild(&path, &world.members(), Loss::Refuse, mark).unwrap();
    let own = dump(&open_writer(&world.store()).unwrap());
    assert_eq!(dump(&open_writer(&path).unwrap()), own);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_acknowledged_is_lost((replicas, wanted, events) in (3_usize..6, 1_usize..4)
        .prop_flat_map(|(replicas, wanted)| (Just(replicas), Just(wanted), events(replicas))))
    {
        let mut world = World::new(replicas, wanted);
        for event in events {
            world.play(event);
        }
        finish(world);
    }
}

#[test]
fn too_few_replicas_are_not_believed_unless_told_so() {
    let mut world = World::new(4, 2);
    world.write(&[(0, true)], &[Fate::Lost, Fate::Lost], None);
    let members = world.members();
    // Only 2 and 3 have the last record.
    for replica in &world.replicas[2..] {
        replica.away(true);
    }
    let path = world.folder.path().join("new.sqlite");
    let mark = WriterMark::new(1);
    let refused = rebuild(&path, &members, Loss::Refuse, mark).unwrap_err();
    assert!(matches!(
        refused,
        RebuildError::TooFew {
            answered: 2,
            needed: 3,
            members: 4
        }
    ));
    assert!(!path.exists());
    let rebuilt = rebuild(&path, &members, Loss::Accept, mark).unwrap();
    assert_eq!((rebuilt.position.sequence, rebuilt.away.len()), (9, 2));
    let again = rebuild(&path, &members, Loss::Accept, mark).unwrap_err();
    assert!(matches!(again, RebuildError::NotEmpty(_)));
}

#[test]
fn a_damaged_snapshot_is_replaced_by_another_ones() {
    let mut world = World::new(3, 3);
    world.write(&[(0, true), (1, true)], &[], None);
    world.snapshot();
    world.write(&[(1, false), (2, true)], &[], None);
    let own = dump(&open_writer(&world.store()).unwrap());
    let members = world.members();
    world.replicas[0].snapshot_damage();
    world.replicas[1].snapshot_damage();
    let path = world.folder.path().join("new.sqlite");
    let mark = WriterMark::new(1);
    let rebuilt = rebuild(&path, &members, Loss::Refuse, mark).unwrap();
    assert_eq!((rebuilt.snapshot, rebuilt.position.sequence), (11, 13));
    assert_eq!(dump(&open_writer(&path).unwrap()), own);
    world.replicas[2].snapshot_damage();
    let path = world.folder.path().join("newer.sqlite");
    let refused = rebuild(&path, &members, Loss::Refuse, mark).unwrap_err();
    assert!(matches!(refused, RebuildError::NoLog(_)), "{refused}");
    assert_eq!(
        std::fs::read_dir(world.folder.path())
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("newer")
            })
            .count(),
        0
    );
}

#[test]
fn what_was_taken_back_stays_away() {
    let mut world = World::new(3, 2);
    // One replica has it, and nobody is told that it is done.
    world.write(&[(0, true)], &[Fate::Well, Fate::Lost, Fate::Lost], None);
    assert_eq!(world.may_return.len(), 1);
    world.play(Event::Restart);
    assert_eq!(world.may_be[&0], BTreeSet::from([None]));
    // The next record takes its place everywhere.
    world.write(&[(1, true)], &[], None);
    world.play(Event::Lost(Vec::new()));
    assert_eq!(world.may_be[&0], BTreeSet::from([None]));
    assert_eq!(world.may_be[&1], BTreeSet::from([Some(2)]));
}

#[test]
fn what_a_crash_left_on_replicas_is_adopted() {
    let mut world = World::new(3, 2);
    world.write(&[(0, true), (1, true)], &[], Some(Step::Replicated));
    assert_eq!(world.may_be[&0], BTreeSet::from([Some(1)]));
    assert_eq!(world.may_be[&1], BTreeSet::from([Some(2)]));
    finish(world);
}

/// What makes the commit of a group of this epoch fail.
fn trap(store: &std::path::Path, epoch: u64) {
    let sql = format!(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE trap (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER spring AFTER INSERT ON log WHEN new.epoch = {epoch}
         BEGIN INSERT INTO trap VALUES (1); END;"
    );
    open_writer(store).unwrap().execute_batch(&sql).unwrap();
}

#[test]
fn what_could_not_be_committed_does_not_come_back() {
    let mut world = World::new(3, 2);
    let before = query::ledger(&open_writer(&world.store()).unwrap()).unwrap();
    trap(&world.store(), before.epoch.number());
    let failing = Change::ObjectPut(put(100, &name(0), 20));
    let core = world.core.as_mut().unwrap();
    let failed = core.run(&[failing]).remove(0).unwrap_err();
    assert!(matches!(failed, WriteError::Storage { .. }), "{failed:?}");
    for replica in &world.replicas {
        assert!(replica.tail().unwrap().last > before.last, "it was sent");
    }
    // Other records take its place, here and there.
    world.write(&[(1, true)], &[], None);
    let after = query::ledger(&open_writer(&world.store()).unwrap()).unwrap();
    assert!(after.epoch > before.epoch);
    assert_eq!(after.last.sequence, before.last.sequence + 1);
    for replica in &world.replicas {
        assert_eq!(replica.tail().unwrap().last, after.last);
    }
    world.play(Event::Lost(Vec::new()));
    assert_eq!(world.may_be[&0], BTreeSet::from([None]));
}

#[test]
fn a_full_disk_is_told_and_leaves_the_store_as_it_was() {
    let mut world = World::new(1, 1);
    world.core = None;
    let mut connection = open_writer(&world.store()).unwrap();
    let recovered = recover(&mut connection, &world.members(), WriterMark::new(3)).unwrap();
    let pages: i64 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let before = dump(&connection);
    let readers = Readers::open(&world.store(), 1).unwrap();
    let mut core = Core::new(
        connection,
        &recovered,
        InTurn::new(&world.replicas, &readers, 1),
    );
    let mut object = put(1, &name(0), 0);
    object.head.metadata.insert("x".into(), "y".repeat(100_000));
    let failed = core
        .run(&[Change::ObjectPut(object)])
        .remove(0)
        .unwrap_err();
    let problem = gridmart_schemas::problem::Problem::from(&failed);
    assert_eq!(problem.code, gridmart_schemas::problem::Code::StorageFailed);
    assert_eq!(dump(&open_writer(&world.store()).unwrap()), before);
    // What fits is taken.
    core.run(&[Change::EpochBegun]).remove(0).unwrap();
}
