use gridmart_fabric::disk::{RealDisk, test_disk::TestDisk};
use gridmart_schemas::{
    id::NodeId,
    problem::Code,
    resource::{
        ce::{CeInfo, ComputingElement},
        common::CommonInfo,
        enumeration::LrmsType,
    },
};

use super::*;

/// A small valid document.
pub(crate) fn document() -> CeDocument {
    let common = CommonInfo::new("ce1".parse().unwrap(), "lab".parse().unwrap());
    let element = ComputingElement {
        id: NodeId::generate().to_urn().parse().unwrap(),
        info: CeInfo::new(common, LrmsType::Fork, "localhost".parse().unwrap()),
        state: None,
        policy: gridmart_schemas::resource::ce::CePolicy::default(),
        access: gridmart_schemas::resource::common::AccessControlBase::default(),
    };
    CeDocument::new(element)
}

fn set_limit(limit: u32) -> impl Fn(&mut CeDocument) -> Result<(), Problem> {
    move |document| {
        document.element.policy.max_running_jobs = Some(limit);
        Ok(())
    }
}

fn limit(base: &InfoBase<CeDocument>) -> Option<u32> {
    base.read().element.policy.max_running_jobs
}

#[test]
fn what_was_read_does_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("CEDoc.xml");
    let base = InfoBase::create(Arc::new(RealDisk), &path, document()).unwrap();
    let before = base.read();
    base.update(set_limit(7)).unwrap();
    assert_eq!(before.element.policy.max_running_jobs, None);
    assert_eq!(
        (limit(&base), base.read().generation),
        (Some(7), before.generation + 1)
    );
    let again = InfoBase::<CeDocument>::open(Arc::new(RealDisk), &path)
        .unwrap()
        .unwrap();
    assert_eq!(*again.read(), *base.read());
}

#[test]
fn a_refused_or_invalid_change_leaves_no_trace() {
    let disk = TestDisk::new();
    let base = InfoBase::create(
        Arc::new(disk.clone()),
        Path::new("/lib/CEDoc.xml"),
        document(),
    )
    .unwrap();
    let steps = disk.steps();
    let refusal = base.update(|document| {
        document.element.policy.max_running_jobs = Some(1);
        Err::<(), _>(Problem::new(Code::NotAuthorized, "no"))
    });
    assert!(matches!(refusal, Err(LibError::Refused(_))));
    let invalid = base.update(|document| {
        document.configuration.common.heartbeat_interval =
            gridmart_schemas::scalar::Seconds::from_secs(0);
        Ok(())
    });
    assert_eq!(
        invalid.unwrap_err().to_problem().code,
        Code::InvalidDocument
    );
    assert_eq!((limit(&base), disk.steps()), (None, steps));
}

#[test]
fn two_editors_notice_each_other() {
    let disk = TestDisk::new();
    let base = InfoBase::create(Arc::new(disk), Path::new("/lib/CEDoc.xml"), document()).unwrap();
    let seen = base.read().generation;
    base.update_of(seen, set_limit(1)).unwrap();
    let late = base.update_of(seen, set_limit(2)).unwrap_err();
    assert_eq!(late.to_problem().code, Code::GenerationConflict);
    assert_eq!(limit(&base), Some(1));
}

#[test]
fn a_damaged_document_names_its_line_and_is_restored_on_demand_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("CEDoc.xml");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let base = InfoBase::create(disk.clone(), &path, document()).unwrap();
    base.update(set_limit(1)).unwrap();
    base.update(set_limit(2)).unwrap();
    assert!(matches!(
        InfoBase::<CeDocument>::restore(disk.clone(), &path),
        Err(LibError::NotDamaged { .. })
    ));

    let whole = std::fs::read_to_string(&path).unwrap();
    let damaged = whole.replace("<MaxRunningJobs>2<", "<MaxRunningJobs>two<");
    let line = damaged
        .lines()
        .position(|line| line.contains(">two<"))
        .unwrap()
        + 1;
    std::fs::write(&path, &damaged).unwrap();
    let error = InfoBase::<CeDocument>::open(disk.clone(), &path).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with(&format!("CEDoc.xml:{line}: ")), "{cause}");
    assert!(error.to_string().contains("--restore-lib"), "{error}");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        damaged,
        "it was replaced silently"
    );

    InfoBase::<CeDocument>::restore(disk.clone(), &path).unwrap();
    let restored = InfoBase::<CeDocument>::open(disk, &path).unwrap().unwrap();
    assert_eq!(limit(&restored), Some(1));
    assert!(folder.path().join("CEDoc.xml.damaged").exists());
}

