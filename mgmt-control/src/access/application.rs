//! Access to an application: which version is meant, and which Elements serve it.

use std::sync::Arc;

use gridmart_fabric::{
    need::{Need, manifest_needs},
    rule,
};
use gridmart_schemas::{
    api::explain::{Candidate, Explanation, Verdict},
    id::NodeId,
    problem::{Code, Problem},
    resource::enumeration::AeKind,
    role::{Desired, Operation, Role},
};

use super::{
    fit::{application_offers, capability_list},
    placement::{self, Placement, Question, failures},
    verdict::{Checks, Concern, Sink as _},
};
use crate::{
    app::context::Actor,
    catalogue::{Snapshot, View, application::Application},
};

/// Candidates shown when many applications were looked at.
const CANDIDATES_MAX: usize = 32;

/// A request, parsed.
pub struct ApplicationQuestion<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// `NAME` or `NAME@VERSION`; absent: whatever has the needed capability.
    pub application: Option<&'a str>,
    /// Needs over and above those of the application.
    pub needs: &'a [Need],
    /// What is to be done.
    pub operations: &'a [Operation],
    /// Elements that failed for the asker.
    pub avoid: &'a [NodeId],
}

/// Decides on the version, then on the Elements.
pub fn decide(
    view: &View,
    question: &ApplicationQuestion<'_>,
) -> Result<(Arc<Application>, Placement), Problem> {
    let application = match question.application {
        Some(text) => named(view, question, text)?,
        None => searched(view, question)?,
    };
    let mut needs = question.needs.to_vec();
    needs.extend(manifest_needs(&application.manifest.needs));
    let words = words(question, &application.label());
    let placement = placement::place(
        view,
        &Question {
            subject: question.actor.subject(Some(&application.name)),
            application: Some(&application),
            needs: &needs,
            operations: question.operations,
            avoid: question.avoid,
            words: &words,
        },
    )?;
    Ok((application, placement))
}

fn words(question: &ApplicationQuestion<'_>, what: &str) -> String {
    let needs: Vec<String> = question
        .needs
        .iter()
        .map(|need| format!("{} {need}", need.name()))
        .collect();
    let operations: Vec<&str> = question
        .operations
        .iter()
        .map(|operation| operation.as_str())
        .collect();
    let with = if needs.is_empty() {
        String::new()
    } else {
        format!(" with {}", needs.join(", "))
    };
    format!(
        "Which Element lets {} {} {what}{with}?",
        question.actor.name,
        operations.join(", ")
    )
}

/// Finds `NAME` (its default version) or `NAME@VERSION`.
pub fn find_version(catalogue: &Snapshot, text: &str) -> Result<Arc<Application>, Problem> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    let found = match version {
        Some(version) => catalogue
            .versions_of(name)
            .find(|application| application.version == version),
        None => catalogue.default_version(name),
    };
    found.cloned().ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        Problem::new(
            Code::UnknownApplication,
            format!("There is no application {shown:?}."),
        )
    })
}

fn named(
    view: &View,
    question: &ApplicationQuestion<'_>,
    text: &str,
) -> Result<Arc<Application>, Problem> {
    let application = find_version(&view.catalogue, text)?;
    let checks = check(question, &application);
    if checks.failed.is_none() {
        return Ok(application);
    }
    let (code, outcome) = if checks.failed.needs > 0 {
        (Code::NeedUnmet, "cannot be called here")
    } else if checks.failed.rules > 0 {
        (Code::NotAuthorized, "is not for the asker")
    } else {
        (Code::NotAccepting, "is stopped")
    };
    let label = application.label();
    let detail = format!("{label} {outcome}; {}.", failures(&checks.made));
    let explanation = Explanation {
        question: words(question, &application.label()),
        outcome: detail.clone(),
        candidates: vec![candidate(&application, checks)],
    };
    Err(Problem::new(code, detail).with_explanation(explanation))
}

