//! Half-made sandboxes of an earlier life of this Host.
//!
//! A sandbox ends with its Host. But bubblewrap, one of whose two processes is
//! killed alone (by the system that is out of memory, say) while it makes a
//! sandbox, waits for the other one for ever; and if the Host dies before it
//! gives up that sandbox, nobody does. The next life of the Host does.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getuid},
};

/// Ends every bubblewrap of this user that was started for a sandbox in this
/// folder; who calls must know that no Host lives on it. Gives how many.
pub(crate) fn remnants_ended(sandboxes: &Path) -> usize {
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    let mut ended = 0;
    for process in processes.filter_map(Result::ok) {
        let name = process.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = pid.filter(|_| is_remnant(&process.path(), sandboxes)) else {
            continue;
        };
        // It may be over by now: all the better.
        if kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
            ended += 1;
        }
    }
    if ended > 0 {
        tracing::warn!(ended, "half-made sandboxes of an earlier life are ended");
    }
    ended
}

fn is_remnant(process: &Path, sandboxes: &Path) -> bool {
    let own = fs::metadata(process).is_ok_and(|known| known.uid() == getuid().as_raw());
    let Ok(words) = fs::read(process.join("cmdline")) else {
        return false;
    };
    let mut words = words.split(|byte| *byte == 0);
    let is_bubblewrap = words
        .next()
        .is_some_and(|program| program == b"bwrap" || program.ends_with(b"/bwrap"));
    let folder = sandboxes.as_os_str().as_bytes();
    let below = |word: &[u8]| {
        word.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with(b"/"))
    };
    own && is_bubblewrap && words.any(below)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt as _, process::Command};

    use super::*;

    #[test]
    fn only_what_was_started_for_a_sandbox_of_the_folder_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("own-too"));
        let start = |program: &str, sandboxes: &Path| {
            Command::new("/bin/sh")
                .arg0(program)
                .args(["-c", "read -r line", "sh"])
                .arg(sandboxes.join("7/work"))
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut remnant = start("/usr/bin/bwrap", &own);
        let mut others = [start("/usr/bin/bwrap", &other), start("/bin/sh", &own)];
        assert_eq!(remnants_ended(&own), 1);
        assert!(!remnant.wait().unwrap().success());
        for other in &mut others {
            assert!(other.try_wait().unwrap().is_none(), "it lives");
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
