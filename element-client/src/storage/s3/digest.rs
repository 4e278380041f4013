//! What is computed over the bytes of an object as they come: its MD5, which is
//! its `ETag`, and the checksums of S3.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crc_fast::{CrcAlgorithm, checksum_combine};
use s3s::{
    S3Result,
    crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256},
    dto::{self, ChecksumAlgorithm, ChecksumType},
    s3_error,
};

/// A checksum of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// As it stands in metadata, and at the end of header names.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// Reads either form: `CRC32C`, `crc32c`.
    pub(super) fn parse(text: &str) -> S3Result<Self> {
        let word = text.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.word() == word)
            .ok_or_else(|| {
                s3_error!(
                    InvalidRequest,
                    "Checksum algorithm provided is unsupported. Please try again with any of \
                     the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
                )
            })
    }

    /// Reads the name of a header or trailer; `None` for another one.
    pub(super) fn of_header(name: &str) -> Option<Self> {
        let word = name.strip_prefix("x-amz-checksum-")?;
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.word() == word)
    }

    /// As S3 names it.
    pub(super) fn name(self) -> ChecksumAlgorithm {
        self.word().to_ascii_uppercase().into()
    }

    /// Whether the whole's checksum follows from those of parts.
    pub(super) const fn combines(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    /// Whether it may be made of the checksums of parts.
    pub(super) const fn composes(self) -> bool {
        !matches!(self, Self::Crc64Nvme)
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether a text is a checksum of this kind.
    pub(super) fn is_valid(self, value: &str) -> bool {
        STANDARD
            .decode(value)
            .is_ok_and(|bytes| bytes.len() == self.bytes())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

enum Hash {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64Nvme(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hash {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(Crc32::new()),
            Algorithm::Crc32c => Self::Crc32c(Crc32c::new()),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(Crc64Nvme::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(hash) => hash.update(bytes),
            Self::Crc32c(hash) => hash.update(bytes),
            Self::Crc64Nvme(hash) => hash.update(bytes),
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Crc32(hash) => STANDARD.encode(hash.finalize()),
            Self::Crc32c(hash) => STANDARD.encode(hash.finalize()),
            Self::Crc64Nvme(hash) => STANDARD.encode(hash.finalize()),
            Self::Sha1(hash) => STANDARD.encode(hash.finalize()),
            Self::Sha256(hash) => STANDARD.encode(hash.finalize()),
        }
    }
}

/// Checksums by algorithm, base64.
pub(super) type Checksums = BTreeMap<Algorithm, String>;

/// Computes the MD5 and some checksums of bytes.
pub(super) struct Digests {
    md5: Md5,
    hashes: BTreeMap<Algorithm, Hash>,
}

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digested {
    pub(super) md5: [u8; 16],
    pub(super) checksums: Checksums,
}

impl Digests {
    pub(super) fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self {
            md5: Md5::new(),
            hashes: algorithms
                .into_iter()
                .map(|algorithm| (algorithm, Hash::new(algorithm)))
                .collect(),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for hash in self.hashes.values_mut() {
            hash.update(bytes);
        }
    }

    pub(super) fn finish(self) -> Digested {
        Digested {
            md5: self.md5.finalize(),
            checksums: self
                .hashes
                .into_iter()
                .map(|(algorithm, hash)| (algorithm, hash.finish()))
                .collect(),
        }
    }
}

/// A checksum of a part, and the part's length.
pub(super) struct PartSum<'a> {
    pub(super) value: &'a str,
    pub(super) size: u64,
}

/// Composes the checksum of an object of those of its parts: the checksum of
/// their bytes, and their number.
pub(super) fn composite(algorithm: Algorithm, parts: &[PartSum<'_>]) -> Option<String> {
    let mut hash = Hash::new(algorithm);
    for part in parts {
        hash.update(&STANDARD.decode(part.value).ok()?);
    }
    Some(format!("{}-{}", hash.finish(), parts.len()))
}

/// Computes the checksum of an object from those of its parts, as if it had been
/// put as a whole.
pub(super) fn combined(algorithm: Algorithm, parts: &[PartSum<'_>]) -> Option<String> {
    let crc = match algorithm {
        Algorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        Algorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        Algorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        Algorithm::Sha1 | Algorithm::Sha256 => return None,
    };
    let number = |value: &str| -> Option<u64> {
        let bytes = STANDARD.decode(value).ok()?;
        let mut wide = [0; 8];
        wide.get_mut(8_usize.checked_sub(bytes.len())?..)?
            .copy_from_slice(&bytes);
        Some(u64::from_be_bytes(wide))
    };
    let (first, rest) = parts.split_first()?;
    let mut sum = number(first.value)?;
    for part in rest {
        sum = checksum_combine(crc, sum, number(part.value)?, part.size);
    }
    let bytes = sum.to_be_bytes();
    Some(STANDARD.encode(bytes.get(8 - algorithm.bytes()..)?))
}

/// The `ETag` of an object of parts: the MD5 of their MD5s, and their number.
pub(super) fn multipart_etag<'a>(part_etags: impl Iterator<Item = &'a str>) -> Option<String> {
    let (mut md5, mut count) = (Md5::new(), 0_u32);
    for etag in part_etags {
        md5.update(&hex::decode(etag).ok()?);
        count += 1;
    }
    Some(format!("{}-{count}", hex::encode(md5.finalize())))
}

/// Checksums as S3's answers have them.
pub(super) fn to_dto(checksums: &BTreeMap<String, String>) -> dto::Checksum {
    let get = |algorithm: Algorithm| checksums.get(algorithm.word()).cloned();
    dto::Checksum {
        checksum_crc32: get(Algorithm::Crc32),
        checksum_crc32c: get(Algorithm::Crc32c),
        checksum_crc64nvme: get(Algorithm::Crc64Nvme),
        checksum_sha1: get(Algorithm::Sha1),
        checksum_sha256: get(Algorithm::Sha256),
        checksum_type: type_of(checksums),
    }
}

/// Whether checksums are of the whole or of its parts; none without any.
pub(super) fn type_of(checksums: &BTreeMap<String, String>) -> Option<ChecksumType> {
    let value = Algorithm::ALL
        .into_iter()
        .find_map(|algorithm| checksums.get(algorithm.word()))?;
    let word = if value.contains('-') {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    };
    Some(ChecksumType::from_static(word))
}

/// Checksums as metadata keeps them.
pub(super) fn to_metadata(checksums: &Checksums) -> BTreeMap<String, String> {
    checksums
        .iter()
        .map(|(algorithm, value)| (algorithm.word().to_owned(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut digests = Digests::new([algorithm]);
        digests.update(bytes);
        digests.finish().checksums.remove(&algorithm).unwrap()
    }

    #[test]
    fn checksums_are_those_of_the_standards() {
        for (algorithm, expected) in [
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (
                Algorithm::Sha256,
                "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
            ),
        ] {
            let found = of(algorithm, b"123456789");
            assert!(algorithm.is_valid(&found));
            assert_eq!(found, expected, "{algorithm}");
        }
    }

    #[test]
    fn the_etag_of_parts_is_the_md5_of_their_md5s() {
        let of = |bytes: &[u8]| {
            let mut digests = Digests::new([]);
            digests.update(bytes);
            hex::encode(digests.finish().md5)
        };
        let (one, two) = (of(b"one"), of(b"two"));
        let both = [hex::decode(&one).unwrap(), hex::decode(&two).unwrap()].concat();
        let etag = multipart_etag([one.as_str(), two.as_str()].into_iter());
        assert_eq!(etag, Some(format!("{}-2", of(&both))));
        assert_eq!(multipart_etag(["no hex"].into_iter()), None);
    }

    proptest! {
        #[test]
        fn what_is_combined_is_the_checksum_of_the_whole(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6)
        ) {
            for algorithm in Algorithm::ALL.into_iter().filter(|one| one.combines()) {
                let sums: Vec<_> = parts.iter().map(|part| of(algorithm, part)).collect();
                let sums: Vec<_> = sums.iter().zip(&parts)
                    .map(|(value, part)| PartSum { value, size: part.len() as u64 })
                    .collect();
                prop_assert_eq!(combined(algorithm, &sums), Some(of(algorithm, &parts.concat())));
            }
        }
    }
}
