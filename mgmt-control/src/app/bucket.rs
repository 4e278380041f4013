//! Buckets: made, found, changed and removed on the Storage Elements that keep
//! them, which are asked each time. So what is shown and judged is never older
//! than the question, and nothing is kept twice.

use std::time::Duration;

use gridmart_fabric::rule::Ruling;
use gridmart_schemas::{
    api::bucket::{BucketChangeRequest, BucketCreateRequest, BucketView, BucketsView},
    id::{BucketId, PersonName},
    problem::{Code, Problem},
    resource::common::AccessControlBase,
    role::{Desired, NodeKind, Operation},
    scalar::BucketName,
    wire::{
        Request,
        bucket::{
            BUCKETS_MAX, BucketChange, BucketList, BucketMade, BucketMake, BucketRemove,
            BucketTold, BucketsTold, HEALS_MAX, HealList, HealsTold,
        },
    },
};

use super::{
    Control, ELEMENT_ANSWER_MAX,
    context::{Actor, Context},
    found::{Found, Told},
    kept::{BUCKETS, Kept},
};
use crate::{
    access::{bucket::may_some, kept::element_ruling},
    catalogue::{View, audit::AuditEntry, node::Node},
    failure::Failure,
};

/// How long Elements may take to say whether a bucket is theirs.
pub(super) const FIND_MAX: Duration = Duration::from_secs(3);

/// A bucket that was found, and where.
pub type FoundBucket = Found<BucketTold>;

impl Told for BucketTold {
    const KEPT: Kept = BUCKETS;
    type List = BucketList;

    fn list(name: &str) -> Result<BucketList, Problem> {
        let name = BucketName::new(name)
            .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
        Ok(BucketList {
            name: Some(name),
            after: None,
            limit: 1,
        })
    }

    fn all_of(answer: BucketsTold) -> Vec<Self> {
        answer.buckets
    }

    fn name(&self) -> String {
        self.area.name.to_string()
    }

    fn owner(&self) -> &PersonName {
        &self.owner
    }

    fn may_some(&self, actor: &Actor, operation: Operation) -> Ruling {
        may_some(actor, self, operation)
    }
}

/// Lists the buckets that the actor may use; operators see all.
pub async fn bucket_list(
    control: &Control,
    context: &Context,
    element: Option<&str>,
) -> Result<BucketsView, Failure> {
    let view = control.catalogue.view();
    let mut shown = BucketsView::default();
    for node in BUCKETS.elements(&view, element)? {
        let mut after = None;
        loop {
            let request = BucketList {
                name: None,
                after,
                limit: BUCKETS_MAX,
            };
            let Ok(BucketsTold { buckets, more }) =
                ask(control, context, &node, &request, FIND_MAX).await
            else {
                shown.silent.push(node.name.clone());
                break;
            };
            after = buckets.last().map(|told| told.area.name.clone());
            let visible = buckets.into_iter().filter(|told| told.is_seen(context));
            shown
                .buckets
                .extend(visible.filter_map(|told| view_of(&node, told, None).ok()));
            if !more || after.is_none() {
                break;
            }
        }
    }
    Ok(shown)
}

