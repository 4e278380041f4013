//! An uploaded program finds nothing of the Host, and reaches nothing.

use std::net::TcpListener;

use gridmart_tests::Supermarket;

use crate::shared;

#[track_caller]
fn inside(market: &Supermarket, script: &str) -> String {
    let run = market.cli(&["call", "shell", "--", script]);
    format!("{}{}", run.text(), run.stderr)
}

#[test]
fn the_hosts_keys_and_folders_are_not_there() {
    let market = shared();
    for role in ["host-1", "host-2", "ce-1", "control"] {
        let folder = market.folder().join(role);
        let said = inside(
            &market,
            &format!("ls -A '{0}'; cat '{0}'/*", folder.display()),
        );
        assert!(
            said.contains("No such file") && !said.contains("PRIVATE"),
            "{role}: {said}"
        );
    }
    let said = inside(
        &market,
        "find / -xdev \\( -name identity.json -o -name first-admin.json -o -name 'up.json' \\) 2>/dev/null",
    );
    assert_eq!(said, "");
}

#[test]
fn the_home_and_environment_of_the_host_are_not_there() {
    let market = shared();
    let said = inside(
        &market,
        "ls -A /root /home 2>/dev/null | grep -v '^/' | grep -v '^$'; cat /etc/shadow; cat /proc/1/environ | tr '\\0' '\\n'",
    );
    assert!(
        !said.contains("root:")
            && !said.contains("GRIDMART_JOIN_TOKEN")
            && !said.contains(".cargo"),
        "{said}"
    );
}

#[test]
fn the_files_of_another_call_are_not_there() {
    let market = shared();
    inside(
        &market,
        "echo secret > left-here; echo secret > /tmp/left-there; echo secret > /dev/shm/left-too 2>/dev/null",
    );
    for _ in 0..4 {
        let said = inside(&market, "ls -A . /tmp /dev/shm 2>/dev/null");
        assert!(!said.contains("left"), "{said}");
    }
}

#[test]
fn the_package_and_the_system_cannot_be_written() {
    let market = shared();
    let said = inside(
        &market,
        "for f in /etc/x /usr/x \"$(dirname \"$0\")/x\" /bin/x; do (echo > $f) 2>/dev/null && echo \"wrote $f\"; done; echo over",
    );
    assert!(
        !said.contains("wrote /etc")
            && !said.contains("wrote /usr")
            && !said.contains("wrote /bin"),
        "{said}"
    );
    assert!(said.ends_with("over"), "{said}");
}

#[test]
fn other_processes_are_not_seen() {
    let market = shared();
    let said = inside(
        &market,
        "for d in /proc/[0-9]*; do tr '\\0' ' ' < $d/cmdline 2>/dev/null; echo; done",
    );
    assert!(
        !said.contains("gridmart control") && !said.contains("--data-dir"),
        "{said}"
    );
}

#[test]
fn the_network_is_not_reached() {
    let market = shared();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // dash has no /dev/tcp; bash and perl are the tools that a Debian always has.
    let script = format!(
        "perl -MIO::Socket::INET -e 'for my $a (\"127.0.0.1:{port}\", \"{}\", \"192.0.2.1:80\") {{ my $s = IO::Socket::INET->new(PeerAddr => $a, Timeout => 2); print $s ? \"reached $a\\n\" : \"refused\\n\"; }}'",
        market.ready.element
    );
    let said = inside(&market, &script);
    assert_eq!(said.matches("refused").count(), 3, "{said}");
    let said = inside(&market, "cat /proc/net/dev | tail -n +3 | cut -d: -f1");
    assert_eq!(said.trim(), "lo", "{said}");
}

#[test]
fn it_is_nobody_and_gains_nothing() {
    let market = shared();
    let said = inside(
        &market,
        "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; mount -t tmpfs none /mnt 2>&1 | head -1; mknod x c 1 3 2>&1",
    );
    assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
}

#[test]
fn a_fork_bomb_and_a_memory_hog_hurt_nobody_else() {
    let market = shared();
    market.upload(
        &gridmart_tests::Application::script("hog", "x=x; while :; do x=$x$x; done")
            .policy("WallTimeLimit", 20)
            .policy("MemoryLimit", 64 << 20)
            .policy("VirtualMemoryLimit", 256 << 20),
    );
    let run = market.cli(&["call", "hog", "--json"]);
    assert_ne!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        market.cli_with(&["call", "echo"], "well").ok().text(),
        "well"
    );
}
