//! What a call can see, leave behind and use up.

use std::time::Duration;

use gridmart_fabric::identity::EphemeralKey;
use gridmart_schemas::id::CallId;
use gridmart_schemas::problem::Code;
use gridmart_schemas::resource::ae::AePolicy;
use gridmart_schemas::resource::enumeration::{HealthState, Sandbox};
use gridmart_schemas::resource::host::ComputeHost;
use gridmart_schemas::wire::record::CallState;

use crate::scene;
use crate::simulation::Host;
use crate::simulation::element::Element;
use crate::simulation::program::Program;
use crate::simulation::program::open;
use crate::simulation::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_machine_is_in_sight() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let secret = scene.place.path().join("host/identity.json");
    assert!(secret.is_file());
    let door = scene.host.door.replace(':', "/");
    let script = format!(
        "cat {}; ls {}; ls /root /home /var; touch /usr/x /app/x /x /dev/x; \
         (exec 3<>/dev/tcp/{door}) && echo reached; cat /etc/shadow; ls -A /tmp /work; \
         ls /proc | grep -cE '^[0-9]+$'; cat /proc/1/environ; ls -l /proc/1/fd; grep Cap /proc/self/status; hostname",
        secret.display(),
        scene.place.path().display(),
    );
    let seen = program.run(&script).await;
    let text = seen.text().to_owned();
    assert!(
        !text.contains("PRIVATE") && !text.contains("reached") && !text.contains("socket"),
        "{text}"
    );
    let capabilities: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("Cap"))
        .collect();
    assert_eq!(capabilities.len(), 5);
    assert!(
        capabilities
            .iter()
            .all(|line| line.ends_with("0000000000000000")),
        "{text}"
    );
    assert!(text.ends_with("sandbox"), "{text}");
    let errors = String::from_utf8(seen.stderr).unwrap();
    assert_eq!(
        errors.matches("Read-only file system").count(),
        4,
        "{errors}"
    );
    for place in ["/root", "/home", "/var", "/etc/shadow", "identity.json"] {
        assert!(errors.contains(place), "{place}: {errors}");
    }
    let told = scene.element.told.lock();
    let host = ComputeHost::try_from(told.hellos[0].host.clone()).unwrap();
    assert_eq!(host.info.sandbox, Some(Sandbox::Bubblewrap));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_leaves_nothing_to_the_next() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    // A daemon that keeps the call's stdout open, files everywhere, locked.
    let messy = "echo begun; mkdir -p /work/a/b /tmp/c; echo secret >/work/a/b/f; echo secret >/dev/shm/s; \
                 chmod 0 /work/a/b /work/a; (trap '' TERM HUP; setsid sleep 1000) & disown; chmod 0 /work; echo done";
    let ended = program.run(messy).await;
    assert_eq!(ended.text(), "begun\ndone");
    assert!(ended.end().wall_us < 5_000_000);
    let after = program
        .run("ls -A /work /tmp /dev/shm; touch mine && echo clean; ls /proc | grep -cE '^[0-9]+$'")
        .await;
    // The runner, the shell, and at most what counts them.
    let (listing, processes) = after.text().rsplit_once('\n').unwrap();
    assert_eq!(listing, "/dev/shm:\n\n/tmp:\n\n/work:\nclean");
    assert!(processes.parse::<u32>().unwrap() <= 4, "{processes}");

    // What cannot be cleared away ends the sandbox; the next call gets another.
    let ipc = program
        .run("command -v ipcmk && ipcmk -M 1000 >/dev/null; ls /proc/sysvipc; exit 0")
        .await;
    assert_eq!(ipc.end().exit_code, Some(0));
    let after = program.run("tail -n +2 /proc/sysvipc/shm | wc -l").await;
    assert_eq!(after.text(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_kept_and_named() {
    let scene = scene().await;
    let policy = AePolicy {
        memory_limit: Some(64 * 1024 * 1024),
        process_count_limit: Some(24),
        max_output_size: Some(1024 * 1024),
        file_size_limit: Some(100_000),
        open_descriptors_limit: Some(64),
        ..AePolicy::default()
    };
    let mut program = scene.program_with("limited", policy, 1).await;
    let cases = [
        ("yes", "MaxOutputSize"),
        ("head -c 200000 /dev/zero > f", "FileSizeLimit"),
        (
            "exec dash -c 'for i in $(seq 100); do sleep 0.5 & done; wait; exit 1'",
            "ProcessCountLimit",
        ),
        (
            "exec head -c 300000000 /dev/zero | tail -c 299999999 >/dev/null; exit ${PIPESTATUS[1]}",
            "MemoryLimit",
        ),
    ];
    for (script, limit) in cases {
        let ended = program.run(script).await;
        let end = ended.end();
        let reason = end.reason.clone().unwrap_or_default();
        assert!(
            reason.contains(limit),
            "{script}: {end:?} {}",
            String::from_utf8_lossy(&ended.stderr)
        );
        assert_eq!(
            (end.state, end.code),
            (CallState::Failed, Some(Code::LimitExceeded)),
            "{script}"
        );
    }
    assert_eq!(program.run("ulimit -n; ulimit -c").await.text(), "64\n0");
    let missing = program.run("exec /app/no/such/program").await;
    assert_eq!(missing.end().exit_code, Some(127));
}

#[tokio::test(flavor = "multi_thread")]
async fn wall_time_is_limited() {
    let scene = scene().await;
    let policy = AePolicy {
        wall_time_limit: Some(1),
        ..AePolicy::default()
    };
    let mut program = scene.program_with("timed", policy, 1).await;
    let ended = program.run("sleep 100 & sleep 100").await;
    let end = ended.end();
    assert_eq!(
        (end.state, end.code),
        (CallState::Failed, Some(Code::LimitExceeded)),
        "{end:?}"
    );
    let reason = end.reason.clone().unwrap_or_default();
    assert!(reason.contains("WallTimeLimit"), "{reason}");
    let mut short = open(CallId::generate(), &["sleep 100"]);
    short.wall_seconds_max = Some(100);
    let channel = program.start(&short).await;
    assert!(
        program.finish(channel).await.end().wall_us < 50_000_000,
        "the caller can only ask for less"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_time_is_limited() {
    let scene = scene().await;
    let policy = AePolicy {
        cpu_time_limit: Some(1),
        ..AePolicy::default()
    };
    let mut program = scene.program_with("busy", policy, 1).await;
    let ended = program.run("while :; do :; done").await;
    assert!(
        ended
            .end()
            .reason
            .as_deref()
            .unwrap_or_default()
            .contains("CPUTimeLimit"),
        "{:?}",
        ended.end()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_leaves_no_process() {
    let scene = scene().await;
    let mut program = scene.program(2).await;
    let mark = CallId::generate().to_string();
    let script = format!(
        "echo on; (setsid sleep 1000 {mark} || exec -a {mark} sleep 1000) & exec -a {mark} sleep 1000"
    );
    let channel = program.start(&open(CallId::generate(), &[&script])).await;
    program
        .until("its output", |channels| {
            !channels[&channel].stdout.is_empty()
        })
        .await;
    wait_for("the processes", || {
        if processes(&mark) > 0 { Ok(()) } else { Err(0) }
    })
    .await;
    let began = std::time::Instant::now();
    scene.host.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    wait_for("the processes' end", || match processes(&mark) {
        0 => Ok(()),
        left => Err(left),
    })
    .await;
    let left: Vec<_> = std::fs::read_dir(scene.place.path().join("host/sandboxes"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sandbox_calls_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let element = Element::open(&place.path().join("element")).await;
    let host = Host::start_bare(&place.path().join("host"), &element, false).await;
    let wish = element.deploy("plain", AePolicy::default()).await;
    let key = EphemeralKey::generate().unwrap();
    let claims = element.claims(host.id, key.key_hash(), &wish, 1);
    let refused = Program::attach_with(&element, &host, key, claims).await;
    assert_eq!(
        refused.map(drop).unwrap_err().code,
        Code::SandboxUnavailable
    );
    {
        let told = element.told.lock();
        let told = ComputeHost::try_from(told.hellos[0].host.clone()).unwrap();
        assert_eq!(told.info.sandbox, Some(Sandbox::None));
        let state = told.state.as_ref().unwrap();
        assert_eq!(state.free_job_slots, 0);
        assert_eq!(state.common.health_state, HealthState::Critical);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_call_without_a_sandbox_leaves_nothing_either() {
    let place = tempfile::tempdir().unwrap();
    let element = Element::open(&place.path().join("element")).await;
    let host = Host::start_bare(&place.path().join("host"), &element, true).await;
    let wish = element.deploy("plain", AePolicy::default()).await;
    let mut program = Program::attach(&element, &host, &wish, 1).await;
    let mark = CallId::generate().to_string();
    let script = format!(
        "echo x >$HOME/f; echo x >$TMPDIR/f; $GRIDMART_APP/bin/hello on; \
         (trap '' TERM; setsid bash -c 'sleep 1000; : {mark}' & setsid sleep 1000.{mark}) & disown"
    );
    let ended = program.run(&script).await;
    assert_eq!(ended.text(), "hello on");
    assert_eq!(processes(&mark), 0);
    let after = program.run("find $HOME $TMPDIR -name f | grep -c .").await;
    assert_eq!(after.text(), "0");
    let script = format!("echo on; setsid bash -c 'sleep 1000; : {mark}'");
    let channel = program.start(&open(CallId::generate(), &[&script])).await;
    program
        .until("its output", |channels| {
            !channels[&channel].stdout.is_empty()
        })
        .await;
    host.stop().await;
    wait_for("the processes' end", || match processes(&mark) {
        0 => Ok(()),
        left => Err(left),
    })
    .await;
}

/// Processes of this machine with that word in their command line.
fn processes(mark: &str) -> usize {
    let listed = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = listed.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(mark) && !line.starts_with(b"bwrap"))
        .count()
}