/// Among default versions: the first that has all needed capabilities, may be
/// used and is not stopped.
fn searched(view: &View, question: &ApplicationQuestion<'_>) -> Result<Arc<Application>, Problem> {
    if !question
        .needs
        .iter()
        .any(|need| matches!(need, Need::Capability { .. }))
    {
        return Err(Problem::new(
            Code::InvalidRequest,
            "Name an application, or a need `capability=NAME[/VERSION]` by which to find one.",
        ));
    }
    let mut judged: Vec<(&Arc<Application>, Checks)> = view
        .catalogue
        .applications
        .values()
        .filter(|application| application.default)
        .map(|application| (application, check(question, application)))
        .collect();
    judged.sort_by(|(a, a_checks), (b, b_checks)| {
        (a_checks.failed.distance(), &a.name).cmp(&(b_checks.failed.distance(), &b.name))
    });
    let Some((nearest, checks)) = judged.first() else {
        return Err(Problem::new(
            Code::NeedUnmet,
            "There is no application on the shelf yet.",
        ));
    };
    if checks.failed.is_none() {
        return Ok(Arc::clone(nearest));
    }
    let (code, intro) = if checks.failed.needs > 0 {
        (Code::NeedUnmet, "No application has the needed capability")
    } else if checks.failed.rules > 0 {
        (
            Code::NotAuthorized,
            "The applications that have it are not for the asker",
        )
    } else {
        (
            Code::NotAccepting,
            "The applications that have it are stopped",
        )
    };
    let detail = format!(
        "{intro}. Nearest is {}: {}.",
        nearest.label(),
        failures(&checks.made)
    );
    let candidates = judged.into_iter().take(CANDIDATES_MAX);
    let explanation = Explanation {
        question: words(question, "something"),
        outcome: detail.clone(),
        candidates: candidates
            .map(|(application, checks)| candidate(application, checks))
            .collect(),
    };
    Err(Problem::new(code, detail).with_explanation(explanation))
}

fn candidate(application: &Application, checks: Checks) -> Candidate {
    let verdict = if checks.failed.is_none() {
        Verdict::Eligible
    } else {
        Verdict::Unfit
    };
    Candidate {
        id: application.digest.to_string(),
        name: application.label(),
        verdict,
        checks: checks.made,
    }
}

/// Checks an application by itself: its rules, its wish, its kind, and (when
/// it is searched for) its capabilities.
fn check(question: &ApplicationQuestion<'_>, application: &Application) -> Checks {
    let mut checks = Checks::default();
    let kind = application.manifest.info.kind;
    checks.check("kind", Concern::Need, kind == AeKind::Task, || {
        ("task".to_owned(), kind.to_string())
    });
    if question.application.is_none() {
        for need in question.needs {
            let Need::Capability { name, version } = need else {
                continue;
            };
            let met = application_offers(application, name, version.as_deref());
            checks.check("capability", Concern::Need, met, || {
                (need.to_string(), capability_list(application))
            });
        }
    }
    for operation in question.operations {
        let (met, reason) = allows(application, question.actor, *operation);
        checks.check("application-rule", Concern::Rule, met, || {
            (format!("{operation} for {}", question.actor.name), reason)
        });
    }
    let desired = application.wish.desired;
    checks.check(
        "application-desired",
        Concern::State,
        desired == Desired::Production,
        || ("production".to_owned(), desired.to_string()),
    );
    checks
}

/// Whether an application's rules allow it. Its owner always may; without any
/// rule admins may as well, as the operators of the shelf.
pub fn allows(application: &Application, actor: &Actor, operation: Operation) -> (bool, String) {
    if application.owner == actor.name {
        return (true, "the asker owns it".to_owned());
    }
    let rules = &application.manifest.access.rules;
    if rules.is_empty() && actor.role == Role::Admin {
        return (true, "there is no rule, so admins may".to_owned());
    }
    let subject = actor.subject(Some(&application.name));
    let ruling = rule::evaluate(rules, &subject, operation, None);
    (ruling.allowed, ruling.reason)
}
