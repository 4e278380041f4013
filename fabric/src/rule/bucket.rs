//! Who may do what with a bucket, at whichever door.
//!
//! The Element's own rules must allow it, and then its owner may, and whoever
//! the bucket's own rules name. A viewer never writes. What S3 adds to that (its
//! policies, which only S3's doors know) comes on top, where S3 is served.

use gridmart_schemas::{
    id::PersonName,
    resource::common::{AccessControlBase, AccessRule},
    role::{Operation, Role},
};

use super::{Ruling, Subject, evaluate, part_of};

/// Whose a bucket is, and whom its owner allows.
#[derive(Clone, Debug)]
pub struct BucketRules {
    /// May do everything with it that the Element allows.
    pub owner: PersonName,
    /// None: nobody beside the owner.
    pub access: AccessControlBase,
}

impl BucketRules {
    /// Whether the owner, or the bucket's own rules, allow it to somebody with
    /// some keys at least; the Element must allow it too ([`enter`]).
    pub fn allow_somewhere(&self, subject: &Subject<'_>, operation: Operation) -> Ruling {
        if let Some(ruling) = self.of_owner(subject) {
            return ruling;
        }
        let rules = &self.access.rules;
        let each = rules.iter().map(|rule| {
            let one = std::slice::from_ref(rule);
            evaluate(one, subject, operation, part_of(rule))
        });
        let allowing = each.into_iter().find(|ruling| ruling.allowed);
        allowing.unwrap_or_else(|| evaluate(rules, subject, operation, None))
    }

    fn of_owner(&self, subject: &Subject<'_>) -> Option<Ruling> {
        (subject.person == &self.owner).then(|| Ruling {
            allowed: true,
            reason: "it is the owner's".to_owned(),
        })
    }
}

/// Decides whether somebody may do something with a bucket, or with the keys
/// that begin as `part` does.
pub fn judge(
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
    bucket
        .of_owner(subject)
        .unwrap_or_else(|| evaluate(&bucket.access.rules, subject, operation, part))
}

/// Decides whether somebody may do it with some keys of a bucket at least, when
/// it is not known yet with which.
pub fn judge_somewhere(
    element: &[AccessRule],
    bucket: &BucketRules,
    subject: &Subject<'_>,
    operation: Operation,
) -> Ruling {
    let entry = enter(element, subject, operation);
    if !entry.allowed {
        return entry;
    }
    bucket.allow_somewhere(subject, operation)
}

/// Decides whether somebody may come in at all: what the Element's operator
/// allows, and the role.
pub fn enter(element: &[AccessRule], subject: &Subject<'_>, operation: Operation) -> Ruling {
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
    #[test]
    fn who_may_do_it_with_some_keys_may_do_it_somewhere() {
        use Operation::{Read, Write};
        let open = [rule("ALL", None, None)];
        let bucket = BucketRules {
            owner: "ada".parse().unwrap(),
            access: AccessControlBase::from_rules(vec![rule(
                "user:ben",
                Some(&[Read]),
                Some("public/"),
            )]),
        };
        let may = |element: &[AccessRule], person: &str, operation| {
            let person = person.parse().unwrap();
            let subject = Subject {
                person: &person,
                role: Role::User,
                domain: None,
                application: None,
            };
            judge_somewhere(element, &bucket, &subject, operation).allowed
        };
        assert!(may(&open, "ada", Read) && may(&open, "ada", Write));
        assert!(may(&open, "ben", Read) && !may(&open, "ben", Write));
        assert!(!may(&open, "cyd", Read));
        assert!(!may(&[], "ben", Read) && !may(&[], "ada", Read));
    }
}