#[test]
fn observations_reach_the_file_at_a_bounded_rate_and_are_not_lost() {
    let disk = TestDisk::new();
    let base = InfoBase::create(
        Arc::new(disk.clone()),
        Path::new("/lib/CEDoc.xml"),
        document(),
    )
    .unwrap();
    base.update(set_limit(1)).unwrap();
    let steps = disk.steps();
    for value in 0..100 {
        base.observe(move |document| document.element.info.total_logical_cpus = Some(value));
        base.flush(false).unwrap();
    }
    assert_eq!(disk.steps(), steps, "each observation was written");
    assert_eq!(base.read().element.info.total_logical_cpus, Some(99));
    // Observed while an update is under way.
    base.update(|document| {
        base.observe(|document| document.element.info.total_logical_cpus = Some(500));
        set_limit(2)(document)
    })
    .unwrap();
    assert_eq!(
        (limit(&base), base.read().element.info.total_logical_cpus),
        (Some(2), Some(500))
    );
    base.flush(true).unwrap();
    disk.restart();
    let again = InfoBase::<CeDocument>::open(Arc::new(disk), Path::new("/lib/CEDoc.xml"))
        .unwrap()
        .unwrap();
    assert_eq!(again.read().element.info.total_logical_cpus, Some(500));
}

#[test]
fn readers_and_writers_of_many_threads_see_whole_documents() {
    let disk = TestDisk::new();
    let base = InfoBase::create(Arc::new(disk), Path::new("/lib/CEDoc.xml"), document()).unwrap();
    let both = |document: &CeDocument| {
        (
            document.element.policy.max_running_jobs.unwrap_or(0),
            document.element.policy.max_waiting_jobs.unwrap_or(0),
        )
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    base.update(|document| {
                        let policy = &mut document.element.policy;
                        policy.max_running_jobs = Some(policy.max_running_jobs.unwrap_or(0) + 1);
                        policy.max_waiting_jobs = policy.max_running_jobs;
                        Ok(())
                    })
                    .unwrap();
                    let (running, waiting) = both(&base.read());
                    assert_eq!(running, waiting);
                }
            });
        }
    });
    assert_eq!(both(&base.read()), (200, 200));
    assert_eq!(base.read().generation, 200);
}

/// Has changes made together: the first holds the others up until they wait.
fn together(
    base: &InfoBase<CeDocument>,
    changes: Vec<Change<CeDocument>>,
) -> Vec<Result<(), LibError>> {
    std::thread::scope(|scope| {
        let turn = base.writer.lock();
        let count = changes.len();
        let threads: Vec<_> = changes
            .into_iter()
            .map(|change| scope.spawn(move || base.update_together(change)))
            .collect();
        // One has taken itself out of those who wait; it waits for the writer.
        while base.together.waiting() + 1 < count {
            std::thread::yield_now();
        }
        drop(turn);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn count_up() -> Change<CeDocument> {
    Box::new(|document| {
        let limit = &mut document.element.policy.max_running_jobs;
        *limit = Some(limit.unwrap_or(0) + 1);
        Ok(())
    })
}

#[test]
fn updates_that_come_together_share_a_write() {
    let disk = TestDisk::new();
    let path = Path::new("/lib/CEDoc.xml");
    let base = InfoBase::create(Arc::new(disk.clone()), path, document()).unwrap();
    let before = disk.steps();
    base.update_together(count_up()).unwrap();
    let one_write = disk.steps() - before;
    let before = disk.steps();
    let changes = (0..50).map(|_| count_up());
    let outcomes = together(&base, changes.collect());
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(disk.steps() - before <= 2 * one_write, "not shared");
    disk.restart();
    let again = InfoBase::<CeDocument>::open(Arc::new(disk), path)
        .unwrap()
        .unwrap();
    assert_eq!((limit(&again), again.read().generation), (Some(51), 51));
}

#[test]
fn an_update_that_is_refused_or_invalid_spoils_no_other() {
    let base = InfoBase::create(
        Arc::new(TestDisk::new()),
        Path::new("/lib/CEDoc.xml"),
        document(),
    )
    .unwrap();
    let refuse = |document: &mut CeDocument| {
        document.element.policy.max_waiting_jobs = Some(1);
        Err(Problem::new(Code::NotAuthorized, "no"))
    };
    let spoil = |document: &mut CeDocument| {
        document.configuration.common.heartbeat_interval =
            gridmart_schemas::scalar::Seconds::from_secs(0);
        Ok(())
    };
    // Alone it is told the same as among others.
    let alone = base.update_together(spoil);
    assert!(matches!(alone, Err(LibError::Invalid(_))));
    let mut changes: Vec<Change<CeDocument>> = vec![Box::new(refuse), Box::new(spoil)];
    for _ in 0..10 {
        changes.push(count_up());
    }
    let outcomes = together(&base, changes);
    assert!(matches!(outcomes[0], Err(LibError::Refused(_))));
    assert!(matches!(outcomes[1], Err(LibError::Invalid(_))));
    assert!(outcomes[2..].iter().all(Result::is_ok));
    let read = base.read();
    assert_eq!((limit(&base), read.generation), (Some(10), 10));
    assert_eq!(read.element.policy.max_waiting_jobs, None);
}
