//! Transactions of several statements.

use super::*;

#[tokio::test]
async fn a_foreign_key_that_is_checked_at_the_end_fails_its_own_statement() {
    let market = Market::with(&[
        schema("CREATE TABLE p (id INTEGER PRIMARY KEY)"),
        schema(
            "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT8 NOT NULL
             REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        ),
    ])
    .await;
    let writes = (0..10).map(|id| {
        let core = Arc::clone(&market.core);
        let table = if id % 2 == 0 { "p (id)" } else { "c (p)" };
        // There is no row 101 for those of table c.
        let insert =
            rows(&format!("INSERT INTO {table} VALUES (?1)")).with(vec![Value::Int8(100 + id)]);
        tokio::spawn(async move { core.write(insert, Limits::default()).await })
    });
    let mut codes = Vec::new();
    for write in writes.collect::<Vec<_>>() {
        codes.push(state(write.await.unwrap()));
    }
    assert_eq!(codes, ["00000", "23503"].repeat(5));
    // In a transaction, the order is free.
    let mut transaction = market
        .core
        .begin(TransactionLimits::default())
        .await
        .unwrap();
    for sql in ["INSERT INTO c (p) VALUES (7)", "INSERT INTO p VALUES (7)"] {
        transaction.run(rows(sql), Limits::default()).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let mut transaction = market
        .core
        .begin(TransactionLimits::default())
        .await
        .unwrap();
    transaction
        .run(rows("INSERT INTO c (p) VALUES (8)"), Limits::default())
        .await
        .unwrap();
    assert_eq!(transaction.commit().await.unwrap_err().sql_state(), "23503");
    assert_eq!(market.column("SELECT p FROM c"), ["7"]);
}

#[tokio::test]
async fn a_transaction_sees_its_own_writes_and_nobody_else_does() {
    let market = Market::with(&[schema(TABLE)]).await;
    let mut transaction = market
        .core
        .begin(TransactionLimits::default())
        .await
        .unwrap();
    let insert = rows("INSERT INTO t VALUES (1, 1, 'a')");
    transaction.run(insert, Limits::default()).await.unwrap();
    let own = transaction
        .run(reading("SELECT body FROM t"), Limits::default())
        .await
        .unwrap();
    assert_eq!(own.rows, [[text("a")]]);
    assert!(market.read("SELECT body FROM t").await.unwrap().is_empty());
    transaction.savepoint("s".to_owned()).await.unwrap();
    transaction
        .run(rows("DELETE FROM t"), Limits::default())
        .await
        .unwrap();
    transaction.rollback_to("s".to_owned()).await.unwrap();
    transaction.release("s".to_owned()).await.unwrap();
    let refused = transaction
        .run(rows("INSERT INTO t VALUES (1, 1, 'b')"), Limits::default())
        .await;
    assert_eq!(state(refused), "23505");
    let position = transaction.commit().await.unwrap();
    assert_eq!(position, Position::new(2));
    assert_eq!(
        market.read("SELECT body FROM t").await.unwrap(),
        [[text("a")]]
    );
    // One that is left is taken back, and the writer is free.
    let mut left = market
        .core
        .begin(TransactionLimits::default())
        .await
        .unwrap();
    left.run(rows("DELETE FROM t"), Limits::default())
        .await
        .unwrap();
    drop(left);
    market.write(rows("UPDATE t SET n = 2")).await.unwrap();
    assert_eq!(market.column("SELECT n FROM t"), ["2"]);
}

#[tokio::test]
async fn a_transaction_that_idles_or_takes_too_long_is_taken_back() {
    let market = Market::with(&[schema(TABLE)]).await;
    let short = Duration::from_millis(100);
    for limits in [
        TransactionLimits {
            idle: short,
            ..TransactionLimits::default()
        },
        TransactionLimits {
            time: short,
            ..TransactionLimits::default()
        },
    ] {
        let mut transaction = market.core.begin(limits).await.unwrap();
        let insert = rows("INSERT INTO t VALUES (1, 1, 'a')");
        transaction.run(insert, Limits::default()).await.unwrap();
        // Another waits for the writer, and gets it.
        market
            .write(rows("INSERT INTO t VALUES (2, 1, NULL)"))
            .await
            .unwrap();
        let late = transaction
            .run(rows("DELETE FROM t"), Limits::default())
            .await;
        assert_eq!(state(late), "25P03");
        assert_eq!(transaction.commit().await.unwrap_err().sql_state(), "25P03");
        assert_eq!(market.column("SELECT id FROM t"), ["2"]);
        market.write(rows("DELETE FROM t")).await.unwrap();
    }
    // A statement that is interrupted ends the transaction: SQLite takes it back.
    let limits = TransactionLimits {
        time: Duration::from_millis(200),
        ..TransactionLimits::default()
    };
    let mut transaction = market.core.begin(limits).await.unwrap();
    transaction
        .run(rows("INSERT INTO t VALUES (1, 1, 'a')"), Limits::default())
        .await
        .unwrap();
    let endless = rows(&format!("INSERT INTO t SELECT 3, 1, ({ENDLESS})"));
    let ended = transaction.run(endless, Limits::default()).await;
    assert_eq!(state(ended), "25P03");
    assert_eq!(market.column("SELECT count(*) FROM t"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_down_waits_for_nobody() {
    let market = Market::with(&[schema(TABLE)]).await;
    let mut transaction = market
        .core
        .begin(TransactionLimits::default())
        .await
        .unwrap();
    transaction
        .run(rows("INSERT INTO t VALUES (1, 1, 'a')"), Limits::default())
        .await
        .unwrap();
    let mut endless = market
        .core
        .read(reading(ENDLESS), Limits::default())
        .await
        .unwrap();
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let mut untaken = market
        .core
        .read(reading(many), Limits::default())
        .await
        .unwrap();
    untaken.next().await.unwrap().unwrap();
    let core = Arc::try_unwrap(market.core).ok().unwrap();
    let down = tokio::task::spawn_blocking(move || drop(core));
    tokio::time::timeout(Duration::from_mins(1), down)
        .await
        .unwrap()
        .unwrap();
    assert!(endless.next().await.unwrap().is_err());
    assert_eq!(transaction.commit().await.unwrap_err().sql_state(), "25P03");
    let path = core_path(market.folder.path());
    assert_eq!(column(&path, "SELECT count(*) FROM t"), ["0"]);
}
