//! Reads are bounded, and end when nobody wants them any more.

use super::*;

#[tokio::test]
async fn reads_are_bounded_in_rows_bytes_and_time() {
    let market = Market::with(&[schema(TABLE)]).await;
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000) SELECT i FROM n";
    let limits = Limits {
        rows: 9_999,
        ..Limits::default()
    };
    let read = market
        .core
        .read(reading(many), limits)
        .await
        .unwrap()
        .collect()
        .await;
    assert!(
        matches!(read, Err(EngineError::LimitExceeded { of: "rows", .. })),
        "{read:?}"
    );
    let limits = Limits {
        bytes: 1_000,
        ..Limits::default()
    };
    let read = market
        .core
        .read(reading(many), limits)
        .await
        .unwrap()
        .collect()
        .await;
    assert!(
        matches!(read, Err(EngineError::LimitExceeded { of: "bytes", .. })),
        "{read:?}"
    );
    assert_eq!(market.read(many).await.unwrap().len(), 10_000);
    let limits = Limits {
        time: Duration::from_millis(50),
        ..Limits::default()
    };
    let read = market
        .core
        .read(reading(ENDLESS), limits)
        .await
        .unwrap()
        .collect()
        .await;
    assert_eq!(read, Err(EngineError::TimedOut(limits.time)));
}

#[tokio::test]
async fn a_read_that_nobody_wants_any_more_ends_at_the_engine() {
    let market = Market::with(&[schema(TABLE)]).await;
    // As many as there are readers: if one did not end, the last read would wait.
    for _ in 0..3 {
        drop(
            market
                .core
                .read(reading(ENDLESS), Limits::default())
                .await
                .unwrap(),
        );
    }
    let read = market
        .core
        .read(reading(ENDLESS), Limits::default())
        .await
        .unwrap();
    let cancel = read.cancel();
    let collected = tokio::spawn(read.collect());
    cancel.cancel();
    assert_eq!(collected.await.unwrap(), Err(EngineError::Cancelled));
    // Also while it waits for somebody to take its rows.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    for _ in 0..3 {
        let mut read = market
            .core
            .read(reading(many), Limits::default())
            .await
            .unwrap();
        read.next().await.unwrap().unwrap();
        drop(read);
    }
    let whole = tokio::time::timeout(Duration::from_mins(1), market.read("SELECT 1")).await;
    assert_eq!(whole.unwrap().unwrap(), [[Value::Int8(1)]]);
}

#[tokio::test]
async fn rows_that_nobody_takes_in_time_end_the_read() {
    let market = Market::with(&[schema(TABLE)]).await;
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let limits = Limits {
        time: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut read = market.core.read(reading(many), limits).await.unwrap();
    // The reader is free again although the rows were not taken.
    for _ in 0..3 {
        market.read("SELECT 1").await.unwrap();
    }
    let mut error = None;
    while let Some(batch) = read.next().await {
        error = batch.err();
    }
    assert!(error.is_some());
}
