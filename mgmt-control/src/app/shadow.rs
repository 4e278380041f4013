//! Shadows of databases: one more, one less, one that becomes the core, and whether they
//! are what their cores are. The Data Element does it.

use std::time::Duration;

use gridmart_schemas::{
    api::database::{DatabaseView, ShadowAddRequest, ShadowChangeRequest, ShadowPromoteRequest},
    id::NodeId,
    problem::{Code, Problem},
    resource::database::Database,
    role::NodeKind,
    wire::{
        Request,
        database::{
            ShadowAdd, ShadowChange, ShadowCheck, ShadowChecks, ShadowPromote, ShadowRemove,
        },
    },
};

use super::{
    Control,
    bucket::ask,
    context::Context,
    database::{FoundDatabase, id_of, view_of},
};
use crate::failure::Failure;

/// An Element may take so long for a change of core, and less for all else.
const CHANGE_MAX: Duration = Duration::from_secs(55);

/// Adds a shadow to a database of the actor's; operators may to all.
pub async fn shadow_add(
    control: &Control,
    context: &Context,
    text: &str,
    wanted: ShadowAddRequest,
) -> Result<DatabaseView, Failure> {
    let found = FoundDatabase::own(control, context, text, "shadow.add").await?;
    let ShadowAddRequest {
        host,
        engine,
        rules,
    } = wanted;
    let host = host
        .map(|host| host_of(control, &found, &host))
        .transpose()?;
    let database = id_of(&found.told)?;
    let request = ShadowAdd {
        database,
        host,
        engine,
        rules,
    };
    order(control, context, &found, "shadow.add", &request).await
}

/// Changes what a shadow of a database of the actor's holds; operators may of all.
pub async fn shadow_change(
    control: &Control,
    context: &Context,
    text: &str,
    host: &str,
    wanted: ShadowChangeRequest,
) -> Result<DatabaseView, Failure> {
    let found = FoundDatabase::own(control, context, text, "shadow.change").await?;
    let host = host_of(control, &found, host)?;
    let request = ShadowChange {
        database: id_of(&found.told)?,
        host,
        rules: wanted.rules,
    };
    order(control, context, &found, "shadow.change", &request).await
}

/// Takes a shadow from a database of the actor's; operators may from all.
pub async fn shadow_remove(
    control: &Control,
    context: &Context,
    text: &str,
    host: &str,
) -> Result<DatabaseView, Failure> {
    let found = FoundDatabase::own(control, context, text, "shadow.remove").await?;
    let host = host_of(control, &found, host)?;
    let database = id_of(&found.told)?;
    let request = ShadowRemove { database, host };
    order(control, context, &found, "shadow.remove", &request).await
}

/// Makes a shadow the core: operators alone, whoever's database it is.
pub async fn shadow_promote(
    control: &Control,
    context: &Context,
    text: &str,
    wanted: ShadowPromoteRequest,
) -> Result<DatabaseView, Failure> {
    let found = FoundDatabase::own(control, context, text, "shadow.promote").await?;
    let ShadowPromoteRequest { host, allow_loss } = wanted;
    let host = host
        .map(|host| host_of(control, &found, &host))
        .transpose()?;
    let request = ShadowPromote {
        database: id_of(&found.told)?,
        host,
        allow_loss,
    };
    order(control, context, &found, "shadow.promote", &request).await
}

/// Begins comparisons of shadows with their core, or tells how they come out; which keys
/// differ is the owner's to know.
pub async fn shadow_check(
    control: &Control,
    context: &Context,
    text: &str,
    host: Option<&str>,
    begin: bool,
) -> Result<ShadowChecks, Failure> {
    let found = FoundDatabase::own(control, context, text, "shadow.check").await?;
    let host = host
        .map(|host| host_of(control, &found, host))
        .transpose()?;
    let request = ShadowCheck {
        database: id_of(&found.told)?,
        host,
        begin,
    };
    let mut told = if begin {
        ordered(control, context, &found, "shadow.check", &request).await?
    } else {
        ask(control, context, &found.node, &request, CHANGE_MAX).await?
    };
    if found.told.owner != context.actor.name {
        for check in told.checks.iter_mut().filter_map(|one| one.check.as_mut()) {
            check.differences.clear();
        }
    }
    Ok(told)
}

/// The Host of the database's Element that is meant.
fn host_of(control: &Control, found: &FoundDatabase, text: &str) -> Result<NodeId, Problem> {
    let view = control.catalogue.view();
    let host = view.resource_of(text, &[NodeKind::DataHost])?;
    if host.parent != found.node.id {
        let detail = format!(
            "{} is no Host of the Element {}, which keeps the database.",
            host.name, found.node.name
        );
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(host.id)
}

async fn order<R: Request<Answer = Database>>(
    control: &Control,
    context: &Context,
    found: &FoundDatabase,
    action: &'static str,
    request: &R,
) -> Result<DatabaseView, Failure> {
    let told = ordered(control, context, found, action, request).await?;
    Ok(view_of(control, context, &found.node, told)?)
}

/// Has the Element do it; what came of it goes into the audit log.
async fn ordered<R: Request>(
    control: &Control,
    context: &Context,
    found: &FoundDatabase,
    action: &'static str,
    request: &R,
) -> Result<R::Answer, Failure> {
    let entry = context.act(action, found.label());
    match ask(control, context, &found.node, request, CHANGE_MAX).await {
        Ok(answer) => {
            control.administer(entry, |_| Ok(())).await?;
            Ok(answer)
        }
        Err(problem) => {
            control.audit_refusal(entry, problem.code.as_str()).await;
            Err(problem.into())
        }
    }
}
