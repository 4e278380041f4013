//! The controller's decisions, kept until shortly before their tickets expire.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    api::access::{AccessDecision, ApplicationAccess, ApplicationAccessRequest, ElementAccess},
    id::{KeyHash, RequestId},
    problem::{Code, Problem},
    role::Operation,
};
use parking_lot::Mutex;
use reqwest::Method;

use crate::{error::Error, http::Http};

/// A ticket is used no more so long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(15);
/// Decisions that are kept at a time.
const DECISIONS_MAX: usize = 1024;

/// What is wanted: a name, needs, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Need {
    /// `NAME` or `NAME@VERSION`; empty: whatever meets the needs.
    pub(crate) application: String,
    /// As `ApplicationAccessRequest::needs`.
    pub(crate) needs: Vec<String>,
}

/// A decision, and until when its tickets serve.
pub(crate) struct Access {
    pub(crate) request: RequestId,
    pub(crate) application: ApplicationAccess,
    pub(crate) elements: Vec<ElementAccess>,
    expires: Instant,
}

impl Access {
    fn fresh(&self) -> bool {
        Instant::now() < self.expires
    }
}

/// Decisions by need.
pub(crate) struct AccessCache {
    http: Http,
    presenter: KeyHash,
    decisions: Mutex<HashMap<Need, Arc<Access>>>,
    /// One question at a time: a burst of calls asks once. What was refused
    /// last is for those who came before it was asked.
    asking: tokio::sync::Mutex<Option<Refused>>,
}

/// A question that was refused.
struct Refused {
    need: Need,
    asked: Instant,
    problem: Problem,
}

impl AccessCache {
    pub(crate) fn new(http: Http, presenter: KeyHash) -> Self {
        Self {
            http,
            presenter,
            decisions: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    fn known(&self, need: &Need) -> Option<Arc<Access>> {
        self.decisions
            .lock()
            .get(need)
            .filter(|access| access.fresh())
            .cloned()
    }

    /// An expired decision: it names the application still, when the
    /// controller is away and a lease is held.
    pub(crate) fn stale(&self, need: &Need) -> Option<Arc<Access>> {
        self.decisions.lock().get(need).cloned()
    }

    /// Gives a decision whose tickets serve.
    pub(crate) async fn get(&self, need: &Need) -> Result<Arc<Access>, Error> {
        if let Some(access) = self.known(need) {
            return Ok(access);
        }
        let came = Instant::now();
        let mut last = self.asking.lock().await;
        if let Some(access) = self.known(need) {
            return Ok(access);
        }
        if let Some(refused) = &*last
            && refused.need == *need
            && refused.asked >= came
        {
            return Err(refused.problem.clone().into());
        }
        let asked = Instant::now();
        let access = match self.ask(need).await {
            Ok(access) => Arc::new(access),
            Err(error) => {
                *last = error.problem().map(|problem| Refused {
                    need: need.clone(),
                    asked,
                    problem: problem.clone(),
                });
                return Err(error);
            }
        };
        let mut decisions = self.decisions.lock();
        if decisions.len() >= DECISIONS_MAX {
            decisions.retain(|_, access| access.fresh());
        }
        if decisions.len() < DECISIONS_MAX {
            decisions.insert(need.clone(), Arc::clone(&access));
        }
        Ok(access)
    }

    /// The tickets were refused, or the Elements did not serve: ask anew.
    pub(crate) fn forget(&self, need: &Need, access: &Arc<Access>) {
        let mut decisions = self.decisions.lock();
        if decisions
            .get(need)
            .is_some_and(|known| Arc::ptr_eq(known, access))
        {
            decisions.remove(need);
        }
    }

    async fn ask(&self, need: &Need) -> Result<Access, Error> {
        let request = ApplicationAccessRequest {
            application: (!need.application.is_empty()).then(|| need.application.clone()),
            needs: need.needs.clone(),
            operations: vec![Operation::Call],
            presenter: self.presenter.clone(),
            avoid: Vec::new(),
        };
        let asked = Instant::now();
        let decision: AccessDecision = self
            .http
            .request(Method::POST, "access/applications", &[], Some(&request))
            .await?;
        let AccessDecision {
            request_id,
            application,
            bucket: _,
            database: _,
            elements,
            expires_in,
            explanation: _,
        } = decision;
        let application = application.ok_or_else(|| {
            Error::refused(
                Code::VersionUnsupported,
                "the controller's decision names no application",
            )
        })?;
        let life = Duration::from_secs(expires_in.into());
        let expires = asked + life.saturating_sub(EXPIRY_MARGIN.min(life / 4));
        Ok(Access {
            request: request_id,
            application,
            elements,
            expires,
        })
    }
}
