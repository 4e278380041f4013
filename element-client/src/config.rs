//! Where an Element starts from. Everything else is in its information base.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What an Element has to be told at its start.
#[derive(Clone)]
pub struct Config {
    /// Folder for everything it keeps; made if it is not there.
    pub data_dir: PathBuf,
    /// `HOST:PORT` of the controller's nodes' door.
    pub controller: String,
    /// Join token; needed at the first start only.
    pub join_token: Option<String>,
    /// The name that people read.
    pub name: String,
    /// Address of the door; with port 0 the one of the last start is taken
    /// again, or else a free one.
    pub listen: SocketAddr,
    /// `HOST` or `HOST:PORT` by which programs and Hosts reach the door; absent:
    /// the address that it listens on.
    pub advertise: Option<String>,
    /// Address of a Storage Element's S3 door; with port 0 the one of the last
    /// start is taken again, or else a free one.
    pub s3_listen: SocketAddr,
    /// Address of a Data Element's PostgreSQL door; with port 0 the one of the last
    /// start is taken again, or else a free one.
    pub postgres_listen: SocketAddr,
    /// Put the previous generation in the place of a damaged information base.
    pub restore_lib: bool,
    /// Of a Storage Element: how long a Host may be silent before what is on it
    /// is made anew on others; noted in the information base. Absent: as noted.
    pub repair_delay: Option<Duration>,
    /// Of a Storage Element: bytes that repair, drain and rebalance read and write
    /// in a second, above 0; noted in the information base. Absent: as noted.
    pub repair_rate: Option<u64>,
    /// Of a Storage Element: how long blocks that nothing names stay, for tests;
    /// shorter than a put takes, it takes away what is being put. Absent: as
    /// long as somebody may still read or name them.
    pub collect_after: Option<Duration>,
    /// Of a Storage Element: how long a day is in the rules of buckets on how long
    /// objects live, for tests. Absent: 24 hours.
    pub lifecycle_day: Option<Duration>,
    /// Of a Data Element: in which time every shadow is compared with its core once,
    /// above 0; noted in the information base. Absent: as noted.
    pub check_interval: Option<Duration>,
    /// Of a Data Element: how much of it may be used; noted in the information base.
    pub data_limits: DataLimits,
}

/// How much of a Data Element may be used; of each, absent: as noted.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataLimits {
    /// SQL sessions at a time.
    pub sessions: Option<u32>,
    /// Statements that run at a time.
    pub running: Option<u32>,
    /// Statements that wait for those.
    pub waiting: Option<u32>,
    /// Time of one statement.
    pub time: Option<Duration>,
    /// Bytes of one result.
    pub result_bytes: Option<u64>,
    /// Rows of one result.
    pub result_rows: Option<u64>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("data_dir", &self.data_dir)
            .field("controller", &self.controller)
            .field("name", &self.name)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
