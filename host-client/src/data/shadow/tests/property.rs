//! Random transactions on a core, in any batches, with restarts between: the
//! shadow is the same.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Insert(u8, u8, u8),
    Upsert(u8, u8),
    Update(u8, u8),
    Move(u8, u8),
    Delete(u8),
    DeleteAll,
    Shift(u8),
    Child(u8),
    AddColumn(u8),
    DropColumn(u8),
    Savepoint,
    RollbackTo,
}

#[derive(Clone, Debug)]
enum Event {
    Alone(Act),
    Transaction(Vec<Act>, bool),
    /// Pull so many entries and apply them.
    Apply(u8),
    RestartShadow,
    RestartCore,
}

fn act() -> impl Strategy<Value = Act> {
    let id = 0_u8..12;
    prop_oneof![
        6 => (id.clone(), any::<u8>(), any::<u8>()).prop_map(|(id, n, body)| Act::Insert(id, n, body)),
        3 => (id.clone(), any::<u8>()).prop_map(|(id, n)| Act::Upsert(id, n)),
        4 => (id.clone(), any::<u8>()).prop_map(|(id, n)| Act::Update(id, n)),
        2 => (id.clone(), id.clone()).prop_map(|(from, to)| Act::Move(from, to)),
        3 => id.clone().prop_map(Act::Delete),
        1 => Just(Act::DeleteAll),
        1 => (1_u8..20).prop_map(Act::Shift),
        3 => id.prop_map(Act::Child),
        1 => (0_u8..3).prop_map(Act::AddColumn),
        1 => (0_u8..3).prop_map(Act::DropColumn),
        1 => Just(Act::Savepoint),
        1 => Just(Act::RollbackTo),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => act().prop_map(Event::Alone),
        4 => (prop::collection::vec(act(), 1..8), prop::bool::weighted(0.8))
            .prop_map(|(acts, commits)| Event::Transaction(acts, commits)),
        4 => (1_u8..10).prop_map(Event::Apply),
        1 => Just(Event::RestartShadow),
        1 => Just(Event::RestartCore),
    ]
}

fn statement(act: &Act) -> Option<Statement> {
    let number = |value: u8| Value::Int8(i64::from(value));
    let key = |value: u8| text(&format!("k{value}"));
    Some(match act {
        Act::Insert(id, n, body) => rows("INSERT INTO item (id, n, body) VALUES (?1, ?2, ?3)")
            .with(vec![
                key(*id),
                number(*n),
                text(&"x".repeat(usize::from(*body))),
            ]),
        Act::Upsert(id, n) => {
            rows("INSERT INTO item (id, n) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET n = ?2")
                .with(vec![key(*id), number(*n)])
        }
        Act::Update(id, n) => {
            rows("UPDATE item SET n = ?2 WHERE id >= ?1").with(vec![key(*id), number(*n)])
        }
        Act::Move(from, to) => {
            rows("UPDATE item SET id = ?2 WHERE id = ?1").with(vec![key(*from), key(*to)])
        }
        Act::Delete(id) => rows("DELETE FROM item WHERE id = ?1").with(vec![key(*id)]),
        Act::DeleteAll => rows("DELETE FROM item"),
        Act::Shift(by) => rows("UPDATE item SET n = n + ?1").with(vec![number(*by)]),
        Act::Child(parent) => {
            rows("INSERT INTO child (parent) VALUES (?1)").with(vec![key(*parent)])
        }
        Act::AddColumn(column) => schema(&format!(
            "ALTER TABLE item ADD COLUMN c{column} INT8 DEFAULT {column}"
        )),
        Act::DropColumn(column) => schema(&format!("ALTER TABLE item DROP COLUMN c{column}")),
        Act::Savepoint | Act::RollbackTo => return None,
    })
}

fn transaction(pair: &mut Pair, acts: &[Act], commits: bool) {
    pair.core.begin().unwrap();
    for act in acts {
        match (act, statement(act)) {
            (Act::Savepoint, _) => pair.core.savepoint("s").unwrap(),
            (Act::RollbackTo, _) => drop(pair.core.rollback_to("s")),
            // Some are refused: nothing of those may be seen.
            (_, Some(statement)) => drop(pair.core.run(&statement, &mut allowance())),
            (_, None) => {}
        }
        assert!(!pair.core.is_taken_back());
    }
    if commits {
        pair.core.finish().unwrap();
    } else {
        pair.core.rollback();
    }
}

fn play(events: &[Event], settings: CoreSettings) {
    let mut pair = Pair::with(settings);
    pair.run(&[
        schema("CREATE TABLE item (id TEXT NOT NULL PRIMARY KEY, n INT8 UNIQUE, body TEXT) WITHOUT ROWID"),
        schema(
            "CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, parent TEXT
             REFERENCES item ON DELETE CASCADE ON UPDATE SET NULL)",
        ),
    ]);
    for event in events {
        match event {
            Event::Alone(act) => {
                if let Some(statement) = statement(act) {
                    drop(pair.write(&statement));
                }
            }
            Event::Transaction(acts, commits) => transaction(&mut pair, acts, *commits),
            Event::Apply(most) => {
                let mut entries = pair.missing();
                entries.truncate(usize::from(*most));
                pair.shadow.apply(&entries).unwrap();
            }
            Event::RestartShadow => {
                let path = shadow_path(pair.folder.path());
                pair.shadow = Applier::open(&path, LogBounds::default()).unwrap();
            }
            Event::RestartCore => {
                let path = core_path(pair.folder.path());
                pair.core = crate::data::engine::sqlite::Core::open(&path, settings).unwrap();
            }
        }
    }
    pair.catch_up();
    let gapless = "--gridmart\nSELECT count(*) = max(position) FROM gridmart_log";
    assert_eq!(column(&core_path(pair.folder.path()), gapless), ["1"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_history_arrives(events in prop::collection::vec(event(), 1..60), whole in any::<bool>()) {
        let old_rows = if whole { OldRows::Whole } else { OldRows::Changed };
        play(&events, CoreSettings { old_rows, ..CoreSettings::default() });
    }
}
