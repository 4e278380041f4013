//! Uploads: good ones, repeated ones, malicious ones.

use gridmart_schemas::problem::Code;
use reqwest::StatusCode;
use serde_json::json;

use crate::grid::{Grid, Person, manifest, package};

/// An archive made by hand: what the packer would refuse to make.
fn archive(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::new(*kind));
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..163].copy_from_slice(b"target");
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    zstd::encode_all(tar.as_slice(), 3).unwrap()
}

#[tokio::test]
async fn a_version_goes_on_the_shelf_once() {
    let grid = Grid::start().await;
    let dora = grid.person("dora", "developer").await;
    let first = package("spf", "1.0", "one");
    let done = dora.upload(first.clone()).await.ok(StatusCode::CREATED);
    assert_eq!(
        (
            done["created"].as_bool(),
            done["application"]["default"].as_bool()
        ),
        (Some(true), Some(true))
    );
    assert_eq!(done["application"]["owner"], "dora");
    assert_eq!(done["application"]["capabilities"], json!(["spf/2.1"]));
    let digest = blake3::hash(&first).to_hex().to_string();
    assert_eq!(done["application"]["digest"], format!("blake3:{digest}"));
    let file = grid.config.data_dir.join("packages").join(&digest);
    assert_eq!(std::fs::read(&file).unwrap(), first);
    let again = dora.upload(first).await.ok(StatusCode::OK);
    assert_eq!(again["created"], false);
    dora.upload(package("spf", "1.0", "changed"))
        .await
        .refused(Code::VersionExists);
    // A new version never becomes the default by itself.
    let second = dora
        .upload(package("spf", "1.1", "two"))
        .await
        .ok(StatusCode::CREATED);
    assert_eq!(second["application"]["default"], false);
    let versions = dora
        .get("/api/v1/applications/spf")
        .await
        .ok(StatusCode::OK);
    let names: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["version"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["1.0", "1.1"]);
    let promoted = dora
        .post("/api/v1/applications/spf/promote?version=1.1", &json!(null))
        .await
        .ok(StatusCode::OK);
    assert_eq!(promoted["default"], true);
    let versions = dora
        .get("/api/v1/applications/spf")
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (
            &versions["items"][0]["default"],
            &versions["items"][1]["default"]
        ),
        (&json!(false), &json!(true))
    );
    // All of it is there after a restart, and debris is not.
    std::fs::write(grid.config.data_dir.join("packages/incoming/half"), "x").unwrap();
    std::fs::write(
        grid.config.data_dir.join("packages").join("f".repeat(64)),
        "x",
    )
    .unwrap();
    let grid = grid.restart().await;
    let listed = grid
        .admin
        .get("/api/v1/applications")
        .await
        .ok(StatusCode::OK);
    assert_eq!(listed["items"], versions["items"]);
    assert!(
        file.exists()
            && !grid
                .config
                .data_dir
                .join("packages")
                .join("f".repeat(64))
                .exists()
    );
    assert_eq!(
        std::fs::read_dir(grid.config.data_dir.join("packages/incoming"))
            .unwrap()
            .count(),
        0
    );
    grid.stop().await;
}

#[tokio::test]
async fn only_owners_and_admins_add_versions() {
    let grid = Grid::start().await;
    let (dora, dirk) = (
        grid.person("dora", "developer").await,
        grid.person("dirk", "developer").await,
    );
    dora.upload(package("spf", "1.0", "one"))
        .await
        .ok(StatusCode::CREATED);
    dirk.upload(package("spf", "1.1", "two"))
        .await
        .refused(Code::NotAuthorized);
    dirk.post("/api/v1/applications/spf/promote?version=1.0", &json!(null))
        .await
        .refused(Code::NotAuthorized);
    dirk.post("/api/v1/applications/spf/stop", &json!(null))
        .await
        .refused(Code::NotAuthorized);
    grid.admin
        .upload(package("spf", "1.2", "three"))
        .await
        .ok(StatusCode::CREATED);
    dirk.upload(package("other", "1.0", "one"))
        .await
        .ok(StatusCode::CREATED);
    let uma = grid.person("uma", "user").await;
    uma.upload(package("third", "1.0", "one"))
        .await
        .refused(Code::NotAuthorized);
    grid.stop().await;
}

