//! The authorisation table: every endpoint with the least role that may use
//! it, and the extractor through which no handler gets by without it.
//!
//! Roles are ordered: whoever has a higher one may do what the lower may.
//! What belongs to somebody (an application, a call) is checked beyond this
//! by the operation itself.

use std::{future::Ready, marker::PhantomData, net::IpAddr, ops::Deref, sync::Arc};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, dev::Payload, http::header::AUTHORIZATION,
    web::Data,
};
use gridmart_schemas::{
    id::RequestId,
    problem::{Code, Problem},
    role::Role,
};
use time::OffsetDateTime;

use super::{answer::Refusal, cookie, origin};
use crate::{
    app::{
        Control,
        context::Context,
        session::{Shown, SignedIn, authenticate, authenticate_session},
    },
    catalogue::person::ApiToken,
    gateway,
};

/// Name of the security scheme in the API document.
pub const SCHEME: &str = "token";
/// The same of a session's cookie, for what serves browsers alone.
pub const SESSION_SCHEME: &str = "session";

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// People with this role or a higher one.
    From(Role),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The operation: handler, app function and (in the SDK) client method.
    pub action: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path, parameters in braces.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
}

/// An operation of the people's API.
pub trait Action: 'static {
    /// Its row.
    const ROW: Row;
}

macro_rules! table {
    ($($name:ident = $method:literal $path:literal $access:expr;)+) => {
        $(
            #[doc = concat!("`", $method, " ", $path, "`")]
            pub struct $name;

            impl Action for $name {
                const ROW: Row = Row { action: stringify!($name), method: $method, path: $path, access: $access };
            }
        )+

        /// Every endpoint.
        pub const TABLE: &[Row] = &[$($name::ROW),+];
    };
}

use Access::{From, Public};
use Role::{Admin, Developer, Operator, User, Viewer};

