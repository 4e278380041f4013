//! Shadows that hold a part of a database: what their rules leave of its tables, whether
//! a Host has told that its copy holds nothing else, and which statements such a copy
//! may answer.

use std::collections::{BTreeMap, BTreeSet};

use gridmart_schemas::{
    data::{Filter, TableFilter},
    id::{DatabaseId, NodeId},
    problem::{Code, Problem},
    resource::database::{Database, ReplicaFilter, ShadowRule},
    scalar::Text,
    wire::replica::{ReplicaPart, ReplicaParts},
};
use time::OffsetDateTime;

use super::{
    De,
    schemas::Known,
    sql::{Catalog, Engine, Entry, Refusal, RuleSet, Table, TableRule, filter_condition},
};

/// Tables of one filter.
const RULES_MAX: usize = 256;

/// The rules of a new filter; its version was never given before, also by an Element
/// whose document was lost.
pub(super) fn new_filter(rules: Vec<ShadowRule>, before: Option<&ReplicaFilter>) -> ReplicaFilter {
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000;
    let now = u64::try_from(now).unwrap_or_default();
    ReplicaFilter {
        version: before.map_or(now, |before| now.max(before.version + 1)),
        confirmed: None,
        rules,
    }
}

/// Refuses rules that no copy can be made by.
pub(super) fn require_rules(rules: &[ShadowRule], catalog: &Catalog) -> Result<(), Problem> {
    let refuse = |why: String| Err(Problem::new(Code::InvalidRequest, why));
    if rules.is_empty() {
        return refuse(
            "A shadow that holds nothing is of no use: name a table, or remove it.".to_owned(),
        );
    }
    if rules.len() > RULES_MAX {
        return refuse(format!("A shadow is given {RULES_MAX} rules at most."));
    }
    let tables: BTreeSet<&str> = rules.iter().map(|rule| rule.table.as_str()).collect();
    if tables.len() < rules.len() {
        return refuse("Two rules are for the same table: make them one.".to_owned());
    }
    for rule in rules {
        if let Err(refusal) = table_filter(rule, catalog) {
            return refuse(format!(
                "The rule for {} does not fit: {refusal}.",
                rule.table.as_str()
            ));
        }
    }
    Ok(())
}

/// What rules leave of the tables as they are.
fn filter_of(filter: &ReplicaFilter, catalog: &Catalog) -> Result<Filter, Refusal> {
    let tables = filter.rules.iter().map(|rule| {
        let table = table_filter(rule, catalog)?;
        Ok((rule.table.as_str().to_owned(), table))
    });
    Ok(Filter {
        version: filter.version,
        tables: tables.collect::<Result<_, Refusal>>()?,
    })
}

fn table_filter(rule: &ShadowRule, catalog: &Catalog) -> Result<TableFilter, Refusal> {
    let name = rule.table.as_str();
    let Some(Entry::Table(table)) = catalog.entry(name) else {
        return Err(Refusal::of(
            "42P01",
            format!("there is no table \"{name}\""),
        ));
    };
    let rows = rule
        .rows
        .as_ref()
        .map(|rows| filter_condition(rows.as_str(), name, catalog, Engine::Sqlite));
    Ok(TableFilter {
        columns: columns_of(rule, table)?,
        rows: rows.transpose()?,
    })
}

/// The columns that are left, by name: one that is added later, or gets another name,
/// is not among them.
fn columns_of(rule: &ShadowRule, table: &Table) -> Result<Option<BTreeSet<String>>, Refusal> {
    if rule.columns.is_empty() {
        return Ok(None);
    }
    let mut left: BTreeSet<String> = table
        .columns
        .iter()
        .map(|column| column.name.to_string())
        .collect();
    for hidden in &rule.columns {
        let hidden = hidden.name.as_str();
        let index = table.column(hidden);
        if index.is_some_and(|index| table.primary_key.contains(&index)) {
            let message =
                format!("column \"{hidden}\" is of the key, by which rows are told apart");
            return Err(Refusal::of("0A000", message));
        }
        if !left.remove(hidden) {
            let message = format!("column \"{hidden}\" does not exist, or is named twice");
            return Err(Refusal::of("42703", message));
        }
    }
    Ok(Some(left))
}

