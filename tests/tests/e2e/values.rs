//! Values at the edges of their types, and transactions of programs: through the SDK, the
//! PostgreSQL door, the core and its shadow.

use gridmart_schemas::{
    data::{Float4, Float8, Row, Value},
    wire::data::ReadFrom,
};
use gridmart_sdk::{Client, Data, Error, TransactionModes};
use gridmart_tests::{LONG, Supermarket};
use uuid::Uuid;

use crate::{objects::run, postgres};

/// The largest value that there is.
const LARGEST: usize = 16 * 1024 * 1024;
const KINDS: &str = "CREATE TABLE kinds (id int4 PRIMARY KEY, i2 int2, i8 int8, f4 float4, \
                     f8 float8, n numeric, t text, b bytea, d date, clock time, ts timestamp, \
                     tz timestamptz, u uuid, j json, yes bool)";

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("it is one")
}

fn row(id: i32, values: [Value; 14]) -> Row {
    [Value::Int4(id)].into_iter().chain(values).collect()
}

/// One row each of the least, the greatest, the odd, and nothing.
fn edges() -> Vec<Row> {
    let moments = |date: &str, clock: &str| {
        [
            Value::Date(parsed(date)),
            Value::Time(parsed(clock)),
            Value::Timestamp(parsed(&format!("{date} {clock}"))),
            Value::TimestampTz(parsed(&format!("{date} {clock}Z"))),
        ]
    };
    let least = moments("0001-01-01", "00:00:00.000000");
    let greatest = moments("9999-12-31", "23:59:59.999999");
    let all =
        |numbers: [Value; 5], text: &str, bytes: Vec<u8>, moments: [Value; 4], rest: [Value; 3]| {
            let mut values = Vec::from(numbers);
            values.extend([Value::Text(text.to_owned()), Value::Bytea(bytes)]);
            values.extend(moments);
            values.extend(rest);
            <[Value; 14]>::try_from(values).expect("one for each column")
        };
    vec![
        row(
            1,
            all(
                [
                    Value::Int2(i16::MIN),
                    Value::Int8(i64::MIN),
                    Value::Float4(Float4::new(-0.0)),
                    Value::Float8(Float8::new(f64::NEG_INFINITY)),
                    Value::Numeric(parsed("-99999999999999999999999999999999999999")),
                ],
                "",
                Vec::new(),
                least,
                [
                    Value::Uuid(Uuid::nil()),
                    Value::Json("{\"a\": [1, null, \"\\u00e4\"]}".to_owned()),
                    Value::Bool(false),
                ],
            ),
        ),
        row(
            2,
            all(
                [
                    Value::Int2(i16::MAX),
                    Value::Int8(i64::MAX),
                    Value::Float4(Float4::new(f32::NAN)),
                    Value::Float8(Float8::new(f64::NAN)),
                    Value::Numeric(parsed("0.00000000000000000000000000000000000001")),
                ],
                "🛒 שלום \u{202e}abc\t\n\u{1}\u{7f}\\N'\"",
                (0..=255).collect(),
                greatest,
                [
                    Value::Uuid(Uuid::max()),
                    Value::Json("null".to_owned()),
                    Value::Bool(true),
                ],
            ),
        ),
        row(3, std::array::from_fn(|_| Value::Null)),
    ]
}

fn largest() -> Vec<(i32, Value, Value)> {
    let noise: Vec<u8> = (0..=250).cycle().take(LARGEST).collect();
    vec![
        (10, Value::Text("x".repeat(LARGEST)), Value::Null),
        // In JSON each of them is six characters.
        (11, Value::Text("\u{1}".repeat(LARGEST)), Value::Null),
        (12, Value::Null, Value::Bytea(noise)),
    ]
}

async fn all_of(data: &Data, text: &str) -> Vec<Row> {
    let rows = data.query("shop", text, &[]).await.expect(text);
    rows.collect().await.expect(text)
}

