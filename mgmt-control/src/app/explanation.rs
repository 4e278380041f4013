//! "Why?": the reasons of late decisions, kept in memory with the decisions,
//! and those of Elements, asked for.

use std::collections::{HashMap, VecDeque};

use gridmart_schemas::{
    api::explain::Explanation,
    id::{CallId, JobId, LeaseId, PersonName},
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

/// The reasons of late decisions.
#[derive(Default)]
pub struct Explanations {
    /// By request.
    decisions: Mutex<Ring>,
    /// What was ended by command, by call or map.
    ended: Mutex<Ring>,
}

/// The last reasons; the oldest are forgotten.
#[derive(Default)]
struct Ring {
    order: VecDeque<Uuid>,
    kept: HashMap<Uuid, (PersonName, Explanation)>,
}

impl Ring {
    fn keep(&mut self, id: Uuid, person: &PersonName, explanation: Explanation) {
        let entry = (person.clone(), explanation);
        if self.kept.insert(id, entry).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
    }
}

impl Explanations {
    /// Keeps the reasons of a decision.
    pub fn keep(&self, context: &Context, explanation: Explanation) {
        let id = *context.request.as_uuid();
        let person = &context.actor.name;
        self.decisions.lock().keep(id, person, explanation);
    }

    /// Keeps that a call or map was ended by command: it may be ended again
    /// before its records are here.
    pub fn keep_ended(&self, context: &Context, id: Uuid, what: &str) {
        let person = &context.actor.name;
        let explanation = Explanation {
            question: format!("Why has the {what} ended?"),
            outcome: format!("{person} ended it"),
            candidates: Vec::new(),
        };
        self.ended.lock().keep(id, person, explanation);
    }

    /// Who has lately ended a call or map by command: its owner, or an operator.
    pub fn ended_by(&self, id: Uuid) -> Option<PersonName> {
        let ended = self.ended.lock();
        ended.kept.get(&id).map(|(person, _)| person.clone())
    }

    fn decision(&self, id: Uuid) -> Option<(PersonName, Explanation)> {
        self.decisions.lock().kept.get(&id).cloned()
    }

    fn end(&self, id: Uuid) -> Option<Explanation> {
        let ended = self.ended.lock();
        ended
            .kept
            .get(&id)
            .map(|(_, explanation)| explanation.clone())
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
    if let Some((person, explanation)) = control.explanations.decision(id) {
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
    control.explanations.end(id).ok_or_else(|| unknown().into())
}
