//! Parts of maps: many in one message, spooled, given ahead.

use gridmart_schemas::id::JobId;
use gridmart_schemas::problem::Code;
use gridmart_schemas::wire::element_host::HostJobTerminate;
use gridmart_schemas::wire::frame::Kind;
use gridmart_schemas::wire::frame::WINDOW_BYTES;
use gridmart_schemas::wire::record::CallState;

use crate::scene;
use crate::simulation::PATIENCE;
use crate::simulation::program::part;
use crate::simulation::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_run_from_one_message() {
    let scene = scene().await;
    let mut program = scene.program(2).await;
    let job = JobId::generate();
    let calls: Vec<_> = (0..300)
        .map(|number| {
            (
                part(job, number, &["cat; exit $((GRIDMART_PART == 7))"]),
                number.to_string().into_bytes(),
            )
        })
        .collect();
    let channels = program.start_all(&calls).await;
    for (number, channel) in channels.into_iter().enumerate() {
        let ended = program.finish(channel).await;
        assert_eq!(ended.text(), number.to_string());
        assert!(ended.started.is_none());
        assert_eq!(ended.end().exit_code, Some(i32::from(number == 7)));
    }
    wait_for("the progress of the map", || {
        let told = scene.element.told.lock();
        let finished: u64 = told.jobs.iter().map(|job| job.finished).sum();
        let failed: u64 = told.jobs.iter().map(|job| job.failed).sum();
        if (finished, failed, told.records.len()) == (299, 1, 1) {
            Ok(())
        } else {
            Err((finished, failed))
        }
    })
    .await;
    assert_eq!(scene.element.told.lock().records[0].part, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_out_whole_whenever_their_sandbox_is_lost() {
    const PARTS: u64 = 400;
    const LOSSES: usize = 3;
    const SLOTS: u32 = 2;
    let scene = scene().await;
    let mut program = scene.program(SLOTS).await;
    let job = JobId::generate();
    let calls: Vec<_> = (0..PARTS)
        .map(|number| (part(job, number, &["cat"]), number.to_string().into_bytes()))
        .collect();
    let channels = program.start_all(&calls).await;
    let mut failed = 0;
    for (number, channel) in channels.into_iter().enumerate() {
        if (1..=LOSSES).any(|loss| number == loss * 80) {
            end_sandboxes(scene.place.path());
        }
        let ended = program.finish(channel).await;
        if ended.end().succeeded() {
            assert_eq!(ended.text(), number.to_string());
        } else {
            assert_eq!(
                ended.end().code,
                Some(Code::SandboxLost),
                "{:?}",
                ended.end()
            );
            failed += 1;
        }
    }
    // The one that a sandbox ended with, never those that it had ahead.
    assert!(failed <= LOSSES * SLOTS as usize, "{failed} failed");
}

/// Kills the outer processes of all sandboxes below a folder.
fn end_sandboxes(folder: &std::path::Path) {
    let folder = folder.to_str().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && String::from_utf8_lossy(&line).contains(folder)
        {
            let pid = nix::unistd::Pid::from_raw(pid);
            // It may have ended just now.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_part_does_not_hold_up_those_behind_it() {
    let scene = scene().await;
    let mut program = scene.program(2).await;
    let job = JobId::generate();
    let warm: Vec<_> = (0..40)
        .map(|number| (part(job, number, &[":"]), Vec::new()))
        .collect();
    for channel in program.start_all(&warm).await {
        program.finish(channel).await;
    }
    let mut calls = vec![(part(job, 50, &["sleep 1000"]), Vec::new())];
    calls.extend((51..60).map(|number| (part(job, number, &["cat"]), b"in".to_vec())));
    let channels = program.start_all(&calls).await;
    for channel in &channels[1..] {
        assert_eq!(program.finish(*channel).await.text(), "in");
    }
    let terminate = HostJobTerminate {
        job,
        by: "eve".into(),
    };
    let ended = scene
        .element
        .host()
        .await
        .ask(&terminate, PATIENCE)
        .await
        .unwrap();
    assert_eq!(ended.ended, 1);
    let last = program.finish(channels[0]).await;
    assert_eq!(last.end().state, CallState::Terminated);
    assert!(last.end().reason.as_ref().unwrap().contains("eve"));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_a_part_is_spooled_whatever_its_reader_does() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    program.credits = false;
    let job = JobId::generate();
    let big = (part(job, 0, &["head -c 2000000 /dev/zero"]), Vec::new());
    let small = (part(job, 1, &["echo second"]), Vec::new());
    let channels = program.start_all(&[big, small]).await;
    // The slot is free although nothing of the first was read.
    assert_eq!(program.finish(channels[1]).await.text(), "second");
    // What the window allows is on its way all the same, and no more.
    program
        .until("a full window", |all| {
            all[&channels[0]].stdout.len() >= WINDOW_BYTES
        })
        .await;
    assert_eq!(program.channels[&channels[0]].stdout.len(), WINDOW_BYTES);
    program.credits = true;
    program
        .send(
            Kind::StdoutCredit,
            channels[0],
            &u32::try_from(WINDOW_BYTES).unwrap().to_le_bytes(),
        )
        .await;
    let first = program.finish(channels[0]).await;
    assert_eq!(first.stdout.len(), 2_000_000);
    assert_eq!(first.end().stdout_bytes, 2_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_start_while_they_are_taken_back_are_left_alone() {
    let scene = scene().await;
    let mut program = scene.program(2).await;
    let job = JobId::generate();
    // Short ones between make the next ones go ahead; the others end just
    // when those behind them are taken back.
    let calls: Vec<_> = (0..400)
        .map(|number| {
            let script = if number % 20 == 19 {
                "exec sleep 0.0495"
            } else {
                ":"
            };
            (part(job, number, &[script]), Vec::new())
        })
        .collect();
    for channel in program.start_all(&calls).await {
        let ended = program.finish(channel).await;
        assert!(ended.end().succeeded(), "{:?}", ended.end());
    }
}
