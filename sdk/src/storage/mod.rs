//! Buckets and the objects in them.
//!
//! ```no_run
//! # async fn demo() -> Result<(), gridmart_sdk::Error> {
//! let client = gridmart_sdk::Client::from_env()?;
//! let storage = client.storage();
//! storage.put("photos", "2026/sea.jpg").file("sea.jpg").await?;
//! let bytes = storage.get("photos", "2026/sea.jpg").bytes().await?;
//! # drop(bytes); client.close().await;
//! # Ok(()) }
//! ```
//!
//! A bucket is named `NAME`, or `ELEMENT/NAME` where several Elements have one
//! of that name. Bytes go straight between this process and the Hosts; the
//! Element is asked where, and told what was written.
//!
//! Memory: a put holds the stripe that it fills, and at most 96 MiB of stripes
//! on their way (one, if it is longer); all puts of a client together 256 MiB
//! of the latter. A get holds at most 16 MiB ahead of whoever reads; as many
//! times more as a stripe has data blocks while lost ones are rebuilt. Neither
//! depends on how long an object is.
//!
//! What fails because an Element or a Host is away, or is busy, is tried again
//! for some twenty seconds; a put is shown once, even if the answer was lost.

mod access;
mod delegated;
mod element;
mod get;
mod hosts;
mod list;
mod moving;
mod note;
mod parts;
mod plane;
mod progress;
mod put;
mod read;
mod resume;
mod source;
mod stripes;
mod upload;

use std::{ops::RangeBounds, sync::Arc};

use bytes::Bytes;
use gridmart_schemas::{
    api::bucket::{BucketChangeRequest, BucketCreateRequest, BucketView, BucketsView},
    id::VersionId,
    wire::storage::{
        ObjectCommitted, ObjectCopy, ObjectDelete, ObjectOpen, ObjectView, StripeView,
    },
};
use reqwest::Method;

use self::access::Use;
pub(crate) use self::plane::Plane;
pub use self::{
    access::AccessSource, delegated::DelegatedStorage, get::GetBuilder, list::ObjectPages,
    note::BrokenUpload, parts::PartUpload, plane::TransferMemory, progress::TransferProgress,
    put::PutBuilder, read::ObjectReader,
};
use crate::{client::Client, error::Error};

/// `client.storage()`.
#[derive(Clone, Debug)]
pub struct Storage {
    client: Client,
}

impl Storage {
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a bucket; it belongs to who asks.
    pub async fn bucket_create(&self, wanted: &BucketCreateRequest) -> Result<BucketView, Error> {
        self.client.post("buckets", &[], wanted).await
    }

    /// Lists the buckets that may be used; of one Element, if it is named.
    pub async fn bucket_list(&self, element: Option<&str>) -> Result<BucketsView, Error> {
        let element = element.map(str::to_owned);
        self.client.get("buckets", &[("element", element)]).await
    }

    /// Shows a bucket.
    pub async fn bucket_show(&self, bucket: &str) -> Result<BucketView, Error> {
        self.bucket(Method::GET, bucket, None::<&()>).await
    }

    /// Changes what its owner allows.
    pub async fn bucket_change(
        &self,
        bucket: &str,
        change: &BucketChangeRequest,
    ) -> Result<BucketView, Error> {
        self.bucket(Method::PATCH, bucket, Some(change)).await
    }

    /// Removes a bucket that is empty.
    pub async fn bucket_delete(&self, bucket: &str) -> Result<(), Error> {
        self.bucket(Method::DELETE, bucket, None::<&()>).await
    }

    async fn bucket<B, A>(&self, method: Method, bucket: &str, body: Option<&B>) -> Result<A, Error>
    where
        B: serde::Serialize + Sync,
        A: serde::de::DeserializeOwned,
    {
        let (element, name) = match bucket.split_once('/') {
            Some((element, name)) => (Some(element.to_owned()), name),
            None => (None, bucket),
        };
        let path = format!("buckets/{name}");
        let http = self.client.http();
        http.request(method, &path, &[("element", element)], body)
            .await
    }

