//! What Elements of one kind run for persons: people see and end their own, operators
//! all.

use gridmart_schemas::{
    api::command::{Command, CommandView},
    id::PersonName,
    problem::{Code, Problem},
    role::NodeKind,
    wire::{Request, control_element::Terminated},
};
use uuid::Uuid;

use super::{Control, ELEMENT_ANSWER_MAX, applied::element_connected, context::Context};
use crate::failure::Failure;

/// What is run.
pub(super) struct Personal {
    /// One of it, and several.
    pub(super) noun: &'static str,
    pub(super) nouns: &'static str,
    /// Where, and what people call that.
    pub(super) kind: NodeKind,
    pub(super) element: &'static str,
    /// What ending one is called in the audit log.
    pub(super) action: &'static str,
}

impl Personal {
    /// Whose may be seen: those of the one who is named, if they may be; `None`: all.
    pub(super) fn whose(
        &self,
        context: &Context,
        named: Option<&str>,
    ) -> Result<Option<PersonName>, Problem> {
        let actor = &context.actor;
        match named {
            None if actor.is_operator() => Ok(None),
            None => Ok(Some(actor.name.clone())),
            Some(name) if actor.is_operator() || name == actor.name.as_str() => {
                let read = name.parse().map(Some);
                read.map_err(|_| {
                    let shown: String = name.chars().take(80).collect();
                    Problem::new(
                        Code::InvalidRequest,
                        format!("{shown:?} is no person's name."),
                    )
                })
            }
            Some(_) => Err(Problem::new(
                Code::NotAuthorized,
                format!(
                    "People see their own {}; those of others are for operators.",
                    self.nouns
                ),
            )),
        }
    }

    /// Asks all of the Elements that are there; gives the answers, and the names of
    /// those that have not answered.
    pub(super) async fn ask_all<R: Request>(
        &self,
        control: &Control,
        context: &Context,
        request: &R,
    ) -> (Vec<R::Answer>, Vec<String>) {
        let on_behalf = Some(context.request);
        let asked = control
            .streams
            .ask_all(request, on_behalf, ELEMENT_ANSWER_MAX);
        let (mut answers, mut heard) = (Vec::new(), Vec::new());
        for (element, answer) in asked.await {
            // Elements of other kinds do not know the question.
            if let Ok(answer) = answer {
                heard.push(element);
                answers.push(answer);
            }
        }
        let view = control.catalogue.view();
        let nodes = view.catalogue.nodes.values();
        let silent = nodes
            .filter(|node| node.kind == self.kind && !node.revoked && !heard.contains(&node.id));
        let mut silent: Vec<String> = silent.map(|node| node.name.clone()).collect();
        silent.sort();
        (answers, silent)
    }

    /// Ends one. `recorded`: whether it is known to have ended.
    pub(super) async fn kill<R: Request<Answer = Terminated>>(
        &self,
        control: &Control,
        context: &Context,
        (id, request): (Uuid, &R),
        recorded: impl Future<Output = Result<bool, Failure>>,
    ) -> Result<CommandView, Failure> {
        let entry = context.act(self.action, id.to_string());
        let ended = match terminate(control, context, request).await {
            Ok(ended) => ended,
            Err(problem) => {
                control.audit_refusal(entry, problem.code.as_str()).await;
                return Err(problem.into());
            }
        };
        let is_known = ended > 0
            || control.explanations.ended_by(id).as_ref() == Some(&context.actor.name)
            || recorded.await?;
        if !is_known {
            let problem = self.nobody_knows(control, id);
            control.audit_refusal(entry, problem.code.as_str()).await;
            return Err(problem.into());
        }
        control.administer(entry, |_| Ok(())).await?;
        control
            .explanations
            .keep_ended(context, id, &format!("{} {id}", self.noun));
        Ok(CommandView {
            command: Command::Kill.as_str().to_owned(),
            target: id.to_string(),
            wish: None,
            status: "applied".to_owned(),
            waiting_for: Vec::new(),
            ended: Some(ended),
        })
    }

    /// An Element that is away may know it; then it is worth another try.
    pub(super) fn nobody_knows(&self, control: &Control, id: Uuid) -> Problem {
        let view = control.catalogue.view();
        let nodes = view.catalogue.nodes.values();
        let away: Vec<&str> = nodes
            .filter(|node| node.kind == self.kind && !node.revoked)
            .filter(|node| !element_connected(&view, node.id))
            .map(|node| node.name.as_str())
            .collect();
        let Self { noun, element, .. } = self;
        if away.is_empty() {
            let detail = format!("No {element} knows the {noun} {id}.");
            return Problem::new(Code::NotFound, detail);
        }
        let away = away.join(", ");
        let detail = format!("No {element} that is there knows the {noun} {id}; away: {away}.");
        Problem::new(Code::ElementDown, detail)
    }
}

/// How many were ended; what an Element says that could not do it.
async fn terminate<R: Request<Answer = Terminated>>(
    control: &Control,
    context: &Context,
    request: &R,
) -> Result<u64, Problem> {
    let on_behalf = Some(context.request);
    let asked = control
        .streams
        .ask_all(request, on_behalf, ELEMENT_ANSWER_MAX);
    let mut sum = 0;
    let mut failed = None;
    for (_, answer) in asked.await {
        match answer {
            Ok(Terminated { ended }) => sum += ended,
            // Elements of other kinds do not know the question.
            Err(problem) if problem.code == Code::UnknownMessage => {}
            Err(problem) => failed = Some(problem),
        }
    }
    match failed {
        Some(problem) if sum == 0 => Err(problem),
        _ => Ok(sum),
    }
}
