//! The one evaluator of access rules, for whatever is asked for.
//!
//! Rules only allow, match exactly and case-sensitively, and any one suffices;
//! without a matching rule the answer is no. Several rule lists (Element, Host,
//! application) are asked one after the other by the caller: all must allow.
//! Roles of people are not looked at here, except where a rule names one.

pub mod bucket;
pub mod database;

use gridmart_schemas::{
    id::PersonName,
    resource::common::{AccessRule, Who},
    role::{Operation, Role},
};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The person, always known.
    pub person: &'a PersonName,
    /// The person's role.
    pub role: Role,
    /// The person's domain, if one is known.
    pub domain: Option<&'a str>,
    /// The application (`AppName`) that asks on the person's behalf.
    pub application: Option<&'a str>,
}

/// The answer, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Whether it may be done.
    pub allowed: bool,
    /// Which rule allows it, or why none does.
    pub reason: String,
}

/// What a rule without operations allows: all that a user may, who takes what is
/// on the shelf. Of a bucket that is to keep things there and to take them out;
/// whoever should only look is given `read` by name.
const USER_OPERATIONS: &[Operation] = &[
    Operation::Call,
    Operation::Logs,
    Operation::Read,
    Operation::Write,
];

/// Decides whether `rules` allow `operation` to `subject`, on a part of the
/// resource or (`None`) on the whole.
pub fn evaluate(
    rules: &[AccessRule],
    subject: &Subject<'_>,
    operation: Operation,
    part: Option<&str>,
) -> Ruling {
    if rules.is_empty() {
        return Ruling {
            allowed: false,
            reason: "there is no rule, so nobody may".to_owned(),
        };
    }
    // The nearest miss makes the most useful reason.
    let mut named = None;
    for rule in rules.iter().filter(|rule| names(&rule.who, subject)) {
        let operations = rule.operations.as_deref().unwrap_or(USER_OPERATIONS);
        if !operations.contains(&operation) {
            named = Some(format!(
                "the rule for {} does not allow {operation}",
                rule.who
            ));
        } else if !covers(part_of(rule), part) {
            named = Some(format!(
                "the rule for {} does not cover {}",
                rule.who,
                part.unwrap_or("the whole")
            ));
        } else {
            return Ruling {
                allowed: true,
                reason: format!("the rule for {} allows {operation}", rule.who),
            };
        }
    }
    let reason = named
        .unwrap_or_else(|| format!("none of the {} rules names {}", rules.len(), subject.person));
    Ruling {
        allowed: false,
        reason,
    }
}

/// Whether the rule means this subject.
pub fn names(who: &Who, subject: &Subject<'_>) -> bool {
    match who {
        Who::All => true,
        Who::User(name) => name.as_str() == subject.person.as_str(),
        Who::Role(name) => name.as_str() == subject.role.as_str(),
        Who::Domain(name) => subject.domain == Some(name.as_str()),
        Who::Application(name) => subject.application == Some(name.as_str()),
        // People here have neither certificates nor organisations of their own.
        Who::Dn(_) | Who::Vo(_) => false,
    }
}

/// The part of the resource that a rule is about; `None`: the whole.
fn part_of(rule: &AccessRule) -> Option<&str> {
    rule.part
        .as_ref()
        .map(gridmart_schemas::scalar::Text::as_str)
}

