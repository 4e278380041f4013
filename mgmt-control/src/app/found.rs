//! Finding what Elements keep for people (a bucket, a database) by the name that people
//! say: every Element that may keep it is asked.

use std::sync::Arc;

use gridmart_fabric::rule::Ruling;
use gridmart_schemas::{id::PersonName, problem::Problem, role::Operation, wire::Request};

use super::{
    Control,
    bucket::{FIND_MAX, ask},
    context::{Actor, Context},
    kept::Kept,
};
use crate::{catalogue::node::Node, failure::Failure};

/// Something that was found, and where.
pub struct Found<T> {
    /// Its Element.
    pub node: Arc<Node>,
    /// What the Element says of it.
    pub told: T,
}

/// What Elements tell of one kind of things.
pub trait Told: Sized {
    const KEPT: Kept;
    /// The question for them.
    type List: Request;

    /// Asks for the one of that name.
    fn list(name: &str) -> Result<Self::List, Problem>;
    fn all_of(answer: <Self::List as Request>::Answer) -> Vec<Self>;
    fn name(&self) -> String;
    fn owner(&self) -> &PersonName;
    /// Whether its own rules let somebody do that to a part of it at least.
    fn may_some(&self, actor: &Actor, operation: Operation) -> Ruling;

    /// Whether the actor may know that there is one.
    fn is_seen(&self, context: &Context) -> bool {
        context.actor.is_operator()
            || [Operation::Read, Operation::Write]
                .into_iter()
                .any(|operation| self.may_some(&context.actor, operation).allowed)
    }
}

impl<T: Told> Found<T> {
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.node.name, self.told.name())
    }

    /// Finds what `NAME` or `ELEMENT/NAME` means.
    pub(super) async fn find(
        control: &Control,
        context: &Context,
        text: &str,
    ) -> Result<Self, Problem> {
        let (element, name) = match text.split_once('/') {
            Some((element, name)) => (Some(element), name),
            None => (None, text),
        };
        let request = T::list(name)?;
        let view = control.catalogue.view();
        let asked = T::KEPT
            .elements(&view, element)?
            .into_iter()
            .map(async |node| {
                let told = ask(control, context, &node, &request, FIND_MAX).await;
                (node, told)
            });
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for (node, told) in futures_util::future::join_all(asked).await {
            match told {
                Ok(told) => found.extend(T::all_of(told).into_iter().map(|told| Self {
                    node: Arc::clone(&node),
                    told,
                })),
                Err(problem) if element.is_some() => return Err(problem),
                Err(_) => silent.push(node.name.clone()),
            }
        }
        if found.len() > 1 {
            let names: Vec<String> = found.iter().map(Self::label).collect();
            return Err(T::KEPT.several(text, &names));
        }
        found.pop().ok_or_else(|| T::KEPT.away(text, &silent))
    }

    /// Finds one of the actor's; operators may all.
    pub(super) async fn own(
        control: &Control,
        context: &Context,
        text: &str,
        action: &'static str,
    ) -> Result<Self, Failure> {
        let found = Self::find(control, context, text).await?;
        if context.actor.is_operator() || *found.told.owner() == context.actor.name {
            return Ok(found);
        }
        let problem = if found.told.is_seen(context) {
            T::KEPT.anothers(text, found.told.owner())
        } else {
            T::KEPT.unknown(text)
        };
        let entry = context.act(action, found.label());
        control.audit_refusal(entry, problem.code.as_str()).await;
        Err(problem.into())
    }
}