/// The partial shadows that answer a statement as a copy of all would: of each table that
/// it reads they have all, or what the person may see, chosen by the same condition.
pub(super) fn fitting(
    database: &Database,
    rules: &RuleSet,
    catalog: &Catalog,
    tables: &[std::sync::Arc<str>],
) -> BTreeSet<NodeId> {
    let replicas = database.replicas.replicas.iter();
    let fit = replicas.filter_map(|replica| {
        let filter = replica.filter.as_ref()?;
        let answers = |name: &str| {
            // What a view reads stands beside it.
            matches!(catalog.entry(name), Some(Entry::View(_))) || is_enough(filter, rules, name)
        };
        tables
            .iter()
            .all(|table| answers(table))
            .then(|| replica.node())?
    });
    fit.collect()
}

fn is_enough(filter: &ReplicaFilter, rules: &RuleSet, table: &str) -> bool {
    let mut of_table = filter.rules.iter();
    let Some(part) = of_table.find(|rule| rule.table.as_str() == table) else {
        return false;
    };
    if part.rows.is_none() && part.columns.is_empty() {
        return true;
    }
    let RuleSet::Granted(granted) = rules else {
        return false;
    };
    granted
        .get(table)
        .is_some_and(|rule| shows_no_more(rule, part))
}

/// Whether a person sees nothing of a table but what a part holds of it.
fn shows_no_more(rule: &TableRule, part: &ShadowRule) -> bool {
    let hidden = || part.columns.iter().map(|column| column.name.as_str());
    let rows = part.rows.as_ref().map(Text::as_str);
    let expressions = rule.rows.iter().chain(rule.masked.values());
    // What their rule computes is computed where the column is not.
    let mentions = |name: &str| {
        let name = name.to_lowercase();
        let mut expressions = expressions.clone();
        expressions.any(|text| text.to_lowercase().contains(&name))
    };
    (rows.is_none() || rule.rows.as_deref() == rows)
        && hidden().all(|name| {
            let is_shown = rule.only.as_ref().is_none_or(|only| only.contains(name))
                && !rule.hidden.contains(name);
            !is_shown && !mentions(name)
        })
}

impl De {
    /// Tells the Host of the core what partial shadows may hold: only then it lets any
    /// shadow read its log.
    pub(super) async fn tell_parts(
        self: &std::sync::Arc<Self>,
        id: DatabaseId,
        database: &Database,
        core: NodeId,
    ) -> Result<(), Problem> {
        let replicas = database.replicas.replicas.iter();
        let filters: BTreeMap<NodeId, &ReplicaFilter> = replicas
            .filter_map(|replica| Some((replica.node()?, replica.filter.as_ref()?)))
            .collect();
        let parts = if filters.is_empty() {
            Vec::new()
        } else {
            let known = self.schema(id, database).await?;
            let parts = filters.into_iter();
            parts
                .map(|(host, filter)| part(id, host, filter, &known))
                .collect()
        };
        let told = ReplicaParts {
            database: id,
            parts,
        };
        self.ask_host(core, &told).await.map(drop)
    }
}