/// Whatever is written is read again, on the core and on the shadow.
async fn values_are_unchanged(market: &Supermarket, data: &Data) {
    data.execute("shop", KINDS, &[]).await.expect("it is made");
    let insert = "INSERT INTO kinds VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)";
    for row in edges() {
        data.execute("shop", insert, &row).await.expect("it fits");
    }
    let shadow = data.clone().reading(ReadFrom::Shadow);
    for from in [data, &shadow] {
        let found = all_of(from, "SELECT * FROM kinds ORDER BY id").await;
        assert_eq!(found, edges());
    }
    let insert = "INSERT INTO kinds (id, t, b) VALUES ($1, $2, $3)";
    for (id, text, bytes) in largest() {
        let values = [Value::Int4(id), text.clone(), bytes.clone()];
        data.execute("shop", insert, &values)
            .await
            .expect("it fits");
        for from in [data, &shadow] {
            let one = format!("SELECT t, b FROM kinds WHERE id = {id}");
            let found = all_of(from, &one).await;
            assert!(
                found == [vec![text.clone(), bytes.clone()]],
                "row {id} is another"
            );
        }
    }
    let beyond = Value::Text("x".repeat(LARGEST + 1));
    let refused = data
        .execute("shop", insert, &[Value::Int4(13), beyond, Value::Null])
        .await
        .expect_err("it is too large");
    assert!(matches!(refused, Error::Statement(_)), "{refused}");
    let key = postgres::first_key(market);
    let client = key.connect("values").await;
    for (id, text, bytes) in largest() {
        let one = format!("SELECT t, b FROM kinds WHERE id = {id}");
        let found = client.query_one(&one, &[]).await.expect("it is there");
        let (there, raw): (Option<String>, Option<Vec<u8>>) = (found.get(0), found.get(1));
        let wanted = (
            match text {
                Value::Text(text) => Some(text),
                _ => None,
            },
            match bytes {
                Value::Bytea(bytes) => Some(bytes),
                _ => None,
            },
        );
        assert!(
            (there.clone(), raw.clone()) == wanted,
            "row {id} is another"
        );
        let again = "INSERT INTO kinds (id, t, b) VALUES ($1, $2, $3)";
        let written = client.execute(again, &[&(id + 10), &there, &raw]).await;
        assert_eq!(written.expect("it fits"), 1);
        let same = format!(
            "SELECT count(*) FROM kinds a JOIN kinds b ON b.id = a.id + 10 WHERE a.id = {id} \
             AND (a.t = b.t OR a.b = b.b)"
        );
        // Another program has written it: a shadow may not have it yet.
        let core = data.clone().reading(ReadFrom::Core);
        assert_eq!(all_of(&core, &same).await, [[Value::Int8(1)]]);
    }
    market.cli(&["shadow", "check", "shop"]).ok();
}

async fn count(data: &Data) -> Row {
    all_of(data, "SELECT count(*) FROM ledger").await.remove(0)
}

fn state(error: &Error) -> String {
    match error {
        Error::Statement(fault) => fault.state.clone(),
        other => panic!("{other}"),
    }
}

/// All of a transaction is there, or nothing.
async fn transactions_are_whole(client: &Client) {
    let data = client.data();
    let create = "CREATE TABLE ledger (id int4 PRIMARY KEY)";
    data.execute("shop", create, &[]).await.unwrap();
    let insert = "INSERT INTO ledger VALUES ($1)";
    let mut open = data.begin("shop").await.unwrap();
    open.execute(insert, &[Value::Int4(1)]).await.unwrap();
    open.savepoint("a").await.unwrap();
    let twice = open.execute(insert, &[Value::Int4(1)]).await.unwrap_err();
    assert_eq!(state(&twice), "23505");
    let failed = open.execute(insert, &[Value::Int4(2)]).await.unwrap_err();
    assert_eq!(state(&failed), "25P02");
    open.rollback_to("a").await.unwrap();
    open.execute(insert, &[Value::Int4(3)]).await.unwrap();
    assert_eq!(count(&data).await, [Value::Int8(0)], "not committed");
    // A view keeps what it saw, and keeps nobody waiting.
    let modes = TransactionModes {
        read_only: true,
        strict: true,
    };
    let mut view = data.begin_as("shop", modes).await.unwrap();
    let look = "SELECT count(*) FROM ledger";
    let before = view
        .query(look, &[])
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert!(open.commit().await.unwrap().is_some());
    assert_eq!(count(&data).await, [Value::Int8(2)]);
    let still = view
        .query(look, &[])
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(
        (&before, still),
        (&vec![vec![Value::Int8(0)]], before.clone())
    );
    let write = view.execute(insert, &[Value::Int4(9)]).await.unwrap_err();
    assert_eq!(state(&write), "25006");
    view.rollback().await.unwrap();
    let mut dropped = data.begin("shop").await.unwrap();
    dropped.execute("DELETE FROM ledger", &[]).await.unwrap();
    drop(dropped);
    // Whoever comes next has the writer again.
    let next = data.execute("shop", insert, &[Value::Int4(4)]);
    tokio::time::timeout(LONG, next).await.unwrap().unwrap();
    assert_eq!(count(&data).await, [Value::Int8(3)]);
}

#[test]
fn values_and_transactions_come_through_whole() {
    let market = postgres::with_shop();
    let client = market.client();
    run(async {
        values_are_unchanged(&market, &client.data()).await;
        transactions_are_whole(&client).await;
        client.close().await;
    });
    market.stop();
}
