//! Any text is judged or refused, for a guarded person and for an owner; what a
//! guarded person may run names nothing that the rules hide.
#![no_main]

use std::sync::OnceLock;

use gridmart_element::data::sql::{
    Catalog, Engine, Kind, RuleSet, Rules, Statements, TableRule, judge,
};
use libfuzzer_sys::fuzz_target;

const SCHEMA: &str = "
CREATE TABLE people (id int PRIMARY KEY, name text, pay numeric(8, 2), born date, diary text);
CREATE TABLE vault (id int PRIMARY KEY, token text);
CREATE VIEW staff AS SELECT id, name FROM people WHERE pay > 0;
";

fn schema() -> &'static Catalog {
    static SCHEMA_READ: OnceLock<Catalog> = OnceLock::new();
    SCHEMA_READ.get_or_init(|| {
        let mut catalog = Catalog::new();
        for statement in Statements::split(SCHEMA).expect("a schema").iter() {
            let rules = Rules::everything(&catalog);
            let judged = judge(statement, &catalog, &rules, &[], Engine::Sqlite).expect("a schema");
            if let Kind::Schema(change) = judged.kind {
                catalog.apply(*change);
            }
        }
        catalog
    })
}

fn guarded() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let mut rule = TableRule { rows: Some("name = current_user".to_owned()), ..TableRule::default() };
        rule.hidden.insert("diary".to_owned());
        rule.masked.insert("pay".to_owned(), "0".to_owned());
        let granted = [("people".to_owned(), rule), ("staff".to_owned(), TableRule::default())];
        Rules::compile(&RuleSet::Granted(granted.into()), schema()).expect("rules")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(statements) = Statements::split(text) else {
        return;
    };
    let everything = Rules::everything(schema());
    for statement in statements.iter() {
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let _ = judge(statement, schema(), &everything, &[], engine);
            if let Ok(judged) = judge(statement, schema(), guarded(), &[], engine) {
                assert!(!judged.text.contains("\"diary\"") && !judged.text.contains("\"vault\""));
                assert!(judged.tables.iter().all(|table| table.as_ref() != "vault"));
            }
        }
    }
});
