//! MariaDB servers for tests: private, in a temporary folder, ended with the test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test tells a broken premise by a panic"
)]

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::test_server::free_port;

/// Why there is none.
const SETUP: &str = "MariaDB is not installed: run scripts/setup";
/// A slow machine that has other things to do starts a server within that.
const START_MAX: Duration = Duration::from_mins(3);
/// How the account of a Host is made.
const ACCOUNT: &str = "
    CREATE USER gridmart@localhost IDENTIFIED BY 'pass@word';
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES
        ON `gridmart\\_%`.* TO gridmart@localhost;
";

/// Options of a server that keeps its log for shadows, and of one that does not.
const LOGGING: &[&str] = &[
    "--log-bin=gridmart-bin",
    "--binlog-format=ROW",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
];
const LOGLESS: &[&str] = &["--skip-log-bin", "--innodb-flush-log-at-trx-commit=2"];

/// A server of a test's own: reached over a socket in its folder, with the account
/// `gridmart` of a data Host.
#[derive(Debug)]
pub struct MariaDbServer {
    folder: tempfile::TempDir,
    running: Mutex<Option<Child>>,
    /// It keeps its log for shadows.
    has_log: bool,
}

impl MariaDbServer {
    /// Makes one, and starts it.
    ///
    /// # Panics
    /// If MariaDB is not installed, or does not start.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_as(false)
    }

    /// The same with all that shadows need, as docs/engines.md has it.
    ///
    /// # Panics
    /// If MariaDB is not installed, or does not start.
    #[track_caller]
    pub fn start_with_log() -> Self {
        let server = Self::start_as(true);
        server.script(
            "mysql",
            "GRANT REPLICATION SLAVE ON *.* TO gridmart@localhost;",
        );
        server
    }

    #[track_caller]
    fn start_as(has_log: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A server removes what it finds of temporary tables there when it starts: those of
        // another one, in a folder that they share.
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let server = Self {
            folder,
            running: Mutex::default(),
            has_log,
        };
        let made = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--datadir={}", server.data().display()))
            .arg(server.temporary())
            .args([
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                "--user=root",
                "--innodb-log-file-size=8M",
                "--innodb-flush-log-at-trx-commit=0",
            ])
            .output()
            .expect(SETUP);
        assert!(
            made.status.success(),
            "mariadb-install-db: {} {}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        server.resume();
        server.script("mysql", ACCOUNT);
        server
    }

    /// Starts it again.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn resume(&self) {
        self.resume_with(&["--skip-networking".to_owned()]);
    }

    /// Starts it again, with a door on 127.0.0.1 that speaks TLS with that certificate and
    /// key (PEM); gives its port.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn resume_tls(&self, certificate: &str, key: &str) -> u16 {
        let port = free_port();
        let put = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        self.resume_with(&[
            "--bind-address=127.0.0.1".to_owned(),
            format!("--port={port}"),
            format!("--ssl-cert={}", put("server.crt", certificate)),
            format!("--ssl-key={}", put("server.key", key)),
        ]);
        // Nobody's address is given a name.
        self.script("mysql", &ACCOUNT.replace("@localhost", "@'127.0.0.1'"));
        port
    }

    #[track_caller]
    fn resume_with(&self, more: &[String]) {
        let program = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect(SETUP);
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut child = Command::new(program)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.data().display()))
            .arg(self.temporary())
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!(
                "--pid-file={}",
                self.folder.path().join("pid").display()
            ))
            .args([
                "--user=root",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=8M",
                "--innodb-flush-method=fsync",
                "--performance-schema=off",
                "--max-connections=150",
            ])
            .args(if self.has_log { LOGGING } else { LOGLESS })
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect(SETUP);
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let ended = child.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > START_MAX {
                let log = fs::read_to_string(self.folder.path().join("log"));
                panic!("mariadbd does not start ({ended:?}): {log:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        *self.running.lock().unwrap() = Some(child);
    }

    /// Ends it at once, as a crash does.
    ///
    /// # Panics
    /// If it cannot be waited for.
    #[track_caller]
    pub fn crash(&self) {
        if let Some(mut child) = self.running.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(self.socket());
    }

    /// Where it is for a data Host.
    pub fn url(&self) -> String {
        format!(
            "mariadb://gridmart:pass%40word@localhost/?socket={}",
            self.socket().display()
        )
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn temporary(&self) -> String {
        format!("--tmpdir={}", self.folder.path().join("tmp").display())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Runs a script as the server's administrator; its standard output.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn script(&self, database: &str, script: &str) -> String {
        let mut client = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--batch",
                "--skip-column-names",
                "-u",
                "root",
            ])
            .arg(format!("--socket={}", self.socket().display()))
            .args(["--default-character-set=utf8mb4", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect(SETUP);
        let mut input = client.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{script}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        self.crash();
    }
}
