//! Database servers for tests: private, in a temporary folder, ended with the test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test tells a broken premise by a panic"
)]

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why there is none.
const SETUP: &str = "PostgreSQL is not installed: run scripts/setup";
/// The port that names the socket.
const PORT: u16 = 5432;

/// A PostgreSQL server of the test's own: reached over a socket in its folder, by whoever
/// the caller says to be. `ada` is its superuser.
#[derive(Debug)]
pub struct PostgresServer {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    /// The account that it runs as, where the test is root.
    account: Option<(u32, u32)>,
}

fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.retain(|bin| bin.join("initdb").exists() && bin.join("psql").exists());
    found.sort();
    found.pop()
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn number_of(option: &str) -> Option<u32> {
    let output = Command::new("id")
        .args([option, "postgres"])
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

impl PostgresServer {
    /// Makes one, and starts it.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    #[track_caller]
    pub fn start() -> Self {
        let server = Self::prepare();
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-D",
                data.to_str().unwrap(),
                "-U",
                "ada",
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--lc-collate=C",
                "--lc-ctype=C.UTF-8",
            ],
        );
        server.resume();
        server
    }

    /// Its folder, without any data.
    #[track_caller]
    fn prepare() -> Self {
        let binaries = binaries().expect(SETUP);
        let folder = tempfile::tempdir().unwrap();
        let is_root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|output| output.stdout == b"0\n");
        let account = is_root.then(|| {
            let number = |option| number_of(option).expect(SETUP);
            (number("-u"), number("-g"))
        });
        if let Some((user, group)) = account {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        Self {
            folder,
            binaries,
            account,
        }
    }

    /// A server that follows this one by streaming replication.
    ///
    /// # Panics
    /// If it cannot be made, or does not start.
    #[track_caller]
    #[must_use]
    pub fn standby(&self) -> Self {
        let standby = Self::prepare();
        let data = standby.data();
        let (folder, port) = (self.folder.path().display(), PORT);
        let from = format!("host={folder} port={port} user=ada");
        let to = data.to_str().unwrap();
        let words = [
            "-D",
            to,
            "-d",
            &from,
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ];
        standby.run("pg_basebackup", &words);
        standby.resume();
        standby
    }

    /// The same with the account `gridmart` of a data Host, as docs/engines.md has it made.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start.
    #[track_caller]
    pub fn start_with_account() -> Self {
        let server = Self::start();
        server.script(
            "postgres",
            "CREATE ROLE gridmart LOGIN CREATEDB REPLICATION PASSWORD 'hunter2';
             CREATE ROLE gridmart_reader NOLOGIN;
             GRANT gridmart_reader TO gridmart;",
        );
        server
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn resume(&self) {
        self.resume_with(&format!("-p {PORT} -c listen_addresses=''"));
    }

    /// Starts it again, with a door on this machine's own addresses that speaks TLS with that
    /// certificate and key (PEM); gives its port.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn resume_tls(&self, certificate: &str, key: &str) -> u16 {
        let port = free_port();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.data().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if let Some((user, group)) = self.account {
                chown(&path, Some(user), Some(group)).unwrap();
            }
        }
        self.resume_with(&format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c ssl=on"
        ));
        port
    }

    #[track_caller]
    fn resume_with(&self, more: &str) {
        let data = self.data();
        let options = format!(
            "{more} -c unix_socket_directories='{}' -c fsync=off \
             -c timezone=UTC -c max_connections=200 -c wal_level=logical -c max_replication_slots=20",
            self.folder.path().display()
        );
        let data = data.to_str().unwrap();
        self.run(
            "pg_ctl",
            &["-D", data, "-w", "-l", "/dev/null", "-o", &options, "start"],
        );
    }

    /// Ends it at once, as a crash does.
    pub fn crash(&self) {
        let data = self.data();
        let _ = self
            .command("pg_ctl")
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "-w", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    /// Where it is for somebody: a URL, without a database.
    pub fn url(&self, account: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let folder = folder.replace('/', "%2F");
        format!("postgresql://{account}:hunter2@{folder}:{PORT}")
    }

    /// The folder of its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of PostgreSQL's, run as the server's own account.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir(self.folder.path());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self
            .command(program)
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    /// Runs a script in one session; its standard output: fields end with the character
    /// 1F, rows with 1E, NULL is `∅`.
    ///
    /// # Panics
    /// If `psql` cannot be run, or writes no text.
    #[track_caller]
    pub fn script(&self, database: &str, script: &str) -> String {
        let mut psql = self.command("psql");
        psql.args([
            "-X", "-q", "-A", "-t", "-F", "\u{1f}", "-R", "\u{1e}", "-P", "null=∅", "-U", "ada",
            "-d", database, "-h",
        ]);
        psql.arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = psql.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let script = script.to_owned();
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}
