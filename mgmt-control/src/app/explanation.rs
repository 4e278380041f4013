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
/// Bytes of their reasons: the more Elements there are, the longer they get.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// The reasons of late decisions.
#[derive(Default)]
pub struct Explanations {
    /// By request.
    decisions: Mutex<Ring>,
    /// What was ended by command, by call or map.
    ended: Mutex<Ring>,
}

/// The last reasons, as JSON, which is a third of their size otherwise; the
/// oldest are forgotten.
#[derive(Default)]
struct Ring {
    order: VecDeque<Uuid>,
    kept: HashMap<Uuid, (PersonName, Box<[u8]>)>,
    bytes: usize,
}

impl Ring {
    fn keep(&mut self, id: Uuid, person: &PersonName, explanation: Box<[u8]>) {
        self.bytes += explanation.len();
        match self.kept.insert(id, (person.clone(), explanation)) {
            Some((_, replaced)) => self.bytes -= replaced.len(),
            None => self.order.push_back(id),
        }
        while (self.order.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX)
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some((_, forgotten)) = self.kept.remove(&oldest) {
                self.bytes -= forgotten.len();
            }
        }
    }
}

/// Keeps an explanation in a ring; written down before the ring is locked.
fn keep(ring: &Mutex<Ring>, id: Uuid, person: &PersonName, explanation: &Explanation) {
    match serde_json::to_vec(explanation) {
        Ok(written) => ring.lock().keep(id, person, written.into_boxed_slice()),
        Err(error) => tracing::error!(%error, "the reasons of a decision are lost"),
    }
}

fn kept(ring: &Mutex<Ring>, id: Uuid) -> Option<(PersonName, Explanation)> {
    let (person, written) = ring.lock().kept.get(&id).cloned()?;
    Some((person, serde_json::from_slice(&written).ok()?))
}

impl Explanations {
    /// Keeps the reasons of a decision.
    pub fn keep(&self, context: &Context, explanation: &Explanation) {
        let id = *context.request.as_uuid();
        keep(&self.decisions, id, &context.actor.name, explanation);
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
        keep(&self.ended, id, person, &explanation);
    }

    /// Who has lately ended a call or map by command: its owner, or an operator.
    pub fn ended_by(&self, id: Uuid) -> Option<PersonName> {
        let ended = self.ended.lock();
        ended.kept.get(&id).map(|(person, _)| person.clone())
    }

    fn decision(&self, id: Uuid) -> Option<(PersonName, Explanation)> {
        kept(&self.decisions, id)
    }

    fn end(&self, id: Uuid) -> Option<Explanation> {
        kept(&self.ended, id).map(|(_, explanation)| explanation)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation(length: usize) -> Explanation {
        Explanation {
            question: "why?".to_owned(),
            outcome: "x".repeat(length),
            candidates: Vec::new(),
        }
    }

    #[test]
    fn reasons_are_kept_within_bounds_and_the_oldest_go_first() {
        const LONG: usize = KEPT_BYTES_MAX / 4;
        let ring = Mutex::new(Ring::default());
        let person: PersonName = "ursula".parse().unwrap();
        let ids: Vec<Uuid> = (0..6).map(Uuid::from_u128).collect();
        for id in &ids {
            keep(&ring, *id, &person, &explanation(LONG));
        }
        let is_kept: Vec<bool> = ids.iter().map(|id| kept(&ring, *id).is_some()).collect();
        assert_eq!(is_kept, [false, false, false, true, true, true]);
        assert_eq!(
            kept(&ring, ids[5]),
            Some((person.clone(), explanation(LONG)))
        );
        // Under the id of another one, it takes its place and its room.
        keep(&ring, ids[5], &person, &explanation(1));
        keep(&ring, ids[0], &person, &explanation(1));
        assert!(kept(&ring, ids[3]).is_some());
        for number in 100..100 + KEPT_MAX as u128 {
            keep(&ring, Uuid::from_u128(number), &person, &explanation(1));
        }
        let ring = ring.lock();
        assert_eq!((ring.order.len(), ring.kept.len()), (KEPT_MAX, KEPT_MAX));
        let held: usize = ring.kept.values().map(|(_, written)| written.len()).sum();
        assert_eq!(ring.bytes, held);
    }
}
