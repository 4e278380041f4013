//! Applications on the shelf: upload, list, promote.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use gridmart_schemas::{
    api::application::{ApplicationView, DeploymentView, UploadDone},
    problem::{Code, Problem},
    role::{Desired, Role},
    wire::{control_element::Deployment, desired::Wish},
};

use super::{
    Control,
    applied::{Target, wait_applied},
    context::Context,
    package::Arrived,
};
use crate::{
    access::{application::find_version, fit::capability_list},
    catalogue::{Snapshot, View, application::Application},
    failure::Failure,
};

/// How long an upload waits for Elements to know of it, so that a call right
/// after it finds it.
const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(2);
/// Versions of one application on the shelf.
const VERSIONS_MAX: usize = 1000;

/// Puts a version on the shelf.
pub async fn application_upload<S, E>(
    control: &Control,
    context: &Context,
    stream: S,
) -> Result<UploadDone, Failure>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let arrived = match control.packages.receive(stream).await {
        Ok(arrived) => arrived,
        Err(failure) => {
            if let Failure::Refused(problem) = &failure {
                let entry = context.act("application.upload", "(package)");
                control.audit_refusal(entry, problem.code.as_str()).await;
            }
            return Err(failure);
        }
    };
    let info = &arrived.inspection.manifest.info;
    let label = format!("{}@{}", info.app_name, info.app_version);
    let entry = context.act("application.upload", label);
    let verdict = upload_check(&control.catalogue.snapshot(), context, &arrived);
    let application = match verdict {
        // The very same package: nothing to do.
        Ok(Some(known)) => {
            let view = view(&control.catalogue.view(), &known);
            return Ok(UploadDone {
                application: view,
                created: false,
            });
        }
        Ok(None) => new_version(context, &arrived),
        Err(problem) => {
            control.audit_refusal(entry, problem.code.as_str()).await;
            return Err(problem.into());
        }
    };
    control.packages.place(arrived).await?;
    let context = context.clone();
    let application = control
        .administer(entry, move |update| {
            // Decided again on the newest snapshot: two uploads may race.
            if let Some(known) = version_check(update.snapshot(), &context, &application)? {
                return Ok(known);
            }
            let generation = update.next_generation()?;
            let first = update
                .snapshot()
                .versions_of(&application.name)
                .next()
                .is_none();
            let wish = Wish {
                desired: Desired::Production,
                generation,
                cut_epoch: 0,
            };
            let application = Application {
                default: first,
                wish,
                uploaded: update.now(),
                ..application
            };
            update.put_application(application.clone())?;
            Ok(application)
        })
        .await?;
    let target = Target::Application(application.digest.clone());
    wait_applied(control, &[target], UPLOAD_WAIT_MAX).await;
    let view = view(&control.catalogue.view(), &application);
    Ok(UploadDone {
        application: view,
        created: true,
    })
}

fn new_version(context: &Context, arrived: &Arrived) -> Application {
    let manifest = arrived.inspection.manifest.clone();
    Application {
        digest: arrived.digest.clone(),
        name: manifest.info.app_name.to_string(),
        version: manifest.info.app_version.to_string(),
        size: arrived.size,
        manifest,
        owner: context.actor.name.clone(),
        uploaded: time::OffsetDateTime::UNIX_EPOCH,
        default: false,
        wish: Wish::default(),
    }
}

fn upload_check(
    catalogue: &Snapshot,
    context: &Context,
    arrived: &Arrived,
) -> Result<Option<Application>, Problem> {
    version_check(catalogue, context, &new_version(context, arrived))
}

/// Whether a version may go on the shelf; `Some`: it is there already.
fn version_check(
    catalogue: &Snapshot,
    context: &Context,
    new: &Application,
) -> Result<Option<Application>, Problem> {
    let versions: Vec<_> = catalogue.versions_of(&new.name).collect();
    let owner = versions.first().map(|first| &first.owner);
    if let Some(owner) = owner.filter(|owner| **owner != context.actor.name)
        && context.actor.role != Role::Admin
    {
        let detail = format!(
            "{} belongs to {owner}: only they and admins upload new versions.",
            new.name
        );
        return Err(Problem::new(Code::NotAuthorized, detail));
    }
    if let Some(known) = catalogue.applications.get(&new.digest) {
        return Ok(Some(Application::clone(known)));
    }
    if versions.iter().any(|known| known.version == new.version) {
        let detail = format!(
            "{} is on the shelf already, with other content.",
            new.label()
        );
        return Err(Problem::new(Code::VersionExists, detail));
    }
    if versions.len() >= VERSIONS_MAX {
        let detail = format!("{} has {VERSIONS_MAX} versions already.", new.name);
        return Err(Problem::new(Code::QuotaExceeded, detail));
    }
    Ok(None)
}

