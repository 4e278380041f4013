//! A block as it is stored and sent: header, table of chunk hashes, payload.
//!
//! All numbers are little-endian. The root is a hash over the header's fields
//! and the table, so that a range of chunks can be verified with these alone,
//! and a block that lies in another's place is noticed.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | `GMBLOCK1` |
//! | 8 | 2 | format, 1 |
//! | 10 | 1 | codec: 0 replica, 1 Reed-Solomon as `reed-solomon-simd` 3 makes it |
//! | 11 | 1 | data blocks (k) |
//! | 12 | 1 | parity blocks (m); of a replica, copies less one |
//! | 13 | 1 | position |
//! | 14 | 1 | binary logarithm of the bytes of a chunk, 16 |
//! | 15 | 1 | flags, 0 |
//! | 16 | 16 | bucket |
//! | 32 | 16 | object version |
//! | 48 | 16 | stripe |
//! | 64 | 8 | ordinal of the stripe in its object version |
//! | 72 | 8 | bytes of data in the stripe |
//! | 80 | 8 | bytes of the payload |
//! | 88 | 8 | epoch of who wrote it |
//! | 96 | 96 | zeros |
//! | 192 | 32 | root |
//! | 224 | 32 | BLAKE3 of the bytes before |

mod error;
mod header;
mod prefix;

pub use self::{
    error::FormatError,
    header::{BlockHeader, StripeIdentity, payload_bytes},
    prefix::{EncodedBlock, Prefix},
};

#[cfg(test)]
mod tests;
