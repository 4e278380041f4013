//! Copies.

use bytes::Bytes;
use gridmart_schemas::storage::Redundancy;

use super::{CodecError, Rebuild, StripeCodec, check_positions};
use crate::block::payload_bytes;

#[derive(Debug)]
pub(super) struct ReplicaCodec {
    pub(super) redundancy: Redundancy,
}

impl StripeCodec for ReplicaCodec {
    fn encode(&self, data: &Bytes) -> Result<Vec<Bytes>, CodecError> {
        let redundancy = self.redundancy;
        payload_bytes(redundancy, data.len() as u64).ok_or(CodecError::TooLong {
            bytes: data.len(),
            redundancy,
        })?;
        Ok(vec![data.clone(); redundancy.blocks().into()])
    }

    fn rebuild(&self, sources: &[u8], wanted: &[u8]) -> Result<Rebuild, CodecError> {
        check_positions(self.redundancy, sources, wanted)?;
        Ok(Rebuild::copies(wanted.len()))
    }
}
