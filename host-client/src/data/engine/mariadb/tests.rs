//! The engine over a real, private server.

mod shadows;
mod standby;
mod tls;

use std::time::Duration;

use gridmart_fabric::test_mariadb::MariaDbServer;
use gridmart_schemas::{
    data::{Float4, Float8, Row, SqlType, Value},
    id::DatabaseId,
};

use super::*;
use crate::data::{
    engine::CoreEngine,
    fixture::{reading, rows, schema, text},
    home::Home,
    log::{LogBounds, Role},
    server::{Server as _, ServerUrl},
};

const TABLE: &str = "CREATE TABLE \"t\" (\"id\" BIGINT NOT NULL COMMENT 'int8', \
    \"v\" VARCHAR(200) COMMENT 'varchar(200) {\"text\":\"it''s\"}', PRIMARY KEY (\"id\")) ENGINE=InnoDB";

/// A column of each type.
const WIDE: &str = "CREATE TABLE \"x\" (\"id\" INT NOT NULL COMMENT 'int4', \"b\" TINYINT(1) COMMENT 'bool', \
    \"i2\" SMALLINT COMMENT 'int2', \"i8\" BIGINT COMMENT 'int8', \"f4\" FLOAT COMMENT 'float4', \
    \"f8\" DOUBLE COMMENT 'float8', \"n\" DECIMAL(65,27) COMMENT 'numeric(65,27)', \"t\" LONGTEXT COMMENT 'text', \
    \"y\" LONGBLOB COMMENT 'bytea', \"d\" DATE COMMENT 'date', \"tm\" TIME(6) COMMENT 'time', \
    \"ts\" DATETIME(6) COMMENT 'timestamp', \"tz\" DATETIME(6) COMMENT 'timestamptz', \
    \"u\" VARCHAR(36) COMMENT 'uuid', \"j\" LONGTEXT COMMENT 'json', PRIMARY KEY (\"id\")) ENGINE=InnoDB";

/// A database on a server of its own.
struct Shop {
    server: MariaDbServer,
    maria: MariaServer,
    database: DatabaseId,
    home: Home,
    core: Box<dyn CoreEngine>,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        Self::open_on(MariaDbServer::start()).await
    }

    async fn open_on(server: MariaDbServer) -> Self {
        let url = ServerUrl::read(&server.url()).unwrap();
        let maria = MariaServer::new(&url).unwrap();
        maria.probe().await.unwrap();
        let (folder, database) = (tempfile::tempdir().unwrap(), DatabaseId::generate());
        let home = Home::open(&folder.path().join("home")).unwrap();
        let notes = home.create(*database.as_uuid(), Role::Core).unwrap();
        maria.make(database).await.unwrap();
        maria.make(database).await.unwrap();
        let core = maria.open(database, &notes, LogBounds::default()).unwrap();
        core.write(schema(TABLE), Limits::default()).await.unwrap();
        Self {
            server,
            maria,
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
            .maria
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

    async fn count(&self) -> Value {
        let read = reading("SELECT COUNT(*) FROM \"t\"").giving(vec![SqlType::Int8]);
        self.read(read).await.unwrap()[0][0].clone()
    }

    async fn put(&self, id: i64, value: &str) -> Result<Written, EngineError> {
        let insert = rows("INSERT INTO \"t\" VALUES (?, ?)");
        self.write(insert.with(vec![Value::Int8(id), text(value)]))
            .await
    }
}

fn numeric(text: &str) -> Value {
    Value::Numeric(text.parse().unwrap())
}

fn state(error: &EngineError) -> &'static str {
    error.sql_state()
}

