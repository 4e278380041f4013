//! The document is whole after any crash: of the power (a test disk that drops
//! what was not synced) and of the process (kill -9 of a child).

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use gridmart_fabric::disk::{
    RealDisk,
    test_disk::{Fault, TestDisk},
};

use super::{tests::document, *};

const UPDATES: u32 = 200;
/// Names the folder in which the child works.
const CHILD_FOLDER: &str = "GRIDMART_TEST_LIB_FOLDER";

fn update(base: &InfoBase<CeDocument>, number: u32) -> Result<(), LibError> {
    base.update(|document| {
        // Of changing size, so that a torn file could not pass for a whole one.
        let name = "x".repeat(usize::try_from(number % 50).unwrap() + 1);
        document.element.info.common.name = name.parse().unwrap();
        document.element.policy.max_running_jobs = Some(number);
        Ok(())
    })
}

#[test]
fn power_cuts_leave_the_old_or_the_new_document() {
    let path = Path::new("/lib/CEDoc.xml");
    let disk = TestDisk::new();
    InfoBase::create(Arc::new(disk.clone()), path, document()).unwrap();
    let mut done = 0;
    let mut step = 0;
    let mut cuts = 0;
    while done < UPDATES {
        let base = InfoBase::<CeDocument>::open(Arc::new(disk.clone()), path)
            .unwrap()
            .unwrap();
        // Every place within an update is met, and some after several whole ones.
        disk.crash_at(step % 29);
        step += 1;
        let mut tried = done;
        while tried < UPDATES && update(&base, tried + 1).is_ok() {
            tried += 1;
        }
        disk.restart();
        let again = InfoBase::<CeDocument>::open(Arc::new(disk.clone()), path)
            .unwrap()
            .unwrap();
        let found = again.read().element.policy.max_running_jobs.unwrap_or(0);
        assert!(
            found == tried || found == tried + 1,
            "cut {cuts}: {tried} acknowledged, {found} found"
        );
        assert_eq!(again.read().generation, u64::from(found));
        done = found;
        cuts += 1;
    }
    assert!(cuts > 29, "only {cuts} cuts");
}

#[test]
fn after_any_fault_the_old_or_the_new_document_is_there_and_the_next_update_goes_well() {
    let path = Path::new("/lib/CEDoc.xml");
    let cases = Fault::ALL
        .into_iter()
        .flat_map(|fault| (0..14).map(move |step| (fault, step)));
    for (fault, step) in cases {
        let disk = TestDisk::seeded(step + 1);
        let base = InfoBase::create(Arc::new(disk.clone()), path, document()).unwrap();
        update(&base, 1).unwrap();
        disk.fail_at(step, fault);
        let outcome = update(&base, 2);
        let shown = base.read().element.policy.max_running_jobs;
        let wanted = if outcome.is_ok() { 2 } else { 1 };
        assert_eq!(shown, Some(wanted), "{fault:?} at {step}");
        if let Err(error) = outcome {
            assert_eq!(error.to_problem().code, Code::StorageFailed);
        }
        if fault != Fault::Crash {
            // There is room again: nobody has to restart it.
            disk.mend();
            let again = update(&base, 3).or_else(|_| {
                // The fault has come only now.
                disk.mend();
                update(&base, 3)
            });
            again.unwrap();
        }
        let acknowledged = base.read().element.policy.max_running_jobs.unwrap();
        disk.restart();
        let again = InfoBase::<CeDocument>::open(Arc::new(disk.clone()), path)
            .unwrap()
            .unwrap();
        let found = again.read().element.policy.max_running_jobs.unwrap();
        assert!(
            found == acknowledged || (fault == Fault::Crash && found == acknowledged + 1),
            "{fault:?} at {step}: {acknowledged} acknowledged, {found} found"
        );
    }
}

/// Not a test of its own: the process that is killed.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let path = PathBuf::from(folder).join("CEDoc.xml");
    let base = InfoBase::<CeDocument>::open(Arc::new(RealDisk), &path)
        .unwrap()
        .unwrap();
    let from = base.read().element.policy.max_running_jobs.unwrap_or(0);
    for number in from + 1..=UPDATES {
        update(&base, number).unwrap();
        // Past the harness's capture; a line is an acknowledgement.
        acknowledge(number);
    }
}

fn acknowledge(number: u32) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "acknowledged {number}").unwrap();
    out.flush().unwrap();
}

#[test]
fn kill_9_leaves_the_old_or_the_new_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("CEDoc.xml");
    InfoBase::create(Arc::new(RealDisk), &path, document()).unwrap();
    let mut found = 0;
    let mut round = 0u32;
    while found < UPDATES {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "info_base::crash_tests::child_that_is_killed",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = |line: String| {
            line.rsplit_once("acknowledged ")
                .and_then(|(_, number)| number.parse::<u32>().ok())
        };
        let mut last = found;
        let quota = found + 3 + (round * 7) % 23;
        while last < quota {
            let Some(Ok(line)) = lines.next() else { break };
            last = acknowledged(line).unwrap_or(last);
        }
        // The moment within the update that follows is the scheduler's choice.
        std::thread::sleep(std::time::Duration::from_micros(u64::from(
            round * 137 % 900,
        )));
        child.kill().unwrap();
        child.wait().unwrap();
        last = lines
            .map_while(Result::ok)
            .filter_map(acknowledged)
            .last()
            .unwrap_or(last);
        let base = InfoBase::<CeDocument>::open(Arc::new(RealDisk), &path)
            .unwrap()
            .unwrap();
        let there = base.read().element.policy.max_running_jobs.unwrap_or(0);
        assert!(
            there == last || there == last + 1,
            "round {round}: {last} acknowledged, {there} found"
        );
        assert!(there > found, "round {round} made no progress");
        found = there;
        round += 1;
    }
    assert!(round > 5, "only {round} kills");
}
