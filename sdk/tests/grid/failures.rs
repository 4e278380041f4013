//! Hosts and Elements that fail, while calls run or wait.

use std::{sync::atomic::Ordering, time::Duration};

use gridmart_sdk::{
    Error, Stdin,
    schemas::problem::{Code, Problem},
};

use crate::{Grid, element::Element, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_host_is_probed_and_a_live_one_waited_for() {
    let grid = Grid::start(&[1]).await;
    grid.element.overdue_after_ms.store(200, Ordering::SeqCst);
    grid.controller.application.lock().retryable = false;
    let client = grid.client();
    let mut call = client.apps().call("app").arg("hang").start().await.unwrap();
    // It lives: being silent for long is no failure.
    assert!(
        tokio::time::timeout(Duration::from_secs(2), call.wait())
            .await
            .is_err()
    );
    grid.hosts[0].pretend_down();
    let error = call.wait().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::HostDown));
    assert!(error.retryable());
    until("the lease is given back", || grid.element.leases() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retryable_call_of_a_lost_host_runs_elsewhere() {
    let grid = Grid::start(&[1, 1]).await;
    let client = grid.client();
    let mut call = client
        .apps()
        .call("app")
        .arg("echo")
        .stdin(Stdin::Piped)
        .start()
        .await
        .unwrap();
    until("it runs", || grid.hosts[0].running() == 1).await;
    grid.hosts[0].die();
    until("it runs elsewhere", || grid.hosts[1].running() == 1).await;
    let mut stdin = call.stdin().unwrap();
    stdin.send("abc".into()).await.unwrap();
    stdin.finish();
    assert_eq!(call.stdout().chunk().await.unwrap().unwrap(), "abc");
    assert!(call.wait().await.unwrap().succeeded());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_handed_out_output_is_never_run_again() {
    let grid = Grid::start(&[1, 1]).await;
    let client = grid.client();
    let mut call = client
        .apps()
        .call("app")
        .arg("echo")
        .stdin(Stdin::Piped)
        .start()
        .await
        .unwrap();
    let (mut stdin, mut stdout) = (call.stdin().unwrap(), call.stdout());
    stdin.send("seen".into()).await.unwrap();
    assert_eq!(stdout.chunk().await.unwrap().unwrap(), "seen");
    grid.hosts[0].restart();
    assert_eq!(
        call.wait().await.unwrap_err().code(),
        Some(Code::HostRestarted)
    );
    assert!(stdout.chunk().await.is_err());
    assert_eq!(grid.hosts[1].running(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_another_start_of_the_only_host_is_asked_for_anew() {
    let grid = Grid::start(&[1]).await;
    grid.controller.application.lock().retryable = false;
    let client = grid.client();
    // More often than Hosts are tried that cannot be reached.
    grid.hosts[0].foreign.store(4, Ordering::SeqCst);
    let output = client.apps().call("app").stdin("a").output().await.unwrap();
    assert_eq!(output.stdout, "A");
    assert_eq!(grid.element.entered.load(Ordering::SeqCst), 5);
    assert_eq!(grid.element.leases(), 1, "the others were given back");
    client.close().await;

    let client = grid.client();
    grid.hosts[0].foreign.store(6, Ordering::SeqCst);
    let parts = vec!["a".into(), "b".into()];
    let result = client.apps().map("app").parts(parts).run().await.unwrap();
    assert_eq!((result.report.done, result.report.attempts), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_call_is_not_run_again() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let mut call = client
        .apps()
        .call("app")
        .arg("hang")
        .retry(true)
        .start()
        .await
        .unwrap();
    until("it runs", || grid.hosts[0].running() == 1).await;
    grid.element
        .end_leases(None, &Problem::new(Code::TicketCut, "app was killed"));
    assert_eq!(call.wait().await.unwrap_err().code(), Some(Code::TicketCut));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_who_is_away_and_not_for_who_is_stopped() {
    const CALLS: u32 = 20;
    let grid = Grid::start(&[CALLS]).await;
    let stopped = Problem::new(Code::NotAccepting, "it is stopped");
    let away = Problem::new(Code::NotAccepting, "it is away");
    let questions = || grid.controller.questions.load(Ordering::SeqCst);
    *grid.controller.refusal.lock() = Some(away.with_retry_after(Duration::from_secs(1)));
    let client = grid.client();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.apps().call("app").stdin("w").output().await })
        })
        .collect();
    until("the controller was asked again", || questions() > 2).await;
    assert!(calls.iter().all(|call| !call.is_finished()));
    *grid.controller.refusal.lock() = None;
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().stdout, "W");
    }
    let client = grid.client();
    *grid.controller.refusal.lock() = Some(stopped);
    let before = questions();
    let refused = client.apps().call("app").output().await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::NotAccepting));
    assert_eq!(questions(), before + 1, "it is refused at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_passed_over_for_the_alternative() {
    let grid = Grid::start(&[1]).await;
    grid.element.full.store(true, Ordering::SeqCst);
    let client = grid.client();
    let error = client.apps().call("app").output().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::QueueFull));

    let second = Element::start(&grid.site, &grid.hosts).await;
    grid.controller.elements.lock().push(second.access());
    let output = client.apps().call("app").stdin("b").output().await.unwrap();
    assert_eq!(output.stdout, "B");
    assert_eq!(second.leases(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_queue_stream_keeps_its_leases() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let mut call = client
        .apps()
        .call("app")
        .arg("echo")
        .stdin(Stdin::Piped)
        .start()
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .apps()
                .call("app")
                .stdin("w")
                .output()
                .await
                .unwrap()
                .stdout
        }
    });
    until("one waits", || grid.element.waiting() == 1).await;
    grid.element.cut();
    until("it waits again", || {
        grid.element.entered.load(Ordering::SeqCst) == 3
    })
    .await;
    let mut stdin = call.stdin().unwrap();
    stdin.send("on".into()).await.unwrap();
    stdin.finish();
    assert_eq!(call.stdout().chunk().await.unwrap().unwrap(), "on");
    assert!(call.wait().await.unwrap().succeeded());
    assert_eq!(waiting.await.unwrap(), "W");
}

#[tokio::test]
async fn a_controller_that_is_away_is_named() {
    let client =
        gridmart_sdk::Client::connect(gridmart_sdk::Settings::new("http://127.0.0.1:1", "t"))
            .unwrap();
    let error = client.apps().call("app").output().await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { address, .. } if address.contains("127.0.0.1:1")),
        "{error}"
    );
}
