//! From bytes to an object.
//!
//! What is known to fit is committed as one; what is longer, or of unknown
//! length and longer than a stripe, goes as an upload in parts, which may be
//! gone on with when it was broken off.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use gridmart_fabric::block::stripe_bytes_max;
use gridmart_schemas::{
    problem::Code,
    wire::storage::{
        Committed, ObjectCommit, ObjectCommitted, ObjectCondition, ObjectHeaders, ObjectOpen,
    },
};
use tokio::{fs::File, io::AsyncRead};

use super::{
    Storage,
    access::Use,
    note::FileState,
    progress::{Meter, TransferProgress},
    source::Source,
    stripes::{StripeWriter, Target, Written},
    upload::{Upload, part_bytes},
};
use crate::error::Error;

/// Time in which an answer that was lost may still have been made.
const LOST_ANSWER_PAUSE: Duration = Duration::from_millis(200);

/// Describes a put.
#[derive(Debug)]
#[must_use = "nothing happens before `bytes`, `file`, `reader` or `stream`"]
pub struct PutBuilder {
    storage: Storage,
    bucket: String,
    key: String,
    pub(super) head: ObjectHeaders,
    condition: ObjectCondition,
    meter: Meter,
    resume: bool,
}

impl PutBuilder {
    pub(super) fn new(storage: Storage, bucket: String, key: String) -> Self {
        Self {
            storage,
            bucket,
            key,
            head: ObjectHeaders::default(),
            condition: ObjectCondition::default(),
            meter: Meter::default(),
            resume: false,
        }
    }

    /// Sets a header that readers get back, as `content-type`; lower case.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.head.headers.insert(name.into(), value.into());
        self
    }

    /// Sets a value of the user's own; names in lower case.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.head.metadata.insert(name.into(), value.into());
        self
    }

    /// Fails with `precondition-failed` if there is an object of the key.
    pub fn if_absent(mut self) -> Self {
        self.condition.if_absent = true;
        self
    }

    /// Fails with `precondition-failed` unless the object has this `ETag`.
    pub fn if_match(mut self, etag: impl Into<String>) -> Self {
        self.condition.if_match = Some(etag.into());
        self
    }

    /// Is told how much is durable. Must not wait.
    pub fn on_progress(mut self, told: impl Fn(TransferProgress) + Send + Sync + 'static) -> Self {
        self.meter.tell(told);
        self
    }

    /// Goes on with an upload of the same file to the same key that was broken
    /// off, if there is one and the file is what it was. For files only.
    pub fn resume(mut self) -> Self {
        self.resume = true;
        self
    }

    /// Puts bytes from memory.
    pub async fn bytes(self, bytes: impl Into<Bytes>) -> Result<ObjectCommitted, Error> {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        self.put(Source::Bytes(bytes), Some(length)).await
    }

    /// Puts a file. A long one that is broken off can be gone on with:
    /// [`Self::resume`], [`Storage::put_resume`].
    pub async fn file(self, path: impl Into<PathBuf>) -> Result<ObjectCommitted, Error> {
        let path = path.into();
        let opened = File::open(&path).await;
        let file = opened.map_err(|error| Error::local("open", &path, error))?;
        let state = FileState::of(&path, &file).await?;
        if self.resume
            && let Some(note) = self
                .storage
                .notes()?
                .find(&state, &self.bucket, &self.key)
                .await?
        {
            match self.storage.go_on(note, self.meter.clone()).await {
                // The Element has forgotten it.
                Err(error) if error.code() == Some(Code::NotFound) => {}
                done => return done,
            }
        }
        self.put_file(Source::File(path, file), state).await
    }

    /// Puts what a reader gives; of so many bytes, if that is known.
    pub async fn reader(
        self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        length: Option<u64>,
    ) -> Result<ObjectCommitted, Error> {
        self.put(Source::Reader(Box::new(reader)), length).await
    }

    /// Puts what a stream gives; of so many bytes, if that is known.
    pub async fn stream(
        self,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: Option<u64>,
    ) -> Result<ObjectCommitted, Error> {
        self.put(Source::stream(pieces), length).await
    }

    async fn put_file(self, source: Source, state: FileState) -> Result<ObjectCommitted, Error> {
        let length = state.length;
        let storage = self.storage.clone();
        let plan = self.plan(Some(length)).await?;
        let moving = Arc::clone(&plan.target.moving);
        let putting = async {
            if length <= part_bytes(plan.target.redundancy, Some(length))? {
                return plan.put_whole(source, Bytes::new(), length).await;
            }
            let upload = Upload::begin(plan, Some((storage.notes()?, state))).await?;
            upload.of_file(source).await
        };
        moving.told(putting.await)
    }

    async fn put(self, source: Source, length: Option<u64>) -> Result<ObjectCommitted, Error> {
        self.plan(length).await?.put(source, length).await
    }

    async fn plan(mut self, length: Option<u64>) -> Result<PutPlan, Error> {
        self.meter.expect(length);
        let plane = self.storage.plane().await?;
        Ok(PutPlan {
            target: Target::of(plane, self.bucket, self.key, self.meter).await?,
            head: self.head,
            condition: self.condition,
        })
    }
}

