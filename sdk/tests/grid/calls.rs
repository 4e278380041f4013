//! Calls: streams, leases, cancel, cuts.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use gridmart_sdk::{
    Error, Stdin,
    schemas::{problem::Code, wire::record::CallState},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Grid, until};

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at.wrapping_mul(31) >> 3) as u8)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_megabytes_stream_both_ways_through_bounded_windows() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let input = pattern(50 * 1024 * 1024);
    let mut call = client
        .apps()
        .call("app")
        .arg("echo")
        .stdin(Stdin::Piped)
        .start()
        .await
        .unwrap();
    let (mut stdin, mut stdout, mut stderr) = (call.stdin().unwrap(), call.stdout(), call.stderr());
    let write = async {
        stdin.write_all(&input).await.unwrap();
        stdin.shutdown().await.unwrap();
    };
    let read = async {
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).await.unwrap();
        output
    };
    let ((), output) = tokio::join!(write, read);
    assert!(output == input, "{} bytes came back", output.len());
    let mut errors = String::new();
    stderr.read_to_string(&mut errors).await.unwrap();
    assert_eq!(errors, "echoed");
    let end = call.wait().await.unwrap();
    assert!(end.succeeded());
    until("the call is closed", || {
        grid.hosts[0].closes.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_calls_takes_one_lease_and_one_question() {
    let grid = Grid::start(&[2]).await;
    let client = grid.client();
    for number in 0..100 {
        let output = client
            .apps()
            .call("app")
            .stdin(format!("call {number}"))
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout, format!("CALL {number}"));
    }
    assert_eq!(grid.element.entered.load(Ordering::SeqCst), 1);
    assert_eq!(grid.controller.questions.load(Ordering::SeqCst), 1);
    assert_eq!(grid.hosts[0].attaches.load(Ordering::SeqCst), 1);
    // The controller may go: what is held serves on.
    grid.controller.away.store(true, Ordering::SeqCst);
    assert!(client.apps().call("app").output().await.is_ok());
    client.close().await;
    until("the lease is given back", || grid.element.leases() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_callers_than_slots_take_turns() {
    let grid = Grid::start(&[2]).await;
    let client = grid.client();
    let calls = (0..40).map(|number| {
        let client = client.clone();
        tokio::spawn(async move {
            client
                .apps()
                .call("app")
                .stdin(format!("{number}"))
                .output()
                .await
                .unwrap()
                .stdout
        })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), number.to_string());
    }
    until("nobody waits any more", || grid.element.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_call_ends_the_remote_tree() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let call = client.apps().call("app").arg("hang").start().await.unwrap();
    until("it runs", || grid.hosts[0].running() == 1).await;
    drop(call);
    until("its end is acknowledged", || {
        grid.hosts[0].closes.load(Ordering::SeqCst) == 1
    })
    .await;
    assert_eq!(grid.hosts[0].cancels.load(Ordering::SeqCst), 1);
    // Its slot serves the next.
    assert!(client.apps().call("app").stdin("x").output().await.is_ok());
    assert_eq!(grid.element.entered.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_tells_its_end() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let call = client.apps().call("app").arg("hang").start().await.unwrap();
    let end = call.cancel().await.unwrap();
    assert_eq!(
        (end.state, end.code),
        (CallState::Terminated, Some(Code::Terminated))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_attached_again_and_loses_no_byte() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let input = Bytes::from(pattern(8 * 1024 * 1024));
    let mut call = client
        .apps()
        .call("app")
        .arg("echo")
        .stdin(Stdin::Piped)
        .start()
        .await
        .unwrap();
    let (mut stdin, mut stdout) = (call.stdin().unwrap(), call.stdout());
    let write = async {
        stdin.send(input.clone()).await.unwrap();
        stdin.finish();
    };
    let read = async {
        let mut output = Vec::new();
        let mut cut_at = 1024 * 1024;
        while let Some(data) = stdout.chunk().await.unwrap() {
            output.extend_from_slice(&data);
            if output.len() >= cut_at {
                cut_at += 2 * 1024 * 1024;
                grid.hosts[0].cut();
            }
        }
        output
    };
    let ((), output) = tokio::join!(write, read);
    assert!(
        output == input,
        "{} of {} bytes came back",
        output.len(),
        input.len()
    );
    assert!(call.wait().await.unwrap().succeeded());
    assert!(grid.hosts[0].attaches.load(Ordering::SeqCst) >= 4);
    assert_eq!(grid.element.entered.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recalled_lease_is_given_back_when_idle() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let call = client.apps().call("app").arg("hang").start().await.unwrap();
    grid.element.recall();
    // A stranger waits; the lease is busy still.
    let second = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .apps()
                .call("app")
                .stdin("b")
                .output()
                .await
                .unwrap()
                .stdout
        }
    });
    until("the second call waits", || grid.element.waiting() == 1).await;
    drop(call);
    assert_eq!(second.await.unwrap(), "B");
    assert_eq!(grid.element.entered.load(Ordering::SeqCst), 2);
    grid.element.recall();
    until("the idle lease is given back", || {
        grid.element.leases() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ticket_is_renewed_before_it_expires() {
    let grid = Grid::start(&[1]).await;
    grid.element.lease_life.store(1, Ordering::SeqCst);
    let client = grid.client();
    let call = client.apps().call("app").arg("hang").start().await.unwrap();
    until("the ticket is renewed twice", || {
        grid.element.renewed.load(Ordering::SeqCst) >= 2
    })
    .await;
    assert!(call.cancel().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_over_its_limit_is_refused_and_ends_the_call() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let call = client
        .apps()
        .call("app")
        .arg("echo")
        .stdin(vec![1; 500_000])
        .output_limit(100_000);
    assert_eq!(
        call.output().await.unwrap_err().code(),
        Some(Code::TooLarge)
    );
    until("it has ended", || grid.hosts[0].running() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_fails_never_passes_for_a_whole_input() {
    let grid = Grid::start(&[1]).await;
    let client = grid.client();
    let broken = tokio_util::io::StreamReader::new(futures_util::stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(std::io::Error::other("the disk is gone")),
    ]));
    let call = client
        .apps()
        .call("app")
        .stdin(Stdin::reader(broken))
        .output();
    let end = tokio::time::timeout(Duration::from_secs(20), call)
        .await
        .unwrap()
        .unwrap()
        .end;
    assert_eq!(end.state, CallState::Terminated);
}

#[test]
fn a_program_without_async_uses_the_blocking_client() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let grid = runtime.block_on(Grid::start(&[1]));
    let settings = gridmart_sdk::Settings::new(&grid.controller.url, "token");
    let client = gridmart_sdk::blocking::Client::connect(settings).unwrap();
    let output = client
        .wait(client.client().apps().call("app").stdin("abc").output())
        .unwrap();
    assert_eq!(output.success().unwrap().stdout, "ABC");
    let unknown = client
        .wait(client.client().resources().get("x"))
        .unwrap_err();
    assert!(matches!(unknown, Error::Refused(_)) && unknown.code() == Some(Code::NotFound));
    client.close();
}
