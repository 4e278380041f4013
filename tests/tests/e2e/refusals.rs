//! Refusals: a clear answer with its code, a line in the log of the door that
//! refused, and the service goes on.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use gridmart_tests::{Application, LONG, Supermarket, wait_for};

use crate::{
    refused::{Mark, request_of},
    shared,
};

/// Whatever was refused: others are served.
#[track_caller]
fn goes_on(market: &Supermarket) {
    assert_eq!(
        market.cli_with(&["call", "echo"], "still here").ok().text(),
        "still here"
    );
}

#[test]
fn an_unknown_application() {
    let market = shared();
    let log = Mark::new(&market, "control");
    let run = market.cli(&["call", "fridge", "--json"]).exits(4);
    assert_eq!(run.problem_code(), "unknown-application");
    log.demand("unknown-application", &[&request_of(&run.stderr), "peer="]);
    market.cli(&["call", "echo@9.9"]).exits(4);
    goes_on(&market);
}

#[test]
fn a_need_that_nobody_meets_is_named_with_the_nearest() {
    let market = shared();
    market.upload(&Application::script("huge", "true").needs(
        "<IndividualPhysicalMemory><LowerBoundedRange>9007199254740992</LowerBoundedRange></IndividualPhysicalMemory>",
    ));
    let log = Mark::new(&market, "control");
    let run = market.cli(&["call", "huge", "--json"]).exits(3);
    assert_eq!(run.problem_code(), "need-unmet");
    log.demand("need-unmet", &[&request_of(&run.stderr), "peer="]);
    let run = market
        .cli(&["call", "echo", "--need", "memory>=4096TiB"])
        .exits(3);
    assert!(
        run.stderr.contains("need-unmet") && run.stderr.contains("memory"),
        "{}",
        run.stderr
    );
    // Not `last`: other tests call on the same market meanwhile.
    let request = run.stderr.lines().find_map(|line| {
        let (_, id) = line.split_once("request: ")?;
        Some(id.trim())
    });
    let explained = market.cli(&["explain", request.unwrap()]);
    let explanation = explained.ok().text();
    assert!(explanation.contains("memory"), "{explanation}");
    goes_on(&market);
}

#[test]
fn a_need_that_is_not_one() {
    let market = shared();
    let log = Mark::new(&market, "control");
    let run = market.cli(&["call", "echo", "--need", "colour=blue", "--json"]);
    assert_eq!(
        (run.code, run.problem_code().as_str()),
        (2, "invalid-request"),
        "{}",
        run.stderr
    );
    log.demand("invalid-request", &[&request_of(&run.stderr)]);
    goes_on(&market);
}

#[test]
fn a_full_queue_tells_its_lengths() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    market.upload(&Application::script("echo", "cat"));
    market.upload(&Application::script("wait", "exec sleep 600"));
    market.edit_element_document(|document| document.element.policy.max_waiting_jobs = Some(1));
    market.wait_resource("host-1", "back", |row| row["connected"] == true);
    let first = market.cli_start(&["call", "wait"]);
    wait_for(LONG, "the only slot is taken", || {
        activity(&market, "Executing")
    });
    let second = market.cli_start(&["call", "wait"]);
    wait_for(LONG, "the only place is taken", || {
        activity(&market, "Queued")
    });
    let log = Mark::new(&market, "ce-1");
    let run = market.cli(&["call", "wait", "--json"]).exits(3);
    assert_eq!(run.problem_code(), "queue-full");
    let problem: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(
        problem["detail"],
        "The queue is full: 1 slots in use (MaxRunningJobs: no limit), 1 entries waiting (MaxWaitingJobs: 1; MaxTotalJobs: no limit)."
    );
    log.demand("queue-full", &["person=admin", &request_of(&run.stderr)]);
    drop((first, second));
    // Killed callers lose their places when their grace is over.
    wait_for(LONG, "a call is served again", || {
        let run = market.cli_with(&["call", "echo"], "x");
        if run.code == 0 {
            Ok(())
        } else {
            Err(run.stderr)
        }
    });
    market.stop();
}

fn activity(market: &Supermarket, state: &str) -> Result<(), String> {
    let text = market.cli(&["show", "wait", "--json"]).ok().text();
    if text.contains(state) {
        Ok(())
    } else {
        Err(text)
    }
}

#[test]
fn nobody_and_somebody_else() {
    let market = shared();
    let log = Mark::new(&market, "control");
    let run = market
        .cli_as("gmt_nonsense", &["whoami", "--json"])
        .exits(3);
    assert_eq!(run.problem_code(), "credentials-refused", "{}", run.stderr);
    log.demand("credentials-refused", &[&request_of(&run.stderr), "peer="]);
    assert!(
        !market.log("control").contains("gmt_nonsense"),
        "a token is a secret, even a wrong one"
    );
    goes_on(&market);
}

