//! The two doors to objects: the SDK, which writes and reads the Hosts itself,
//! and S3, where the Element does.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use gridmart_schemas::api::access_key::AccessKeyMade;
use gridmart_sdk::Storage;
use object_store::{
    ClientOptions, ObjectStore as _, ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    signer::{SignedUrlOptions, Signer as _},
};

/// One request may take so long.
const REQUEST_MAX: Duration = Duration::from_mins(5);

/// A way to the objects of one bucket.
pub(super) enum Door {
    Sdk(Storage, String),
    S3(AmazonS3),
}

impl Door {
    /// Bodies are not signed: hashing them twice is the client's affair.
    pub(super) fn s3(key: &AccessKeyMade, bucket: &str) -> anyhow::Result<Self> {
        let store = AmazonS3Builder::new()
            .with_endpoint(&key.endpoint)
            .with_region(&key.region)
            .with_access_key_id(&key.id)
            .with_secret_access_key(&key.secret)
            .with_bucket_name(bucket)
            .with_unsigned_payload(true)
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(true)
                    .with_timeout(REQUEST_MAX),
            )
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .build()?;
        Ok(Self::S3(store))
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Sdk(..) => "SDK",
            Self::S3(_) => "S3",
        }
    }

    pub(super) async fn put(&self, key: &str, bytes: Bytes) -> anyhow::Result<()> {
        match self {
            Self::Sdk(storage, bucket) => {
                storage.put(bucket, key).bytes(bytes).await?;
            }
            Self::S3(store) => {
                store.put(&Path::from(key), PutPayload::from(bytes)).await?;
            }
        }
        Ok(())
    }

    /// Gives each piece as it comes.
    pub(super) async fn get(
        &self,
        key: &str,
        mut piece: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Sdk(storage, bucket) => {
                let mut reader = storage.get(bucket, key).open().await?;
                while let Some(bytes) = reader.next().await? {
                    piece(&bytes)?;
                }
            }
            Self::S3(store) => {
                let mut stream = store.get(&Path::from(key)).await?.into_stream();
                while let Some(bytes) = stream.next().await {
                    piece(&bytes?)?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn range(&self, key: &str, range: Range<u64>) -> anyhow::Result<Bytes> {
        Ok(match self {
            Self::Sdk(storage, bucket) => storage.get(bucket, key).range(range).bytes().await?,
            Self::S3(store) => store.get_range(&Path::from(key), range).await?,
        })
    }

    /// The address of a page of 1,000 lines, for whoever has it; none for the SDK,
    /// which asks over its stream.
    pub(super) async fn page_url(&self, prefix: &str) -> anyhow::Result<Option<String>> {
        let Self::S3(store) = self else {
            return Ok(None);
        };
        let asked = SignedUrlOptions::new().with_query([
            ("list-type", "2"),
            ("max-keys", "1000"),
            ("prefix", prefix),
        ]);
        let root = Path::from("");
        let url = store.signed_url_opts(reqwest::Method::GET, &root, REQUEST_MAX, &asked);
        Ok(Some(url.await?.to_string()))
    }

    /// Counts what begins with `prefix`.
    pub(super) async fn count(&self, prefix: &str) -> anyhow::Result<usize> {
        match self {
            Self::Sdk(storage, bucket) => {
                let mut listing = storage.list(bucket).prefix(prefix);
                let mut count = 0;
                while let Some(page) = listing.next().await? {
                    count += page.objects.len();
                }
                Ok(count)
            }
            Self::S3(store) => {
                let listed = store.list(Some(&Path::from(prefix)));
                Ok(listed
                    .try_fold(0, |count, _| async move { Ok(count + 1) })
                    .await?)
            }
        }
    }
}
