//! Figures; run by hand: `cargo test -p gridmart-host --release --lib
//! data::engine::sqlite::tests::figures -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

const WRITES: i64 = 5_000;
const WRITERS: i64 = 64;

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per_second(count: i64, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures"]
async fn group_commit() {
    let table = "CREATE TABLE f (id INTEGER PRIMARY KEY, body TEXT NOT NULL)";
    let insert = "INSERT INTO f VALUES (?1, ?2)";
    let alone = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(alone.path().join("alone")).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .unwrap();
    connection.execute_batch(table).unwrap();
    let begun = Instant::now();
    for id in 0..WRITES {
        connection
            .prepare_cached(insert)
            .unwrap()
            .execute((id, "some text"))
            .unwrap();
    }
    println!(
        "rusqlite alone, one connection: {:.0} commits/s",
        per_second(WRITES, begun)
    );
    let market = Market::with(&[schema(table)]).await;
    let begun = Instant::now();
    for id in 0..WRITES {
        let insert = rows(insert).with(vec![Value::Int8(id), text("some text")]);
        market.write(insert).await.unwrap();
    }
    println!(
        "core, one writer, with the log: {:.0} commits/s",
        per_second(WRITES, begun)
    );
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let core = Arc::clone(&market.core);
        tokio::spawn(async move {
            for id in 0..WRITES / WRITERS * 4 {
                let id = Value::Int8((writer + 1) * 1_000_000 + id);
                let insert = rows(insert).with(vec![id, text("some text")]);
                core.write(insert, Limits::default()).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let made = WRITES / WRITERS * 4 * WRITERS;
    println!(
        "core, {WRITERS} writers at once, with the log: {:.0} commits/s",
        per_second(made, begun)
    );
}
