//! Where a bucket is, and who the Host is there.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
    path::Path as Key,
};

/// The most bytes of a file with credentials.
const CREDENTIALS_BYTES_MAX: u64 = 16 * 1024;
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a request is sent again that failed for a moment, and for how long.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Where buckets are if nobody says otherwise.
const REGION_DEFAULT: &str = "us-east-1";

/// Names of credentials, as programs that speak S3 know them.
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";

/// Who the Host is at the object store. Nothing of it is ever shown.
#[derive(Clone)]
pub struct Credentials {
    key_id: String,
    secret: String,
    token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// Reads them where `variable` knows them: the environment, say.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BucketError> {
        let required = |name: &'static str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.ok_or(BucketError::Missing { name })
        };
        Ok(Self {
            key_id: required(KEY_ID)?,
            secret: required(SECRET)?,
            token: variable(TOKEN).filter(|token| !token.is_empty()),
        })
    }

    /// Reads a file with a line `NAME=VALUE` for each; blocks.
    pub fn of_file(path: &Path) -> Result<Self, BucketError> {
        let read = || {
            let length = std::fs::metadata(path)?.len();
            if length > CREDENTIALS_BYTES_MAX {
                let most = format!("it has more than {CREDENTIALS_BYTES_MAX} bytes");
                return Err(io::Error::other(most));
            }
            std::fs::read_to_string(path)
        };
        let text = read().map_err(|source| BucketError::File {
            path: path.display().to_string(),
            source,
        })?;
        Self::read(|name| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            let found = lines.find(|(key, _)| key.trim().trim_start_matches("export ") == name);
            found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
        })
    }
}

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The URL is none.
    #[error("{url:?} is no place for blocks: s3://BUCKET or s3://BUCKET/PREFIX is expected")]
    Url {
        /// What was given.
        url: String,
    },
    /// Nobody has said who the Host is there.
    #[error(
        "{name} is not set: say who the Host is at the object store, in the environment or with --volume-credentials"
    )]
    Missing {
        /// What is missing.
        name: &'static str,
    },
    /// The file with credentials cannot be read.
    #[error("{path}, with the credentials for the object store, cannot be read")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The settings contradict each other.
    #[error("the object store cannot be used with these settings: {0}")]
    Settings(String),
}

/// Where blocks are kept in another object store.
#[derive(Clone, Debug)]
pub struct BucketSettings {
    bucket: String,
    prefix: String,
    endpoint: Option<String>,
    region: Option<String>,
    credentials: Credentials,
}

impl BucketSettings {
    /// `url`: `s3://BUCKET[/PREFIX]`; `endpoint`: `http(s)://…` of a store that
    /// is not Amazon's.
    pub fn new(
        url: &str,
        endpoint: Option<String>,
        region: Option<String>,
        credentials: Credentials,
    ) -> Result<Self, BucketError> {
        let unreadable = || BucketError::Url {
            url: url.chars().take(200).collect(),
        };
        let place = url.strip_prefix("s3://").ok_or_else(unreadable)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() || Key::parse(prefix.trim_end_matches('/')).is_err() {
            return Err(unreadable());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.trim_end_matches('/').to_owned(),
            endpoint: endpoint.filter(|endpoint| !endpoint.is_empty()),
            region: region.filter(|region| !region.is_empty()),
            credentials,
        })
    }

    /// Where it is, for people.
    pub fn shown(&self) -> String {
        let Self { bucket, prefix, .. } = self;
        let at = self.endpoint.as_deref().unwrap_or("Amazon S3");
        format!("s3://{bucket}/{prefix} at {at}")
    }

    /// What all keys begin with.
    pub(super) fn root(&self) -> Key {
        Key::from(self.prefix.as_str())
    }

    /// The way there; nothing is asked yet.
    pub(super) fn store(&self) -> Result<Arc<dyn ObjectStore>, BucketError> {
        let Credentials {
            key_id,
            secret,
            token,
        } = self.credentials.clone();
        let options = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(self.region.as_deref().unwrap_or(REGION_DEFAULT))
            .with_access_key_id(key_id)
            .with_secret_access_key(secret)
            // Every store has buckets in the path.
            .with_virtual_hosted_style_request(false)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(options)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: RETRIES_MAX,
                retry_timeout: RETRY_TIMEOUT,
            });
        if let Some(token) = token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_allow_http(endpoint.starts_with("http://"));
        }
        let built = builder.build();
        let built = built.map_err(|error| BucketError::Settings(error.to_string()))?;
        Ok(Arc::new(built))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::read(|name| Some(format!("the {name}"))).unwrap()
    }

    #[test]
    fn places_are_read_and_secrets_are_not_shown() {
        let of = |url: &str| BucketSettings::new(url, None, None, credentials());
        let settings = of("s3://cold/hosts/one/").unwrap();
        assert_eq!(
            (settings.bucket.as_str(), settings.prefix.as_str()),
            ("cold", "hosts/one")
        );
        assert!(of("s3://cold").unwrap().store().is_ok());
        for bad in ["cold", "s3://", "s3:///x", "http://cold", "s3://cold/a//b"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        let shown = format!("{settings:?} {}", settings.shown());
        assert!(!shown.contains("the AWS"), "{shown}");
    }

    #[test]
    fn credentials_come_from_a_file_or_are_missed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(
            &path,
            "AWS_ACCESS_KEY_ID=a\nexport AWS_SECRET_ACCESS_KEY=\"b\"\n",
        )
        .unwrap();
        let read = Credentials::of_file(&path).unwrap();
        assert_eq!((read.key_id.as_str(), read.secret.as_str()), ("a", "b"));
        std::fs::write(&path, "AWS_ACCESS_KEY_ID=a\n").unwrap();
        let missing = Credentials::of_file(&path).unwrap_err().to_string();
        assert!(missing.contains("AWS_SECRET_ACCESS_KEY"), "{missing}");
        assert!(Credentials::of_file(&folder.path().join("none")).is_err());
    }
}