fn part(id: DatabaseId, host: NodeId, filter: &ReplicaFilter, known: &Known) -> ReplicaPart {
    let made = filter_of(filter, &known.catalog);
    if let Err(refusal) = &made {
        tracing::error!(database.id = %id, node.id = %host, %refusal, "the rules of a partial shadow do not fit the tables any more: it gets nothing until they are corrected");
    }
    ReplicaPart {
        host,
        version: filter.version,
        filter: made.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gridmart_schemas::{
        data::SqlType,
        resource::{
            database::{HiddenColumn, Replica},
            enumeration::ReplicaRole,
        },
    };

    use super::*;
    use crate::data::sql::Column;

    fn rule(table: &str, hidden: &[&str], rows: Option<&str>) -> ShadowRule {
        let columns = hidden.iter().map(|name| HiddenColumn {
            name: name.parse().unwrap(),
        });
        ShadowRule {
            table: table.parse().unwrap(),
            columns: columns.collect(),
            rows: rows.map(|rows| rows.parse().unwrap()),
        }
    }

    fn catalog() -> Catalog {
        let column = |name: &str| Column {
            name: name.into(),
            column_type: SqlType::Text,
            nullable: false,
            default: None,
        };
        let mut catalog = Catalog::new();
        for name in ["people", "places"] {
            catalog.table_add(Table {
                name: name.into(),
                columns: ["id", "branch", "iban"].map(column).into(),
                primary_key: vec![0],
                unique_keys: Vec::new(),
            });
        }
        catalog
    }

    #[test]
    fn rules_that_no_copy_can_be_made_by_are_refused() {
        let catalog = catalog();
        let refused = |rules: &[ShadowRule]| {
            let problem = require_rules(rules, &catalog).unwrap_err();
            assert_eq!(problem.code, Code::InvalidRequest);
            problem.detail
        };
        require_rules(
            &[rule("people", &["iban"], Some("branch = 'Graz'"))],
            &catalog,
        )
        .unwrap();
        assert!(refused(&[]).contains("holds nothing"));
        let twice = [rule("people", &[], None), rule("people", &[], None)];
        assert!(refused(&twice).contains("the same table"));
        assert!(refused(&[rule("none", &[], None)]).contains("no table"));
        assert!(refused(&[rule("people", &["id"], None)]).contains("of the key"));
        assert!(refused(&[rule("people", &["none"], None)]).contains("does not exist"));
        assert!(refused(&[rule("people", &[], Some("none = 1"))]).contains("none"));
    }

    #[test]
    fn a_version_is_never_given_twice() {
        let first = new_filter(Vec::new(), None);
        let later = new_filter(Vec::new(), Some(&first));
        assert!(later.version > first.version);
    }

    #[test]
    fn a_part_answers_only_what_it_has_whole_or_what_the_person_sees_of_it() {
        let catalog = catalog();
        let (core, branch) = (NodeId::generate(), NodeId::generate());
        let mut shadow = Replica::on(branch, ReplicaRole::Shadow);
        let graz = Some("branch = 'Graz'");
        let rules = vec![rule("people", &["iban"], graz), rule("places", &[], None)];
        shadow.filter = Some(new_filter(rules, None));
        let replicas = vec![Replica::on(core, ReplicaRole::Core), shadow];
        let (name, owner) = ("shop".parse().unwrap(), "ada".parse().unwrap());
        let database = Database::new(DatabaseId::generate(), name, owner, replicas).unwrap();
        let answers = |rules: &RuleSet, tables: &[&str]| {
            let tables: Vec<Arc<str>> = tables.iter().map(|name| (*name).into()).collect();
            fitting(&database, rules, &catalog, &tables).contains(&branch)
        };
        let all = RuleSet::Everything;
        assert!(answers(&all, &["places"]));
        assert!(!answers(&all, &["people"]) && !answers(&all, &["places", "people"]));
        assert!(!answers(&all, &["other"]));
        let granted = |rule: TableRule| RuleSet::Granted([("people".to_owned(), rule)].into());
        let same = TableRule {
            rows: graz.map(str::to_owned),
            hidden: ["iban".to_owned()].into(),
            ..TableRule::default()
        };
        assert!(answers(&granted(same.clone()), &["people", "places"]));
        for other in [
            TableRule {
                rows: None,
                ..same.clone()
            },
            TableRule {
                rows: Some("branch = 'Linz'".to_owned()),
                ..same.clone()
            },
            TableRule {
                hidden: BTreeSet::new(),
                ..same.clone()
            },
            TableRule {
                masked: [("branch".to_owned(), "left(IBAN, 2)".to_owned())].into(),
                ..same
            },
        ] {
            assert!(!answers(&granted(other), &["people"]));
        }
    }
}
