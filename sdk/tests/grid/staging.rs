//! Files of buckets: what Hosts are told when they ask for tickets.

use std::sync::atomic::Ordering;

use gridmart_sdk::schemas::{
    api::{access::ElementAccess, bucket::BucketAccess},
    id::{BucketId, NodeId},
    problem::Code,
    wire::staging::{STAGING_MINOR, StagedFile},
};

use crate::Grid;

fn input(text: &str) -> StagedFile {
    StagedFile::parse_input(text).unwrap()
}

fn output(text: &str) -> StagedFile {
    StagedFile::parse_output(text).unwrap()
}

/// The controller permits this of every bucket.
fn permit(grid: &Grid, operations: &[&str]) {
    let bucket = BucketAccess {
        id: BucketId::generate(),
        name: "bucket".parse().unwrap(),
        redundancy: "replica(2)".parse().unwrap(),
    };
    let element = ElementAccess {
        element: NodeId::generate(),
        name: "se-1".to_owned(),
        endpoints: Vec::new(),
        ticket: String::new(),
    };
    *grid.controller.bucket.lock() = Some((bucket, element));
    let operations = operations.iter().map(|one| (*one).to_owned());
    *grid.controller.bucket_operations.lock() = operations.collect();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_granted_what_the_files_of_its_calls_need() {
    let grid = Grid::start(&[1]).await;
    permit(&grid, &["read"]);
    let client = grid.client();
    let asking = client.apps().call("app").args([
        "ask",
        "inputs:read",
        "outputs:write",
        "inputs:write",
        "inputs:read+write",
        "outputs:read",
        "others:read",
    ]);
    let done = asking
        .stage_in(input("inputs/x"))
        .stage_out(output("y=outputs/y"))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(done.stdout.to_vec()).unwrap();
    let said: Vec<_> = said
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    assert!(said[0].1.ends_with(":read"), "a ticket: {said:?}");
    // The controller's own word, then this program's.
    for (_, code) in &said[1..] {
        assert_eq!(*code, "not-authorized", "{said:?}");
    }
    let asked = grid.controller.questions.load(Ordering::SeqCst);
    assert_eq!(asked, 2, "for the application and for the input");
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_a_map_get_tickets_and_keys_of_their_own() {
    let grid = Grid::start(&[2]).await;
    permit(&grid, &["write"]);
    let client = grid.client();
    let map = || {
        client
            .apps()
            .map("app")
            .args(["ask", "outputs:write", "inputs:read"])
    };
    let done = map()
        .stage_out(output("y=outputs/{part}/y"))
        .parts((0..5).map(|part| format!("{part}").into()))
        .run()
        .await
        .unwrap();
    let said = std::fs::read_to_string(&done.path).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 10, "{said}");
    for pair in lines.chunks(2) {
        assert!(pair[0].ends_with(":write"), "{said}");
        assert_eq!(pair[1], "inputs:read not-authorized", "{said}");
    }
    let mut keys = grid.hosts[0].keys.lock().clone();
    keys.sort();
    assert_eq!(keys, ["0/y", "1/y", "2/y", "3/y", "4/y"]);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_host_gets_no_call_with_files() {
    let grid = Grid::start(&[1]).await;
    grid.hosts[0]
        .minor
        .store(STAGING_MINOR - 1, Ordering::SeqCst);
    let client = grid.client();
    let call = || client.apps().call("app").stdin("x");
    let refused = call()
        .stage_in(input("inputs/x"))
        .output()
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(Code::VersionUnsupported), "{refused}");
    assert_eq!(grid.hosts[0].running(), 0);
    assert_eq!(call().output().await.unwrap().stdout, "X");
    let map = client.apps().map("app").stage_in(input("inputs/x"));
    let refused = map.parts(["x".into()]).run().await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::VersionUnsupported), "{refused}");
    assert_eq!(grid.hosts[0].parts_run.load(Ordering::SeqCst), 0);
    client.close().await;
}
