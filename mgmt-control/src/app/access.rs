//! Access: decide, sign tickets, keep the reasons. No disk on this path.

use std::time::Duration;

use gridmart_fabric::need::parse_needs;
use gridmart_fabric::ticket::{AccessClaims, AccessCut, LIFE_MAX, TicketApplication, Times};
use gridmart_schemas::{
    api::{
        access::{
            AccessDecision, ApplicationAccess, ApplicationAccessRequest, ComputeAccessRequest,
            ElementAccess,
        },
        bucket::{BucketAccess, BucketAccessRequest},
        database::{DatabaseAccess, DatabaseAccessRequest},
    },
    id::{KeyHash, NodeId},
    problem::{Code, Problem},
    role::Operation,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Control,
    bucket::{FoundBucket, bucket_find, id_of},
    context::Context,
    database::{self as databases, FoundDatabase, database_find},
};
use crate::{
    access::{
        application::{self, ApplicationQuestion},
        bucket, compute, database,
        placement::Placement,
    },
    catalogue::{View, application::Application},
};

/// How long a ticket lives.
const TICKET_LIFE: Duration = LIFE_MAX;
/// Elements that one request may avoid.
const AVOID_MAX: usize = 64;
/// Attempts at a part of a map if the application names none.
const ATTEMPTS_DEFAULT: u32 = 3;

/// Decides where an application may be called, and permits it.
pub fn application_access(
    control: &Control,
    context: &Context,
    request: &ApplicationAccessRequest,
) -> Result<AccessDecision, Problem> {
    let ApplicationAccessRequest {
        application,
        needs,
        operations,
        presenter,
        avoid,
    } = request;
    bounds_check(operations, avoid)?;
    let parsed = parse_needs(needs)?;
    let view = control.catalogue.view();
    let question = ApplicationQuestion {
        actor: &context.actor,
        application: application.as_deref(),
        needs: &parsed,
        operations,
        avoid,
    };
    let decided = explained(control, context, application::decide(&view, &question))?;
    let (application, placement) = decided;
    let terms = Terms {
        operations,
        needs,
        presenter,
    };
    let goods = Goods::Application(&application);
    permit(control, context, &view, goods, placement, &terms)
}

/// Decides where slots may be had, and permits it.
pub fn compute_access(
    control: &Control,
    context: &Context,
    request: &ComputeAccessRequest,
) -> Result<AccessDecision, Problem> {
    let ComputeAccessRequest {
        needs,
        operations,
        presenter,
    } = request;
    bounds_check(operations, &[])?;
    let parsed = parse_needs(needs)?;
    let view = control.catalogue.view();
    let decided = compute::decide(&view, &context.actor, &parsed, operations);
    let placement = explained(control, context, decided)?;
    let terms = Terms {
        operations,
        needs,
        presenter,
    };
    permit(control, context, &view, Goods::Slots, placement, &terms)
}

/// Decides whether a bucket may be used, and permits it.
pub async fn bucket_access(
    control: &Control,
    context: &Context,
    request: &BucketAccessRequest,
) -> Result<AccessDecision, Problem> {
    let BucketAccessRequest {
        bucket,
        operations,
        presenter,
        going_on,
    } = request;
    bounds_check(operations, &[])?;
    let found = explained(
        control,
        context,
        bucket_find(control, context, bucket).await,
    )?;
    let FoundBucket { node, told } = found;
    let view = control.catalogue.view();
    let decided = bucket::decide(&view, &context.actor, &node, &told, (operations, *going_on));
    let explanation = explained(control, context, decided)?;
    let access = BucketAccess {
        id: id_of(&told)?,
        name: told.area.name,
        redundancy: told.area.info.redundancy,
    };
    let placement = Placement {
        elements: vec![node.id],
        explanation,
    };
    let terms = Terms {
        operations,
        needs: &[],
        presenter,
    };
    permit(
        control,
        context,
        &view,
        Goods::Bucket(access),
        placement,
        &terms,
    )
}

/// Decides whether a database may be used, and permits it.
pub async fn database_access(
    control: &Control,
    context: &Context,
    request: &DatabaseAccessRequest,
) -> Result<AccessDecision, Problem> {
    let DatabaseAccessRequest {
        database,
        operations,
        presenter,
    } = request;
    bounds_check(operations, &[])?;
    let found = database_find(control, context, database).await;
    let FoundDatabase { node, told } = explained(control, context, found)?;
    let view = control.catalogue.view();
    let decided = database::decide(&view, &context.actor, &node, &told, operations);
    let explanation = explained(control, context, decided)?;
    let access = DatabaseAccess {
        id: databases::id_of(&told)?,
        name: told.name,
    };
    let placement = Placement {
        elements: vec![node.id],
        explanation,
    };
    let terms = Terms {
        operations,
        needs: &[],
        presenter,
    };
    let goods = Goods::Database(access);
    permit(control, context, &view, goods, placement, &terms)
}

