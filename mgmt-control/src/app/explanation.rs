//! "Why?": the reasons of late decisions, kept in memory with the decisions,
//! and those of Elements, asked for.

use std::collections::{HashMap, VecDeque};

use gridmart_schemas::{
    api::explain::Explanation,
    id::{CallId, JobId, LeaseId, PersonName, RequestId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::control_element::{Explain, Subject},
};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{Control, ELEMENT_ANSWER_MAX, context::Context};
use crate::failure::Failure;

/// Decisions remembered at a time.
const KEPT_MAX: usize = 4096;

/// The reasons of late decisions, by request.
#[derive(Default)]
pub struct Explanations {
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    order: VecDeque<RequestId>,
    kept: HashMap<RequestId, (PersonName, Explanation)>,
}

impl Explanations {
    /// Keeps the reasons of a decision; the oldest are forgotten.
    pub fn keep(&self, context: &Context, explanation: Explanation) {
        self.keep_under(context.request, context, explanation);
    }

    /// Keeps that a call or map was ended by command, under its own id: it may
    /// be ended again before its records are here.
    pub fn keep_ended(&self, context: &Context, id: Uuid, what: &str) {
        let explanation = Explanation {
            question: format!("Why has the {what} ended?"),
            outcome: format!("{} ended it", context.actor.name),
            candidates: Vec::new(),
        };
        self.keep_under(RequestId::from_uuid(id), context, explanation);
    }

    /// Tells whether a call or map was lately ended by command.
    pub fn knows_ended(&self, id: Uuid) -> bool {
        self.get(RequestId::from_uuid(id)).is_some()
    }

    fn keep_under(&self, id: RequestId, context: &Context, explanation: Explanation) {
        let mut ring = self.ring.lock();
        let entry = (context.actor.name.clone(), explanation);
        if ring.kept.insert(id, entry).is_none() {
            ring.order.push_back(id);
        }
        if ring.order.len() > KEPT_MAX
            && let Some(oldest) = ring.order.pop_front()
        {
            ring.kept.remove(&oldest);
        }
    }

    fn get(&self, request: RequestId) -> Option<(PersonName, Explanation)> {
        self.ring.lock().kept.get(&request).cloned()
    }
}

/// Explains a request, a Host, a call, a map or a lease.
pub async fn explanation_view(
    control: &Control,
    context: &Context,
    text: &str,
) -> Result<Explanation, Failure> {
    let unknown = || {
        let shown: String = text.chars().take(80).collect();
        Problem::new(
            Code::NotFound,
            format!(
                "Nothing is remembered of {shown:?}: the id of a request, call, map, lease or Host is expected."
            ),
        )
    };
    let view = control.catalogue.view();
    if let Ok(node) = view.resource_of(text, &[NodeKind::ComputeHost]) {
        let request = Explain {
            subject: Subject::Host(node.id),
        };
        let element = view.name_of(node.parent);
        let answer = control
            .streams
            .ask(
                node.parent,
                &element,
                &request,
                Some(context.request),
                ELEMENT_ANSWER_MAX,
            )
            .await?;
        return Ok(answer);
    }
    let id: Uuid = text.parse().map_err(|_| unknown())?;
    if let Some((person, explanation)) = control.explanations.get(RequestId::from_uuid(id)) {
        if person != context.actor.name && !context.actor.is_operator() {
            return Err(unknown().into());
        }
        return Ok(explanation);
    }
    // An id does not say what it is of; the Elements know.
    let subjects = [
        Subject::Call(CallId::from_uuid(id)),
        Subject::Job(JobId::from_uuid(id)),
        Subject::Lease(LeaseId::from_uuid(id)),
    ];
    for subject in subjects {
        let request = Explain { subject };
        let answers = control
            .streams
            .ask_all(&request, Some(context.request), ELEMENT_ANSWER_MAX)
            .await;
        if let Some(explanation) = answers.into_iter().find_map(|(_, answer)| answer.ok()) {
            return Ok(explanation);
        }
    }
    Err(unknown().into())
}