table! {
    Healthz = "GET" "/healthz" Public;
    Readyz = "GET" "/readyz" Public;
    OpenapiJson = "GET" "/openapi.json" Public;
    Metrics = "GET" "/metrics" From(Viewer);
    Login = "POST" "/api/v1/login" Public;
    Authority = "GET" "/api/v1/authority" Public;
    SessionCreate = "POST" "/api/v1/session" Public;
    SessionView = "GET" "/api/v1/session" From(Viewer);
    SessionDelete = "DELETE" "/api/v1/session" From(Viewer);
    Whoami = "GET" "/api/v1/whoami" From(Viewer);
    PersonList = "GET" "/api/v1/people" From(Admin);
    PersonCreate = "POST" "/api/v1/people" From(Admin);
    PersonChange = "PATCH" "/api/v1/people/{name}" From(Admin);
    ApiTokenList = "GET" "/api/v1/api-tokens" From(Viewer);
    ApiTokenCreate = "POST" "/api/v1/api-tokens" From(Viewer);
    ApiTokenDelete = "DELETE" "/api/v1/api-tokens/{id}" From(Viewer);
    JoinTokenList = "GET" "/api/v1/join-tokens" From(Operator);
    JoinTokenCreate = "POST" "/api/v1/join-tokens" From(Operator);
    JoinTokenDelete = "DELETE" "/api/v1/join-tokens/{id}" From(Operator);
    NodeList = "GET" "/api/v1/nodes" From(Operator);
    NodeRevoke = "POST" "/api/v1/nodes/{id}/revoke" From(Operator);
    ResourceList = "GET" "/api/v1/resources" From(Viewer);
    TopologyView = "GET" "/api/v1/topology" From(Viewer);
    ResourceView = "GET" "/api/v1/resources/{id}" From(Viewer);
    ResourceXml = "GET" "/api/v1/resources/{id}/xml" From(Viewer);
    ResourceStart = "POST" "/api/v1/resources/{id}/start" From(Operator);
    ResourceStop = "POST" "/api/v1/resources/{id}/stop" From(Operator);
    ResourceKill = "POST" "/api/v1/resources/{id}/kill" From(Operator);
    ApplicationList = "GET" "/api/v1/applications" From(Viewer);
    ApplicationUpload = "POST" "/api/v1/applications" From(Developer);
    ApplicationVersions = "GET" "/api/v1/applications/{name}" From(Viewer);
    ApplicationPromote = "POST" "/api/v1/applications/{name}/promote" From(Developer);
    ApplicationLogs = "GET" "/api/v1/applications/{name}/logs" From(User);
    ApplicationStart = "POST" "/api/v1/applications/{name}/start" From(Developer);
    ApplicationStop = "POST" "/api/v1/applications/{name}/stop" From(Developer);
    ApplicationKill = "POST" "/api/v1/applications/{name}/kill" From(Developer);
    ApplicationAccess = "POST" "/api/v1/access/applications" From(User);
    ComputeAccess = "POST" "/api/v1/access/compute" From(User);
    BucketAccess = "POST" "/api/v1/access/buckets" From(Viewer);
    DatabaseAccess = "POST" "/api/v1/access/databases" From(Viewer);
    HealList = "GET" "/api/v1/resources/{id}/heals" From(Viewer);
    AccessKeyCreate = "POST" "/api/v1/access-keys" From(Viewer);
    AccessKeyList = "GET" "/api/v1/access-keys" From(Viewer);
    AccessKeyDelete = "DELETE" "/api/v1/access-keys/{id}" From(Viewer);
    LayoutView = "GET" "/api/v1/resources/{id}/layout" From(Viewer);
    LayoutStage = "PUT" "/api/v1/resources/{id}/layout" From(Operator);
    LayoutApply = "POST" "/api/v1/resources/{id}/layout/apply" From(Operator);
    LayoutRevert = "POST" "/api/v1/resources/{id}/layout/revert" From(Operator);
    BucketList = "GET" "/api/v1/buckets" From(Viewer);
    BucketCreate = "POST" "/api/v1/buckets" From(User);
    BucketView = "GET" "/api/v1/buckets/{name}" From(Viewer);
    BucketChange = "PATCH" "/api/v1/buckets/{name}" From(User);
    BucketDelete = "DELETE" "/api/v1/buckets/{name}" From(User);
    DatabaseList = "GET" "/api/v1/databases" From(Viewer);
    DatabaseCreate = "POST" "/api/v1/databases" From(User);
    DatabaseView = "GET" "/api/v1/databases/{name}" From(Viewer);
    DatabaseChange = "PATCH" "/api/v1/databases/{name}" From(User);
    DatabaseDelete = "DELETE" "/api/v1/databases/{name}" From(User);
    ShadowAdd = "POST" "/api/v1/databases/{name}/shadows" From(User);
    ShadowChange = "PATCH" "/api/v1/databases/{name}/shadows/{host}" From(User);
    ShadowRemove = "DELETE" "/api/v1/databases/{name}/shadows/{host}" From(User);
    ShadowPromote = "POST" "/api/v1/databases/{name}/shadows/promote" From(Operator);
    ShadowCheck = "POST" "/api/v1/databases/{name}/shadows/check" From(User);
    ShadowCheckView = "GET" "/api/v1/databases/{name}/shadows/check" From(User);
    OverviewView = "GET" "/api/v1/overview" From(Viewer);
    OverviewHistory = "GET" "/api/v1/overview/history" From(Viewer);
    ResourceHistory = "GET" "/api/v1/resources/{id}/history" From(Viewer);
    EventList = "GET" "/api/v1/events" From(Viewer);
    Live = "GET" "/api/v1/live" From(Viewer);
    ExplanationView = "GET" "/api/v1/explanations/{id}" From(Viewer);
    ActivityList = "GET" "/api/v1/activities" From(Viewer);
    CallList = "GET" "/api/v1/calls" From(Viewer);
    CallView = "GET" "/api/v1/calls/{id}" From(Viewer);
    CallKill = "POST" "/api/v1/calls/{id}/kill" From(User);
    JobView = "GET" "/api/v1/jobs/{id}" From(Viewer);
    JobKill = "POST" "/api/v1/jobs/{id}/kill" From(User);
    TransferList = "GET" "/api/v1/transfers" From(Viewer);
    TransferRecordList = "GET" "/api/v1/transfer-records" From(Viewer);
    TransferView = "GET" "/api/v1/transfers/{id}" From(Viewer);
    TransferKill = "POST" "/api/v1/transfers/{id}/kill" From(Viewer);
    SqlSessionList = "GET" "/api/v1/sql-sessions" From(Viewer);
    SqlSessionRecordList = "GET" "/api/v1/sql-session-records" From(Viewer);
    SqlSessionView = "GET" "/api/v1/sql-sessions/{id}" From(Viewer);
    SqlSessionKill = "POST" "/api/v1/sql-sessions/{id}/kill" From(Viewer);
    AuditList = "GET" "/api/v1/audit" From(Operator);
    TaskList = "GET" "/api/v1/tasks" From(Operator);
    ObjectList = "GET" "/api/v1/console/buckets/{bucket}/objects" From(Viewer);
    ObjectView = "GET" "/api/v1/console/buckets/{bucket}/object" From(Viewer);
    ObjectRead = "GET" "/api/v1/console/buckets/{bucket}/object/content" From(Viewer);
    ObjectDelete = "DELETE" "/api/v1/console/buckets/{bucket}/object" From(Viewer);
    UploadBegin = "POST" "/api/v1/console/buckets/{bucket}/uploads" From(Viewer);
    UploadView = "GET" "/api/v1/console/buckets/{bucket}/uploads/{upload}" From(Viewer);
    UploadPart = "PUT" "/api/v1/console/buckets/{bucket}/uploads/{upload}/parts/{number}" From(Viewer);
    UploadComplete = "POST" "/api/v1/console/buckets/{bucket}/uploads/{upload}" From(Viewer);
    UploadForget = "DELETE" "/api/v1/console/buckets/{bucket}/uploads/{upload}" From(Viewer);
    StatementRun = "POST" "/api/v1/console/databases/{name}/statements" From(Viewer);
    CallMake = "POST" "/api/v1/console/applications/{name}/calls" From(User);
    StatementCsv = "POST" "/api/v1/console/databases/{name}/statements/csv" From(Viewer);
}