#[tokio::test]
async fn malicious_packages_are_refused_and_leave_nothing() {
    let grid = Grid::start_with(|config| config.package_bytes_max = 1 << 20).await;
    let good = manifest("spf", "1.0", "");
    let doc: (&str, u8, &[u8]) = ("AEDoc.xml", b'0', good.as_bytes());
    let many: Vec<String> = (0..20_001).map(|index| format!("f{index}")).collect();
    let mut bomb = vec![doc];
    bomb.extend(
        many.iter()
            .map(|name| (name.as_str(), b'0', b"".as_slice())),
    );
    let broken = good.replace("<Kind>task</Kind>", "<Kind>dance</Kind>");
    let entity = format!(
        "<!DOCTYPE a [<!ENTITY x \"y\">]>{}",
        good.trim_start_matches("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
    );
    let table: Vec<(&str, Vec<u8>, Code)> = vec![
        ("nothing", Vec::new(), Code::PackageInvalid),
        ("no archive", b"hello".to_vec(), Code::PackageInvalid),
        (
            "no manifest",
            archive(&[("bin/run", b'0', b"x")]),
            Code::PackageInvalid,
        ),
        (
            "path escape",
            archive(&[doc, ("../evil", b'0', b"x")]),
            Code::PackageInvalid,
        ),
        (
            "absolute path",
            archive(&[doc, ("/etc/evil", b'0', b"x")]),
            Code::PackageInvalid,
        ),
        (
            "symbolic link",
            archive(&[doc, ("link", b'2', b"")]),
            Code::PackageInvalid,
        ),
        (
            "hard link",
            archive(&[doc, ("link", b'1', b"")]),
            Code::PackageInvalid,
        ),
        (
            "device",
            archive(&[doc, ("dev", b'3', b"")]),
            Code::PackageInvalid,
        ),
        (
            "cut short",
            package("spf", "1.0", "one")[..100].to_vec(),
            Code::PackageInvalid,
        ),
        ("too large", vec![7; (1 << 20) + 1], Code::TooLarge),
        ("too many files", archive(&bomb), Code::TooLarge),
        (
            "manifest breaks its schema",
            package_of_raw(&broken),
            Code::InvalidDocument,
        ),
        (
            "manifest with entities",
            package_of_raw(&entity),
            Code::InvalidDocument,
        ),
    ];
    for (name, bytes, code) in table {
        let reply = grid.admin.upload(bytes).await;
        assert_eq!(
            reply.value()["code"],
            code.as_str(),
            "{name}: {}",
            reply.text
        );
    }
    let shelf = grid.config.data_dir.join("packages");
    let files = std::fs::read_dir(&shelf)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_file())
        .count();
    assert_eq!(
        (
            files,
            std::fs::read_dir(shelf.join("incoming")).unwrap().count()
        ),
        (0, 0)
    );
    // The refusals are in the audit log, and the service goes on.
    let log = grid
        .admin
        .get("/api/v1/audit?limit=1")
        .await
        .ok(StatusCode::OK);
    assert_eq!(log["items"][0]["action"], "application.upload");
    grid.admin
        .upload(package("spf", "1.0", "one"))
        .await
        .ok(StatusCode::CREATED);
    grid.stop().await;
}

fn package_of_raw(manifest: &str) -> Vec<u8> {
    archive(&[
        ("AEDoc.xml", b'0', manifest.as_bytes()),
        ("bin/run", b'0', b"x"),
    ])
}

#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    let grid = Grid::start().await;
    let listener = grid.people.trim_start_matches("http://").to_owned();
    let request = format!(
        "POST /api/v1/applications HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\nhalf",
        grid.admin.token.as_ref().unwrap()
    );
    tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let mut socket = std::net::TcpStream::connect(listener).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    })
    .await
    .unwrap();
    let incoming = grid.config.data_dir.join("packages/incoming");
    crate::grid::wait_for("an empty folder", || async {
        let left = std::fs::read_dir(&incoming).unwrap().count();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} files"))
        }
    })
    .await;
    let listed = grid
        .admin
        .get("/api/v1/applications")
        .await
        .ok(StatusCode::OK);
    assert_eq!(listed["items"], json!([]));
    grid.stop().await;
}

#[tokio::test]
async fn unknown_applications_are_named() {
    let grid = Grid::start().await;
    let uma: Person = grid.person("uma", "user").await;
    uma.get("/api/v1/applications/nothing")
        .await
        .refused(Code::UnknownApplication);
    grid.admin
        .post("/api/v1/applications/nothing/stop", &json!(null))
        .await
        .refused(Code::UnknownApplication);
    uma.get("/api/v1/applications/nothing/logs")
        .await
        .refused(Code::UnknownApplication);
    let wanted = json!({"application": "nothing", "presenter": "0".repeat(64)});
    uma.post("/api/v1/access/applications", &wanted)
        .await
        .refused(Code::UnknownApplication);
    grid.stop().await;
}