/// Whether a rule's part holds the part that is asked for. A part that ends in
/// `/` holds everything below it; another one holds itself alone.
fn covers(rule: Option<&str>, asked: Option<&str>) -> bool {
    match (rule, asked) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(rule), Some(asked)) => {
            rule == asked || (rule.ends_with('/') && asked.starts_with(rule))
        }
    }
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

    /// Who, operations and part of the rule; operation and part asked; whether
    /// it is allowed to the whole subject, and to the bare one.
    type Row<'a> = (
        &'a str,
        Option<&'a [Operation]>,
        Option<&'a str>,
        Operation,
        Option<&'a str>,
        bool,
        bool,
    );

    #[test]
    fn rules_decide_as_the_table_says() {
        use Operation::{Call, Logs, Manage, Upload};
        let person: PersonName = "alice".parse().unwrap();
        let subject = Subject {
            person: &person,
            role: Role::User,
            domain: Some("lab"),
            application: Some("spf"),
        };
        let bare = Subject {
            domain: None,
            application: None,
            ..subject
        };
        let table: &[Row<'_>] = &[
            ("ALL", None, None, Call, None, true, true),
            ("ALL", None, None, Logs, None, true, true),
            ("ALL", None, None, Manage, None, false, false),
            ("ALL", None, None, Upload, None, false, false),
            ("ALL", None, None, Call, Some("bucket/a"), true, true),
            ("user:alice", None, None, Call, None, true, true),
            ("user:Alice", None, None, Call, None, false, false),
            ("user:alic", None, None, Call, None, false, false),
            (
                "user:alice",
                Some(&[Manage]),
                None,
                Manage,
                None,
                true,
                true,
            ),
            (
                "user:alice",
                Some(&[Manage]),
                None,
                Call,
                None,
                false,
                false,
            ),
            ("role:user", None, None, Call, None, true, true),
            ("role:admin", None, None, Call, None, false, false),
            ("domain:lab", None, None, Call, None, true, false),
            ("domain:lab2", None, None, Call, None, false, false),
            ("application:spf", None, None, Call, None, true, false),
            ("dn:alice", None, None, Call, None, false, false),
            ("vo:lab", None, None, Call, None, false, false),
            ("ALL", None, Some("a/"), Call, None, false, false),
            ("ALL", None, Some("a/"), Call, Some("a/b"), true, true),
            ("ALL", None, Some("a"), Call, Some("a/b"), false, false),
            ("ALL", None, Some("a"), Call, Some("a"), true, true),
            ("ALL", None, Some("a/"), Call, Some("A/b"), false, false),
        ];
        for row @ (who, operations, part, operation, asked, expected, expected_bare) in table {
            let rules = [
                rule("user:nobody", None, None),
                rule(who, *operations, *part),
            ];
            assert_eq!(
                evaluate(&rules, &subject, *operation, *asked).allowed,
                *expected,
                "{row:?}"
            );
            assert_eq!(
                evaluate(&rules, &bare, *operation, *asked).allowed,
                *expected_bare,
                "{row:?}"
            );
        }
    }

    #[test]
    fn of_a_bucket_a_user_may_read_and_write_unless_the_rule_says_less() {
        use Operation::{Manage, Read, Write};
        let person: PersonName = "alice".parse().unwrap();
        let subject = Subject {
            person: &person,
            role: Role::User,
            domain: None,
            application: None,
        };
        let may = |rule: &AccessRule, operation, key| {
            evaluate(std::slice::from_ref(rule), &subject, operation, Some(key)).allowed
        };
        let whole = rule("ALL", None, None);
        assert!(may(&whole, Read, "a/b") && may(&whole, Write, "a/b"));
        assert!(!may(&whole, Manage, "a/b"));
        let prefix = rule("user:alice", None, Some("a/"));
        assert!(may(&prefix, Write, "a/b") && !may(&prefix, Write, "b"));
        let looking = rule("ALL", Some(&[Read]), None);
        assert!(may(&looking, Read, "a/b") && !may(&looking, Write, "a/b"));
    }

    #[test]
    fn no_rule_means_nobody_and_a_near_miss_is_named() {
        let person: PersonName = "alice".parse().unwrap();
        let subject = Subject {
            person: &person,
            role: Role::Admin,
            domain: None,
            application: None,
        };
        assert!(!evaluate(&[], &subject, Operation::Call, None).allowed);
        let rules = [
            rule("user:alice", Some(&[Operation::Logs]), None),
            rule("user:bob", None, None),
        ];
        let ruling = evaluate(&rules, &subject, Operation::Call, None);
        assert_eq!(ruling.reason, "the rule for user:alice does not allow call");
    }
}
