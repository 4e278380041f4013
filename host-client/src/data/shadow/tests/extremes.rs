//! Values at the ends of their types, through core, log and shadow, unchanged.

use gridmart_schemas::data::{Float4, Float8, SqlType, VALUE_BYTES_MAX, sqlite::declaration};

use super::*;
use crate::data::engine::{
    EngineError,
    sqlite::types::{bind, read},
};

type Extremes = Vec<(SqlType, Vec<Value>)>;

fn numbers() -> Extremes {
    let float8 = |number| Value::Float8(Float8::new(number));
    let float4 = |number| Value::Float4(Float4::new(number));
    let numeric = |text: &str| Value::Numeric(text.parse().unwrap());
    let wide = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        5e-324,
        1.0,
    ];
    let narrow = [
        0.0,
        -0.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        1e-45,
        0.1,
    ];
    let exact = [
        "0",
        "99999999999999999999999999999999999999",
        "-99999999999999999999999999999999999999",
        "0.00000000000000000000000000000000000001",
        "1.10",
    ];
    let scaled = "-999999999999999999999999999999999999.99";
    vec![
        (SqlType::Bool, [true, false].map(Value::Bool).to_vec()),
        (
            SqlType::Int2,
            [i16::MIN, i16::MAX].map(Value::Int2).to_vec(),
        ),
        (
            SqlType::Int4,
            [i32::MIN, i32::MAX].map(Value::Int4).to_vec(),
        ),
        (
            SqlType::Int8,
            [i64::MIN, i64::MAX].map(Value::Int8).to_vec(),
        ),
        (SqlType::Float8, wide.map(float8).to_vec()),
        (SqlType::Float4, narrow.map(float4).to_vec()),
        (SqlType::Numeric(None), exact.map(numeric).to_vec()),
        (SqlType::Numeric(Some((38, 2))), vec![numeric(scaled)]),
    ]
}

fn others() -> Extremes {
    let texts = [
        "",
        "'",
        "\"",
        "עברית \u{202e}",
        "🛒",
        "a\u{0301}",
        "\u{feff}",
        "\n\t\r",
        "%_\\",
    ];
    let date = |text: &str| Value::Date(text.parse().unwrap());
    let time = |text: &str| Value::Time(text.parse().unwrap());
    let timestamp = |text: &str| Value::Timestamp(text.parse().unwrap());
    let moment = |text: &str| Value::TimestampTz(text.parse().unwrap());
    let json = |text: &str| Value::Json(text.to_owned());
    let moments = ["0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"];
    vec![
        (SqlType::Text, texts.map(text).to_vec()),
        (SqlType::Varchar(Some(3)), vec![text("🛒🛒🛒")]),
        (
            SqlType::Bytea,
            vec![Value::Bytea(Vec::new()), Value::Bytea((0..=255).collect())],
        ),
        (
            SqlType::Date,
            ["0001-01-01", "9999-12-31"].map(date).to_vec(),
        ),
        (
            SqlType::Time,
            ["00:00:00.000000", "23:59:59.999999"].map(time).to_vec(),
        ),
        (SqlType::Timestamp, moments.map(timestamp).to_vec()),
        (
            SqlType::TimestampTz,
            moments.map(|text| moment(&format!("{text}Z"))).to_vec(),
        ),
        (SqlType::Uuid, vec![Value::Uuid(uuid::Uuid::max())]),
        (SqlType::Json, vec![json("{\"a\": [1.50, null]}")]),
        (SqlType::Jsonb, vec![json("\"\\u0000\"")]),
    ]
}

#[test]
fn extremes_arrive_unchanged() {
    let mut pair = Pair::new();
    for (number, (sql_type, values)) in numbers().into_iter().chain(others()).enumerate() {
        let declared = declaration(sql_type);
        pair.run(&[schema(&format!(
            "CREATE TABLE t{number} (id INTEGER PRIMARY KEY, value {declared}, again {declared})"
        ))]);
        for (id, value) in (0..).zip(values.iter().chain([&Value::Null])) {
            pair.run(&[
                rows(&format!("INSERT INTO t{number} VALUES (?1, ?2, NULL)"))
                    .with(vec![Value::Int8(id), value.clone()]),
                rows(&format!("UPDATE t{number} SET again = value WHERE id = ?1"))
                    .with(vec![Value::Int8(id)]),
            ]);
        }
        pair.catch_up();
        for path in [core_path, shadow_path] {
            let connection = crate::data::fixture::reader(&path(pair.folder.path()));
            let sql = format!("SELECT value, again FROM t{number} ORDER BY id");
            let mut statement = connection.prepare(&sql).unwrap();
            let mut rows = statement.query([]).unwrap();
            for value in values.iter().chain([&Value::Null]) {
                let row = rows.next().unwrap().unwrap();
                for column in 0..2 {
                    let there = read(row.get_ref(column).unwrap(), Some(sql_type)).unwrap();
                    assert_eq!(&there, value, "{sql_type}");
                }
            }
        }
    }
}

