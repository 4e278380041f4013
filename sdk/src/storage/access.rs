//! What the controller permits with buckets, kept until shortly before its
//! tickets expire.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use gridmart_schemas::{
    api::{
        access::{AccessDecision, ElementAccess},
        bucket::{BucketAccess, BucketAccessRequest},
    },
    id::{KeyHash, RequestId},
    problem::Code,
    role::Operation,
    wire::staging::BucketGrant,
};
use parking_lot::Mutex;
use reqwest::Method;

use crate::{error::Error, http::Http};

/// A ticket is used no more so long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(15);
/// Passes that are kept at a time.
const PASSES_MAX: usize = 1024;

/// Who is asked whether a bucket may be used.
pub trait AccessSource: Send + Sync + 'static {
    /// Asks for a ticket that is good for the key of this hash. The bucket is
    /// `NAME` or `ELEMENT/NAME`.
    fn bucket_grant(
        &self,
        request: BucketAccessRequest,
    ) -> BoxFuture<'_, Result<BucketGrant, Error>>;
}

/// The controller itself, asked with its user's token.
impl AccessSource for Http {
    fn bucket_grant(
        &self,
        request: BucketAccessRequest,
    ) -> BoxFuture<'_, Result<BucketGrant, Error>> {
        Box::pin(async move {
            let decision: AccessDecision = self
                .request(Method::POST, "access/buckets", &[], Some(&request))
                .await?;
            let AccessDecision {
                request_id,
                application: _,
                bucket,
                database: _,
                elements,
                expires_in,
                explanation: _,
            } = decision;
            let (Some(bucket), Some(element)) = (bucket, elements.into_iter().next()) else {
                return Err(Error::refused(
                    Code::VersionUnsupported,
                    "the controller's decision names no bucket and Element",
                ));
            };
            Ok(BucketGrant {
                request: request_id,
                bucket,
                element,
                expires_in,
            })
        })
    }
}

/// What is to be done with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Use {
    /// To read.
    Read,
    /// To write; and to read as well, where that is permitted.
    Write,
}

impl Use {
    const fn operation(self) -> Operation {
        match self {
            Self::Read => Operation::Read,
            Self::Write => Operation::Write,
        }
    }
}

/// The permission to use a bucket.
pub(super) struct Pass {
    pub(super) request: RequestId,
    pub(super) bucket: BucketAccess,
    pub(super) element: ElementAccess,
    operations: Vec<Operation>,
    expires: Instant,
}

impl Pass {
    /// Whether it serves for this, now.
    pub(super) fn serves(&self, usage: Use) -> bool {
        Instant::now() < self.expires && self.operations.contains(&usage.operation())
    }
}

/// Passes by the bucket, as the user names it, and what they were asked for.
pub(super) struct Passes {
    source: Arc<dyn AccessSource>,
    presenter: KeyHash,
    known: Mutex<HashMap<(String, Use), Arc<Pass>>>,
    /// One question at a time: a burst of transfers asks once.
    asking: tokio::sync::Mutex<()>,
}

impl Passes {
    pub(super) fn new(source: Arc<dyn AccessSource>, presenter: KeyHash) -> Self {
        Self {
            source,
            presenter,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Gives a pass that serves.
    pub(super) async fn get(&self, bucket: &str, usage: Use) -> Result<Arc<Pass>, Error> {
        if let Some(pass) = self.known(bucket, usage) {
            return Ok(pass);
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(pass) = self.known(bucket, usage) {
            return Ok(pass);
        }
        let pass = Arc::new(self.ask(bucket, usage).await?);
        let mut known = self.known.lock();
        if known.len() >= PASSES_MAX {
            let now = Instant::now();
            known.retain(|_, pass| now < pass.expires);
        }
        if known.len() < PASSES_MAX {
            known.insert((bucket.to_owned(), usage), Arc::clone(&pass));
        }
        Ok(pass)
    }

    /// Asks for a ticket that somebody else will show.
    pub(super) async fn grant(&self, request: BucketAccessRequest) -> Result<BucketGrant, Error> {
        self.source.bucket_grant(request).await
    }

    /// The ticket was refused, or the Element is not there: ask anew.
    pub(super) fn forget(&self, pass: &Arc<Pass>) {
        self.known
            .lock()
            .retain(|_, known| !Arc::ptr_eq(known, pass));
    }

    /// Whether there was a pass for it, even if it has ended.
    pub(super) fn was_known(&self, bucket: &str) -> bool {
        self.last(bucket).is_some()
    }

    /// A pass for it, even if it has ended.
    pub(super) fn last(&self, bucket: &str) -> Option<Arc<Pass>> {
        let known = self.known.lock();
        let asked = [Use::Write, Use::Read];
        let mut passes = asked
            .iter()
            .filter_map(|usage| known.get(&(bucket.to_owned(), *usage)));
        passes.next().cloned()
    }

    fn known(&self, bucket: &str, usage: Use) -> Option<Arc<Pass>> {
        let known = self.known.lock();
        // Who may write may most often read.
        [Use::Write, usage]
            .into_iter()
            .filter_map(|asked| known.get(&(bucket.to_owned(), asked)))
            .find(|pass| pass.serves(usage))
            .cloned()
    }

    async fn ask(&self, bucket: &str, usage: Use) -> Result<Pass, Error> {
        let both = vec![Operation::Read, Operation::Write];
        match usage {
            Use::Read => self.ask_for(bucket, vec![Operation::Read]).await,
            Use::Write => match self.ask_for(bucket, both).await {
                Err(error) if error.code() == Some(Code::NotAuthorized) => {
                    self.ask_for(bucket, vec![Operation::Write]).await
                }
                answer => answer,
            },
        }
    }

    /// A stopped Element lets end what is under way, and only that: whoever used
    /// it before asks for it once more.
    async fn ask_for(&self, bucket: &str, operations: Vec<Operation>) -> Result<Pass, Error> {
        match self.ask_once(bucket, operations.clone(), false).await {
            Err(error) if error.code() == Some(Code::NotAccepting) && self.was_known(bucket) => {
                self.ask_once(bucket, operations, true).await
            }
            answer => answer,
        }
    }

    async fn ask_once(
        &self,
        bucket: &str,
        operations: Vec<Operation>,
        going_on: bool,
    ) -> Result<Pass, Error> {
        let request = BucketAccessRequest {
            bucket: bucket.to_owned(),
            operations: operations.clone(),
            presenter: self.presenter.clone(),
            going_on,
        };
        let asked = Instant::now();
        let BucketGrant {
            request,
            bucket,
            element,
            expires_in,
        } = self.source.bucket_grant(request).await?;
        let life = Duration::from_secs(expires_in.into());
        Ok(Pass {
            request,
            bucket,
            element,
            operations,
            expires: asked + life.saturating_sub(EXPIRY_MARGIN.min(life / 4)),
        })
    }
}
