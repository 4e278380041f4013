//! A policy as it is written, and what it says of a request.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Query, Verdict, condition::Conditions, pattern::matches};

/// The most bytes of a policy, as S3 has it.
const POLICY_BYTES_MAX: usize = 20 * 1024;
const RESOURCE_PREFIX: &str = "arn:aws:s3:::";
const PERSON_PREFIX: &str = ":user/";

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum PolicyError {
    /// Too long.
    #[error("Policies must be at most {POLICY_BYTES_MAX} bytes long")]
    TooLong,
    /// No JSON, or not of this form.
    #[error("Policies must be valid JSON: {0}")]
    Form(#[from] serde_json::Error),
    /// A rule across fields.
    #[error("{0}")]
    Content(String),
}

/// One value, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Principal {
    /// `"*"` only.
    Word(String),
    /// `{"AWS": …}`.
    Kinds(BTreeMap<String, OneOrMany<String>>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<Principal>,
    not_principal: Option<Principal>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: Conditions,
}

/// A bucket's policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(in super::super) struct Policy {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<Statement>,
}

impl Policy {
    /// Reads a policy.
    pub(in super::super) fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let policy: Self = serde_json::from_str(text)?;
        if policy.statement.as_slice().is_empty() {
            return Err(PolicyError::Content(
                "Could not parse the policy: Statement is empty!".to_owned(),
            ));
        }
        let mut faults = policy
            .statement
            .as_slice()
            .iter()
            .filter_map(Statement::fault);
        match faults.next() {
            Some(fault) => Err(PolicyError::Content(fault)),
            None => Ok(policy),
        }
    }

    /// What it says of a request: a denial counts more than any permission.
    pub(in super::super) fn judge(&self, query: &Query<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in self.statement.as_slice() {
            match statement.effect {
                Effect::Deny if statement.is_about(query) => return Verdict::Deny,
                Effect::Allow if statement.is_about(query) => verdict = Verdict::Allow,
                Effect::Allow | Effect::Deny => {}
            }
        }
        verdict
    }

    /// Whether it asks for tags of objects.
    pub(in super::super) fn asks_object_tags(&self) -> bool {
        self.statement
            .as_slice()
            .iter()
            .any(|statement| statement.condition.asks("s3:ExistingObjectTag/"))
    }

    /// Whether it lets everybody in, without any condition.
    pub(in super::super) fn is_public(&self) -> bool {
        self.statement.as_slice().iter().any(|statement| {
            statement.effect == Effect::Allow
                && statement.condition.is_empty()
                && statement.names(None)
        })
    }
}

impl Statement {
    /// What is wrong with it, in words.
    fn fault(&self) -> Option<String> {
        if self.principal.is_some() == self.not_principal.is_some() {
            return Some("Missing required field Principal".to_owned());
        }
        if self.not_principal.is_some() && self.effect == Effect::Allow {
            return Some("Allow with NotPrincipal is not allowed.".to_owned());
        }
        if self.action.is_some() == self.not_action.is_some() {
            return Some("Missing required field Action".to_owned());
        }
        if self.resource.is_some() == self.not_resource.is_some() {
            return Some("Missing required field Resource".to_owned());
        }
        let principals = self.principal.iter().chain(&self.not_principal);
        if principals.clone().any(|principal| !principal.is_valid()) {
            return Some("Invalid principal in policy".to_owned());
        }
        let mut actions = self
            .action
            .iter()
            .chain(&self.not_action)
            .flat_map(OneOrMany::as_slice);
        if actions.any(|action| action != "*" && !starts_with_ignoring_case(action, "s3:")) {
            return Some("Policy has invalid action".to_owned());
        }
        let mut resources = self
            .resource
            .iter()
            .chain(&self.not_resource)
            .flat_map(OneOrMany::as_slice);
        if resources.any(|resource| resource != "*" && !resource.starts_with(RESOURCE_PREFIX)) {
            return Some("Policy has invalid resource".to_owned());
        }
        self.condition.fault()
    }

    fn is_about(&self, query: &Query<'_>) -> bool {
        self.names(query.person)
            && chosen(self.action.as_ref(), self.not_action.as_ref(), |action| {
                matches(
                    &action.to_ascii_lowercase(),
                    &query.action.to_ascii_lowercase(),
                )
            })
            && chosen(
                self.resource.as_ref(),
                self.not_resource.as_ref(),
                |resource| matches(resource, query.resource),
            )
            && self.condition.hold(query.facts)
    }

    fn names(&self, person: Option<&str>) -> bool {
        match (&self.principal, &self.not_principal) {
            (Some(principal), _) => principal.names(person),
            (None, Some(principal)) => !principal.names(person),
            (None, None) => false,
        }
    }
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn chosen(
    these: Option<&OneOrMany<String>>,
    not_these: Option<&OneOrMany<String>>,
    is: impl Fn(&str) -> bool,
) -> bool {
    match (these, not_these) {
        (Some(these), _) => these.as_slice().iter().any(|one| is(one)),
        (None, Some(others)) => !others.as_slice().iter().any(|one| is(one)),
        (None, None) => false,
    }
}

impl Principal {
    fn is_valid(&self) -> bool {
        match self {
            Self::Word(word) => word == "*",
            Self::Kinds(kinds) => kinds.iter().all(|(kind, names)| {
                let names = names.as_slice();
                kind == "AWS" && !names.is_empty() && names.iter().all(|name| !name.is_empty())
            }),
        }
    }

    fn names(&self, person: Option<&str>) -> bool {
        match self {
            Self::Word(word) => word == "*",
            Self::Kinds(kinds) => kinds
                .values()
                .flat_map(OneOrMany::as_slice)
                .any(|name| name == "*" || person.is_some_and(|person| is_person(name, person))),
        }
    }
}

/// Whether a principal is a person: `alice`, or `arn:aws:iam::…:user/alice`.
fn is_person(name: &str, person: &str) -> bool {
    match name.strip_prefix("arn:aws:iam:") {
        Some(arn) => arn
            .split_once(PERSON_PREFIX)
            .is_some_and(|(_, name)| name == person),
        None => name == person,
    }
}
