//! What a program finds of others on its Host: of another person's call that
//! runs, and of the calls before it in its own sandbox.

use std::{fs, path::Path, time::Duration};

use gridmart_sdk::{Client, Output};
use gridmart_tests::{Application, Running, Supermarket};
use nix::sys::signal::Signal;

use crate::{nap::Nap, person};

/// What is looked for.
const SECRET: &str = "the-secret-of-victor";

/// Puts the secret wherever a call can put something, then sleeps.
fn keep_secret(nap: &Nap) -> String {
    format!(
        "mkdir -p deep/er; echo {SECRET} | tee deep/er/file /tmp/.hidden /dev/shm/shared; \
         exec 9>open; echo {SECRET} >&9; rm open; sleep {} {SECRET} 2>/dev/null || exec sleep {}",
        nap.seconds, nap.seconds
    )
}

/// Looks for the secret everywhere but in the system's own programs: in all
/// files, and in all that `/proc` shows of others. The script puts the word
/// together of two halves, so that it does not find itself.
fn search(more: &str) -> String {
    let (first, second) = SECRET.split_at(SECRET.len() / 2);
    format!(
        "a={first}; has() {{ [ -f \"$1\" ] && grep -qF \"${{a}}{second}\" \"$1\" 2>/dev/null && echo \"$1\"; }}; \
         find / \\( -path /usr -o -path /proc -o -path /sys -o -path /.runner \\) -prune -o -type f -print 2>/dev/null \
           | while read -r f; do has \"$f\"; done; \
         for p in /proc/[0-9]*; do \
           for f in $p/cmdline $p/environ $p/maps; do has $f; done; \
           for f in $p/fd/*; do [ -f $f ] && has $f; done; \
           find $p/cwd/ $p/root/work $p/root/tmp -type f 2>/dev/null | while read -r f; do has \"$f\"; done; \
         done; {more} echo searched"
    )
}

/// Whether a file below a folder has the secret: what the machine's owner sees.
fn is_kept_below(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => is_kept_below(&path),
                Ok(kind) if kind.is_file() => {
                    fs::read_to_string(&path).is_ok_and(|text| text.contains(SECRET))
                }
                _ => false,
            }
        })
    })
}

#[test]
fn another_persons_running_call_is_not_found() {
    let market = Supermarket::builder().hosts(1).slots(Some(2)).start();
    market.upload(&Application::script("shell", "exec sh -c \"$1\""));
    let (victor, mallory) = (
        person(&market, "victor", "user"),
        person(&market, "mallory", "user"),
    );
    let nap = Nap::new();
    let script = keep_secret(&nap);
    let victim = Running::start(
        market.command_as(&victor, &["call", "shell", "--", &script]),
        None,
    );
    nap.wait_runs();
    let host = market.folder().join("host-1");
    assert!(
        is_kept_below(&host.join("sandboxes")),
        "it is there to be found"
    );

    let own = search("").replacen("find /", &format!("echo {SECRET} > mine; find /"), 1);
    let found = market.cli_as(&mallory, &["call", "shell", "--", &own]).ok();
    assert!(
        found.text().contains("/work/mine"),
        "the search finds what it can see: {}",
        found.text()
    );
    let more = format!(
        "ls -A '{0}' '{0}/sandboxes' '{0}/spool' 2>/dev/null; ls -d /proc/[0-9]* | wc -l; ",
        host.display()
    );
    let run = market
        .cli_as(&mallory, &["call", "shell", "--", &search(&more)])
        .ok();
    let text = run.text();
    let lines: Vec<&str> = text.lines().collect();
    let [processes, "searched"] = lines[..] else {
        panic!("something of another's call was found: {text}");
    };
    // The runner, the shell, and those that count.
    assert!(processes.parse::<u32>().unwrap() <= 5, "{text}");
    assert!(nap.runs(), "and nothing has become of the other's call");
    // Nor are their processes to be ended: all signals stay inside.
    market.cli_as(&mallory, &["call", "shell", "--", "kill -9 -1"]);
    assert!(nap.runs(), "signals stay in the sandbox");
    victim.signal(Signal::SIGINT);
    victim.wait().exits(130);
    nap.wait_gone();
    market.stop();
}

/// Tells one sandbox from another: its PID namespace, and when its first
/// process began.
const WHICH: &str = "readlink /proc/self/ns/pid; cut -d' ' -f22 /proc/1/stat";

async fn run(client: &Client, script: &str) -> Output {
    let call = client.apps().call("shell").arg(script).output();
    tokio::time::timeout(Duration::from_mins(1), call)
        .await
        .expect("an answer in time")
        .unwrap()
}

async fn printed(client: &Client, script: &str) -> String {
    let output = run(client, script).await;
    String::from_utf8(output.stdout.to_vec()).unwrap()
}

#[test]
fn the_call_before_in_the_same_sandbox_has_left_nothing() {
    let market = Supermarket::builder().hosts(1).slots(Some(1)).start();
    market.upload(&Application::script("shell", "exec sh -c \"$1\""));
    let client = market.client();
    let left = Nap::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let first = printed(&client, WHICH).await;
        let messy = format!(
            "{WHICH}; echo {SECRET} > file; mkdir -p a/b /tmp/c; echo {SECRET} > a/b/.hidden; \
             echo {SECRET} > /tmp/c/file; echo {SECRET} > /dev/shm/shared; mkfifo pipe; \
             chmod 0 a/b a /tmp/c; \
             (trap '' TERM HUP; setsid sh -c 'sleep {} {SECRET} || sleep {}' >/dev/null 2>&1 &)",
            left.seconds, left.seconds
        );
        assert_eq!(printed(&client, &messy).await, first, "one sandbox serves both");
        left.wait_gone();
        let more = "ls -A . /tmp /dev/shm | grep -v :$; cat /proc/[0-9]*/comm | grep sleep; ";
        let found = printed(&client, &format!("{WHICH}; {}", search(more))).await;
        let found = found.strip_prefix(&first).expect("the same sandbox still");
        let found: Vec<&str> = found.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(found, ["searched"]);

        // Memory that is no file: made by a key that others could ask for.
        let share = format!(
            "perl -e '$i = shmget(4711, 100, 01666); defined $i && shmwrite($i, \"{SECRET}\", 0, 30) && print \"shared\"'; wc -l < /proc/sysvipc/shm"
        );
        assert_eq!(printed(&client, &share).await, "shared2\n");
        let look = "perl -e '$i = shmget(4711, 100, 0); print defined $i ? \"found\" : \"nothing\"'; tail -n +2 /proc/sysvipc/shm | wc -l";
        assert_eq!(printed(&client, look).await, "nothing0\n");
        client.close().await;
    });
    market.stop();
}