    /// Describes a put.
    pub fn put(&self, bucket: impl Into<String>, key: impl Into<String>) -> PutBuilder {
        PutBuilder::new(self.clone(), bucket.into(), key.into())
    }

    /// Describes a get.
    pub fn get(&self, bucket: impl Into<String>, key: impl Into<String>) -> GetBuilder {
        GetBuilder::new(self.clone(), bucket.into(), key.into())
    }

    /// Gets a range of an object into memory; what of it is behind the end is
    /// left out.
    pub async fn get_range(
        &self,
        bucket: &str,
        key: &str,
        range: impl RangeBounds<u64>,
    ) -> Result<Bytes, Error> {
        self.get(bucket, key).range(range).bytes().await
    }

    /// Tells what an object is.
    pub async fn stat(&self, bucket: &str, key: &str) -> Result<ObjectView, Error> {
        let request = |bucket| ObjectOpen {
            bucket,
            key: key.to_owned(),
            version: None,
            from: 0,
            stripes: 0,
            to: None,
            transfer: None,
        };
        let plane = self.plane().await?;
        Ok(plane.ask(bucket, Use::Read, request).await?.object)
    }

    /// Tells what an object is, and where the blocks of its stripes are, from the stripe
    /// with byte `from` on; of at most so many stripes, and never more than 64.
    pub async fn placement(
        &self,
        bucket: &str,
        key: &str,
        (from, stripes): (u64, u32),
    ) -> Result<(ObjectView, Vec<StripeView>), Error> {
        let request = |bucket| ObjectOpen {
            bucket,
            key: key.to_owned(),
            version: None,
            from,
            stripes,
            to: None,
            transfer: None,
        };
        let plane = self.plane().await?;
        let opened = plane.ask(bucket, Use::Read, request).await?;
        Ok((opened.object, opened.stripes))
    }

    /// Lists objects, by key.
    pub fn list(&self, bucket: impl Into<String>) -> ObjectPages {
        ObjectPages::new(self.clone(), bucket.into())
    }

    /// Deletes an object. One that is not there is no error.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        self.delete_of(bucket, key, None).await
    }

    /// Deletes one version of an object for good.
    pub async fn delete_version(
        &self,
        bucket: &str,
        key: &str,
        version: VersionId,
    ) -> Result<(), Error> {
        self.delete_of(bucket, key, Some(version)).await
    }

    async fn delete_of(
        &self,
        bucket: &str,
        key: &str,
        version: Option<VersionId>,
    ) -> Result<(), Error> {
        let request = |bucket| ObjectDelete {
            bucket,
            key: key.to_owned(),
            version,
        };
        let plane = self.plane().await?;
        plane.ask(bucket, Use::Write, request).await?;
        Ok(())
    }

    /// Copies an object. Within an Element the Element does it; from one to
    /// another the bytes go through this process.
    pub async fn copy(
        &self,
        from: (&str, &str),
        to: (&str, &str),
    ) -> Result<ObjectCommitted, Error> {
        let plane = self.plane().await?;
        let (from_bucket, from_key) = from;
        let (bucket, key) = to;
        let source = plane.pass(from_bucket, Use::Read).await?;
        let target = plane.pass(bucket, Use::Write).await?;
        if source.element.element != target.element.element {
            return self.copy_through(from, to).await;
        }
        let request = |bucket| ObjectCopy {
            bucket,
            key: key.to_owned(),
            from_bucket: source.bucket.id,
            from_key: from_key.to_owned(),
        };
        plane.ask_to_copy(request, from_bucket, bucket).await
    }

    async fn copy_through(
        &self,
        (from_bucket, from_key): (&str, &str),
        (bucket, key): (&str, &str),
    ) -> Result<ObjectCommitted, Error> {
        let reader = self.get(from_bucket, from_key).open().await?;
        let mut put = self.put(bucket, key);
        put.head = reader.object().head.clone();
        let length = reader.left();
        let pieces =
            futures_util::TryStreamExt::map_err(reader.into_stream(), std::io::Error::other);
        put.stream(pieces, Some(length)).await
    }

    async fn plane(&self) -> Result<Arc<Plane>, Error> {
        Ok(Arc::clone(self.client.grid().await?.storage()))
    }
}
