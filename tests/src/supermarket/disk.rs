//! Small disks: real file systems in memory under some of a supermarket's
//! folders, which a test fills up, empties, and makes read-only.
//!
//! The whole supermarket runs in a mount namespace of its own, so that no other
//! process sees them, and none is left when it ends. Made with `unshare`,
//! `nsenter` and `mount`; as an ordinary user in a user namespace as well.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use super::Supermarket;

/// What takes up the room of a disk that was filled.
const FILLER: &str = ".filler";
/// Mounts what `$1` says (`BYTES FOLDER`, a line each), then becomes the rest.
const MOUNT_ALL: &str = r#"
set -e
printf '%s\n' "$1" | while read -r bytes folder; do
    mkdir -p "$folder"
    mount -t tmpfs -o "size=$bytes,mode=0700" gridmart-test "$folder"
done
shift
exec "$@"
"#;
const READ_ONLY: &str = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1""#;
/// What was opened meanwhile may hold it.
const WRITABLE: &str = r#"umount --lazy "$1""#;

/// A folder of the data folder with a disk of its own.
#[derive(Clone, Debug)]
pub(super) struct SmallDisk {
    /// Below the data folder: `ce-1`.
    pub(super) folder: String,
    pub(super) bytes: u64,
}

/// Gives the flags of `unshare` that give a namespace for mounts here.
fn namespace_flags() -> &'static str {
    static FLAGS: OnceLock<&str> = OnceLock::new();
    FLAGS.get_or_init(|| {
        let works = |flags: &&str| {
            Command::new("unshare")
                .args([flags, "--propagation", "private"])
                .args(["sh", "-c", "mount -t tmpfs gridmart-test /mnt"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        // As root without a user namespace; else as root of a new one.
        ["-m", "-Urm"].into_iter().find(works).expect(
            "this machine lets nobody mount in a namespace of its own: these tests need `unshare` \
             and `mount` (packages util-linux and mount), and root or user namespaces",
        )
    })
}

/// Puts a command into a namespace with these disks below `data`.
pub(super) fn wrapped(command: &Command, data: &Path, disks: &[SmallDisk]) -> Command {
    let lines: Vec<String> = disks
        .iter()
        .map(|disk| format!("{} {}", disk.bytes, data.join(&disk.folder).display()))
        .collect();
    let mut wrapped = Command::new("unshare");
    wrapped
        .args([namespace_flags(), "--propagation", "private"])
        .args(["sh", "-c", MOUNT_ALL, "mounts"])
        .arg(lines.join("\n"))
        .arg(command.get_program())
        .args(command.get_args());
    wrapped
}

impl Supermarket {
    /// Gives a path of the data folder as the supermarket's processes see it.
    pub fn seen(&self, path: &str) -> PathBuf {
        let path = self.folder.join(path);
        let inside = self.up.as_ref().filter(|_| self.has_small_disks);
        inside.map_or_else(
            || path.clone(),
            |up| PathBuf::from(format!("/proc/{}/root{}", up.id(), path.display())),
        )
    }

    /// Puts a command into the namespace of the supermarket.
    pub(super) fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        if namespace_flags() != "-m" {
            inside.args(["--preserve-credentials", "-U"]);
        }
        inside
            .args(["-m", "-t", &self.pid().to_string()])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Takes up all room of a small disk.
    #[track_caller]
    pub fn fill(&self, folder: &str) {
        self.assert_small(folder);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.seen(folder).join(FILLER))
            .expect("a file can be made");
        for bytes in [1024 * 1024, 4096, 1] {
            let piece = vec![0; bytes];
            let refused = loop {
                if let Err(error) = file.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(refused.kind(), ErrorKind::StorageFull, "{refused}");
        }
    }

    /// Gives the room back.
    #[track_caller]
    pub fn make_room(&self, folder: &str) {
        fs::remove_file(self.seen(folder).join(FILLER)).expect("the disk was filled");
    }

    /// Lets nobody open a file of a small disk to write; what is open stays so.
    #[track_caller]
    pub fn make_read_only(&self, folder: &str) {
        self.assert_small(folder);
        self.mount(READ_ONLY, folder);
    }

    /// The contrary.
    #[track_caller]
    pub fn make_writable(&self, folder: &str) {
        self.mount(WRITABLE, folder);
    }

    /// What is done to other disks would be done to the machine's.
    #[track_caller]
    fn assert_small(&self, folder: &str) {
        let mounts = fs::read_to_string(format!("/proc/{}/mounts", self.pid()))
            .expect("the supervisor runs");
        let path = self.folder.join(folder).display().to_string();
        let is_small = mounts.lines().any(|line| {
            let mut words = line.split(' ');
            words.next() == Some("gridmart-test") && words.next() == Some(&path)
        });
        assert!(is_small, "{folder} has no small disk");
    }

    #[track_caller]
    fn mount(&self, script: &str, folder: &str) {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "mount"])
            .arg(self.folder.join(folder));
        let done = self.inside(&command).output().expect("nsenter can be run");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{folder}: {said}");
    }
}
