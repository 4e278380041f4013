//! What a person may see and do in a database: from its `AccessControlBase` to the
//! rules of the judge.

use std::collections::BTreeMap;

use gridmart_fabric::rule::{Subject, bucket::enter, database::may_some, names};
use gridmart_schemas::{
    id::{DatabaseId, PersonName},
    resource::database::{Database, DatabaseRule, DatabaseRules},
    role::{Operation, Role},
    scalar::DatabaseName,
};

use super::{
    De,
    asker::Asker,
    sql::{Catalog, Entry, Mode, Person, RuleError, RuleSet, Rules, TableRule},
};

/// The rules of a person: everything for the owner; else, for each table, the first
/// rule that names the person and the table. A viewer changes nothing.
pub(super) fn rules_of<'a>(
    database: &Database,
    entries: impl Iterator<Item = (&'a str, &'a Entry)>,
    subject: &Subject<'_>,
) -> RuleSet {
    if database.owner == *subject.person && subject.role != Role::Viewer {
        return RuleSet::Everything;
    }
    let rules = &database.access.rules;
    let mut granted = BTreeMap::new();
    for (table, entry) in entries {
        let covers = |rule: &&DatabaseRule| {
            rule.table
                .as_ref()
                .is_none_or(|named| named.as_str() == table)
                && names(&rule.who, subject)
        };
        let found = if database.owner == *subject.person {
            Some(TableRule::default())
        } else {
            rules
                .iter()
                .find(covers)
                .map(|rule| table_rule(rule, entry))
        };
        if let Some(mut rule) = found {
            if subject.role == Role::Viewer {
                rule.mode = rule.mode.min(Mode::Read);
            }
            granted.insert(table.to_owned(), rule);
        }
    }
    RuleSet::Granted(granted)
}

impl De {
    /// The database of that name, if the person may use it at all.
    pub(super) fn database_named(
        &self,
        name: &DatabaseName,
        person: &PersonName,
    ) -> Option<DatabaseId> {
        let id = {
            let document = self.base.read();
            let mut databases = document.databases.databases.iter();
            databases.find(|one| one.name == *name)?.database()?
        };
        self.asker(person, id).map(|_| id)
    }

    /// Names of the databases that the person may use.
    pub(super) fn databases_of(&self, person: &PersonName) -> Vec<String> {
        let all: Vec<_> = {
            let document = self.base.read();
            let databases = document.databases.databases.iter();
            databases
                .filter_map(|one| Some((one.database()?, one.name.to_string())))
                .collect()
        };
        let mine = all
            .into_iter()
            .filter(|(id, _)| self.asker(person, *id).is_some());
        let mut names: Vec<String> = mine.map(|(_, name)| name).collect();
        names.sort();
        names
    }

    /// What a person may do in a database who came with a key; `None`: nothing.
    pub(super) fn asker(&self, person: &PersonName, id: DatabaseId) -> Option<Asker> {
        let known = self.goods.people.get(person)?;
        let mut asker = Asker {
            person: known.name,
            role: known.role,
            domain: known.domain,
            operations: Vec::new(),
        };
        let document = self.base.read();
        let mut databases = document.databases.databases.iter();
        let database = databases.find(|one| one.database() == Some(id))?;
        let rules = &document.element.access.rules;
        let subject = asker.subject();
        let may = |operation: &Operation| {
            enter(rules, &subject, *operation).allowed
                && may_some(database, &subject, *operation).allowed
        };
        let operations = [Operation::Read, Operation::Write].into_iter();
        asker.operations = operations.filter(may).collect();
        (!asker.operations.is_empty()).then_some(asker)
    }
}

/// Refuses rules that cannot be for the tables as they are. One for a table that does
/// not exist yet is kept.
pub(super) fn require_fitting(access: &DatabaseRules, catalog: &Catalog) -> Result<(), RuleError> {
    for rule in &access.rules {
        let Some(table) = &rule.table else {
            continue;
        };
        let table = table.as_str();
        if let Some(entry) = catalog.entry(table) {
            let granted = BTreeMap::from([(table.to_owned(), table_rule(rule, entry))]);
            Rules::compile(&RuleSet::Granted(granted), catalog)?;
        }
    }
    Ok(())
}

