//! A partial shadow holds what its filter shows, whatever happens on the core.

use gridmart_schemas::data::{Epoch, Filter, TableFilter, Value};
use proptest::prelude::*;
use std::path::PathBuf;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::data::{
    check::{differing, sum, sum_same},
    engine::sqlite::{Core, CoreSettings, history, state_of},
    fixture::{column, reader, rows, schema, text, write},
    home::Home,
    log::{LogBounds, Pulled, Role, pull},
    promotion::promote,
    shadow::Applier,
    snapshot::Install,
};

struct Branch {
    _folder: TempDir,
    core_home: Home,
    core: Core,
    home: Home,
    filter: Filter,
}

fn filter() -> Filter {
    let tables = [
        (
            "customer",
            TableFilter {
                columns: Some(["id", "branch", "name"].map(str::to_owned).into()),
                rows: Some("branch = 'Graz' AND NOT secret".to_owned()),
            },
        ),
        ("branch", TableFilter::default()),
    ];
    Filter {
        tables: tables
            .into_iter()
            .map(|(name, filter)| (name.to_owned(), filter))
            .collect(),
        version: 1,
    }
}

impl Branch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let core_home = Home::open(&folder.path().join("core")).unwrap();
        let path = core_home.create(Uuid::new_v4(), Role::Core).unwrap();
        let mut core = Core::open(&path, CoreSettings::default()).unwrap();
        for statement in [
            schema(
                "CREATE TABLE customer (name TEXT, secret INT BOOL NOT NULL, id INTEGER PRIMARY KEY AUTOINCREMENT,
                 branch TEXT NOT NULL, iban TEXT UNIQUE)",
            ),
            schema("CREATE TABLE branch (name TEXT NOT NULL PRIMARY KEY, city TEXT)"),
            schema("CREATE TABLE hidden (id INTEGER PRIMARY KEY)"),
            rows("INSERT INTO customer VALUES ('Ada', 0, 1, 'Graz', 'AT1'), ('Bob', 0, 2, 'Linz', 'AT2')"),
        ] {
            write(&mut core, &statement).unwrap();
        }
        let home = Home::open(&folder.path().join("branch")).unwrap();
        let branch = Self {
            _folder: folder,
            core_home,
            core,
            home,
            filter: filter(),
        };
        branch.rebuild();
        branch
    }

    fn rebuild(&self) {
        let mut snapshot = take(&self.core_home, &self.filter).unwrap();
        let mut install = Install::begin(&self.home, snapshot.head().clone()).unwrap();
        loop {
            let chunk = snapshot.next_chunk(u64::MAX).unwrap();
            if chunk.is_empty() {
                break;
            }
            install.write(&chunk).unwrap();
        }
        install.finish().unwrap();
    }

    fn path(&self) -> PathBuf {
        self.home.database().unwrap().unwrap()
    }

    fn write(&mut self, statement: &crate::data::engine::Statement) {
        let written = write(&mut self.core, statement);
        assert!(written.is_ok(), "{statement:?} {written:?}");
    }

    /// Brings the copy up to date; says whether that needs a new one.
    fn follow(&self) -> Fed {
        let view = reader(&self.core_home.database().unwrap().unwrap());
        let told = history(&reader(&self.path())).unwrap();
        let pulled = pull(&view, &state_of(&view).unwrap(), &told, u64::MAX).unwrap();
        let Pulled::Entries(entries) = pulled else {
            panic!("{pulled:?}")
        };
        let fed = filtered(&view, &self.filter, entries).unwrap();
        if let Fed::Entries(entries) = &fed {
            let mut applier = Applier::open(&self.path(), LogBounds::default()).unwrap();
            assert_eq!(applier.apply(entries).unwrap(), self.core.last());
        }
        fed
    }

    /// What is there is what a new copy would hold.
    fn require_exact(&self) {
        let fresh = Home::open(
            &self
                .home
                .database()
                .unwrap()
                .unwrap()
                .with_file_name("check"),
        )
        .unwrap();
        let mut snapshot = take(&self.core_home, &self.filter).unwrap();
        let mut install = Install::begin(&fresh, snapshot.head().clone()).unwrap();
        loop {
            let chunk = snapshot.next_chunk(u64::MAX).unwrap();
            if chunk.is_empty() {
                break;
            }
            install.write(&chunk).unwrap();
        }
        let told = sum(&reader(&install.finish().unwrap()), 5).unwrap();
        let there = sum_same(&reader(&self.path()), &told).unwrap();
        assert_eq!(differing(&told, &there), Some(Vec::new()));
    }
}

