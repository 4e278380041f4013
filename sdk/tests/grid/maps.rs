//! Maps: the same bytes whatever the Hosts do.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use gridmart_sdk::{
    Client, Error, JobSelect, MapResult, MapStage,
    schemas::problem::{Code, Problem},
};

use crate::{Grid, until};

fn words(count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|number| format!("word{number}").into())
        .collect()
}

fn merged(count: usize) -> String {
    (0..count).fold("merged:".to_owned(), |text, number| {
        text + &format!("WORD{number}\n")
    })
}

async fn map(client: &Client, count: usize) -> Result<MapResult, Error> {
    client.apps().map("app").parts(words(count)).run().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn split_run_merge_gives_the_same_bytes_on_any_number_of_hosts() {
    let text = (0..500)
        .map(|n| format!("word{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    for slots in [&[1][..], &[2, 2], &[1, 2, 3, 1]] {
        let grid = Grid::start(slots).await;
        let client = grid.client();
        let result = client
            .apps()
            .map("app")
            .input(text.as_str())
            .run()
            .await
            .unwrap();
        assert_eq!(result.read().await.unwrap(), merged(500));
        assert_eq!(
            (
                result.report.parts,
                result.report.done,
                result.report.attempts
            ),
            (500, 500, 500)
        );
        assert_eq!(
            result
                .report
                .hosts
                .iter()
                .map(|host| host.parts)
                .sum::<u64>(),
            500
        );
        client.close().await;
        until("all leases are given back", || grid.element.leases() == 0).await;
        let closes: u32 = grid
            .hosts
            .iter()
            .map(|host| host.closes.load(Ordering::SeqCst))
            .sum();
        assert_eq!(closes, 502, "every end is acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_in_the_middle_costs_nothing_but_time() {
    let grid = Grid::start(&[2, 2]).await;
    grid.hosts[0].dies_after.store(20, Ordering::SeqCst);
    let client = grid.client();
    let result = map(&client, 400).await.unwrap();
    assert_eq!(result.read().await.unwrap(), merged(400));
    assert!(!grid.hosts[0].is_up());
    assert!(result.report.attempts > 400, "{:?}", result.report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_stream_in_the_middle_loses_and_doubles_nothing() {
    let grid = Grid::start(&[2]).await;
    let client = grid.client();
    grid.hosts[0].gate.close();
    let running = tokio::spawn({
        let client = client.clone();
        async move { map(&client, 300).await }
    });
    until("parts are there", || grid.hosts[0].running() >= 2).await;
    for _ in 0..3 {
        let before = grid.hosts[0].attaches.load(Ordering::SeqCst);
        grid.hosts[0].cut();
        until("it is attached again", || {
            grid.hosts[0].attaches.load(Ordering::SeqCst) > before
        })
        .await;
    }
    grid.hosts[0].gate.open();
    let result = running.await.unwrap().unwrap();
    assert_eq!(result.read().await.unwrap(), merged(300));
    assert_eq!(result.report.attempts, 300);
    assert_eq!(grid.hosts[0].parts_run.load(Ordering::SeqCst), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_parts_and_outputs_pass_through_windows() {
    let grid = Grid::start(&[2]).await;
    let client = grid.client();
    let parts: Vec<Bytes> = (0..6u8)
        .map(|n| Bytes::from(vec![b'a' + n; 700_000 + usize::from(n)]))
        .collect();
    grid.controller.application.lock().has_merge = false;
    let result = client
        .apps()
        .map("app")
        .parts(parts.clone())
        .run()
        .await
        .unwrap();
    let mut expected = Vec::new();
    for part in &parts {
        expected.extend(part.to_ascii_uppercase());
        expected.push(b'\n');
    }
    assert!(result.read().await.unwrap() == expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_parts_are_reported_with_stderr_and_can_be_run_again() {
    let grid = Grid::start(&[2]).await;
    grid.hosts[0].picky.store(true, Ordering::SeqCst);
    let client = grid.client();
    let mut parts = words(50);
    parts[17] = "bad1".into();
    parts[30] = "bad2".into();
    let error = client
        .apps()
        .map("app")
        .parts(parts.clone())
        .run()
        .await
        .unwrap_err();
    let Error::PartsFailed { report } = &error else {
        panic!("{error}")
    };
    assert_eq!(error.code(), Some(Code::PartsFailed));
    assert_eq!(report.done, 48);
    let failed: Vec<_> = report
        .failed
        .iter()
        .map(|f| (f.part, f.attempts, f.stderr.as_str()))
        .collect();
    assert_eq!(
        failed,
        [(17, 3, "this part is bad\n"), (30, 3, "this part is bad\n")]
    );
    assert_eq!(report.failed[0].end.as_ref().unwrap().exit_code, Some(3));

    grid.hosts[0].picky.store(false, Ordering::SeqCst);
    let run_before = grid.hosts[0].parts_run.load(Ordering::SeqCst);
    let again = client
        .apps()
        .map_retry_failed(JobSelect::Last)
        .await
        .unwrap()
        .run()
        .await
        .unwrap();
    assert_eq!(
        grid.hosts[0].parts_run.load(Ordering::SeqCst),
        run_before + 2
    );
    assert_eq!(again.job, report.job);
    let expected = merged(50)
        .replace("WORD17\n", "BAD1\n")
        .replace("WORD30\n", "BAD2\n");
    assert_eq!(again.read().await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_may_not_run_twice_fails_at_once() {
    let grid = Grid::start(&[1]).await;
    grid.controller.application.lock().retryable = false;
    grid.hosts[0].picky.store(true, Ordering::SeqCst);
    let client = grid.client();
    let error = client
        .apps()
        .map("app")
        .parts([Bytes::from("bad")])
        .run()
        .await
        .unwrap_err();
    let Error::PartsFailed { report } = error else {
        panic!("{error}")
    };
    assert_eq!((report.attempts, report.failed[0].attempts), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_map_stops_and_goes_on_where_it_was() {
    let grid = Grid::start(&[2]).await;
    let client = grid.client();
    let host = &grid.hosts[0];
    let running = tokio::spawn({
        let client = client.clone();
        let gate = host.gate.clone();
        let builder = client
            .apps()
            .map("app")
            .parts(words(200))
            .on_progress(move |progress| {
                if progress.done >= 50 {
                    gate.close();
                }
            });
        builder.run()
    });
    until("some are done", || {
        host.parts_run.load(Ordering::SeqCst) >= 50
    })
    .await;
    host.gate.close();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    until("what ran is ended", || host.running() == 0).await;
    until("the leases are given back", || grid.element.leases() == 0).await;
    host.gate.open();

    let done_before = host.parts_run.load(Ordering::SeqCst);
    let resumed = client.apps().map_resume(JobSelect::Last).await.unwrap();
    let result = resumed.run().await.unwrap();
    assert_eq!(result.read().await.unwrap(), merged(200));
    let again = host.parts_run.load(Ordering::SeqCst) - done_before;
    assert!(again < 200, "{again} parts ran again");
    assert_eq!(result.report.done, 200);

    // Resumed after its end: nothing runs, the result is there.
    let runs = host.parts_run.load(Ordering::SeqCst);
    let once_more = client
        .apps()
        .map_resume(result.job.into())
        .await
        .unwrap()
        .run()
        .await
        .unwrap();
    assert_eq!(once_more.read().await.unwrap(), merged(200));
    assert_eq!(host.parts_run.load(Ordering::SeqCst), runs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_part_is_run_a_second_time_elsewhere() {
    let grid = Grid::start(&[1, 1]).await;
    let client = grid.client();
    for host in &grid.hosts {
        host.gate.close();
    }
    let running = tokio::spawn({
        let client = client.clone();
        async move { map(&client, 4).await }
    });
    until("both Hosts have a part", || {
        grid.hosts.iter().all(|host| host.running() > 0)
    })
    .await;
    grid.hosts[1].gate.open();
    let result = running.await.unwrap().unwrap();
    assert_eq!(result.read().await.unwrap(), merged(4));
    assert_eq!(result.report.attempts, 5);
    assert_eq!(grid.hosts[1].parts_run.load(Ordering::SeqCst), 4);
    until("the late attempt is ended", || grid.hosts[0].running() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_map_ends_and_can_be_resumed() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    grid.hosts[0].gate.close();
    let running = tokio::spawn({
        let client = client.clone();
        async move { map(&client, 10).await }
    });
    until("a part runs", || grid.hosts[0].running() > 0).await;
    grid.element.end_leases(
        None,
        &Problem::new(Code::Terminated, "the map was killed by root"),
    );
    let error = running.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(Code::Terminated));
    until("what ran is ended", || grid.hosts[0].running() == 0).await;
    grid.hosts[0].gate.open();
    let result = client
        .apps()
        .map_resume(JobSelect::Last)
        .await
        .unwrap()
        .run()
        .await
        .unwrap();
    assert_eq!(result.read().await.unwrap(), merged(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recalled_seat_finishes_its_parts_and_goes() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    grid.hosts[0].gate.close();
    let running = tokio::spawn({
        let client = client.clone();
        async move { map(&client, 20).await }
    });
    until("a part runs", || grid.hosts[0].running() > 0).await;
    grid.element.recall();
    grid.hosts[0].gate.open();
    let result = running.await.unwrap().unwrap();
    assert_eq!(result.read().await.unwrap(), merged(20));
    assert!(
        grid.hosts[0].attaches.load(Ordering::SeqCst) >= 2,
        "it entered the queue again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_and_slots_are_bounded_and_progress_is_told() {
    let grid = Grid::start(&[1, 1, 1]).await;
    let client = grid.client();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let map = client
        .apps()
        .map("app")
        .parts(words(60))
        .hosts(2)
        .on_progress(move |progress| {
            let _ = sender.send(*progress);
        });
    let result = map.run().await.unwrap();
    assert!(result.report.hosts.len() <= 2, "{:?}", result.report.hosts);
    let mut last = None;
    while let Some(progress) = told.recv().await {
        assert!(progress.hosts <= 2);
        last = Some(progress);
    }
    let last = last.unwrap();
    assert_eq!(
        (last.stage, last.parts, last.done),
        (MapStage::Done, Some(60), 60)
    );
    assert!(
        grid.job_folder(&result.job.to_string())
            .join("output")
            .is_file()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_map_merges_nothing() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let result = map(&client, 0).await.unwrap();
    assert_eq!(result.read().await.unwrap(), "merged:");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_without_split_says_so() {
    let grid = Grid::start(&[1]).await;
    grid.controller.application.lock().has_split = false;
    let error = grid
        .client()
        .apps()
        .map("app")
        .input("a b")
        .run()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no Split"), "{error}");
}
