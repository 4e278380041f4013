//! Who may do what with a bucket, at whichever door.
//!
//! The Element's own rules must allow it, and then its owner may, and whoever
//! the bucket's own rules name. A viewer never writes. What S3 adds to that (its
//! policies, which only S3's doors know) comes on top, in `s3`.

use gridmart_fabric::rule::{Ruling, Subject, evaluate};
use gridmart_schemas::{
    id::PersonName,
    resource::common::{AccessControlBase, AccessRule},
    role::{Operation, Role},
};

/// Whose a bucket is, and whom its owner allows.
#[derive(Clone, Debug)]
pub(crate) struct BucketRules {
    pub(crate) owner: PersonName,
    /// None: nobody beside the owner.
    pub(crate) access: AccessControlBase,
}

/// Decides whether somebody may do something with a bucket, or with the keys
/// that begin as `part` does.
pub(crate) fn judge(
    element: &[AccessRule],
    bucket: &BucketRules,
    subject: &Subject<'_>,
    operation: Operation,
    part: Option<&str>,
) -> Ruling {
    let entry = enter(element, subject, operation);
    if !entry.allowed {
        return entry;
    }
    if subject.person == &bucket.owner {
        return Ruling {
            allowed: true,
            reason: "it is the owner's".to_owned(),
        };
    }
    evaluate(&bucket.access.rules, subject, operation, part)
}

/// Decides whether somebody may come in at all: what the Element's operator
/// allows, and the role.
pub(crate) fn enter(element: &[AccessRule], subject: &Subject<'_>, operation: Operation) -> Ruling {
    if subject.role == Role::Viewer && operation != Operation::Read {
        return Ruling {
            allowed: false,
            reason: "a viewer changes nothing".to_owned(),
        };
    }
    evaluate(element, subject, operation, None)
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::scalar::Text;

    use super::*;

    fn rule(who: &str, operations: Option<&[Operation]>, part: Option<&str>) -> AccessRule {
        AccessRule {
            who: who.parse().unwrap(),
            operations: operations.map(<[Operation]>::to_vec),
            part: part.map(|part| Text::new(part).unwrap()),
        }
    }

    #[test]
    fn owner_rules_roles_and_the_elements_rules_decide_together() {
        use Operation::{Read, Write};
        let open = [rule("ALL", None, None)];
        let read_only = [rule("ALL", Some(&[Read]), None)];
        let bucket = BucketRules {
            owner: "ada".parse().unwrap(),
            access: AccessControlBase::from_rules(vec![
                rule("user:bob", None, Some("shared/")),
                rule("role:viewer", None, None),
            ]),
        };
        let may = |element: &[AccessRule], person: &str, role, operation, part| {
            let person = person.parse().unwrap();
            let subject = Subject {
                person: &person,
                role,
                domain: None,
                application: None,
            };
            judge(element, &bucket, &subject, operation, part).allowed
        };
        assert!(may(&open, "ada", Role::User, Write, Some("a")));
        assert!(!may(&open, "ada", Role::Viewer, Write, Some("a")));
        assert!(may(&open, "ada", Role::Viewer, Read, None));
        assert!(!may(&read_only, "ada", Role::User, Write, Some("a")));
        assert!(!may(&[], "ada", Role::User, Read, None));
        assert!(may(&open, "bob", Role::User, Write, Some("shared/x")));
        assert!(!may(&open, "bob", Role::User, Write, Some("other")));
        assert!(!may(&open, "bob", Role::User, Read, None));
        assert!(may(&open, "eve", Role::Viewer, Read, Some("other")));
        assert!(!may(&open, "eve", Role::Viewer, Write, Some("other")));
        assert!(!may(&open, "mallory", Role::Admin, Read, Some("shared/x")));
    }
}
