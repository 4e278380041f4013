//! The engine over a real, private server.

mod shadows;
mod standby;
mod tls;

use gridmart_fabric::test_server::PostgresServer;
use gridmart_schemas::{
    data::{Float4, Float8, Row, SqlType, Value},
    id::DatabaseId,
    wire::replica::{GuardTold, StatementRules},
};

use super::{
    server::{PgServer, name_of},
    *,
};
use crate::data::{
    fixture::{reading, rows, schema},
    home::Home,
    log::{LogBounds, Role},
    server::{Server as _, ServerUrl},
};

/// A database on a server of its own.
struct Shop {
    server: PostgresServer,
    pg: PgServer,
    database: DatabaseId,
    home: Home,
    core: Box<dyn CoreEngine>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        let server = PostgresServer::start_with_account();
        let url = ServerUrl::read(&server.url("gridmart")).unwrap();
        let pg = PgServer::new(&url).unwrap();
        pg.probe().await.unwrap();
        let (folder, database) = (tempfile::tempdir().unwrap(), DatabaseId::generate());
        let home = Home::open(&folder.path().join("home")).unwrap();
        let notes = home.create(*database.as_uuid(), Role::Core).unwrap();
        pg.make(database).await.unwrap();
        pg.make(database).await.unwrap();
        let core = pg.open(database, &notes, LogBounds::default()).unwrap();
        Self {
            server,
            pg,
            database,
            home,
            core,
            _folder: folder,
        }
    }

    /// As after a restart of the Host.
    fn reopen(&mut self) {
        let notes = self.home.database().unwrap().unwrap();
        self.core = self
            .pg
            .open(self.database, &notes, LogBounds::default())
            .unwrap();
    }

    async fn write(&self, statement: Statement) -> Result<Written, EngineError> {
        self.core.write(statement, Limits::default()).await
    }

    async fn read(&self, statement: Statement) -> Result<Vec<Row>, EngineError> {
        let stream = self.core.read(statement, Limits::default()).await?;
        stream.collect().await
    }

    async fn made(&self, text: &str) {
        self.write(schema(text)).await.unwrap();
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// What a statement needs to see the rows of somebody.
fn guarded(person: &str, definition: &str) -> StatementRules {
    let name = format!(
        "gridmart_guard_{}",
        &blake3::hash(definition.as_bytes()).to_hex()[..32]
    );
    StatementRules {
        guards: vec![GuardTold {
            definition: format!(
                "CREATE VIEW \"{name}\" WITH (security_barrier = true) AS {definition}"
            ),
            name,
        }],
        settings: vec![("gridmart.user".to_owned(), person.to_owned())],
        is_guarded: true,
    }
}

const OWN: &str = "SELECT g.\"id\" AS \"id\", g.\"who\" AS \"who\" FROM \"t\" AS g \
                   WHERE (g.\"who\" = pg_catalog.current_setting('gridmart.user'))";

fn own_rows(person: &str) -> Statement {
    let rules = guarded(person, OWN);
    let mut statement = reading(&format!("SELECT who FROM \"{}\"", rules.guards[0].name));
    statement.rules = rules;
    statement.giving(vec![SqlType::Text])
}

/// One column of each type.
const ALL_TYPES: &str = "id integer PRIMARY KEY, a boolean, b smallint, c bigint, d real, \
         e double precision, f numeric, g numeric(38, 10), h text, i character varying(5), \
         j bytea, k date, l time without time zone, m timestamp without time zone, \
         n timestamp with time zone, o uuid, p json, q jsonb";

/// The types of these.
fn types() -> Vec<SqlType> {
    vec![
        SqlType::Int4,
        SqlType::Bool,
        SqlType::Int2,
        SqlType::Int8,
        SqlType::Float4,
        SqlType::Float8,
        SqlType::Numeric(None),
        SqlType::Numeric(Some((38, 10))),
        SqlType::Text,
        SqlType::Varchar(Some(5)),
        SqlType::Bytea,
        SqlType::Date,
        SqlType::Time,
        SqlType::Timestamp,
        SqlType::TimestampTz,
        SqlType::Uuid,
        SqlType::Json,
        SqlType::Jsonb,
    ]
}

/// A row of the lowest values, or of the highest.
fn extreme(id: i32, low: bool) -> Row {
    let pick = |lowest: &str, highest: &str| if low { lowest } else { highest }.to_owned();
    vec![
        Value::Int4(id),
        Value::Bool(low),
        Value::Int2(if low { i16::MIN } else { i16::MAX }),
        Value::Int8(if low { i64::MIN } else { i64::MAX }),
        Value::Float4(Float4::new(if low { -0.0 } else { f32::MAX })),
        Value::Float8(Float8::new(if low { f64::NEG_INFINITY } else { 5e-324 })),
        Value::Numeric(
            pick("-12345678901234567890123456789012345678", "0.0000012")
                .parse()
                .unwrap(),
        ),
        Value::Numeric(
            pick("0.0000000001", "9999999999999999999999999999.9999999999")
                .parse()
                .unwrap(),
        ),
        Value::Text(pick("", "עברית 🛒 \\ ' \" \u{1}")),
        Value::Text(pick("a", "🛒🛒🛒🛒🛒")),
        Value::Bytea(if low { Vec::new() } else { (0..=255).collect() }),
        Value::Date(pick("0001-01-01", "9999-12-31").parse().unwrap()),
        Value::Time(pick("00:00:00.000000", "23:59:59.999999").parse().unwrap()),
        Value::Timestamp(
            pick("0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999")
                .parse()
                .unwrap(),
        ),
        Value::TimestampTz(
            pick("0001-01-01 00:00:00.000000Z", "9999-12-31 23:59:59.999999Z")
                .parse()
                .unwrap(),
        ),
        Value::Uuid(if low {
            uuid::Uuid::nil()
        } else {
            uuid::Uuid::max()
        }),
        Value::Json(pick("{\"b\":1,  \"a\":[]}", "null")),
        Value::Json(pick("{\"a\": 2, \"b\": 1}", "\"x\"")),
    ]
}

#[tokio::test]
async fn values_of_every_type_come_back_as_they_went_to_their_extremes() {
    let shop = Shop::open().await;
    shop.made(&format!("CREATE TABLE t ({ALL_TYPES})")).await;
    let types = types();
    let nan = {
        let mut nan = vec![Value::Null; types.len()];
        nan[0] = Value::Int4(3);
        nan[4] = Value::Float4(Float4::new(f32::NAN));
        nan[5] = Value::Float8(Float8::new(f64::NAN));
        nan
    };
    let places: Vec<String> = (1..=types.len()).map(|place| format!("${place}")).collect();
    let insert = format!("INSERT INTO t VALUES ({}) RETURNING *", places.join(", "));
    let all = [extreme(1, true), extreme(2, false), nan];
    for values in &all {
        let statement = rows(&insert).with(values.clone()).giving(types.clone());
        let written = shop.write(statement).await.unwrap();
        assert_eq!((written.rows_changed, &written.rows[0]), (1, values));
    }
    let read = reading("SELECT * FROM t ORDER BY id").giving(types.clone());
    assert_eq!(shop.read(read).await.unwrap(), all);
    // As the door has them: as text, in the stored form.
    let stored = rows("INSERT INTO t (id, f, k, n, o, q) VALUES ($1, $2, $3, $4, $5, $6)");
    let stored = stored.with(vec![
        Value::Int8(4),
        text("1.50"),
        text("2026-01-31"),
        text("2026-01-31 23:59:59.000000Z"),
        text("00000000-0000-0000-0000-000000000001"),
        text("{\"a\": 1}"),
    ]);
    assert_eq!(shop.write(stored).await.unwrap().rows_changed, 1);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_code() {
    let shop = Shop::open().await;
    shop.made(
        "CREATE TABLE t (id integer PRIMARY KEY, b smallint, h text, i character varying(5), \
         j bytea, k date)",
    )
    .await;
    shop.write(rows("INSERT INTO t (id) VALUES (1)"))
        .await
        .unwrap();
    let large = vec![Value::Int4(5), Value::Bytea(vec![7; 16 * 1024 * 1024])];
    let insert = rows("INSERT INTO t (id, j) VALUES ($1, $2)").with(large.clone());
    shop.write(insert).await.unwrap();
    let read =
        reading("SELECT id, j FROM t WHERE id = 5").giving(vec![SqlType::Int4, SqlType::Bytea]);
    assert_eq!(shop.read(read).await.unwrap(), [large]);
    for (statement, state) in [
        ("INSERT INTO t (id, b) VALUES (6, 40000)", "22003"),
        ("INSERT INTO t (id, i) VALUES (6, 'abcdef')", "22001"),
        ("INSERT INTO t (id) VALUES (1)", "23505"),
        ("INSERT INTO t (h) VALUES ('x')", "23502"),
        ("INSERT INTO t (id, k) VALUES ('x', NULL)", "22P02"),
        ("INSERT INTO nothing VALUES (1)", "42P01"),
    ] {
        let refused = shop.write(rows(statement)).await.unwrap_err();
        assert_eq!(refused.sql_state(), state, "{statement}: {refused}");
    }
    let nul = rows("INSERT INTO t (id, h) VALUES (6, $1)").with(vec![text("a\0b")]);
    assert_eq!(shop.write(nul).await.unwrap_err().sql_state(), "22021");
    for (read, state) in [
        ("SELECT 'infinity'::date", "22008"),
        ("SELECT 'NaN'::numeric", "22003"),
        ("SELECT '24:00'::time", "22008"),
        ("SELECT 1/0", "22012"),
    ] {
        let refused = shop.read(reading(read)).await.unwrap_err();
        assert_eq!(refused.sql_state(), state, "{read}: {refused}");
    }
}

#[tokio::test]
async fn a_schema_is_described_as_it_was_made_and_reads_change_nothing() {
    let shop = Shop::open().await;
    shop.made(
        "CREATE TABLE a (x integer NOT NULL, gone text, y numeric(5, 2) DEFAULT ('1.50'::numeric), \
               z jsonb DEFAULT ('{\"a\": 1}'), PRIMARY KEY (y, x), UNIQUE (z, x))",
    )
    .await;
    shop.made("ALTER TABLE a DROP COLUMN gone").await;
    shop.made("CREATE UNIQUE INDEX by_x ON a (x)").await;
    shop.made("CREATE INDEX by_y ON a (y)").await;
    let described = shop.core.describe().await.unwrap();
    let [table] = &described.tables[..] else {
        panic!("{described:?}")
    };
    let names: Vec<&str> = table.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["x", "y", "z"]);
    assert_eq!(
        table.columns[1].default,
        Some(Value::Numeric("1.50".parse().unwrap()))
    );
    assert_eq!(
        table.columns[2].default,
        Some(Value::Json("{\"a\": 1}".to_owned()))
    );
    assert!(!table.columns[0].is_nullable && table.columns[2].is_nullable);
    assert_eq!(table.key, [1, 0]);
    assert_eq!(table.unique_keys, [vec![2, 0], vec![0]]);
    assert_eq!(table.indexes, ["by_x", "by_y"]);
    let refused = shop
        .read(reading("DELETE FROM a RETURNING 1"))
        .await
        .unwrap_err();
    assert_eq!(refused.sql_state(), "25006", "{refused}");
    let refused = shop
        .write(schema("CREATE TABLE a (id integer PRIMARY KEY)"))
        .await;
    assert_eq!(refused.unwrap_err().sql_state(), "42P07");
    // A statement that was prepared is run over another schema.
    let star = || reading("SELECT * FROM a WHERE x = 1");
    assert_eq!(shop.read(star()).await.unwrap().len(), 0);
    shop.made("ALTER TABLE a ADD COLUMN more text").await;
    shop.write(rows("INSERT INTO a (x, y) VALUES (1, 2)"))
        .await
        .unwrap();
    assert_eq!(shop.read(star()).await.unwrap()[0].len(), 4);
    while shop.core.used() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.pg.remove(shop.database).await.unwrap();
    shop.pg.remove(shop.database).await.unwrap();
    let names = shop
        .server
        .script("postgres", "SELECT datname FROM pg_database");
    assert!(!names.contains(&name_of(shop.database)), "{names}");
}

#[tokio::test]
async fn each_person_sees_their_rows_over_shared_connections_and_nobody_another_table() {
    let shop = Arc::new(Shop::open().await);
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, who text NOT NULL)")
        .await;
    shop.made("CREATE TABLE secrets (id integer PRIMARY KEY)")
        .await;
    for id in 0..40 {
        let who = text(&format!("person{}", id % 8));
        let insert = rows("INSERT INTO t VALUES ($1, $2)").with(vec![Value::Int4(id), who]);
        shop.write(insert).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let shop = Arc::clone(&shop);
        tasks.spawn(async move {
            let person = format!("person{number}");
            for _ in 0..30 {
                let seen = shop.read(own_rows(&person)).await.unwrap();
                assert_eq!(seen, vec![vec![text(&person)]; 5]);
            }
        });
    }
    tasks.join_all().await;
    // Who runs it is a role that has rights on the views alone.
    let mut over = own_rows("person1");
    over.text = "SELECT 'x' FROM secrets".to_owned();
    let refused = shop.read(over).await.unwrap_err();
    assert_eq!(refused.sql_state(), "42501");
    assert!(!refused.to_string().contains("secrets"), "{refused}");
    // Nothing of a person stays at a connection.
    let left = "SELECT current_setting('gridmart.user', true), current_user::text";
    let left = shop.read(reading(left)).await.unwrap();
    assert_ne!(left[0][0], text("person1"));
    assert_eq!(left[0][1], text("gridmart"));
    assert_eq!(shop.read(own_rows("person1")).await.unwrap().len(), 5);
    let mut view = shop
        .core
        .begin_view(TransactionLimits::default())
        .await
        .unwrap();
    let asked = reading("SELECT current_setting('gridmart.user', true), current_user::text");
    let left = view.run(asked, Limits::default()).await.unwrap();
    assert_ne!(left.rows[0][0], text("person1"));
    assert_eq!(left.rows[0][1], text("gridmart"));
    view.commit().await.unwrap();
    // A table that takes another's name is not seen through the other's view.
    shop.made("ALTER TABLE t RENAME TO old").await;
    assert_eq!(
        shop.read(own_rows("person1"))
            .await
            .unwrap_err()
            .sql_state(),
        "42P01"
    );
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, who text)")
        .await;
    shop.write(rows("INSERT INTO t VALUES (1, 'person1')"))
        .await
        .unwrap();
    assert_eq!(shop.read(own_rows("person1")).await.unwrap().len(), 1);
    // In a transaction that has changed the schema as well.
    let mut transaction = shop.core.begin(TransactionLimits::default()).await.unwrap();
    let limits = Limits::default();
    transaction
        .run(schema("ALTER TABLE t ADD COLUMN more text"), limits)
        .await
        .unwrap();
    let seen = transaction.run(own_rows("person1"), limits).await.unwrap();
    assert_eq!(seen.rows.len(), 1);
    let all = transaction
        .run(reading("SELECT count(*) FROM old"), limits)
        .await
        .unwrap();
    assert_eq!(all.rows, [[Value::Int8(40)]]);
    transaction.commit().await.unwrap();
    assert_eq!(shop.read(own_rows("person1")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn guarded_reads_and_writes_go_on_while_the_schema_changes() {
    let shop = Arc::new(Shop::open().await);
    shop.made("CREATE TABLE t (id integer PRIMARY KEY, who text NOT NULL)")
        .await;
    for id in 0..8 {
        let who = text(&format!("person{}", id % 4));
        let insert = rows("INSERT INTO t VALUES ($1, $2)").with(vec![Value::Int4(id), who]);
        shop.write(insert).await.unwrap();
    }
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (shop, over) = (Arc::clone(&shop), Arc::clone(&over));
        tasks.spawn(async move {
            let person = format!("person{number}");
            let mut count = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let seen = shop.read(own_rows(&person)).await.unwrap();
                assert_eq!(seen, vec![vec![text(&person)]; 2]);
                let mut touch = own_rows(&person);
                touch.kind = StatementKind::Rows;
                touch.text = format!("UPDATE \"{}\" SET who = who", touch.rules.guards[0].name);
                touch.columns = Some(Vec::new());
                assert_eq!(shop.write(touch).await.unwrap().rows_changed, 2);
                count += 1;
            }
            count
        });
    }
    for number in 0..12 {
        shop.made(&format!("ALTER TABLE t ADD COLUMN c{number} integer"))
            .await;
        shop.made(&format!("ALTER TABLE t DROP COLUMN c{number}"))
            .await;
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    let counts = tasks.join_all().await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[tokio::test]
async fn transactions_have_savepoints_and_end_when_they_are_left() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let limits = Limits::default();
    let count = || reading("SELECT count(*) FROM t");
    let insert = |id: i32| rows(&format!("INSERT INTO t VALUES ({id})"));
    let mut one = shop.core.begin(TransactionLimits::default()).await.unwrap();
    one.run(insert(1), limits).await.unwrap();
    one.savepoint("a \"name\"".to_owned()).await.unwrap();
    assert_eq!(
        one.run(insert(1), limits).await.unwrap_err().sql_state(),
        "23505"
    );
    assert_eq!(
        one.run(count(), limits).await.unwrap_err().sql_state(),
        "25P02"
    );
    one.rollback_to("a \"name\"".to_owned()).await.unwrap();
    one.run(insert(2), limits).await.unwrap();
    assert_eq!(one.savepoint("x".to_owned()).await, Ok(()));
    assert_eq!(
        one.release("y".to_owned()).await.unwrap_err().sql_state(),
        "3B001"
    );
    one.rollback_to("x".to_owned()).await.unwrap();
    assert_eq!(shop.read(count()).await.unwrap(), [[Value::Int8(0)]]);
    one.commit().await.unwrap();
    assert_eq!(shop.read(count()).await.unwrap(), [[Value::Int8(2)]]);
    // One that has failed is not committed.
    let mut failed = shop.core.begin(TransactionLimits::default()).await.unwrap();
    failed.run(insert(3), limits).await.unwrap();
    assert!(failed.run(insert(3), limits).await.is_err());
    assert_eq!(failed.commit().await.unwrap_err().sql_state(), "25P03");
    // One that idles is taken back.
    let short = TransactionLimits {
        idle: Duration::from_millis(200),
        ..TransactionLimits::default()
    };
    let mut idle = shop.core.begin(short).await.unwrap();
    idle.run(insert(3), limits).await.unwrap();
    let pid = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    while shop.read(reading(pid)).await.unwrap() != [[Value::Int8(0)]] {}
    let ended = idle.run(count(), limits).await.unwrap_err();
    assert_eq!(ended.sql_state(), "25P03", "{ended}");
    drop(idle);
    // Of two that read what the other changes, one is refused.
    let strict = TransactionLimits {
        is_strict: true,
        ..TransactionLimits::default()
    };
    let mut one = shop.core.begin(strict).await.unwrap();
    let mut other = shop.core.begin(strict).await.unwrap();
    for (transaction, id) in [(&mut one, 10), (&mut other, 11)] {
        transaction.run(count(), limits).await.unwrap();
        transaction.run(insert(id), limits).await.unwrap();
    }
    one.commit().await.unwrap();
    assert_eq!(other.commit().await.unwrap_err().sql_state(), "40001");
    let dropped = shop.core.begin(TransactionLimits::default()).await.unwrap();
    drop(dropped);
    assert_eq!(shop.read(count()).await.unwrap(), [[Value::Int8(3)]]);
}

#[tokio::test]
async fn statements_end_at_the_server_by_time_and_when_nobody_wants_them() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let running = "SELECT count(*) FROM pg_stat_activity \
                   WHERE state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
    let limits = Limits {
        time: Duration::from_millis(300),
        ..Limits::default()
    };
    let slow = reading("SELECT pg_sleep(60)::text");
    let refused = shop.core.read(slow, limits).await.map(drop);
    assert_eq!(refused.unwrap_err(), EngineError::TimedOut(limits.time));
    let slow = rows("INSERT INTO t SELECT 1 FROM pg_sleep(60)");
    let refused = shop.core.write(slow.clone(), limits).await.unwrap_err();
    assert_eq!(refused, EngineError::TimedOut(limits.time));
    let mut transaction = shop.core.begin(TransactionLimits::default()).await.unwrap();
    let refused = transaction.run(slow, limits).await.unwrap_err();
    assert_eq!(refused, EngineError::TimedOut(limits.time));
    drop(transaction);
    let slow = rows("INSERT INTO t SELECT 1 FROM pg_sleep(60)");
    let cancel = slow.cancel.clone();
    let writing = shop.core.write(slow, Limits::default());
    let (refused, ()) = tokio::join!(writing, async { cancel.cancel() });
    assert_eq!(refused.unwrap_err(), EngineError::Cancelled);
    // Rows that nobody takes keep the server waiting, until they are not wanted.
    let many = reading(
        "SELECT n, repeat('x', 1000), pg_sleep(0)::text FROM generate_series(1, 1000000) n",
    );
    let mut stream = shop.core.read(many, Limits::default()).await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().len() > 1);
    drop(stream);
    while shop.read(reading(running)).await.unwrap() != [[Value::Int8(0)]] {}
    let few = Limits {
        rows: 3,
        ..Limits::default()
    };
    let over = "INSERT INTO t SELECT * FROM generate_series(1, 4) RETURNING id";
    let over = rows(over).giving(vec![SqlType::Int4]);
    assert_eq!(
        shop.core.write(over, few).await.unwrap_err().sql_state(),
        "54000"
    );
    assert_eq!(
        shop.read(reading("SELECT id FROM t")).await.unwrap().len(),
        0
    );
}