fn table_rule(rule: &DatabaseRule, entry: &Entry) -> TableRule {
    // Nobody writes to a view.
    let may_write = matches!(entry, Entry::Table(_))
        && rule
            .operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&Operation::Write));
    let mut found = TableRule {
        mode: if may_write { Mode::Write } else { Mode::Read },
        rows: rule.rows.as_ref().map(|rows| rows.as_str().to_owned()),
        ..TableRule::default()
    };
    for column in &rule.columns {
        let name = column.name.as_str().to_owned();
        match &column.mask {
            None => drop(found.hidden.insert(name)),
            Some(mask) => drop(found.masked.insert(name, mask.as_str().to_owned())),
        }
    }
    found
}

/// The person as rules may ask for them.
pub(super) fn person_of(subject: &Subject<'_>) -> Person {
    let mut attributes = BTreeMap::from([("role".to_owned(), subject.role.to_string())]);
    if let Some(domain) = subject.domain {
        attributes.insert("domain".to_owned(), domain.to_owned());
    }
    Person {
        name: subject.person.to_string(),
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{DatabaseId, PersonName},
        resource::database::ColumnRule,
    };

    use std::sync::Arc;

    use super::{
        super::sql::{Table, View},
        *,
    };

    fn rule(who: &str, table: Option<&str>, operations: Option<&[Operation]>) -> DatabaseRule {
        DatabaseRule {
            who: who.parse().unwrap(),
            operations: operations.map(<[Operation]>::to_vec),
            table: table.map(|table| table.parse().unwrap()),
            columns: Vec::new(),
            rows: None,
        }
    }

    #[test]
    fn the_first_rule_counts_and_without_one_there_is_nothing() {
        let mut database = Database::new(
            DatabaseId::generate(),
            "shop".parse().unwrap(),
            "ada".parse().unwrap(),
            Vec::new(),
        )
        .unwrap();
        let mut masked = rule("role:user", Some("people"), Some(&[Operation::Read]));
        masked.columns.push(ColumnRule {
            name: "pay".parse().unwrap(),
            mask: Some("0".parse().unwrap()),
        });
        masked.rows = Some("name = current_user".parse().unwrap());
        database.access = DatabaseRules {
            rules: vec![
                rule("user:eve", Some("people"), None),
                masked,
                rule("user:bob", None, None),
            ],
        };
        let table = |name: &str| {
            Entry::Table(Arc::new(Table {
                name: name.into(),
                columns: Vec::new(),
                primary_key: Vec::new(),
                unique_keys: Vec::new(),
            }))
        };
        let view = View::read("young", r#"{"text": "SELECT 1"}"#).unwrap();
        let entries = [
            ("people", table("people")),
            ("orders", table("orders")),
            ("young", Entry::View(Arc::new(view))),
        ];
        let found = |person: &str, role| {
            let person: PersonName = person.parse().unwrap();
            let subject = Subject {
                person: &person,
                role,
                domain: None,
                application: None,
            };
            let entries = entries.iter().map(|(name, entry)| (*name, entry));
            rules_of(&database, entries, &subject)
        };
        assert_eq!(found("ada", Role::User), RuleSet::Everything);
        let RuleSet::Granted(eve) = found("eve", Role::User) else {
            panic!("eve owns nothing")
        };
        assert_eq!(eve["people"].mode, Mode::Write);
        assert!(!eve.contains_key("orders"));
        let RuleSet::Granted(bob) = found("bob", Role::User) else {
            panic!("bob owns nothing")
        };
        assert_eq!(bob["people"].mode, Mode::Read);
        assert_eq!(bob["people"].masked["pay"], "0");
        assert_eq!(bob["orders"].mode, Mode::Write);
        assert_eq!(bob["young"].mode, Mode::Read, "nobody writes to a view");
        let RuleSet::Granted(viewer) = found("bob", Role::Viewer) else {
            panic!("bob owns nothing")
        };
        assert_eq!(viewer["orders"].mode, Mode::Read);
        let RuleSet::Granted(own) = found("ada", Role::Viewer) else {
            panic!("a viewer changes nothing")
        };
        assert_eq!(own["people"].mode, Mode::Read);
        assert_eq!(
            found("mallory", Role::Viewer),
            RuleSet::Granted(BTreeMap::new())
        );
    }
}
