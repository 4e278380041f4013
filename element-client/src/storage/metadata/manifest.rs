//! Where the bytes of an object are.

use std::collections::{BTreeMap, BTreeSet};

use gridmart_schemas::{
    id::{NodeId, StripeId},
    storage::{BlockRoot, Redundancy},
    wire::storage::BlockPlace,
};
use serde::{Deserialize, Serialize};

/// What an object says of itself beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    /// Headers that readers get back (`content-type`, `cache-control`, …),
    /// lower case.
    pub headers: BTreeMap<String, String>,
    /// The user's own, without their prefix.
    pub metadata: BTreeMap<String, String>,
    /// By algorithm, as S3 writes them (`sha256`, base64).
    pub checksums: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What the Element notes for itself among an object's headers begins so: lists of
/// access, sealed keys.
const OWN_HEADERS: &str = "x-gridmart-";

/// Whether a header is a note of the Element, which nobody else sees or sets.
pub fn is_own_header(name: &str) -> bool {
    name.starts_with(OWN_HEADERS)
}

/// A stripe of an object version or of a part of an upload, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stripe {
    /// Its id.
    pub id: StripeId,
    /// Bytes of the object in it; above 0.
    pub data_length: u64,
    /// How its blocks are made.
    pub redundancy: Redundancy,
    /// Bytes of each block's payload.
    pub payload_length: u64,
    /// Its blocks: as many as suffice to read it, at least. Positions that are
    /// not there are made good later.
    pub blocks: Vec<PlacedBlock>,
}

/// A block that is on a Host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedBlock {
    /// Which one of its stripe.
    pub position: u8,
    /// Where it is.
    pub host: NodeId,
    /// What it must be.
    #[serde(with = "root_bytes")]
    pub root: BlockRoot,
}

impl From<BlockPlace> for PlacedBlock {
    fn from(place: BlockPlace) -> Self {
        let BlockPlace {
            position,
            host,
            root,
        } = place;
        Self {
            position,
            host,
            root,
        }
    }
}

impl From<PlacedBlock> for BlockPlace {
    fn from(placed: PlacedBlock) -> Self {
        let PlacedBlock {
            position,
            host,
            root,
        } = placed;
        Self {
            position,
            host,
            root,
        }
    }
}

impl Stripe {
    /// What is wrong with it, in words, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        let stripe = self.id;
        if self.data_length == 0 {
            return Some(format!("stripe {stripe} is empty"));
        }
        let room = self
            .payload_length
            .saturating_mul(self.redundancy.data().into());
        if room < self.data_length {
            return Some(format!(
                "stripe {stripe} has {} bytes, and its blocks hold {room}",
                self.data_length
            ));
        }
        let positions: BTreeSet<u8> = self.blocks.iter().map(|block| block.position).collect();
        let hosts: BTreeSet<NodeId> = self.blocks.iter().map(|block| block.host).collect();
        if positions.len() < self.blocks.len() || hosts.len() < self.blocks.len() {
            return Some(format!("stripe {stripe} names a position or a Host twice"));
        }
        if positions
            .last()
            .is_some_and(|last| *last >= self.redundancy.blocks())
        {
            return Some(format!(
                "stripe {stripe} has more blocks than {}",
                self.redundancy
            ));
        }
        if self.blocks.len() < usize::from(self.redundancy.data()) {
            return Some(format!(
                "stripe {stripe} has {} blocks, and {} are needed to read it",
                self.blocks.len(),
                self.redundancy.data()
            ));
        }
        None
    }
}

/// What is wrong with the stripes of `size` bytes, in words, if anything is.
pub(super) fn stripes_fault(stripes: &[Stripe], size: u64) -> Option<String> {
    let lengths = stripes.iter().map(|stripe| stripe.data_length);
    let sum = lengths.fold(0, u64::saturating_add);
    if sum != size {
        return Some(format!(
            "the stripes hold {sum} bytes, and {size} are announced"
        ));
    }
    stripes.iter().find_map(Stripe::fault)
}

/// A root as its 32 bytes; in text it would take twice as many.
pub(super) mod root_bytes {
    use gridmart_schemas::storage::BlockRoot;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        root: &BlockRoot,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        root.as_bytes().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BlockRoot, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(BlockRoot::new)
    }
}
