//! Any bytes are read as a block's header and table or refused, without a
//! panic; what is read, written again, is what was there.
//!
//! The first byte chooses: the others as they are, or with a magic, a check and
//! a root that are right, as somebody would make them who means harm.
#![no_main]

use bytes::Bytes;
use gridmart_fabric::block::{
    BLOCK_BYTES_MAX, BlockHeader, EncodedBlock, HEADER_BYTES, PREFIX_BYTES_MAX, Prefix,
};
use libfuzzer_sys::fuzz_target;

const ROOT_CONTEXT: &str = "gridmart block root 1";

/// What stands there, made to agree with itself.
fn agreed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    bytes[..8].copy_from_slice(b"GMBLOCK1");
    let payload = u64::from_le_bytes(bytes[80..88].try_into().expect("eight bytes"));
    let chunks = payload.clamp(1, BLOCK_BYTES_MAX as u64).div_ceil(1 << 16);
    let table = HEADER_BYTES + 32 * chunks as usize;
    bytes.resize(bytes.len().max(table), 0);
    let mut hasher = blake3::Hasher::new_derive_key(ROOT_CONTEXT);
    hasher.update(&bytes[..192]);
    hasher.update(&bytes[HEADER_BYTES..table]);
    bytes[192..224].copy_from_slice(hasher.finalize().as_bytes());
    let check = blake3::hash(&bytes[..224]);
    bytes[224..256].copy_from_slice(check.as_bytes());
    bytes
}

fn read(bytes: Bytes) {
    let Ok(prefix) = Prefix::parse(&bytes) else {
        assert!(EncodedBlock::parse(&bytes).is_err());
        return;
    };
    let header = *prefix.header();
    assert!(header.payload_bytes() <= BLOCK_BYTES_MAX);
    assert!(header.position() < header.identity().redundancy.blocks());
    assert!(prefix.bytes().len() <= PREFIX_BYTES_MAX);
    assert!(
        bytes.starts_with(prefix.bytes()),
        "a prefix is not what was there"
    );
    assert_eq!(
        BlockHeader::new(*header.identity(), header.position()),
        Ok(header)
    );
    if let Ok((block, rest)) = EncodedBlock::parse(&bytes) {
        assert_eq!(bytes.len() - rest.len(), header.encoded_bytes());
        let again = EncodedBlock::seal(header, block.payload().clone());
        assert_eq!(again.as_ref(), Ok(&block));
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, bytes)) => read(Bytes::copy_from_slice(bytes)),
        Some((_, bytes)) => read(agreed(bytes).into()),
        None => {}
    }
});