/// Proof that the caller may do `A`; gives the context of the operation.
pub struct Allowed<A> {
    context: Context,
    token: Arc<ApiToken>,
    action: PhantomData<A>,
}

impl<A> Allowed<A> {
    /// The API token or session that says who asks.
    pub(super) fn token(&self) -> &Arc<ApiToken> {
        &self.token
    }

    /// Who asks, and what says so.
    pub(super) fn signed_in(&self) -> SignedIn {
        SignedIn {
            actor: self.context.actor.clone(),
            token: Arc::clone(&self.token),
        }
    }
}

/// What a role may ask for.
pub(super) fn actions_of(role: Role) -> impl Iterator<Item = &'static str> {
    let may = move |row: &&Row| match row.access {
        Public => true,
        From(least) => role <= least,
    };
    TABLE.iter().filter(may).map(|row| row.action)
}

impl<A> Deref for Allowed<A> {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl<A: Action> FromRequest for Allowed<A> {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(allow::<A>(request).map_err(Refusal::from))
    }
}

fn allow<A: Action>(request: &HttpRequest) -> Result<Allowed<A>, Problem> {
    let SignedIn { actor, token } = signed_in(request)?;
    let Row { action, access, .. } = A::ROW;
    match access {
        Public => {}
        From(least) if actor.role <= least => {}
        From(least) => {
            tracing::info!(person = %actor.name, action, role = %actor.role, "refused: the role is too low");
            let detail = format!(
                "{action} needs the role {least} or a higher one; {} is {}.",
                actor.name, actor.role
            );
            return Err(Problem::new(Code::NotAuthorized, detail));
        }
    }
    let context = Context {
        actor,
        request: request_id(request),
    };
    Ok(Allowed {
        context,
        token,
        action: PhantomData,
    })
}

fn signed_in(request: &HttpRequest) -> Result<SignedIn, Problem> {
    let control = request
        .app_data::<Data<Control>>()
        .ok_or_else(|| Problem::new(Code::Unavailable, "The controller is starting."))?;
    let (catalogue, now) = (control.catalogue.snapshot(), OffsetDateTime::now_utc());
    match (bearer(request), cookie::shown(request)) {
        (Some(_), Some(_)) => {
            let detail = "A request has an API token or a session's cookie, not both.";
            Err(Problem::new(Code::InvalidRequest, detail))
        }
        (Some(token), None) if gateway::is_token(token) => {
            let session = gateway::session_of(control, token);
            authenticate_session(&catalogue, session, now)
        }
        (Some(token), None) => authenticate(&catalogue, Shown::Token(token), now),
        (None, Some(text)) => {
            let signed_in = authenticate(&catalogue, Shown::Cookie(&text), now)?;
            origin::require_own(request, control, signed_in.token.id)?;
            cookie::note(request, &signed_in.token, text, now);
            Ok(signed_in)
        }
        (None, None) => Err(Problem::new(
            Code::Unauthenticated,
            "This needs an API token (`Authorization: Bearer …`).",
        )),
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let text = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    text.strip_prefix("Bearer ").map(str::trim)
}

/// The request's id, as the middleware has set it.
pub fn request_id(request: &HttpRequest) -> RequestId {
    let known = request.extensions().get::<RequestId>().copied();
    known.unwrap_or_else(RequestId::generate)
}

/// The address that the request came from.
pub fn remote_address(request: &HttpRequest) -> IpAddr {
    let unspecified = IpAddr::from([0, 0, 0, 0]);
    request
        .peer_addr()
        .map_or(unspecified, |address| address.ip())
}
