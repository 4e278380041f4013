//! Where a storage Host starts from.

use std::time::Duration;

use gridmart_schemas::{resource::host::StorageHostPolicy, scalar::FailureLabel};

use super::bucket::BucketSettings;
use crate::member::MemberConfig;

/// What a storage Host has to be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every Host has to be told. Blocks and ledger lie in its data folder.
    pub member: MemberConfig,
    /// What the machine's owner allows.
    pub policy: StorageHostPolicy,
    /// What the machine shares with others when it fails; each key once.
    pub failure_labels: Vec<FailureLabel>,
    /// A bucket of another object store, where blocks are kept instead of in the
    /// data folder.
    pub bucket: Option<BucketSettings>,
    /// In which time every block is read again; a week unless tested.
    pub scrub_time: Option<Duration>,
}
