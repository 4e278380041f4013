//! Applications on the shelf: upload and logs.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_sdk::schemas::id::{CallId, NodeId};
use serde_json::json;

use crate::Grid;

const MANIFEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<AEDoc xmlns="urn:gridmart:rdm:1" Version="1">
  <Info><AppName>app</AppName><AppVersion>1.0</AppVersion><Kind>task</Kind></Info>
  <Command><Executable>bin/run</Executable></Command>
</AEDoc>"#;

#[tokio::test]
async fn a_folder_is_packed_and_streamed_whole() {
    let grid = Grid::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::write(folder.path().join("AEDoc.xml"), MANIFEST).unwrap();
    let program = folder.path().join("bin/run");
    let noise: Vec<u8> = (0..300_000u32)
        .flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..1].to_vec())
        .collect();
    fs::write(&program, noise).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let told = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&told);
    let compute = grid.client().compute();
    let done = compute.upload(folder.path(), move |progress_now| {
        assert!(progress_now.sent <= progress_now.total);
        progress.store(progress_now.sent, Ordering::SeqCst);
    });
    let done = done.await.unwrap();
    let mut packed = Vec::new();
    let limits = gridmart_fabric::package::PackageLimits::default();
    let expected = gridmart_fabric::package::pack(folder.path(), &mut packed, &limits).unwrap();
    assert_eq!(
        (done.application.digest, done.application.size),
        (expected.digest, expected.size)
    );
    assert_eq!(told.load(Ordering::SeqCst), expected.size);

    fs::write(folder.path().join("AEDoc.xml"), "<AEDoc/>").unwrap();
    let refusal = grid
        .client()
        .apps()
        .upload(folder.path(), |_| ())
        .await
        .unwrap_err();
    assert!(
        refusal.to_string().contains("cannot be packed"),
        "{refusal}"
    );
}

#[tokio::test]
async fn logs_are_read_until_there_are_no_more() {
    let grid = Grid::start(&[]).await;
    let host = NodeId::generate();
    let answer = |cursor: u64, texts: &[&str]| {
        let line = |text: &&str| json!({"time": "2026-01-01T00:00:00Z", "call": CallId::generate(), "owner": "ada", "text": text});
        let lines: Vec<_> = texts.iter().map(line).collect();
        json!({"hosts": {(host.to_string()): {"cursor": cursor, "lines": lines}}})
    };
    *grid.controller.logs.lock() = vec![answer(9, &[]), answer(9, &["c"]), answer(5, &["a", "b"])];
    let mut tail = grid.client().apps().logs("app", false);
    let mut texts = Vec::new();
    while let Some(piece) = tail.next().await.unwrap() {
        assert_eq!(piece.host, host);
        texts.extend(piece.lines.into_iter().map(|line| line.text));
    }
    assert_eq!(texts, ["a", "b", "c"]);
}
