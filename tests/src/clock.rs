//! Clocks that are wrong: processes are started with Debian's libfaketime
//! between them and the system's clock, and the clock is set while they run.
//!
//! Only the time of day is changed. The clock that intervals are measured by
//! goes on as it does.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use tempfile::TempDir;

/// Where libraries are.
const LIBRARIES: &str = "/usr/lib";
/// Where libfaketime is, below a folder named after the machine's kind.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// Where it leaves files of processes that were killed.
const SHARED_MEMORY: &str = "/dev/shm";
const SHARED_NAMES: [&str; 2] = ["faketime_shm_", "sem.faketime_sem_"];

/// A clock: the machine's own, plus or minus something.
#[derive(Debug)]
pub struct Clock {
    folder: TempDir,
    library: PathBuf,
    offset: Mutex<i64>,
}

impl Clock {
    /// Makes a clock that is right.
    #[track_caller]
    pub fn right() -> Self {
        let folders = fs::read_dir(LIBRARIES).expect("libraries are there");
        let library = folders
            .flatten()
            .map(|folder| folder.path().join(LIBRARY))
            .find(|library| library.is_file())
            .unwrap_or_else(|| panic!("there is no {LIBRARY} in {LIBRARIES}: run scripts/setup"));
        let clock = Self {
            folder: TempDir::with_prefix("gridmart-clock-")
                .expect("a temporary folder can be made"),
            library,
            offset: Mutex::new(0),
        };
        clock.set(0);
        clock
    }

    /// Sets it to so many seconds before (negative) or after the machine's.
    pub fn set(&self, seconds: i64) {
        let file = self.file();
        let next = file.with_extension("next");
        fs::write(&next, format!("{seconds:+}")).expect("a file can be written");
        // Read while it runs: never half of it.
        fs::rename(&next, &file).expect("a file can be renamed");
        *self.offset.lock() = seconds;
    }

    /// Gives by how many seconds it is before or after the machine's.
    pub fn offset(&self) -> i64 {
        *self.offset.lock()
    }

    /// Gives the variables of a process that lives by it.
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        let mut variables: Vec<(OsString, OsString)> = vec![
            ("LD_PRELOAD".into(), self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE".into(), self.file().into()),
        ];
        let switches = [
            "FAKETIME_NO_CACHE",
            "FAKETIME_DONT_FAKE_MONOTONIC",
            "NO_FAKE_STAT",
        ];
        variables.extend(switches.map(|name| (name.into(), "1".into())));
        variables
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let files = fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten();
        for file in files {
            let name = file.file_name();
            let name = name.to_string_lossy();
            let pid = SHARED_NAMES
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix));
            let is_left = |pid: &str| !Path::new("/proc").join(pid).exists();
            if pid.is_some_and(is_left) {
                // Another test may have been faster.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Command, Stdio},
        time::{SystemTime, UNIX_EPOCH},
    };

    use super::*;

    #[test]
    fn a_process_lives_by_it_and_notices_that_it_is_set() {
        let clock = Clock::right();
        let script = "while read -r line; do date +%s; done";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .envs(clock.variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        for offset in [0, 3600, -3600, 0] {
            clock.set(offset);
            stdin.write_all(b"\n").unwrap();
            let told: i64 = lines.next().unwrap().unwrap().parse().unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let wanted = i64::try_from(now.as_secs()).unwrap() + offset;
            assert!((told - wanted).abs() < 60, "{told}, not {wanted}");
            assert_eq!(clock.offset(), offset);
        }
        drop(stdin);
        shell.wait().unwrap();
    }
}
