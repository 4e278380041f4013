//! Lets requests in: who asks, about what, and whether that may be.
//!
//! First what the Element's operator allows and what the role says; then a
//! denial of the bucket's policy; then whether anything allows it: being the
//! owner, the bucket's own rules, its policy, an access control list. Who has not
//! signed is let in by a policy or a list alone, and only where the Element's
//! rules are for all.

use std::sync::Arc;

use gridmart_fabric::rule::{
    Subject,
    bucket::{enter, judge},
};
use gridmart_schemas::{
    id::PersonName,
    resource::common::{AccessRule, Who},
    role::Operation,
};
use s3s::{
    S3ErrorCode, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    dto::PostObjectInput,
    path::S3Path,
    s3_error,
};

use super::{
    acl::Permission,
    authentication::Authentication,
    caller::{Caller, Handle, Remote, Session, bucket_session},
    context::{BucketContext, bucket_context},
    deed::{self, Deed, Need},
    facts, fault, form,
    known::Known,
    policy::{Facts, Query, Verdict},
};

/// The Element's own rules, as they are now.
pub(super) type ElementRules = Arc<dyn Fn() -> Vec<AccessRule> + Send + Sync>;

/// Clones share everything.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) authentication: Authentication,
    /// Buckets that were asked for.
    pub(super) buckets: Arc<Known<Arc<BucketContext>>>,
    pub(super) rules: ElementRules,
    /// Whether the Element is stopped, now.
    pub(super) is_stopped: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Need {
    const fn operation(self) -> Operation {
        match self {
            Self::List | Self::Read | Self::ReadAcl => Operation::Read,
            Self::Known | Self::Write | Self::WriteAcl | Self::Own | Self::Later => {
                Operation::Write
            }
        }
    }

    /// What a list must say; of the bucket, or of the object.
    const fn permission(self) -> Option<Permission> {
        match self {
            Self::List | Self::Read => Some(Permission::Read),
            Self::Write => Some(Permission::Write),
            Self::ReadAcl => Some(Permission::ReadAcp),
            Self::WriteAcl => Some(Permission::WriteAcp),
            Self::Known | Self::Own | Self::Later => None,
        }
    }
}

impl Gate {
    /// Decides about a deed with a bucket, or with an object in it.
    pub(super) fn permit(
        &self,
        session: &Session,
        bucket: &BucketContext,
        deed: Deed,
        key: Option<&str>,
    ) -> S3Result<()> {
        let name = &bucket.bucket.name;
        let resource = match key {
            Some(key) => format!("arn:aws:s3:::{name}/{key}"),
            None => format!("arn:aws:s3:::{name}"),
        };
        let query = Query {
            person: session.caller.signed_name(),
            action: deed.action,
            resource: &resource,
            facts: &session.facts,
        };
        let verdict = bucket
            .policy
            .as_ref()
            .map_or(Verdict::Silent, |policy| policy.judge(&query));
        let is_owner = is_person(&session.caller, &bucket.rules.owner);
        if verdict == Verdict::Deny && !(is_owner && deed.is_about_policy()) {
            return Err(fault::denied());
        }
        let part = match deed.need {
            Need::List => session.facts.prefix(),
            _ => key,
        };
        let is_let_in = self.is_let_in(&session.caller, bucket, deed, part)
            || (self.may_enter(&session.caller, deed.need.operation())
                && (bucket.lets_in(&session.caller, verdict)
                    || bucket.list_lets_in(session, deed)));
        if is_let_in {
            Ok(())
        } else {
            Err(fault::denied())
        }
    }

    /// Whether the rights of gridmart let a person do it.
    fn is_let_in(
        &self,
        caller: &Caller,
        bucket: &BucketContext,
        deed: Deed,
        part: Option<&str>,
    ) -> bool {
        let Caller::Person { name, role } = caller else {
            return false;
        };
        let needs_owner = matches!(deed.need, Need::Own | Need::ReadAcl | Need::WriteAcl);
        if needs_owner && name != &bucket.rules.owner {
            return false;
        }
        let operation = if deed.need == Need::Own && deed.action.starts_with("s3:Get") {
            Operation::Read
        } else {
            deed.need.operation()
        };
        let rules = (self.rules)();
        judge(
            &rules,
            &bucket.rules,
            &subject(name, *role),
            operation,
            part,
        )
        .allowed
    }

