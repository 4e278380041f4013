//! What objects are made of: bytes that a number and a size determine, cheap to
//! make and to compare, no two pieces of which are the same.

use bytes::Bytes;
use rand::{RngExt as _, rngs::StdRng};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Content {
    pub(super) number: u64,
    pub(super) size: usize,
}

impl Content {
    /// Small ones mostly; sizes at which something changes now and then.
    pub(super) fn draw(dice: &mut StdRng) -> Self {
        let size = match dice.random_range(0..40) {
            0 => 0,
            1 => 128 * KIB + dice.random_range(0..2),
            2 => 16 * MIB - 1 + dice.random_range(0..3),
            3 => dice.random_range(16 * MIB..=40 * MIB),
            4..8 => dice.random_range(MIB..8 * MIB),
            8..14 => dice.random_range(64 * KIB..MIB),
            _ => dice.random_range(1..16 * KIB),
        };
        Self {
            number: dice.random(),
            size,
        }
    }

    pub(super) fn bytes(self) -> Bytes {
        let words = (0..).map(|at: u64| mixed(self.number ^ at).to_le_bytes());
        let mut bytes = Vec::with_capacity(self.size + 8);
        for word in words.take(self.size.div_ceil(8)) {
            bytes.extend_from_slice(&word);
        }
        bytes.truncate(self.size);
        bytes.into()
    }
}

/// A number's bits, stirred as `SplitMix64` does.
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
