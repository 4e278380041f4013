//! Digests that are computed beside whoever takes the bytes: MD5 alone takes
//! longer than all else that is done with them.

use bytes::Bytes;
use s3s::{S3Result, s3_error};
use tokio::task::JoinHandle;

use super::digest::{Algorithm, Digested, Digests};

/// So many bytes go to another thread together; one batch of them waits while one
/// is computed over.
const BATCH_BYTES: usize = 1024 * 1024;
/// Fewer cost less than the way to another thread.
const HERE_BYTES_MAX: usize = 64 * 1024;

/// See the module.
pub(super) struct Hashing {
    state: State,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

enum State {
    Here(Digests),
    Beside(JoinHandle<Digests>),
    /// The thread has failed.
    Lost,
}

fn lost() -> s3s::S3Error {
    tracing::error!("computing digests was broken off");
    s3_error!(InternalError, "The digests could not be computed.")
}

impl Hashing {
    pub(super) fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self {
            state: State::Here(Digests::new(algorithms)),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// Takes the next bytes; waits while too many are not computed over.
    pub(super) async fn update(&mut self, bytes: &Bytes) -> S3Result<()> {
        self.batch_bytes += bytes.len();
        self.batch.push(bytes.clone());
        if self.batch_bytes >= BATCH_BYTES {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// What came out.
    pub(super) async fn finish(mut self) -> S3Result<Digested> {
        if self.batch_bytes > HERE_BYTES_MAX {
            self.hand_over().await?;
        }
        let mut digests = self.digests().await?;
        for bytes in &self.batch {
            digests.update(bytes);
        }
        Ok(digests.finish())
    }

    async fn hand_over(&mut self) -> S3Result<()> {
        let mut digests = self.digests().await?;
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.state = State::Beside(tokio::task::spawn_blocking(move || {
            for bytes in &batch {
                digests.update(bytes);
            }
            digests
        }));
        Ok(())
    }

    /// The digests over all that was handed over.
    async fn digests(&mut self) -> S3Result<Digests> {
        match std::mem::replace(&mut self.state, State::Lost) {
            State::Here(digests) => Ok(digests),
            State::Beside(working) => working.await.map_err(|_| lost()),
            State::Lost => Err(lost()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_of_any_size_have_the_digests_of_the_whole() {
        let noise: Vec<u8> = (0..5 * BATCH_BYTES / 2)
            .map(|at: usize| (at % 251).to_le_bytes()[0])
            .collect();
        for length in [
            0,
            1,
            HERE_BYTES_MAX,
            HERE_BYTES_MAX + 1,
            BATCH_BYTES,
            noise.len(),
        ] {
            let whole = &noise[..length];
            let mut expected = Digests::new([Algorithm::Crc32c]);
            expected.update(whole);
            let mut hashing = Hashing::new([Algorithm::Crc32c]);
            for piece in whole.chunks(30_011) {
                let piece = Bytes::copy_from_slice(piece);
                hashing.update(&piece).await.unwrap();
            }
            assert_eq!(hashing.finish().await.unwrap(), expected.finish());
        }
    }
}
