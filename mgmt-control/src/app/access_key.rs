//! Access keys: made, listed and made worthless at the Storage or Data Element that
//! knows them, always by the person whose they are. The controller keeps none.

use gridmart_schemas::{
    api::access_key::{AccessKeyCreate, AccessKeyMade, AccessKeyView, AccessKeysView},
    problem::{Code, Problem},
    role::Operation,
    wire::access_key::{
        self as wire, AccessKeyList, AccessKeyMake, AccessKeyRemove, AccessKeysTold,
    },
};

use super::{
    Control, ELEMENT_ANSWER_MAX,
    bucket::{FIND_MAX, ask, order},
    context::Context,
    kept::{BUCKETS, KEYS},
};
use crate::{access::kept::element_ruling, failure::Failure};

/// Makes a key for the actor.
pub async fn access_key_create(
    control: &Control,
    context: &Context,
    element: Option<&str>,
    wanted: AccessKeyCreate,
) -> Result<AccessKeyMade, Failure> {
    let view = control.catalogue.view();
    // Whoever names none means S3, as ever.
    let keepers = if element.is_some() { KEYS } else { BUCKETS };
    let node = keepers.the_element(&view, element)?;
    let mut entry = context.act("access-key.create", node.name.clone());
    let ruling = element_ruling(&view, &context.actor, node.id, Operation::Read);
    if !ruling.allowed {
        let detail = format!(
            "{} may not use the Element {}: {}.",
            context.actor.name, node.name, ruling.reason
        );
        let problem = Problem::new(Code::NotAuthorized, detail);
        control.audit_refusal(entry, problem.code.as_str()).await;
        return Err(problem.into());
    }
    let request = AccessKeyMake {
        person: context.actor.name.clone(),
        role: context.actor.role,
        domain: context.actor.domain.clone(),
        label: wanted.label,
    };
    let made = ask(control, context, &node, &request, ELEMENT_ANSWER_MAX).await;
    let wire::AccessKeyMade {
        key,
        secret,
        endpoint,
        region,
    } = match made {
        Ok(made) => made,
        Err(problem) => {
            control.audit_refusal(entry, problem.code.as_str()).await;
            return Err(problem.into());
        }
    };
    entry.detail.clone_from(&key.id);
    control.administer(entry, |_| Ok(())).await?;
    Ok(AccessKeyMade {
        id: key.id,
        secret,
        endpoint,
        region,
        element: node.id,
        element_name: node.name.clone(),
    })
}

/// Lists the actor's keys, without their secrets.
pub async fn access_key_list(
    control: &Control,
    context: &Context,
    element: Option<&str>,
) -> Result<AccessKeysView, Failure> {
    let view = control.catalogue.view();
    let request = AccessKeyList {
        person: context.actor.name.clone(),
    };
    let asked = KEYS
        .elements(&view, element)?
        .into_iter()
        .map(async |node| {
            let told = ask(control, context, &node, &request, FIND_MAX).await;
            (node, told)
        });
    let mut shown = AccessKeysView::default();
    for (node, told) in futures_util::future::join_all(asked).await {
        match told {
            Ok(AccessKeysTold { keys }) => {
                shown.keys.extend(keys.into_iter().map(|key| AccessKeyView {
                    key,
                    element: node.id,
                    element_name: node.name.clone(),
                }));
            }
            Err(problem) if element.is_some() => return Err(problem.into()),
            Err(_) => shown.silent.push(node.name.clone()),
        }
    }
    Ok(shown)
}

/// Makes a key of the actor worthless at once.
pub async fn access_key_delete(
    control: &Control,
    context: &Context,
    element: Option<&str>,
    id: String,
) -> Result<(), Failure> {
    let found = access_key_list(control, context, element).await?;
    let Some(key) = found.keys.iter().find(|view| view.key.id == id) else {
        let shown: String = id.chars().take(80).collect();
        let mut detail = format!("You have no access key {shown:?}.");
        if !found.silent.is_empty() {
            detail = format!(
                "{detail} These Elements did not answer: {}.",
                found.silent.join(", ")
            );
        }
        return Err(Problem::new(Code::NotFound, detail).into());
    };
    let node = KEYS.the_element(&control.catalogue.view(), Some(&key.element.to_string()))?;
    let mut entry = context.act("access-key.delete", node.name.clone());
    entry.detail.clone_from(&id);
    let request = AccessKeyRemove {
        person: context.actor.name.clone(),
        id,
    };
    order(control, context, &node, entry, &request).await?;
    Ok(())
}
