//! The people's door: HTTP in, one call to [`crate::app`], HTTP out. No SQL
//! and no decisions here but who may enter (one table: [`authorization`]).

mod access;
mod access_key;
mod activity;
mod answer;
mod application;
mod audit;
pub mod authorization;
mod bucket;
mod command;
mod console;
mod console_session;
mod cookie;
mod crowd;
mod database;
mod event;
mod explanation;
mod gateway;
mod health;
mod join_token;
mod layout;
mod listener;
mod live;
mod middleware;
mod node;
mod origin;
mod overview;
mod page;
mod person;
mod resource;
mod session;
mod shadow;
mod sql_session;
mod task;
mod topology;
mod transfer;

use std::sync::Arc;

use actix_web::{
    App, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web,
};
use gridmart_schemas::problem::{Code, Problem};
use utoipa::openapi::{
    OpenApi,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_actix_web::{AppExt as _, service_config::ServiceConfig};

use self::answer::Refusal;
pub use self::listener::{PeopleDoor, PeopleDoorError};
use crate::app::Control;

/// The most bytes of a JSON body.
const JSON_BYTES_MAX: usize = 64 * 1024;

/// The whole application, and the API document that describes it.
pub fn application(
    control: Option<Arc<Control>>,
) -> (
    App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody>,
            Error = actix_web::Error,
            InitError = (),
        >,
    >,
    OpenApi,
) {
    let mut base = App::new()
        .app_data(
            web::JsonConfig::default()
                .limit(JSON_BYTES_MAX)
                .error_handler(|error, _| answer::json_error(&error).into()),
        )
        .app_data(
            web::PathConfig::default()
                .error_handler(|error, _| answer::malformed("path", &error).into()),
        )
        .app_data(
            web::QueryConfig::default()
                .error_handler(|error, _| answer::malformed("query", &error).into()),
        )
        .app_data(web::PayloadConfig::default().limit(JSON_BYTES_MAX));
    if let Some(control) = control {
        base = base.app_data(web::Data::from(control));
    }
    let (app, mut document) = base
        .into_utoipa_app()
        .configure(entrance)
        .configure(endpoints)
        .default_service(web::to(unknown))
        .split_for_parts();
    describe(&mut document);
    let app = app.wrap(from_fn(cookie::renew));
    (app.wrap(from_fn(middleware::observe)), document)
}

/// The API document, as it is served at `/openapi.json`.
pub fn openapi() -> OpenApi {
    application(None).1
}

/// The service itself, who comes in, and who is there.
fn entrance(config: &mut ServiceConfig<'_>) {
    config
        .service(health::healthz)
        .service(health::readyz)
        .service(health::openapi_json)
        .service(health::metrics)
        .service(session::login)
        .service(session::whoami)
        .service(session::authority)
        .service(console_session::session_create)
        .service(console_session::session_view)
        .service(console_session::session_delete)
        .service(person::person_list)
        .service(person::person_create)
        .service(person::person_change)
        .service(person::api_token_list)
        .service(person::api_token_create)
        .service(person::api_token_delete)
        .service(join_token::join_token_list)
        .service(join_token::join_token_create)
        .service(join_token::join_token_delete)
        .service(node::node_list)
        .service(node::node_revoke);
}

/// What people and programs do once they are in.
fn endpoints(config: &mut ServiceConfig<'_>) {
    config
        .service(resource::resource_list)
        .configure(watching)
        .service(resource::resource_view)
        .service(resource::resource_xml)
        .service(command::resource_start)
        .service(command::resource_stop)
        .service(command::resource_kill)
        .service(application::application_list)
        .service(application::application_upload)
        .service(application::application_versions)
        .service(application::application_promote)
        .service(application::application_logs)
        .service(command::application_start)
        .service(command::application_stop)
        .service(command::application_kill)
        .service(access::application_access)
        .service(access::compute_access)
        .service(access::bucket_access)
        .service(access::database_access)
        .service(bucket::heal_list)
        .service(access_key::access_key_create)
        .service(access_key::access_key_list)
        .service(access_key::access_key_delete)
        .service(layout::layout_view)
        .service(layout::layout_stage)
        .service(layout::layout_apply)
        .service(layout::layout_revert)
        .service(bucket::bucket_list)
        .service(bucket::bucket_create)
        .service(bucket::bucket_view)
        .service(bucket::bucket_change)
        .service(bucket::bucket_delete)
        .service(database::database_list)
        .service(database::database_create)
        .service(database::database_view)
        .service(database::database_change)
        .service(database::database_delete)
        .service(shadow::shadow_add)
        .service(shadow::shadow_change)
        .service(shadow::shadow_remove)
        .service(shadow::shadow_promote)
        .service(shadow::shadow_check)
        .service(shadow::shadow_check_view)
        .service(explanation::explanation_view)
        .service(activity::activity_list)
        .service(activity::call_list)
        .service(activity::call_view)
        .service(command::call_kill)
        .service(sql_session::sql_session_list)
        .service(sql_session::sql_session_record_list)
        .service(sql_session::sql_session_view)
        .service(sql_session::sql_session_kill)
        .service(transfer::transfer_list)
        .service(transfer::transfer_record_list)
        .service(transfer::transfer_view)
        .service(transfer::transfer_kill)
        .service(activity::job_view)
        .service(command::job_kill)
        .service(audit::audit_list)
        .service(task::task_list)
        .service(gateway::object::object_list)
        .service(gateway::object::object_view)
        .service(gateway::object::object_read)
        .service(gateway::object::object_delete)
        .service(gateway::upload::upload_begin)
        .service(gateway::upload::upload_view)
        .service(gateway::upload::upload_part)
        .service(gateway::upload::upload_complete)
        .service(gateway::upload::upload_forget)
        .service(gateway::statement::statement_run)
        .service(gateway::statement::statement_csv)
        .service(gateway::call::call_make);
}

/// How everything is, was, and what changes.
fn watching(config: &mut ServiceConfig<'_>) {
    config
        .service(topology::topology_view)
        .service(overview::overview_view)
        .service(overview::overview_history)
        .service(overview::resource_history)
        .service(event::event_list)
        .service(live::live);
}

fn describe(document: &mut OpenApi) {
    "gridmart".clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.info.description = Some(
        "The people's API of a gridmart controller. Errors are problem details (RFC 9457) with a stable `code`. \
         A browser has a session's cookie (`POST /api/v1/session`) in the place of a token, and says \
         `x-gridmart-csrf` with all that changes something."
            .to_owned(),
    );
    document.info.license = None;
    document.info.contact = None;
    let components = document.components.get_or_insert_default();
    components.schemas.extend(answer::problem_schemas());
    components.schemas.extend(live::schemas());
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme(authorization::SCHEME, bearer);
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(cookie::PLAIN)));
    components.add_security_scheme(authorization::SESSION_SCHEME, cookie);
}

/// What is no endpoint: the console's page, or nothing.
async fn unknown(request: actix_web::HttpRequest) -> Result<HttpResponse, Refusal> {
    if let Some(page) = console::page(&request) {
        return Ok(page);
    }
    let shown: String = request.path().chars().take(120).collect();
    let detail = format!("There is no endpoint {} {shown}.", request.method());
    Err(Problem::new(Code::NotFound, detail).into())
}