/// What is to be put, and where.
pub(super) struct PutPlan {
    pub(super) target: Target,
    pub(super) head: ObjectHeaders,
    pub(super) condition: ObjectCondition,
}

impl PutPlan {
    /// Puts what a source gives; of so many bytes, if that is known.
    pub(super) async fn put(
        self,
        source: Source,
        length: Option<u64>,
    ) -> Result<ObjectCommitted, Error> {
        let moving = Arc::clone(&self.target.moving);
        moving.told(self.put_from(source, length).await)
    }

    async fn put_from(
        self,
        mut source: Source,
        length: Option<u64>,
    ) -> Result<ObjectCommitted, Error> {
        let redundancy = self.target.redundancy;
        let known = match length {
            Some(length) if length <= part_bytes(redundancy, length.into())? => {
                return self.put_whole(source, Bytes::new(), length).await;
            }
            Some(length) => Some(length),
            None => None,
        };
        let most = stripe_bytes_max(redundancy);
        let first = source.fill(most).await?;
        if known.is_none() && first.len() < most {
            let length = first.len() as u64;
            return self.put_whole(source, first, length).await;
        }
        let upload = Upload::begin(self, None).await?;
        upload.of_stream(source, first, known).await
    }

    /// Puts what fits into one commit; `first` has come of it already.
    async fn put_whole(
        self,
        mut source: Source,
        first: Bytes,
        length: u64,
    ) -> Result<ObjectCommitted, Error> {
        let Self {
            target,
            head,
            condition,
        } = self;
        let mut writer = StripeWriter::new(target.clone(), None);
        write(&mut writer, &target, &mut source, first, length).await?;
        let written = writer.finish().await?;
        commit(&target, head, condition, written).await
    }
}

/// Writes the next bytes of a source, just so many; `first` has come of them.
pub(super) async fn write(
    writer: &mut StripeWriter,
    target: &Target,
    source: &mut Source,
    mut first: Bytes,
    length: u64,
) -> Result<(), Error> {
    let most = stripe_bytes_max(target.redundancy) as u64;
    let mut left = length;
    while left > 0 {
        let wanted = left.min(most);
        let data = if first.is_empty() {
            let bytes = usize::try_from(wanted).unwrap_or(usize::MAX);
            source.fill(bytes).await?
        } else {
            std::mem::take(&mut first)
        };
        if data.len() as u64 != wanted {
            return Err(source.changed());
        }
        left -= wanted;
        writer.push(data, left).await?;
    }
    Ok(())
}

/// Shows what was written as an object. An answer that was lost is looked for
/// before the object is shown again.
async fn commit(
    target: &Target,
    head: ObjectHeaders,
    condition: ObjectCondition,
    written: Written,
) -> Result<ObjectCommitted, Error> {
    let version = written.version;
    let request = |bucket| ObjectCommit {
        bucket,
        content: Committed::Object {
            key: target.key.clone(),
            head: head.clone(),
            condition: condition.clone(),
        },
        version,
        stripes: written.stripes.clone(),
        receipts: written.receipts.clone(),
        transfer: target.moving.mark(),
    };
    let mut failures = 0;
    loop {
        let asked = target
            .plane
            .ask_once(&target.bucket, Use::Write, request)
            .await;
        let error = match asked {
            Ok(committed) => return Ok(committed),
            Err(error) => error,
        };
        failures += 1;
        if !target.plane.pause(&target.bucket, failures, &error).await {
            return Err(error);
        }
        if let Some(committed) = committed(target, &target.key, version).await? {
            return Ok(committed);
        }
    }
}

/// Whether a commit whose answer was lost was made.
pub(super) async fn committed(
    target: &Target,
    key: &str,
    version: gridmart_schemas::id::VersionId,
) -> Result<Option<ObjectCommitted>, Error> {
    tokio::time::sleep(LOST_ANSWER_PAUSE).await;
    let request = |bucket| ObjectOpen {
        bucket,
        key: key.to_owned(),
        version: Some(version),
        from: 0,
        stripes: 0,
        to: None,
        transfer: target.moving.mark(),
    };
    match target.plane.ask(&target.bucket, Use::Read, request).await {
        Ok(opened) => Ok(Some(ObjectCommitted {
            version,
            etag: opened.object.etag,
        })),
        // Who may not read cannot look, and shows it again.
        Err(error) if matches!(error.code(), Some(Code::NotFound | Code::NotAuthorized)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