/// Makes a bucket, which belongs to the actor.
pub async fn bucket_create(
    control: &Control,
    context: &Context,
    wanted: BucketCreateRequest,
) -> Result<BucketView, Failure> {
    let BucketCreateRequest {
        name,
        element,
        redundancy,
        quota_bytes,
        quota_objects,
        allow_degraded,
    } = wanted;
    let view = control.catalogue.view();
    let node = BUCKETS.the_element(&view, element.as_deref())?;
    let mut entry = context.act("bucket.create", format!("{}/{name}", node.name));
    if let Err(problem) = may_make(&view, context, &node) {
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    let request = BucketMake {
        name,
        owner: context.actor.name.clone(),
        redundancy,
        quota_bytes,
        quota_objects,
        allow_degraded,
    };
    let made = ask(control, context, &node, &request, ELEMENT_ANSWER_MAX).await;
    let BucketMade { bucket, why } = match made {
        Ok(made) => made,
        Err(problem) => {
            control.audit_refusal(entry, problem.code.as_str()).await;
            return Err(problem.into());
        }
    };
    entry.detail = bucket.area.info.redundancy.to_string();
    control.administer(entry, |_| Ok(())).await?;
    Ok(view_of(&node, bucket, why)?)
}

/// Shows a bucket.
pub async fn bucket_view(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<BucketView, Failure> {
    let FoundBucket { node, told } = bucket_find(control, context, text).await?;
    if !told.is_seen(context) {
        // Whether there is one is nobody's business who may not use it.
        return Err(BUCKETS.unknown(text).into());
    }
    Ok(view_of(&node, told, None)?)
}

/// Changes what a bucket's owner allows.
pub async fn bucket_change(
    control: &Control,
    context: &Context,
    text: &str,
    wanted: BucketChangeRequest,
) -> Result<BucketView, Failure> {
    let BucketChangeRequest {
        redundancy,
        quota_bytes,
        quota_objects,
        allow_degraded,
        rules,
    } = wanted;
    let found = FoundBucket::own(control, context, text, "bucket.change").await?;
    let bucket = id_of(&found.told)?;
    let access = rules.map(AccessControlBase::from_rules);
    let request = BucketChange {
        bucket,
        redundancy,
        quota_bytes,
        quota_objects,
        allow_degraded,
        access,
    };
    let entry = context.act("bucket.change", found.label());
    let told = order(control, context, &found.node, entry, &request).await?;
    Ok(view_of(&found.node, told, None)?)
}

/// Removes an empty bucket.
pub async fn bucket_delete(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<(), Failure> {
    let found = FoundBucket::own(control, context, text, "bucket.delete").await?;
    let bucket = id_of(&found.told)?;
    let entry = context.act("bucket.delete", found.label());
    let request = BucketRemove { bucket };
    order(control, context, &found.node, entry, &request).await?;
    Ok(())
}

/// Tells what is lost on a Storage Element, and what was repaired lately.
pub async fn heal_list(
    control: &Control,
    context: &Context,
    element: &str,
) -> Result<HealsTold, Failure> {
    let view = control.catalogue.view();
    let node = view.resource_of(element, &[NodeKind::StorageElement])?;
    let request = HealList { limit: HEALS_MAX };
    Ok(ask(control, context, &node, &request, ELEMENT_ANSWER_MAX).await?)
}

/// Finds the bucket that `NAME` or `ELEMENT/NAME` means.
pub async fn bucket_find(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<FoundBucket, Problem> {
    Found::find(control, context, text).await
}

/// A bucket's id, which an Element always tells.
pub(super) fn id_of(told: &BucketTold) -> Result<BucketId, Problem> {
    let nameless = || {
        Problem::new(
            Code::Internal,
            "An Element has told of a bucket without id.",
        )
    };
    told.area.bucket().ok_or_else(nameless)
}

fn may_make(view: &View, context: &Context, node: &Node) -> Result<(), Problem> {
    let ruling = element_ruling(view, &context.actor, node.id, Operation::Write);
    if !ruling.allowed {
        let detail = format!(
            "{} may not keep things on the Element {}: {}.",
            context.actor.name, node.name, ruling.reason
        );
        return Err(Problem::new(Code::NotAuthorized, detail));
    }
    if node.wish.desired != Desired::Production {
        let detail = format!("The Element {} is stopped.", node.name);
        return Err(Problem::new(Code::NotAccepting, detail));
    }
    Ok(())
}

pub(super) async fn ask<R: Request>(
    control: &Control,
    context: &Context,
    node: &Node,
    request: &R,
    deadline: Duration,
) -> Result<R::Answer, Problem> {
    control
        .streams
        .ask(
            node.id,
            &node.name,
            request,
            Some(context.request),
            deadline,
        )
        .await
}

/// Has an Element change something that an actor wants changed; what came of it goes
/// into the audit log.
pub(super) async fn order<R: Request>(
    control: &Control,
    context: &Context,
    node: &Node,
    entry: AuditEntry,
    request: &R,
) -> Result<R::Answer, Failure> {
    match ask(control, context, node, request, ELEMENT_ANSWER_MAX).await {
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

fn view_of(node: &Node, told: BucketTold, why: Option<String>) -> Result<BucketView, Problem> {
    let id = id_of(&told)?;
    let BucketTold { owner, area } = told;
    Ok(BucketView {
        id,
        element: node.id,
        element_name: node.name.clone(),
        owner,
        area,
        why,
    })
}
