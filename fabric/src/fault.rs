//! Named places where a fault can be made to happen: a kill where it is most
//! dangerous, a disk that refuses. The one list of their names.
//!
//! They do something only in a program that was built with the feature
//! `fault-points`, and then only what the variable `FAILPOINTS` says:
//!
//! ```text
//! FAILPOINTS='element.record.kept=return(kill)'         the process dies there
//! FAILPOINTS='disk.sync=return(eio CEDoc.xml.new)'      fsync of that file fails
//! FAILPOINTS='disk.write=3*off->return(enospc)'         the fourth write finds no room
//! ```
//!
//! If `GRIDMART_FAULTS_WHILE` names a file, faults happen only while it exists.
//! What is done is the first word: `kill` (SIGKILL, as `kill -9` does it),
//! `enospc`, `erofs`, `eio`, or `slow` (it takes two seconds, and succeeds). At a
//! place of the disk a second word bounds it to files of that name.

use std::{io, path::Path};

/// How long what is `slow` takes: as a disk that is about to die.
#[cfg(feature = "fault-points")]
const SLOW: std::time::Duration = std::time::Duration::from_secs(2);

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal;)+) => {
        /// A place where a fault can be made to happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FaultPoint {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl FaultPoint {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in `FAILPOINTS`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

points! {
    /// Before bytes are written to a file.
    DiskWrite = "disk.write";
    /// Before a file is made durable.
    DiskSync = "disk.sync";
    /// Before what was written to an open file is made durable.
    DiskFileSync = "disk.file.sync";
    /// Before the names in a folder are made durable.
    DiskFolderSync = "disk.folder.sync";
    /// A file has the place of another one; the folder does not know it durably.
    DiskRenamed = "disk.renamed";
    /// The controller's changes are made, and are not committed.
    StoreCommit = "control.store.commit";
    /// They are committed, and nobody sees them.
    StoreCommitted = "control.store.committed";
    /// They are seen, and nobody was answered.
    StoreShown = "control.store.shown";
    /// A package is on the controller's shelf, and the catalogue does not know it.
    PackagePlaced = "control.package.placed";
    /// A lease is granted, and stands in no journal.
    LeaseGranted = "element.lease.granted";
    /// It stands in the journal, and nobody was told.
    LeaseRecorded = "element.lease.recorded";
    /// A Host's call records are kept, and the Host was not answered.
    RecordKept = "element.record.kept";
    /// Changes of a Storage Element's metadata are made, and no Host has them.
    MetadataApplied = "element.metadata.applied";
    /// One Host of the log has them, others may not.
    MetadataTaken = "element.metadata.taken";
    /// Enough Hosts have them, and they are not committed here.
    MetadataReplicated = "element.metadata.replicated";
    /// They are committed, and nobody was answered.
    MetadataCommitted = "element.metadata.committed";
    /// A database has another core in the information base, and no Host was told.
    CoreDecided = "element.core.decided";
    /// Call records are in the Host's journal, and the Element was not told.
    HostRecordKept = "host.record.kept";
    /// The Element has them, and the Host has not forgotten them.
    HostRecordTold = "host.record.told";
    /// Before bytes of a call are spooled to a file of the Host.
    SpoolWrite = "host.spool.write";
    /// A part of a map has ended, and its output is not marked as complete.
    PartEnded = "host.part.ended";
    /// A package is unpacked, and does not have its name yet.
    PackageUnpacked = "package.unpacked";
    /// A part's result is in the results file, and the map does not count it.
    ResultWritten = "sdk.result.written";
}

impl FaultPoint {
    /// Passes the place: nothing, or what was asked for.
    #[inline]
    pub fn pass(self) -> io::Result<()> {
        self.meet(None)
    }

    /// Passes a place of the disk.
    #[inline]
    pub fn pass_file(self, path: &Path) -> io::Result<()> {
        self.meet(Some(path))
    }

    /// Passes a place where only a kill makes sense.
    #[inline]
    pub fn pass_or_die(self) {
        if let Err(error) = self.pass() {
            tracing::error!(point = self.name(), %error, "nothing can fail at this fault point");
        }
    }

    #[cfg(not(feature = "fault-points"))]
    #[inline]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the other one does fail"
    )]
    const fn meet(self, _: Option<&Path>) -> io::Result<()> {
        Ok(())
    }

    #[cfg(feature = "fault-points")]
    fn meet(self, path: Option<&Path>) -> io::Result<()> {
        fail::fail_point!(self.name(), |order: Option<String>| {
            self.obey(&order.unwrap_or_default(), path)
        });
        Ok(())
    }

    #[cfg(feature = "fault-points")]
    fn obey(self, order: &str, path: Option<&Path>) -> io::Result<()> {
        use rustix::io::Errno;
        let (what, file) = order.split_once(' ').unwrap_or((order, ""));
        let name = path.and_then(Path::file_name).unwrap_or_default();
        if (!file.is_empty() && name != file) || !is_time() {
            return Ok(());
        }
        tracing::warn!(point = self.name(), order, "a fault is made to happen");
        match what {
            "enospc" => Err(Errno::NOSPC.into()),
            "erofs" => Err(Errno::ROFS.into()),
            "kill" => die(),
            "slow" => {
                std::thread::sleep(SLOW);
                Ok(())
            }
            _ => Err(Errno::IO.into()),
        }
    }
}

/// Whether this program has fault points at all.
pub const fn are_built_in() -> bool {
    cfg!(feature = "fault-points")
}

/// Reads what `FAILPOINTS` asks for, once, at the start of a process. Nothing
/// without the feature.
///
/// # Panics
/// If the variable cannot be read: a test has a fault then.
pub fn arm() {
    #[cfg(feature = "fault-points")]
    std::mem::forget(fail::FailScenario::setup());
}

/// Whether faults are to happen now.
#[cfg(feature = "fault-points")]
fn is_time() -> bool {
    std::env::var_os("GRIDMART_FAULTS_WHILE").is_none_or(|file| Path::new(&file).exists())
}

/// Ends the process as `kill -9` does: no destructor runs, nothing is flushed.
#[cfg(feature = "fault-points")]
fn die() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    // It is this process's own number, which always may be signalled.
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[cfg(all(test, feature = "fault-points"))]
mod tests {
    use super::*;

    #[test]
    fn a_fault_happens_where_it_was_asked_for_and_to_that_file_alone() {
        let scenario = fail::FailScenario::setup();
        let point = FaultPoint::DiskSync;
        fail::cfg(point.name(), "1*off->return(enospc journal)").unwrap();
        let sync = |name: &str| point.pass_file(&Path::new("/data").join(name));
        assert!(sync("journal").is_ok(), "only from the second time on");
        assert!(sync("other").is_ok());
        assert_eq!(
            sync("journal").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        assert!(FaultPoint::DiskWrite.pass().is_ok());
        scenario.teardown();
        assert!(sync("journal").is_ok());
    }

    #[test]
    fn what_is_slow_takes_its_time_and_succeeds() {
        let scenario = fail::FailScenario::setup();
        let point = FaultPoint::DiskFolderSync;
        fail::cfg(point.name(), "return(slow)").unwrap();
        let began = std::time::Instant::now();
        assert!(point.pass_file(Path::new("/data")).is_ok());
        assert!(began.elapsed() >= SLOW);
        scenario.teardown();
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> =
            FaultPoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), FaultPoint::ALL.len());
    }
}