/// Rows with the largest and smallest of each type, and NULLs.
fn extremes(types: &[SqlType]) -> Vec<Row> {
    let long = "ß😀\\'\"?".repeat(1_000_000);
    vec![
        vec![
            Value::Int4(i32::MIN),
            Value::Bool(false),
            Value::Int2(i16::MIN),
            Value::Int8(i64::MIN),
            Value::Float4(Float4::new(f32::MIN_POSITIVE)),
            Value::Float8(Float8::new(f64::MIN_POSITIVE)),
            numeric("-99999999999999999999999999999999999999.999999999999999999999999999"),
            Value::Text(String::new()),
            Value::Bytea(vec![0, 255, b'\'', b'\\', b'?']),
            Value::Date("0001-01-01".parse().unwrap()),
            Value::Time("00:00:00.000000".parse().unwrap()),
            Value::Timestamp("0001-01-01 00:00:00.000000".parse().unwrap()),
            Value::TimestampTz("0001-01-01 00:00:00.000000Z".parse().unwrap()),
            Value::Uuid(uuid::Uuid::nil()),
            Value::Json("{\"a\": 1}".to_owned()),
        ],
        vec![
            Value::Int4(i32::MAX),
            Value::Bool(true),
            Value::Int2(i16::MAX),
            Value::Int8(i64::MAX),
            Value::Float4(Float4::new(0.1)),
            Value::Float8(Float8::new(-1.797_693_134_862_315_7e308)),
            numeric("0.000000000000000000000000001"),
            Value::Text(long),
            Value::Bytea(vec![7; 3 * 1024 * 1024]),
            Value::Date("9999-12-31".parse().unwrap()),
            Value::Time("23:59:59.999999".parse().unwrap()),
            Value::Timestamp("9999-12-31 23:59:59.999999".parse().unwrap()),
            Value::TimestampTz("9999-12-31 23:59:59.999999Z".parse().unwrap()),
            Value::Uuid(uuid::Uuid::max()),
            Value::Json("null".to_owned()),
        ],
        std::iter::once(Value::Int4(0))
            .chain(std::iter::repeat_n(Value::Null, types.len() - 1))
            .collect(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extremes_come_back_as_they_went() {
    let shop = Shop::open().await;
    shop.write(schema(WIDE)).await.unwrap();
    let described = shop.core.describe().await.unwrap();
    let types: Vec<SqlType> = described
        .table("x")
        .unwrap()
        .columns
        .iter()
        .map(|column| column.sql_type)
        .collect();
    let given = extremes(&types);
    for row in &given {
        let marks = vec!["?"; row.len()].join(", ");
        let insert = rows(&format!("INSERT INTO \"x\" VALUES ({marks})"));
        shop.write(insert.with(row.clone())).await.unwrap();
    }
    let read = reading("SELECT * FROM \"x\" ORDER BY \"id\"").giving(types);
    let mut expected = given.clone();
    expected.sort_by_key(|row| match row[0] {
        Value::Int4(id) => id,
        _ => 0,
    });
    assert_eq!(shop.read(read).await.unwrap(), expected);
    // What does not fit is refused, and nothing is there of it.
    for (column, value, refused) in [
        ("f8", Value::Float8(Float8::new(f64::NAN)), "22003"),
        ("f8", Value::Float8(Float8::new(f64::INFINITY)), "22003"),
        ("f4", Value::Float4(Float4::new(-0.0)), "22003"),
        ("i2", Value::Int8(40_000), "22003"),
        ("b", Value::Int8(1000), "22003"),
        (
            "n",
            numeric("100000000000000000000000000000000000000"),
            "22003",
        ),
        ("u", text(&"x".repeat(37)), "22001"),
        ("id", Value::Null, "23502"),
        ("id", Value::Int4(0), "23505"),
        ("d", text("2024-02-30"), "22008"),
    ] {
        let statement = if column == "id" {
            rows("INSERT INTO \"x\" (\"id\") VALUES (?)").with(vec![value.clone()])
        } else {
            rows(&format!(
                "INSERT INTO \"x\" (\"id\", \"{column}\") VALUES (5, ?)"
            ))
            .with(vec![value.clone()])
        };
        let error = shop.write(statement).await.unwrap_err();
        assert_eq!(state(&error), refused, "{column} {value:?}: {error}");
    }
    let left = reading("SELECT COUNT(*) FROM \"x\"").giving(vec![SqlType::Int8]);
    assert_eq!(shop.read(left).await.unwrap(), [[Value::Int8(3)]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_with_a_warning_has_failed_and_left_nothing() {
    let shop = Shop::open().await;
    shop.put(1, "one").await.unwrap();
    for (text, refused) in [
        ("SELECT 1 / (\"id\" - 1) FROM \"t\"", "22012"),
        (
            "SELECT CAST(\"id\" + 100 AS DECIMAL(2,1)) FROM \"t\"",
            "22003",
        ),
        (
            "SELECT CAST(CONCAT('gridmart:44000:', RAND()) AS SIGNED) FROM \"t\"",
            "44000",
        ),
        (
            "SELECT \"id\" * 9223372036854775807 * 2 FROM \"t\"",
            "22003",
        ),
    ] {
        let error = shop.read(reading(text)).await.unwrap_err();
        assert_eq!(state(&error), refused, "{text}: {error}");
    }
    let error = shop.read(reading("DELETE FROM \"t\"")).await.unwrap_err();
    assert_eq!(state(&error), "25006", "{error}");
    let update =
        "UPDATE \"t\" SET \"v\" = CASE WHEN \"id\" = 1 THEN 'x' END WHERE 1 / (\"id\" - 1) = 1";
    let error = shop.write(rows(update)).await.unwrap_err();
    assert_eq!(state(&error), "22012", "{error}");
    assert_eq!(shop.count().await, Value::Int8(1));
    let described = shop.core.describe().await.unwrap();
    let column = &described.table("t").unwrap().columns[1];
    assert_eq!(column.sql_type, SqlType::Varchar(Some(200)));
    assert_eq!(column.default, Some(text("it's")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_whole_and_keeps_its_bounds() {
    let shop = Shop::open().await;
    let begin = async |limits| shop.core.begin(limits).await.unwrap();
    let mut open = begin(TransactionLimits::default()).await;
    let insert =
        |id: i64| rows("INSERT INTO \"t\" VALUES (?, ?)").with(vec![Value::Int8(id), text("in")]);
    open.run(insert(1), Limits::default()).await.unwrap();
    open.savepoint("a".to_owned()).await.unwrap();
    open.run(insert(2), Limits::default()).await.unwrap();
    open.savepoint("a".to_owned()).await.unwrap();
    open.run(insert(3), Limits::default()).await.unwrap();
    let twice = open.run(insert(3), Limits::default()).await.unwrap_err();
    assert_eq!(state(&twice), "23505");
    open.rollback_to("a".to_owned()).await.unwrap();
    open.release("a".to_owned()).await.unwrap();
    open.rollback_to("a".to_owned()).await.unwrap();
    let missing = open.release("b".to_owned()).await.unwrap_err();
    assert_eq!(state(&missing), "3B001");
    let changed = open
        .run(schema(TABLE), Limits::default())
        .await
        .unwrap_err();
    assert_eq!(state(&changed), "0A000");
    // Nobody else sees it before its end.
    assert_eq!(shop.count().await, Value::Int8(0));
    open.commit().await.unwrap();
    assert_eq!(shop.count().await, Value::Int8(1));
    // Dropped, it takes nothing with it.
    let strict = TransactionLimits {
        is_strict: true,
        ..TransactionLimits::default()
    };
    let mut open = begin(strict).await;
    open.run(insert(9), Limits::default()).await.unwrap();
    drop(open);
    let brief = TransactionLimits {
        idle: Duration::from_millis(50),
        ..TransactionLimits::default()
    };
    let mut open = begin(brief).await;
    open.run(insert(10), Limits::default()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = open.run(insert(11), Limits::default()).await.unwrap_err();
    assert_eq!(state(&late), "25P03", "{late}");
    assert_eq!(shop.count().await, Value::Int8(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_nobody_wants_ends_at_the_server() {
    let shop = Shop::open().await;
    for id in 0..40 {
        shop.put(id, "x").await.unwrap();
    }
    let huge = "SELECT a.\"v\", SLEEP(0.0001) FROM \"t\" a JOIN \"t\" b JOIN \"t\" c JOIN \"t\" d JOIN \"t\" e";
    let mut stream = shop
        .core
        .read(reading(huge), Limits::default())
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let slow = Limits {
        time: Duration::from_millis(200),
        ..Limits::default()
    };
    let error = shop.core.read(reading("SELECT SLEEP(60)"), slow).await;
    let error = match error {
        Err(error) => error,
        Ok(stream) => stream.collect().await.unwrap_err(),
    };
    assert_eq!(state(&error), "57014", "{error}");
    let narrow = Limits {
        rows: 10,
        ..Limits::default()
    };
    let many = shop.core.read(reading("SELECT * FROM \"t\""), narrow).await;
    let error = many.unwrap().collect().await.unwrap_err();
    assert_eq!(state(&error), "54000");
    let begun = Instant::now();
    loop {
        let told = shop
            .server
            .script("mysql", "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(%' AND command <> 'Killed' AND info NOT LIKE '%processlist%'");
        if told.trim() == "0" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shop.count().await, Value::Int8(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_lost_is_waited_for_and_keeps_what_was_committed() {
    let shop = Shop::open().await;
    shop.put(1, "one").await.unwrap();
    shop.server.crash();
    let error = shop.put(2, "two").await.unwrap_err();
    assert_eq!(state(&error), "08006", "{error}");
    let error = shop.read(reading("SELECT 1")).await.unwrap_err();
    assert_eq!(state(&error), "08006", "{error}");
    assert!(shop.maria.make(shop.database).await.is_err());
    shop.server.resume();
    assert_eq!(shop.count().await, Value::Int8(1));
    shop.put(2, "two").await.unwrap();
    assert_eq!(shop.count().await, Value::Int8(2));
    shop.maria.remove(shop.database).await.unwrap();
    shop.maria.remove(shop.database).await.unwrap();
    let left = shop
        .server
        .script("mysql", "SHOW DATABASES LIKE 'gridmart%'");
    assert_eq!(left, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_may_too_much_is_refused_with_the_way_out() {
    let server = MariaDbServer::start();
    server.script(
        "mysql",
        "CREATE USER strong@localhost IDENTIFIED BY 'x'; GRANT ALL PRIVILEGES ON *.* TO strong@localhost;
         CREATE USER weak@localhost IDENTIFIED BY 'x';",
    );
    let url = server.url();
    for (account, words) in [
        ("strong:x", "more than a Host may have"),
        ("weak:x", "GRANT SELECT, INSERT"),
    ] {
        let url = url.replace("gridmart:pass%40word", account);
        let maria = MariaServer::new(&ServerUrl::read(&url).unwrap()).unwrap();
        let refused = maria.probe().await.unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    for (url, words) in [
        ("mariadb://localhost", "no account"),
        ("mariadb://a:secret@localhost/db", "names a database"),
        ("mariadb://a:secret@localhost?x=secret", "parameter"),
        ("mariadb://a:secret@db.example", "another machine"),
    ] {
        let refused = MariaServer::new(&ServerUrl::read(url).unwrap());
        let refused = refused.err().unwrap();
        assert!(refused.contains(words), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_database_takes_is_told() {
    let shop = Shop::open().await;
    for id in 0..10 {
        shop.put(id, &"x".repeat(200)).await.unwrap();
    }
    let ends = std::time::Instant::now() + Duration::from_mins(2);
    while shop.core.used() == 0 {
        assert!(std::time::Instant::now() < ends, "nothing is told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
