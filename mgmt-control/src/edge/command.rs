//! `start`, `stop`, `kill`.

use actix_web::{
    post,
    web::{Data, Json, Path, Query},
};
use gridmart_schemas::{
    api::command::{Command, CommandView},
    id::{CallId, JobId},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    answer::{Refusal, Refusals},
    authorization::{self as allow, Allowed},
};
use crate::{
    app::{Control, call, command, context::Context},
    failure::Failure,
};

/// Which version of an application, on which Host.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ApplicationQuery {
    /// Only this version.
    version: Option<String>,
    /// Only on this Host, by id or name.
    host: Option<String>,
}

macro_rules! resource_commands {
    ($($(#[$doc:meta])* $handler:ident $path:literal $action:ident $command:ident;)+) => {
        $(
            $(#[$doc])*
            #[utoipa::path(tag = "commands", security(("token" = [])), params(("id" = String, Path)),
                responses((status = 200, body = CommandView), Refusals))]
            #[post($path)]
            pub(super) async fn $handler(
                allowed: Allowed<allow::$action>,
                control: Data<Control>,
                id: Path<String>,
            ) -> Result<Json<CommandView>, Refusal> {
                Ok(Json(command::resource_command(&control, &allowed, Command::$command, &id).await?))
            }
        )+
    };
}

resource_commands! {
    /// Has an Element or Host take work.
    resource_start "/api/v1/resources/{id}/start" ResourceStart Start;
    /// Has an Element or Host take no more work; what runs may end.
    resource_stop "/api/v1/resources/{id}/stop" ResourceStop Stop;
    /// Has an Element or Host take no more work, and ends what runs.
    resource_kill "/api/v1/resources/{id}/kill" ResourceKill Kill;
}

macro_rules! application_commands {
    ($($(#[$doc:meta])* $handler:ident $path:literal $action:ident $command:ident;)+) => {
        $(
            $(#[$doc])*
            #[utoipa::path(tag = "commands", security(("token" = [])), params(("name" = String, Path), ApplicationQuery),
                responses((status = 200, body = CommandView), Refusals))]
            #[post($path)]
            pub(super) async fn $handler(
                allowed: Allowed<allow::$action>,
                control: Data<Control>,
                name: Path<String>,
                query: Query<ApplicationQuery>,
            ) -> Result<Json<CommandView>, Refusal> {
                Ok(Json(give(&control, &allowed, Command::$command, &name, &query).await?))
            }
        )+
    };
}

application_commands! {
    /// Has an application take calls: all its versions, or one; everywhere, or on one Host.
    application_start "/api/v1/applications/{name}/start" ApplicationStart Start;
    /// Has an application take no more calls; what runs may end.
    application_stop "/api/v1/applications/{name}/stop" ApplicationStop Stop;
    /// Has an application take no more calls, and ends what runs.
    application_kill "/api/v1/applications/{name}/kill" ApplicationKill Kill;
}

async fn give(
    control: &Control,
    context: &Context,
    command: Command,
    name: &str,
    query: &ApplicationQuery,
) -> Result<CommandView, Failure> {
    let ApplicationQuery { version, host } = query;
    command::application_command(
        control,
        context,
        command,
        name,
        version.as_deref(),
        host.as_deref(),
    )
    .await
}

/// Ends one call.
#[utoipa::path(tag = "commands", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CommandView), Refusals))]
#[post("/api/v1/calls/{id}/kill")]
pub(super) async fn call_kill(
    allowed: Allowed<allow::CallKill>,
    control: Data<Control>,
    id: Path<CallId>,
) -> Result<Json<CommandView>, Refusal> {
    Ok(Json(
        call::call_kill(&control, &allowed, id.into_inner()).await?,
    ))
}

/// Ends all parts of a map, waiting ones included.
#[utoipa::path(tag = "commands", security(("token" = [])), params(("id" = String, Path)),
    responses((status = 200, body = CommandView), Refusals))]
#[post("/api/v1/jobs/{id}/kill")]
pub(super) async fn job_kill(
    allowed: Allowed<allow::JobKill>,
    control: Data<Control>,
    id: Path<JobId>,
) -> Result<Json<CommandView>, Refusal> {
    Ok(Json(
        call::job_kill(&control, &allowed, id.into_inner()).await?,
    ))
}