#[test]
fn values_of_16_mib_arrive_and_larger_ones_are_refused() {
    let mut pair = Pair::new();
    pair.run(&[schema(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB)",
    )]);
    let insert = |id, length: usize| {
        rows("INSERT INTO t VALUES (?1, ?2, ?3)").with(vec![
            Value::Int8(id),
            Value::Text("x".repeat(length)),
            Value::Bytea(vec![0; length]),
        ])
    };
    pair.run(&[insert(1, VALUE_BYTES_MAX)]);
    pair.run(&[rows("UPDATE t SET b = x'00' WHERE id = 1")]);
    let refused = pair.write(&insert(2, VALUE_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(refused.sql_state(), "54000", "{refused}");
    // Neither may a statement make one.
    let doubled = pair.write(&rows("UPDATE t SET a = a || a")).unwrap_err();
    assert_eq!(doubled.sql_state(), "54000", "{doubled}");
    pair.catch_up();
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_changed() {
    let mut pair = Pair::new();
    let cases = [
        ("INT2", "32768", "22003"),
        ("INT4", "-2147483649", "22003"),
        ("INT4", "1.5", "42804"),
        ("INT8", "'nine'", "42804"),
        ("INT BOOL", "2", "22003"),
        ("BLOB FLOAT4", "1e39", "22003"),
        ("BLOB FLOAT4", "0.1", "22003"),
        ("BLOB FLOAT8", "'inf'", "42804"),
        ("BLOB FLOAT8", "9007199254740993", "22003"),
        ("TEXT NUMERIC(5,2)", "'1000.00'", "22003"),
        ("TEXT NUMERIC(5,2)", "'1.005'", "22003"),
        ("TEXT NUMERIC(5,2)", "'1.5'", "22P02"),
        ("TEXT NUMERIC", "'NaN'", "22P02"),
        ("TEXT NUMERIC", "'1e5'", "22P02"),
        ("TEXT", "x'00'", "42804"),
        ("TEXT", "CAST(x'61ff' AS TEXT)", "22021"),
        ("TEXT", "CAST(x'610062' AS TEXT)", "22021"),
        ("VARCHAR(2)", "'abc'", "22001"),
        ("BLOB", "'text'", "42804"),
        ("TEXT DATE", "'2026-02-30'", "22P02"),
        ("TEXT DATE", "'0000-01-01'", "22P02"),
        ("TEXT TIME", "'24:00:00.000000'", "22P02"),
        ("TEXT TIMESTAMP", "'2026-01-01'", "22P02"),
        (
            "TEXT TIMESTAMPTZ",
            "'2026-01-01 00:00:00.000000+02'",
            "22P02",
        ),
        (
            "TEXT UUID",
            "'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'",
            "22P02",
        ),
        ("TEXT JSON", "'{'", "22P02"),
    ];
    for (number, (declared, value, state)) in cases.into_iter().enumerate() {
        pair.run(&[schema(&format!(
            "CREATE TABLE t{number} (id INTEGER PRIMARY KEY, v {declared})"
        ))]);
        let insert = format!("INSERT INTO t{number} VALUES (1, NULL), (2, {value})");
        let error = pair.write(&rows(&insert)).unwrap_err();
        assert_eq!(error.sql_state(), state, "{declared} {value}: {error}");
        let path = core_path(pair.folder.path());
        assert_eq!(
            column(&path, &format!("SELECT count(*) FROM t{number}")),
            ["0"]
        );
    }
    pair.catch_up();
}

#[test]
fn parameters_that_have_no_place_are_refused() {
    for value in [
        text("a\0b"),
        Value::Json("{".to_owned()),
        Value::Json("\0".to_owned()),
    ] {
        assert!(
            matches!(bind(&value), Err(EngineError::Refused { .. })),
            "{value:?}"
        );
    }
}