    /// Whether the Element's operator and the role allow to come in.
    fn may_enter(&self, caller: &Caller, operation: Operation) -> bool {
        let rules = (self.rules)();
        match caller {
            Caller::Person { name, role } => {
                enter(&rules, &subject(name, *role), operation).allowed
            }
            Caller::Anonymous => rules.iter().any(|rule| {
                let allows = |operations: &Vec<Operation>| operations.contains(&operation);
                rule.who == Who::All
                    && rule.part.is_none()
                    && rule.operations.as_ref().is_none_or(allows)
            }),
        }
    }

    /// The bucket of a name, with what decides about requests to it; what it counts
    /// may be old.
    pub(super) async fn bucket(&self, name: &str) -> S3Result<Arc<BucketContext>> {
        let store = &self.authentication.store;
        let read = async { bucket_context(store, name).await.map(Arc::new) };
        self.buckets.get(store, name, read).await
    }

    async fn session(&self, cx: &mut S3AccessContext<'_>) -> S3Result<Session> {
        let caller = match cx.credentials() {
            Some(credentials) => {
                let id = credentials.access_key.clone();
                self.authentication.caller(&id).await?
            }
            None => Caller::Anonymous,
        };
        let remote = cx.extensions_mut().get::<Remote>().copied();
        let facts = facts::of_request(&caller, remote, cx.uri(), cx.headers());
        Ok(Session {
            caller,
            bucket: None,
            facts: Arc::new(facts),
            handle: cx.extensions_mut().get::<Handle>().cloned(),
        })
    }
}

/// Some programs say whose bucket they mean.
fn check_expected_owner(bucket: &BucketContext, cx: &S3AccessContext<'_>) -> S3Result<()> {
    match cx.headers().get("x-amz-expected-bucket-owner") {
        Some(expected) if expected.as_bytes() != bucket.rules.owner.as_str().as_bytes() => {
            Err(fault::denied())
        }
        _ => Ok(()),
    }
}

fn subject(person: &PersonName, role: gridmart_schemas::role::Role) -> Subject<'_> {
    Subject {
        person,
        role,
        domain: None,
        application: None,
    }
}

fn is_person(caller: &Caller, person: &PersonName) -> bool {
    matches!(caller, Caller::Person { name, .. } if name == person)
}

impl BucketContext {
    /// What the bucket's policy says of a deed with an object.
    fn verdict(&self, session: &Session, deed: Deed, key: &str) -> Verdict {
        let resource = format!("arn:aws:s3:::{}/{key}", self.bucket.name);
        let query = Query {
            person: session.caller.signed_name(),
            action: deed.action,
            resource: &resource,
            facts: &session.facts,
        };
        self.policy
            .as_ref()
            .map_or(Verdict::Silent, |policy| policy.judge(&query))
    }

    /// Whether the bucket's policy forbids a deed, whatever else allows it.
    pub(super) fn denies(&self, session: &Session, deed: Deed, key: &str) -> bool {
        self.verdict(session, deed, key) == Verdict::Deny
    }

    /// Whether its policy lets somebody in; a policy for everybody can be told to
    /// count for nobody.
    fn lets_in(&self, caller: &Caller, verdict: Verdict) -> bool {
        let is_restricted = self.public_access.restrict_public_buckets == Some(true)
            && self
                .policy
                .as_ref()
                .is_some_and(super::policy::Policy::is_public)
            && !is_person(caller, &self.rules.owner);
        verdict == Verdict::Allow && !is_restricted
    }

