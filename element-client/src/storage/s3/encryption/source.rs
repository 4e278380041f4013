//! Reading an object that may be encrypted.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::storage::StripeView,
};
use s3s::{S3Result, s3_error};

use super::{Cipher, CustomerKey, open};
use crate::storage::{
    metadata::{ObjectVersion, Part, PartsOf, query},
    s3::{
        fault,
        operations::Operations,
        store::{Source, Store},
    },
};

/// Beside the checksums of a part: the nonce under which it is encrypted.
pub(in super::super) const NONCE: &str = "nonce";
/// Parts that are read at a time.
const PARTS_PAGE: usize = 1000;

/// What has one nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: u64,
    nonce: u64,
}

struct Opener {
    cipher: Cipher,
    /// In order; the first one starts at 0.
    pieces: Vec<Piece>,
    at: u64,
}

impl Opener {
    fn apply(&mut self, bytes: &Bytes) -> S3Result<Bytes> {
        let mut plain = BytesMut::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let after = self.pieces.partition_point(|piece| piece.start <= self.at);
            let piece = after.checked_sub(1).and_then(|at| self.pieces.get(at));
            let piece = piece.ok_or_else(|| s3_error!(InternalError, "No part is there."))?;
            let end = self.pieces.get(after).map_or(u64::MAX, |next| next.start);
            let length =
                usize::try_from(end - self.at).map_or(rest.len(), |left| left.min(rest.len()));
            let (now, later) = rest.split_at(length);
            plain.extend_from_slice(&self.cipher.apply(piece.nonce, self.at - piece.start, now)?);
            self.at += length as u64;
            rest = later;
        }
        Ok(plain.freeze())
    }
}

/// The bytes of an object as they were put.
pub(in super::super) struct Plain {
    source: Source,
    opener: Option<Opener>,
}

impl Plain {
    /// The next bytes; none after the last.
    pub(in super::super) async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        let bytes = self.source.next().await?;
        Some(match (bytes, &mut self.opener) {
            (Ok(bytes), Some(opener)) => opener
                .apply(&bytes)
                .map_err(|error| Problem::new(Code::Internal, error.to_string())),
            (bytes, _) => bytes,
        })
    }
}

fn piece(part: &Part) -> S3Result<Piece> {
    let nonce = part.checksums.get(NONCE);
    let nonce = nonce.and_then(|text| u64::from_str_radix(text, 16).ok());
    let nonce =
        nonce.ok_or_else(|| s3_error!(InternalError, "A part of the object is not encrypted."))?;
    Ok(Piece {
        start: part.start,
        nonce,
    })
}

async fn pieces(store: &Store, version: &ObjectVersion) -> S3Result<Vec<Piece>> {
    if version.parts == 0 {
        return Ok(vec![Piece { start: 0, nonce: 0 }]);
    }
    let of = PartsOf::Version(version.number);
    let read = store.read(move |connection| {
        let mut parts: Vec<Part> = Vec::new();
        loop {
            let after = parts.last().map_or(0, |part| part.number);
            let page = query::part_list(connection, of, after, PARTS_PAGE)?;
            if page.is_empty() {
                return Ok(parts);
            }
            parts.extend(page);
        }
    });
    let parts = read.await.map_err(|problem| fault::of(&problem))?;
    parts.iter().map(piece).collect()
}

/// Begins to read a range of a version, of which some stripes may be known;
/// `customer` is the key that the request brings.
pub(in super::super) async fn plain(
    operations: &Operations,
    (version, stripes): (&ObjectVersion, Vec<StripeView>),
    range: Range<u64>,
    customer: Option<&CustomerKey>,
) -> S3Result<Plain> {
    let sealing = operations.sealing();
    let opener = match open(&version.head, customer, sealing, version.id)? {
        Some(cipher) => Some(Opener {
            cipher,
            pieces: pieces(&operations.store, version).await?,
            at: range.start,
        }),
        None => None,
    };
    Ok(Plain {
        source: operations.store.read_data(version, stripes, range)?,
        opener,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_over_parts_are_opened_with_the_nonce_of_each() {
        let cipher = Cipher::new(&[3; 32]).unwrap();
        let parts: [(u64, &[u8]); 3] = [(7, b"first part"), (9, b"second"), (1, b"the third one")];
        let (mut whole, mut sealed, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
        for (nonce, bytes) in parts {
            let start = whole.len() as u64;
            pieces.push(Piece { start, nonce });
            whole.extend_from_slice(bytes);
            sealed.extend(cipher.apply(nonce, 0, bytes).unwrap());
        }
        for start in 0..whole.len() {
            let mut opener = Opener {
                cipher: cipher.clone(),
                pieces: pieces.clone(),
                at: start as u64,
            };
            let bytes = Bytes::copy_from_slice(&sealed[start..]);
            assert_eq!(opener.apply(&bytes).unwrap(), &whole[start..], "{start}");
        }
    }
}
