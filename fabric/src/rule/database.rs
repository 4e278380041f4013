//! Who may use a database at all. Table by table and row by row its Element judges each
//! statement.

use gridmart_schemas::{resource::database::Database, role::Operation};

use super::{Ruling, Subject, names};

/// Whether a database's own rules allow it on some table at least.
pub fn may_some(database: &Database, subject: &Subject<'_>, operation: Operation) -> Ruling {
    if database.owner == *subject.person {
        return Ruling {
            allowed: true,
            reason: "it is the owner's".to_owned(),
        };
    }
    let named = database
        .access
        .rules
        .iter()
        .filter(|rule| names(&rule.who, subject));
    let mut reason = format!("no rule of the database names {}", subject.person);
    for rule in named {
        let operations = rule.operations.as_deref();
        // Who may write may see what they write.
        let is_allowed = operations.is_none_or(|operations| {
            operations.contains(&operation) || operation == Operation::Read
        });
        if is_allowed {
            let reason = format!("a rule for {} allows {operation}", rule.who);
            return Ruling {
                allowed: true,
                reason,
            };
        }
        reason = format!("the rule for {} does not allow {operation}", rule.who);
    }
    Ruling {
        allowed: false,
        reason,
    }
}
