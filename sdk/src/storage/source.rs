//! Where the bytes of a put come from.

use std::{fmt, io, path::PathBuf};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use gridmart_fabric::block::StripeBuffer;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _},
};

use crate::error::Error;

/// See the module.
pub(super) enum Source {
    Bytes(Bytes),
    File(PathBuf, File),
    Reader(Box<dyn AsyncRead + Send + Unpin>),
    Stream {
        pieces: BoxStream<'static, io::Result<Bytes>>,
        /// What of the last piece did not fit.
        left: Bytes,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "Bytes",
            Self::File(..) => "File",
            Self::Reader(_) => "Reader",
            Self::Stream { .. } => "Stream",
        })
    }
}

impl Source {
    pub(super) fn stream(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self::Stream {
            pieces: pieces.boxed(),
            left: Bytes::new(),
        }
    }

    /// The next bytes, as many as `most`; fewer only at the end.
    pub(super) async fn fill(&mut self, most: usize) -> Result<Bytes, Error> {
        let filled = match self {
            Self::Bytes(bytes) => return Ok(bytes.split_to(most.min(bytes.len()))),
            Self::File(_, file) => fill_from(file, most).await,
            Self::Reader(reader) => fill_from(reader, most).await,
            Self::Stream { pieces, left } => gather(pieces, left, most).await,
        };
        filled.map_err(|source| Error::Local {
            action: "read",
            target: self.name(),
            source,
        })
    }

    /// Goes on at this byte; for files, which alone are gone on with.
    pub(super) async fn seek(&mut self, at: u64) -> Result<(), Error> {
        if let Self::File(path, file) = self {
            let sought = file.seek(io::SeekFrom::Start(at)).await;
            sought.map_err(|error| Error::local("read", path, error))?;
        }
        Ok(())
    }

    /// The failure of a source that gave another number of bytes than was said.
    pub(super) fn changed(&self) -> Error {
        Error::Local {
            action: "read",
            target: self.name(),
            source: io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it has ended before the bytes that it was said to have; it was changed meanwhile",
            ),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path, _) => path.display().to_string(),
            _ => "what is to be put".to_owned(),
        }
    }
}

async fn fill_from(reader: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<Bytes> {
    let mut filled = StripeBuffer::new(most);
    let mut at = 0;
    while at < most {
        match reader.read(&mut filled[at..]).await? {
            0 => break,
            read => at += read,
        }
    }
    Ok(filled.freeze(at))
}

async fn gather(
    pieces: &mut BoxStream<'static, io::Result<Bytes>>,
    left: &mut Bytes,
    most: usize,
) -> io::Result<Bytes> {
    let mut filled = StripeBuffer::new(most);
    let mut at = 0;
    while at < most {
        if left.is_empty() {
            match pieces.next().await.transpose()? {
                Some(piece) => *left = piece,
                None => break,
            }
            continue;
        }
        let piece = left.split_to(left.len().min(most - at));
        if at == 0 && piece.len() == most {
            return Ok(piece);
        }
        filled[at..at + piece.len()].copy_from_slice(&piece);
        at += piece.len();
    }
    Ok(filled.freeze(at))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn pieces(mut source: Source, most: usize) -> Vec<usize> {
        let mut lengths = Vec::new();
        loop {
            let piece = source.fill(most).await.unwrap();
            let at: usize = lengths.iter().sum();
            assert!(
                (at..)
                    .zip(piece.iter())
                    .all(|(at, byte)| *byte == content(at))
            );
            lengths.push(piece.len());
            if piece.len() < most {
                return lengths;
            }
        }
    }

    fn content(at: usize) -> u8 {
        u8::try_from(at * 7 % 251).unwrap()
    }

    #[tokio::test]
    async fn all_sources_give_the_same_pieces() {
        let bytes: Vec<u8> = (0..300_000).map(content).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, &bytes).unwrap();
        let whole = Bytes::from(bytes);
        let chunks: Vec<io::Result<Bytes>> = [0..1, 1..70_000, 70_000..70_000, 70_000..300_000]
            .map(|range| Ok(whole.slice(range)))
            .into();
        for (most, lengths) in [
            (100_000, vec![100_000, 100_000, 100_000, 0]),
            (131_072, vec![131_072, 131_072, 37_856]),
        ] {
            let file = File::open(&path).await.unwrap();
            let again = chunks
                .iter()
                .map(|chunk| Ok(chunk.as_ref().unwrap().clone()));
            let sources = [
                Source::Bytes(whole.clone()),
                Source::File(path.clone(), file),
                Source::Reader(Box::new(io::Cursor::new(whole.to_vec()))),
                Source::stream(stream::iter(again.collect::<Vec<_>>())),
            ];
            for source in sources {
                let name = format!("{source:?}");
                assert_eq!(pieces(source, most).await, lengths, "{name}");
            }
        }
    }
}
