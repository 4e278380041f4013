//! `SEDoc.xml`: the local information base of a Storage Element. Made for pools
//! of 2,000 Hosts and 10,000 buckets.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    element_doc::{self, CommonConfiguration, JoinTokens},
    host::StorageHost,
    se::StorageElement,
    storage_area::StorageArea,
};
use crate::{
    scalar::{Seconds, UtcTime},
    wire::desired::Wish,
    xml::{FormatVersion, document, xml_record},
};

/// Largest local information base, in bytes: 2,000 Hosts and 10,000 buckets take
/// about 20 MiB.
pub const SE_DOC_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The Hosts of a Storage Element.
pub type StorageHostTable = element_doc::HostTable<StorageHost>;
/// One Host of a Storage Element.
pub type StorageHostEntry = element_doc::HostEntry<StorageHost>;

/// A Storage Element's description, configuration, Host table and buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeDocument {
    /// Format of the document.
    #[serde(default)]
    #[schema(value_type = String)]
    pub version: FormatVersion,
    /// Grows by one with every update of the document.
    pub generation: u64,
    /// The Element; its State is not kept here.
    pub element: StorageElement,
    /// What the Element should be, as last heard from the controller.
    #[serde(default)]
    pub wish: Wish,
    /// How the Element works.
    pub configuration: SeConfiguration,
    /// Its Hosts.
    #[serde(default)]
    pub host_table: StorageHostTable,
    /// Tokens with which Hosts may join.
    #[serde(default)]
    pub join_tokens: JoinTokens,
    /// When the log of its metadata began on its Hosts; absent: it has not. An
    /// Element whose log has begun never starts with an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_begun: Option<UtcTime>,
    /// Its buckets.
    #[serde(default)]
    pub buckets: Buckets,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(SeDocument {
    attributes {
        version = "Version",
        generation = "Generation",
    }
    children {
        element = "StorageElement",
        wish = "Desired" [default],
        configuration = "Configuration",
        host_table = "HostTable" [default],
        join_tokens = "JoinTokens" [default],
        log_begun = "LogBegun",
        buckets = "Buckets" [default],
    }
    open { extensions }
});
document!(SeDocument, "SEDoc", SE_DOC_BYTES_MAX);

impl SeDocument {
    /// A new Element without Hosts and buckets.
    pub fn new(element: StorageElement) -> Self {
        Self {
            version: FormatVersion,
            generation: 0,
            element,
            wish: Wish::default(),
            configuration: SeConfiguration::default(),
            host_table: StorageHostTable::default(),
            join_tokens: JoinTokens::default(),
            log_begun: None,
            buckets: Buckets::default(),
            extensions: Extensions::default(),
        }
    }
}

/// How a Storage Element works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SeConfiguration {
    /// How it watches its Hosts.
    #[serde(flatten)]
    pub common: CommonConfiguration,
    /// In which time every block is read and compared with its checksum once;
    /// above 0.
    pub scrub_interval: Seconds,
    /// Bytes of blocks that repair, drain and rebalance read and write in a
    /// second, each of them, on all Hosts together; above 0.
    pub repair_rate: u64,
    /// How long a silent Host may be away before its blocks are made anew on
    /// others.
    pub repair_delay: Seconds,
    /// Objects of at most so many bytes are kept whole, not cut; one block's
    /// worth at most.
    pub small_object_size: u64,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(SeConfiguration {
    base { common }
    children {
        scrub_interval = "ScrubInterval",
        repair_rate = "RepairRate",
        repair_delay = "RepairDelay",
        small_object_size = "SmallObjectSize",
    }
    open { extensions }
});

impl SeConfiguration {
    /// The largest bound of small objects, in bytes: the payload of one block.
    pub const SMALL_OBJECT_SIZE_MAX: u64 = 4 * 1024 * 1024;

    /// Two weeks: a full disk of 8 TB is then read at 7 MB/s, which callers
    /// hardly feel.
    const SCRUB_INTERVAL: Seconds = Seconds::from_secs(14 * 24 * 60 * 60);
    /// 32 MiB: rebuilding one block of `rs(4,2)` reads four, so this takes about
    /// one gigabit link and leaves a faster one to the callers; a Host of 1 TB
    /// is made anew in nine hours.
    const REPAIR_RATE: u64 = 32 * 1024 * 1024;
    /// Ten minutes: a Host that restarts or is updated is back by then, and
    /// nothing was copied in vain.
    const REPAIR_DELAY: Seconds = Seconds::from_secs(10 * 60);
    /// 128 KiB: in pieces each Host would keep less of it than a disk writes at
    /// one go, and a read would ask `k` Hosts instead of one.
    const SMALL_OBJECT_SIZE: u64 = 128 * 1024;
}

impl Default for SeConfiguration {
    fn default() -> Self {
        Self {
            common: CommonConfiguration::default(),
            scrub_interval: Self::SCRUB_INTERVAL,
            repair_rate: Self::REPAIR_RATE,
            repair_delay: Self::REPAIR_DELAY,
            small_object_size: Self::SMALL_OBJECT_SIZE,
            extensions: Extensions::default(),
        }
    }
}

/// The buckets of a Storage Element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Buckets {
    /// Each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<StorageArea>,
}

xml_record!(Buckets {
    children {
        areas = "StorageArea",
    }
});