fn bounds_check(operations: &[Operation], avoid: &[NodeId]) -> Result<(), Problem> {
    let invalid = |detail: String| Err(Problem::new(Code::InvalidRequest, detail));
    if operations.is_empty() || operations.len() > Operation::ALL.len() {
        return invalid("Name at least one operation, each once.".to_owned());
    }
    if avoid.len() > AVOID_MAX {
        return invalid(format!("A request may avoid {AVOID_MAX} Elements at most."));
    }
    Ok(())
}

/// Keeps the reasons of a refusal; those of a decision are kept with it.
fn explained<T>(
    control: &Control,
    context: &Context,
    decided: Result<T, Problem>,
) -> Result<T, Problem> {
    if let Err(problem) = &decided {
        control.metrics.access_refused.inc();
        if let Some(explanation) = &problem.explanation {
            control.explanations.keep(context, explanation);
        }
        tracing::info!(
            person = %context.actor.name,
            code = %problem.code,
            detail = problem.detail,
            "access refused"
        );
    }
    decided
}

/// What a request asks to be written into its tickets.
struct Terms<'a> {
    operations: &'a [Operation],
    needs: &'a [String],
    presenter: &'a KeyHash,
}

/// What is asked for.
enum Goods<'a> {
    Application(&'a Application),
    Slots,
    Bucket(BucketAccess),
    Database(DatabaseAccess),
}

fn permit(
    control: &Control,
    context: &Context,
    view: &View,
    goods: Goods<'_>,
    placement: Placement,
    terms: &Terms<'_>,
) -> Result<AccessDecision, Problem> {
    let Placement {
        elements,
        mut explanation,
    } = placement;
    let (application, bucket, database) = match goods {
        Goods::Application(application) => (Some(application), None, None),
        Goods::Slots => (None, None, None),
        Goods::Bucket(bucket) => (None, Some(bucket), None),
        Goods::Database(database) => (None, None, Some(database)),
    };
    control.explanations.keep(context, &explanation);
    // The answer tells why these; `explain` tells of the others.
    explanation.candidates.truncate(elements.len());
    let times = Times::starting(OffsetDateTime::now_utc(), TICKET_LIFE);
    let permitted = elements.into_iter().filter_map(|id| {
        let node = view.catalogue.nodes.get(&id)?;
        let element = view.catalogue.elements.get(&id)?;
        let claims = AccessClaims {
            iss: control.node,
            sub: context.actor.name.clone(),
            role: context.actor.role,
            domain: context.actor.domain.clone(),
            aud: id,
            presenter: terms.presenter.clone(),
            application: application.map(ticket_application),
            bucket: bucket.as_ref().map(|bucket| bucket.id),
            database: database.as_ref().map(|database| database.id),
            operations: terms.operations.to_vec(),
            needs: terms.needs.to_vec(),
            cut: AccessCut {
                element: node.wish.cut_epoch,
                application: application.map_or(0, |application| application.wish.cut_epoch),
            },
            nbf: times.nbf,
            iat: times.iat,
            exp: times.exp,
            request: Some(context.request),
            jti: Uuid::now_v7(),
        };
        Some(
            control
                .ticket_key
                .sign_access(&claims)
                .map(|ticket| ElementAccess {
                    element: id,
                    name: node.name.clone(),
                    endpoints: element.endpoints.clone(),
                    ticket,
                }),
        )
    });
    let elements = permitted.collect::<Result<Vec<_>, Problem>>()?;
    control.metrics.access_granted.inc();
    Ok(AccessDecision {
        request_id: context.request,
        application: application.map(application_access_view),
        bucket,
        database,
        elements,
        expires_in: u32::try_from(TICKET_LIFE.as_secs()).unwrap_or(u32::MAX),
        explanation,
    })
}

fn ticket_application(application: &Application) -> TicketApplication {
    TicketApplication {
        digest: application.digest.clone(),
        name: application.name.clone(),
        version: application.version.clone(),
    }
}

fn application_access_view(application: &Application) -> ApplicationAccess {
    let manifest = &application.manifest;
    ApplicationAccess {
        name: application.name.clone(),
        version: application.version.clone(),
        digest: application.digest.clone(),
        retryable: manifest.policy.retryable.unwrap_or(false),
        attempts_max: manifest.policy.max_attempts.unwrap_or(ATTEMPTS_DEFAULT),
        has_split: manifest.command.split.is_some(),
        has_merge: manifest.command.merge.is_some(),
    }
}