#[test]
fn rows_come_and_leave_as_the_filter_says() {
    let mut branch = Branch::new();
    let names = |branch: &Branch| column(&branch.path(), "SELECT name FROM customer ORDER BY id");
    assert_eq!(names(&branch), ["Ada"]);
    for (sql, there) in [
        (
            "INSERT INTO customer VALUES ('Eve', 0, 3, 'Graz', 'AT3')",
            &["Ada", "Eve"][..],
        ),
        (
            "UPDATE customer SET branch = 'Graz' WHERE id = 2",
            &["Ada", "Bob", "Eve"],
        ),
        (
            "UPDATE customer SET iban = 'AT9' WHERE id = 1",
            &["Ada", "Bob", "Eve"],
        ),
        // By a column that does not travel.
        (
            "UPDATE customer SET secret = 1 WHERE id = 1",
            &["Bob", "Eve"],
        ),
        (
            "UPDATE customer SET name = 'Bobby', branch = 'Graz' WHERE id = 2",
            &["Bobby", "Eve"],
        ),
        (
            "UPDATE customer SET id = 20 WHERE id = 2",
            &["Eve", "Bobby"],
        ),
        ("UPDATE customer SET branch = 'Linz'", &[]),
        ("INSERT INTO hidden VALUES (1)", &[]),
        ("INSERT INTO branch VALUES ('Graz', NULL)", &[]),
        (
            "UPDATE customer SET secret = 0, branch = 'Graz'",
            &["Ada", "Eve", "Bobby"],
        ),
        ("DELETE FROM customer WHERE id = 3", &["Ada", "Bobby"]),
    ] {
        branch.write(&rows(sql));
        assert!(matches!(branch.follow(), Fed::Entries(_)), "{sql}");
        assert_eq!(names(&branch), there, "{sql}");
        branch.require_exact();
    }
    assert_eq!(column(&branch.path(), "SELECT name FROM branch"), ["Graz"]);
    for forbidden in [
        "SELECT iban FROM customer",
        "SELECT secret FROM customer",
        "SELECT * FROM hidden",
    ] {
        assert!(
            reader(&branch.path()).prepare(forbidden).is_err(),
            "{forbidden}"
        );
    }
    // Nor is it anywhere in the file, or its log.
    let logged = column(
        &branch.path(),
        "--gridmart\nSELECT count(*) FROM gridmart_log WHERE instr(body, CAST('AT' AS BLOB))",
    );
    assert_eq!(logged, ["0"]);
}

#[test]
fn a_change_of_its_tables_needs_a_new_copy_and_others_do_not() {
    let mut branch = Branch::new();
    branch.write(&schema("ALTER TABLE hidden ADD COLUMN a TEXT"));
    branch.write(&schema("CREATE INDEX by_branch ON customer (branch)"));
    assert!(matches!(branch.follow(), Fed::Entries(_)));
    branch.write(&schema("ALTER TABLE branch ADD COLUMN head TEXT"));
    branch.write(&rows("INSERT INTO branch VALUES ('Graz', NULL, 'Eve')"));
    let position = branch.core.last().position.previous();
    assert_eq!(branch.follow(), Fed::SnapshotNeeded { position });
    branch.rebuild();
    assert_eq!(column(&branch.path(), "SELECT head FROM branch"), ["Eve"]);
    assert!(matches!(branch.follow(), Fed::Entries(_)));
}

#[test]
fn a_filter_that_is_narrowed_leaves_nothing_in_the_file() {
    let mut branch = Branch::new();
    branch.write(&rows(
        "INSERT INTO customer VALUES ('Unforgettable', 0, 7, 'Graz', 'AT7')",
    ));
    branch.follow();
    let holds = |branch: &Branch| {
        let bytes = std::fs::read(branch.path()).unwrap();
        let log = std::fs::read(branch.path().with_extension("-wal")).unwrap_or_default();
        [bytes, log]
            .iter()
            .any(|file| file.windows(13).any(|part| part == b"Unforgettable"))
    };
    drop(reader(&branch.path()));
    let customer = branch.filter.tables.get_mut("customer").unwrap();
    customer.rows = Some("branch = 'Graz' AND id < 5".to_owned());
    branch.rebuild();
    assert!(!holds(&branch));
    assert_eq!(column(&branch.path(), "SELECT name FROM customer"), ["Ada"]);
}

#[test]
fn a_part_is_never_promoted() {
    let branch = Branch::new();
    let refused = promote(&branch.path(), Epoch::new(2)).unwrap_err();
    assert_eq!(refused.sql_state(), "25006");
}

#[test]
fn filters_that_name_what_is_not_there_are_refused() {
    let branch = Branch::new();
    let with = |table: &str, columns: Option<&[&str]>, rows: Option<&str>| {
        let filter = TableFilter {
            columns: columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            rows: rows.map(str::to_owned),
        };
        let filter = Filter {
            tables: [(table.to_owned(), filter)].into(),
            version: 1,
        };
        take(&branch.core_home, &filter)
            .map(drop)
            .unwrap_err()
            .sql_state()
    };
    assert_eq!(with("none", None, None), "42P01");
    assert_eq!(with("customer", Some(&["id", "none"]), None), "42703");
    assert_eq!(with("customer", Some(&["name"]), None), "42703");
    assert_eq!(with("customer", None, Some("none = 1")), "42703");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_history_leaves_what_a_new_copy_would_hold(
        acts in prop::collection::vec((0_u8..6, 1_i64..8, 0_usize..3, any::<bool>()), 1..30),
    ) {
        let mut branch = Branch::new();
        for (index, (act, id, place, secret)) in acts.into_iter().enumerate() {
            let place = text(["Graz", "Linz", "Wien"][place]);
            let (id, secret) = (Value::Int8(id), Value::Bool(secret));
            let statement = match act {
                0 | 1 => rows("INSERT OR REPLACE INTO customer VALUES ('x', ?3, ?1, ?2, NULL)")
                    .with(vec![id, place, secret]),
                2 => rows("UPDATE customer SET branch = ?2 WHERE id >= ?1").with(vec![id, place]),
                3 => rows("UPDATE customer SET secret = ?2 WHERE id <= ?1").with(vec![id, secret]),
                4 => rows("DELETE FROM customer WHERE id = ?1").with(vec![id]),
                _ => rows("UPDATE customer SET id = id + 50 WHERE id = ?1").with(vec![id]),
            };
            // Some keys are taken.
            drop(write(&mut branch.core, &statement));
            if index % 3 == 0 {
                branch.follow();
            }
        }
        branch.follow();
        branch.require_exact();
    }
}