    /// Whether its access control list lets somebody in. Objects have lists of
    /// their own, which those who read them ask.
    fn list_lets_in(&self, session: &Session, deed: Deed) -> bool {
        let is_of_object = matches!(deed.need, Need::Read)
            || deed.action.starts_with("s3:GetObject")
            || deed.action.starts_with("s3:PutObjectAcl")
            || deed.action.starts_with("s3:PutObjectVersionAcl");
        if self.is_owner_enforced || is_of_object {
            return false;
        }
        let Some((acl, wanted)) = self.acl.as_ref().zip(deed.need.permission()) else {
            return false;
        };
        if self.public_access.ignore_public_acls == Some(true) {
            return acl.clone().without_public().allows(&session.caller, wanted);
        }
        acl.allows(&session.caller, wanted)
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if (self.is_stopped)() {
            return Err(fault::stopped());
        }
        let mut session = self.session(cx).await?;
        let has_version = facts::query_value(cx.uri(), "versionId").is_some();
        let operation = cx.s3_op().name().to_owned();
        let deed = deed::of(&operation, has_version).ok_or_else(|| {
            s3_error!(
                NotImplemented,
                "{operation} is not implemented at this door."
            )
        })?;
        let (name, key) = match cx.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        match name {
            Some(name) if operation != "CreateBucket" => {
                let bucket = self.bucket(&name).await?;
                session.bucket = Some(Arc::clone(&bucket));
                check_expected_owner(&bucket, cx)?;
                if deed.need != Need::Later {
                    self.permit_or_ask_object(&mut session, &bucket, deed, key.as_deref(), cx)
                        .await?;
                }
            }
            _ => {
                let is_list = operation == "ListBuckets";
                let operation = if is_list {
                    Operation::Read
                } else {
                    session.caller.person()?;
                    Operation::Write
                };
                if !self.may_enter(&session.caller, operation) {
                    return Err(S3ErrorCode::AccessDenied.into());
                }
            }
        }
        cx.extensions_mut().insert(session);
        Ok(())
    }

    /// The key stands in the form, which is read after the check above.
    async fn post_object(&self, request: &mut S3Request<PostObjectInput>) -> S3Result<()> {
        let (session, bucket) = bucket_session(request)?;
        let head = request.extensions.get::<form::Head>().cloned();
        if let Some(head) = head {
            form::complete(&head, &mut request.input)?;
        }
        self.permit(
            &session,
            &bucket,
            deed::PUT_OBJECT,
            Some(&request.input.key),
        )
    }
}

impl Gate {
    /// As [`Gate::permit`]; where the object itself may decide (its tags, its
    /// list), it is looked up.
    async fn permit_or_ask_object(
        &self,
        session: &mut Session,
        bucket: &Arc<BucketContext>,
        deed: Deed,
        key: Option<&str>,
        cx: &S3AccessContext<'_>,
    ) -> S3Result<()> {
        let Some(key) = key else {
            return self.permit(session, bucket, deed, None);
        };
        let version = facts::query_value(cx.uri(), "versionId");
        let asked = super::object::ask::Asked {
            key,
            version: version.as_deref(),
            deed,
        };
        super::object::ask::permit(self, session, bucket, &asked).await
    }

    /// Whether the bucket's policy lets somebody in to an object.
    pub(super) fn policy_lets_in(
        &self,
        session: &Session,
        bucket: &BucketContext,
        deed: Deed,
        key: &str,
    ) -> bool {
        bucket.lets_in(&session.caller, bucket.verdict(session, deed, key))
            && self.may_enter(&session.caller, deed.need.operation())
    }

    /// Whether a list of an object lets somebody in, where lists count at all.
    pub(super) fn object_list_lets_in(
        &self,
        session: &Session,
        bucket: &BucketContext,
        acl: &super::acl::Acl,
        deed: Deed,
    ) -> bool {
        let Some(wanted) = deed.need.permission().filter(|_| !bucket.is_owner_enforced) else {
            return false;
        };
        let ignores_public = bucket.public_access.ignore_public_acls == Some(true);
        let is_allowed = if ignores_public {
            acl.clone().without_public().allows(&session.caller, wanted)
        } else {
            acl.allows(&session.caller, wanted)
        };
        is_allowed && self.may_enter(&session.caller, deed.need.operation())
    }
}

/// The same where nothing that the request says itself of it counts.
pub(super) fn with_one_fact(session: &Session, key: &str, value: &str) -> Session {
    let mut facts = Facts::clone(&session.facts);
    facts.put(key, value);
    Session {
        facts: Arc::new(facts),
        ..session.clone()
    }
}

/// What conditions may ask of a request that is decided about later.
pub(super) fn with_fact(session: &Session, key: &str, value: &str) -> Session {
    let mut facts = Facts::clone(&session.facts);
    facts.add(key, value);
    Session {
        facts: Arc::new(facts),
        ..session.clone()
    }
}
