//! Who asks, and what is known of the request.

use std::{net::SocketAddr, sync::Arc};

use gridmart_schemas::{
    id::{PersonName, TransferId},
    role::Role,
};
use s3s::{S3Request, S3Result};
use tokio_util::sync::CancellationToken;

use super::{context::BucketContext, fault, policy::Facts};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Who has signed with a key of a person.
    Person {
        name: PersonName,
        /// The role of now.
        role: Role,
    },
    /// Who has not signed.
    Anonymous,
}

impl Caller {
    /// The name of who has signed.
    pub(super) fn signed_name(&self) -> Option<&str> {
        match self {
            Self::Person { name, .. } => Some(name.as_str()),
            Self::Anonymous => None,
        }
    }

    /// The person; whoever is not known owns nothing.
    pub(super) fn person(&self) -> S3Result<&PersonName> {
        match self {
            Self::Person { name, .. } => Ok(name),
            Self::Anonymous => Err(fault::denied()),
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    /// Over TLS.
    pub(super) is_secure: bool,
}

/// By what one request is known and ended.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    /// Its `x-amz-request-id`.
    pub(super) id: TransferId,
    /// Cuts its connection.
    pub(super) connection: CancellationToken,
}

/// What the gate has found out of a request that it let in.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) caller: Caller,
    /// The bucket that it is about; none for requests about no bucket, or about
    /// one that is to be made.
    pub(super) bucket: Option<Arc<BucketContext>>,
    /// What policies may ask about.
    pub(super) facts: Arc<Facts>,
    /// By what it is known and ended.
    pub(super) handle: Option<Handle>,
}

/// The session of a request.
pub(super) fn session<T>(request: &S3Request<T>) -> S3Result<Session> {
    let session = request.extensions.get::<Session>();
    session.cloned().ok_or_else(fault::denied)
}

/// The session of a request about a bucket, and the bucket.
pub(super) fn bucket_session<T>(request: &S3Request<T>) -> S3Result<(Session, Arc<BucketContext>)> {
    let session = session(request)?;
    let bucket = session.bucket.clone().ok_or_else(fault::denied)?;
    Ok((session, bucket))
}