/// Lists all versions of all applications, by name, oldest upload first.
pub fn application_list(control: &Control) -> Vec<ApplicationView> {
    let state = control.catalogue.view();
    let catalogue = &state.catalogue;
    catalogue
        .versions
        .keys()
        .flat_map(|name| catalogue.versions_of(name))
        .map(|application| view(&state, application))
        .collect()
}

/// Lists the versions of one application.
pub fn application_versions(
    control: &Control,
    name: &str,
) -> Result<Vec<ApplicationView>, Problem> {
    let state = control.catalogue.view();
    let known = find_named(&state.catalogue, name)?;
    Ok(known
        .iter()
        .map(|application| view(&state, application))
        .collect())
}

/// `NAME`: all its versions; `NAME@VERSION`: that one.
pub fn find_named(catalogue: &Snapshot, name: &str) -> Result<Vec<Application>, Problem> {
    if name.contains('@') {
        return Ok(vec![Application::clone(&*find_version(catalogue, name)?)]);
    }
    let versions: Vec<Application> = catalogue
        .versions_of(name)
        .map(|application| Application::clone(application))
        .collect();
    if versions.is_empty() {
        let shown: String = name.chars().take(80).collect();
        return Err(Problem::new(
            Code::UnknownApplication,
            format!("There is no application {shown:?}."),
        ));
    }
    Ok(versions)
}

/// Makes a version the one that the name alone means.
pub async fn application_promote(
    control: &Control,
    context: &Context,
    name: &str,
    version: &str,
) -> Result<ApplicationView, Failure> {
    let label = format!("{name}@{version}");
    let wanted = find_version(&control.catalogue.snapshot(), &label)?;
    let entry = context.act("application.promote", label);
    if !may_manage(&wanted, context) {
        control
            .audit_refusal(entry, Code::NotAuthorized.as_str())
            .await;
        return Err(not_the_owner(&wanted).into());
    }
    let digest = wanted.digest.clone();
    let promoted = control
        .administer(entry, move |update| {
            let others: Vec<Application> = update
                .snapshot()
                .versions_of(&wanted.name)
                .filter(|other| other.default && other.digest != digest)
                .map(|other| Application::clone(other))
                .collect();
            for other in others {
                update.put_application(Application {
                    default: false,
                    ..other
                })?;
            }
            let known = update.snapshot().applications.get(&digest).cloned();
            let known = known
                .ok_or_else(|| Problem::new(Code::UnknownApplication, "It is gone meanwhile."))?;
            let promoted = Application {
                default: true,
                ..Application::clone(&known)
            };
            update.put_application(promoted.clone())?;
            Ok(promoted)
        })
        .await?;
    Ok(view(&control.catalogue.view(), &promoted))
}

/// Owners manage their own applications, operators all.
pub fn may_manage(application: &Application, context: &Context) -> bool {
    application.owner == context.actor.name || context.actor.is_operator()
}

/// The refusal for everybody else.
pub fn not_the_owner(application: &Application) -> Problem {
    let detail = format!("{} belongs to {}.", application.label(), application.owner);
    Problem::new(Code::NotAuthorized, detail)
}

fn view(state: &View, application: &Application) -> ApplicationView {
    let info = &application.manifest.info;
    let capabilities = if info.capabilities.is_empty() {
        Vec::new()
    } else {
        capability_list(application)
            .split(", ")
            .map(str::to_owned)
            .collect()
    };
    ApplicationView {
        name: application.name.clone(),
        version: application.version.clone(),
        digest: application.digest.clone(),
        size: application.size,
        kind: info.kind.to_string(),
        description: info.description.as_ref().map(ToString::to_string),
        capabilities,
        owner: application.owner.clone(),
        uploaded: application.uploaded,
        default: application.default,
        wish: application.wish,
        deployments: deployments(state, application),
    }
}

fn deployments(state: &View, application: &Application) -> Vec<DeploymentView> {
    let told = |node, deployments: &[Deployment]| {
        let deployment = deployments
            .iter()
            .find(|told| told.digest == application.digest)?;
        Some(DeploymentView {
            node,
            name: state.name_of(node),
            state: deployment.state.clone(),
            reason: deployment.reason.clone(),
        })
    };
    let elements = state
        .observed
        .elements
        .iter()
        .filter_map(|(id, element)| told(*id, &element.deployments));
    let hosts = state
        .observed
        .hosts
        .iter()
        .filter_map(|(id, host)| told(*id, &host.deployments));
    elements.chain(hosts).collect()
}