#[tokio::test]
async fn a_server_that_crashes_takes_nothing_acknowledged_and_is_found_again() {
    let shop = Shop::open().await;
    shop.made("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let count = || reading("SELECT count(*) FROM t");
    let insert = |id: i32| rows(&format!("INSERT INTO t VALUES ({id})"));
    shop.write(insert(1)).await.unwrap();
    let mut open = shop.core.begin(TransactionLimits::default()).await.unwrap();
    open.run(insert(2), Limits::default()).await.unwrap();
    let slow = shop.core.write(
        rows("INSERT INTO t SELECT 3 FROM pg_sleep(60)"),
        Limits::default(),
    );
    let (lost, ()) = tokio::join!(slow, async {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()";
        while shop.read(reading(running)).await.unwrap() != [[Value::Int8(1)]] {}
        shop.server.crash();
    });
    assert_eq!(lost.unwrap_err().sql_state(), "08007");
    let ended = open.run(count(), Limits::default()).await.unwrap_err();
    assert_eq!(ended.sql_state(), "25P03", "{ended}");
    let away = shop.read(count()).await.unwrap_err();
    assert!(matches!(away, EngineError::Unreachable { .. }), "{away}");
    let away = shop.write(insert(4)).await.unwrap_err();
    assert!(matches!(away, EngineError::Unreachable { .. }), "{away}");
    while shop.core.complaint().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shop.server.resume();
    while shop.core.complaint().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(shop.read(count()).await.unwrap(), [[Value::Int8(1)]]);
    shop.write(insert(4)).await.unwrap();
}

#[tokio::test]
async fn accounts_that_may_too_much_or_too_little_are_refused_with_what_to_do() {
    let server = PostgresServer::start_with_account();
    server.script(
        "postgres",
        "CREATE ROLE weak LOGIN; CREATE ROLE strong LOGIN CREATEDB; \
         GRANT pg_read_server_files TO strong;",
    );
    for (account, words) in [
        ("ada", "is a superuser"),
        ("weak", "ALTER ROLE \"weak\" CREATEDB"),
        ("strong", "REVOKE pg_read_server_files"),
    ] {
        let url = ServerUrl::read(&server.url(account)).unwrap();
        let why = PgServer::new(&url).unwrap().probe().await.unwrap_err();
        assert!(why.contains(words), "{account}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    for (url, words) in [
        (
            "postgresql://gridmart:hunter2@db.example.org",
            "another machine",
        ),
        (
            "postgresql://gridmart:hunter2@localhost?hostaddr=192.0.2.1",
            "another machine",
        ),
        (
            "postgresql://gridmart:hunter2@127.0.0.1:port",
            "cannot be read",
        ),
    ] {
        let why = PgServer::new(&ServerUrl::read(url).unwrap()).err().unwrap();
        assert!(why.contains(words) && !why.contains("hunter2"), "{why}");
    }
    let url = ServerUrl::read("postgresql://gridmart@%2Fnowhere").unwrap();
    let away = PgServer::new(&url).unwrap();
    away.probe().await.unwrap();
    assert!(away.complaint().is_some() && away.version().is_none());
}
