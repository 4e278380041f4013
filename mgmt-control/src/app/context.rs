//! Who asks, and under which request: the first argument of every operation.

use gridmart_fabric::rule::Subject;
use gridmart_schemas::{
    id::{PersonName, RequestId},
    role::Role,
};

use crate::catalogue::audit::AuditEntry;

/// A person who has proved who they are.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub name: PersonName,
    /// What they may do.
    pub role: Role,
    /// The domain they belong to.
    pub domain: Option<String>,
}

impl Actor {
    /// The actor as access rules see them.
    pub fn subject<'a>(&'a self, application: Option<&'a str>) -> Subject<'a> {
        Subject {
            person: &self.name,
            role: self.role,
            domain: self.domain.as_deref(),
            application,
        }
    }

    /// Whether they manage machines.
    pub fn is_operator(&self) -> bool {
        self.role <= Role::Operator
    }
}

/// The context of one operation.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who asks.
    pub actor: Actor,
    /// The request, as all tiers' logs name it.
    pub request: RequestId,
}

impl Context {
    /// An entry for the audit log about what the actor does.
    pub fn act(&self, action: &'static str, target: impl Into<String>) -> AuditEntry {
        AuditEntry {
            actor: self.actor.name.to_string(),
            action,
            target: target.into(),
            request: Some(self.request),
            detail: String::new(),
        }
    }
}
