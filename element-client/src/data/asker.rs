//! Who wants something of a database.

use gridmart_fabric::{rule::Subject, ticket::AccessClaims};
use gridmart_schemas::{
    id::PersonName,
    problem::{Code, Problem},
    role::{Operation, Role},
    wire::replica::ReplicaStatementKind,
};

/// Who wants a statement run, as they are now.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) person: PersonName,
    pub(super) role: Role,
    pub(super) domain: Option<String>,
    pub(super) operations: Vec<Operation>,
}

impl From<&AccessClaims> for Asker {
    fn from(claims: &AccessClaims) -> Self {
        Self {
            person: claims.sub.clone(),
            role: claims.role,
            domain: claims.domain.clone(),
            operations: claims.operations.clone(),
        }
    }
}

impl Asker {
    /// As rules know them.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            person: &self.person,
            role: self.role,
            domain: self.domain.as_deref(),
            application: None,
        }
    }

    /// Refuses what their ticket, or their rights, do not permit.
    pub(super) fn require(&self, kind: ReplicaStatementKind) -> Result<(), Problem> {
        let operation = match kind {
            ReplicaStatementKind::Read => Operation::Read,
            ReplicaStatementKind::Rows | ReplicaStatementKind::Schema => Operation::Write,
        };
        if self.operations.contains(&operation) {
            return Ok(());
        }
        let detail = format!("The ticket does not permit to {operation}.");
        Err(Problem::new(Code::NotAuthorized, detail))
    }
}