#[test]
fn a_wrong_certificate_authority() {
    let market = shared();
    let folder = tempfile::tempdir().unwrap();
    let stranger = gridmart_fabric::authority::Authority::open_or_create(folder.path()).unwrap();
    let pem = folder.path().join("other.pem");
    std::fs::write(&pem, stranger.root_pem()).unwrap();
    let log = Mark::new(&market, "ce-1");
    let mut command = market.command(&["call", "echo", "--json"]);
    command.env("GRIDMART_CA", pem);
    let run = gridmart_tests::Running::start(command, None).wait();
    assert_ne!(run.code, 0);
    assert_eq!(run.problem_code(), "certificate-refused", "{}", run.stderr);
    log.demand("certificate-refused", &["refused at the door", "remote="]);
    goes_on(&market);
}

#[test]
fn plain_http_to_a_tls_door() {
    let market = shared();
    for (role, address) in [
        ("ce-1", market.role_address("ce-1", "door")),
        ("host-1", market.role_address("host-1", "door")),
        ("control", market.ready.nodes.clone()),
    ] {
        let log = Mark::new(&market, role);
        let mut stream = TcpStream::connect(&address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.starts_with("HTTP/1.1 400 ") && text.contains("\"code\":\"tls-required\""),
            "{address}: {text}"
        );
        let from = format!("remote={}", stream.local_addr().unwrap());
        log.demand("tls-required", &[&from]);
    }
    goes_on(&market);
}

#[test]
fn packages_that_break_a_rule() {
    let market = shared();
    let manifest = Application::script("evil", "true").manifest();
    for (what, package, code) in [
        (
            "a path outside",
            packed(&manifest, |tar| {
                raw_entry(tar, "../evil", tar::EntryType::Regular, "", b"x");
            }),
            "package-invalid",
        ),
        (
            "an absolute path",
            packed(&manifest, |tar| {
                raw_entry(tar, "/tmp/evil", tar::EntryType::Regular, "", b"x");
            }),
            "package-invalid",
        ),
        (
            "a symbolic link outside",
            packed(&manifest, |tar| {
                raw_entry(tar, "link", tar::EntryType::Symlink, "/etc/passwd", b"");
            }),
            "package-invalid",
        ),
        (
            "a hard link",
            packed(&manifest, |tar| {
                raw_entry(tar, "hard", tar::EntryType::Link, "../../etc/passwd", b"");
            }),
            "package-invalid",
        ),
        (
            "a device",
            packed(&manifest, |tar| {
                raw_entry(tar, "null", tar::EntryType::Char, "", b"");
            }),
            "package-invalid",
        ),
        (
            "no package at all",
            b"not a package".to_vec(),
            "package-invalid",
        ),
        ("a bomb", bomb(&manifest), "too-large"),
        (
            "a manifest that breaks its schema",
            packed(
                &manifest.replace("<Kind>task</Kind>", "<Kind>fridge</Kind>"),
                |_| (),
            ),
            "invalid-document",
        ),
    ] {
        let log = Mark::new(&market, "control");
        let (status, answer) = post(&market, package);
        assert!((400..500).contains(&status), "{what}: {status} {answer}");
        assert_eq!(answer["code"], code, "{what}: {answer}");
        assert!(
            !answer["detail"].as_str().unwrap_or("").is_empty(),
            "{what}: {answer}"
        );
        log.demand(code, &[answer["request_id"].as_str().unwrap()]);
    }
    assert!(!std::path::Path::new("/tmp/evil").exists());
    goes_on(&market);
}

fn packed(manifest: &str, more: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    raw_entry(
        &mut tar,
        "AEDoc.xml",
        tar::EntryType::Regular,
        "",
        manifest.as_bytes(),
    );
    more(&mut tar);
    zstd::encode_all(tar.into_inner().unwrap().as_slice(), 1).unwrap()
}

/// Writes a header byte by byte: the library refuses to make evil ones.
fn raw_entry(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    link: &str,
    bytes: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

/// Some kilobytes that become tens of gigabytes.
fn bomb(manifest: &str) -> Vec<u8> {
    const CLAIMED: u64 = 64 << 30;
    const WRITTEN: usize = 3 << 30;
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..4].copy_from_slice(b"zero");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(CLAIMED);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    raw_entry(
        &mut tar,
        "AEDoc.xml",
        tar::EntryType::Regular,
        "",
        manifest.as_bytes(),
    );
    let mut start = tar.into_inner().unwrap();
    // The two empty blocks that end an archive are not at its end yet.
    start.truncate(start.len() - 1024);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(&start).unwrap();
    encoder.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..WRITTEN / zeros.len() {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

fn post(market: &Supermarket, body: Vec<u8>) -> (u16, serde_json::Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/v1/applications", market.ready.url))
            .bearer_auth(&market.token)
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (
            status,
            serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)),
        )
    })
}

#[test]
fn nobody_listens() {
    let market = shared();
    let mut command = market.command(&["whoami", "--json"]);
    command.env("GRIDMART_URL", "http://127.0.0.1:1");
    let run = gridmart_tests::Running::start(command, None)
        .wait()
        .exits(5);
    assert!(!run.problem_code().is_empty());
}

#[test]
fn wrong_usage() {
    let market = shared();
    market.cli(&["call"]).exits(2);
    market
        .cli(&["token", "create", "--kind", "fridge"])
        .exits(2);
    let run = market.cli(&["map", "echo", "--json"]).exits(2);
    assert_eq!(run.problem_code(), "invalid-request");
}
