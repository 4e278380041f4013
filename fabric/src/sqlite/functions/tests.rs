use super::*;

fn answer(expression: &str) -> Result<String, (String, String)> {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    let sql = format!("SELECT CAST({expression} AS TEXT)");
    connection
        .query_row(&sql, [], |row| row.get::<_, Option<String>>(0))
        .map(|text| text.unwrap_or_else(|| "NULL".to_owned()))
        .map_err(|error| failure(&error).unwrap_or_else(|| (String::new(), error.to_string())))
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let got = answer(expression).unwrap_or_else(|(state, _)| state);
        assert_eq!(got, *expected, "{expression}");
    }
}

#[test]
fn whole_numbers_do_not_overflow() {
    check(&[
        ("gridmart_int_add(2147483647, 1, 32)", "22003"),
        ("gridmart_int_add(2147483647, 1, 64)", "2147483648"),
        ("gridmart_int_mul(9223372036854775807, 2, 64)", "22003"),
        ("gridmart_int_div(-7, 2, 32)", "-3"),
        ("gridmart_int_mod(-7, 2, 32)", "-1"),
        ("gridmart_int_mod(-9223372036854775808, -1, 64)", "0"),
        ("gridmart_int_div(-9223372036854775808, -1, 64)", "22003"),
        ("gridmart_int_div(1, 0, 32)", "22012"),
        ("gridmart_int_add(1, NULL, 32)", "NULL"),
    ]);
}

#[test]
fn numerics_are_exact() {
    check(&[
        ("gridmart_numeric_add('0.1', '0.2')", "0.3"),
        ("gridmart_numeric_mul('1.10', '2.0')", "2.200"),
        ("gridmart_numeric_div('1', '3')", "0.33333333333333333333"),
        ("gridmart_numeric_div('10', '4')", "2.5000000000000000"),
        ("gridmart_numeric_div('100000', '7')", "14285.714285714286"),
        ("gridmart_numeric_mod('-7.5', '2')", "-1.5"),
        ("gridmart_numeric_round('2.5', 0)", "3"),
        ("gridmart_numeric_round('-2.5', 0)", "-3"),
        ("gridmart_numeric_round('1250', -2)", "1300"),
        ("gridmart_numeric_ceil('-1.2')", "-1"),
        ("gridmart_numeric_floor('-1.2')", "-2"),
        ("gridmart_numeric_fit('999.995', 5, 2)", "22003"),
        (
            "gridmart_numeric_add('99999999999999999999999999999999999999', '1')",
            "100000000000000000000000000000000000000",
        ),
        ("'1.0' = '1.00' COLLATE gridmart_numeric", "1"),
        ("'9' < '10' COLLATE gridmart_numeric", "1"),
        ("gridmart_text_numeric('1e100000')", "22P02"),
        ("gridmart_text_numeric(' -00.50 ')", "-0.50"),
    ]);
}

#[test]
fn floats_show_and_keep_what_postgresql_shows() {
    check(&[
        ("gridmart_float_text(0.1, 64)", "0.1"),
        ("gridmart_float_text(1e20, 64)", "1e+20"),
        ("gridmart_float_text(1e14, 64)", "100000000000000"),
        ("gridmart_float_text(1e15, 64)", "1e+15"),
        ("gridmart_float_text(1e-5, 64)", "1e-05"),
        ("gridmart_float_text(-0.0, 64)", "-0"),
        ("gridmart_float_text('NaN', 64)", "NaN"),
        ("gridmart_float_add('NaN', 1.0, 64)", "NaN"),
        ("gridmart_float_mul(1e308, 10.0, 64)", "22003"),
        ("gridmart_float_div(1.0, 0.0, 64)", "22012"),
        ("gridmart_float_numeric(0.1, 64)", "0.1"),
        ("gridmart_float_int(2.5, 32)", "2"),
        ("gridmart_float_int(9.3e18, 64)", "22003"),
        ("'NaN' > 9e999", "1"),
    ]);
}

#[test]
fn texts_are_read_and_cut_as_postgresql_does() {
    check(&[
        ("gridmart_substr('hello', -1, 4)", "he"),
        ("gridmart_substr('hello', 2)", "ello"),
        ("gridmart_substr('hello', 2, -1)", "22011"),
        ("gridmart_left('hello', -2)", "hel"),
        ("gridmart_right('hello', -2)", "llo"),
        ("gridmart_lpad('hi', 5, 'xy')", "xyxhi"),
        ("gridmart_lpad('hello', 2, 'xy')", "he"),
        ("gridmart_split_part('a,b,c', ',', -1)", "c"),
        ("gridmart_initcap('hello wORLD-foo')", "Hello World-Foo"),
        ("gridmart_upper('straße')", "STRAßE"),
        ("gridmart_repeat('x', 100000000)", "54000"),
        ("gridmart_concat('a', NULL, 'b')", "ab"),
        ("gridmart_greatest(1, NULL, 3)", "3"),
        ("gridmart_like('abc', 'a%c', '\\')", "1"),
        ("gridmart_like('abc', 'A%', '\\')", "0"),
        ("gridmart_ilike('abc', 'A%', '\\')", "1"),
        ("gridmart_like('a%c', 'a\\%c', '\\')", "1"),
        ("gridmart_like('axc', 'a\\%c', '\\')", "0"),
        ("gridmart_like('a', 'a\\', '\\')", "0"),
        ("gridmart_like('aab', '%ab', '\\')", "1"),
        ("gridmart_like('', '%', '\\')", "1"),
    ]);
}

#[test]
fn dates_are_reckoned_in_the_years_0001_to_9999() {
    check(&[
        ("gridmart_text_date('2024-02-29')", "2024-02-29"),
        ("gridmart_text_date('2023-02-29')", "22008"),
        ("gridmart_text_date('gestern')", "22007"),
        ("gridmart_date_add('9999-12-31', 1)", "22008"),
        ("gridmart_date_sub('0001-01-01', 1)", "22008"),
        ("gridmart_date_add('0001-01-01', 3652058)", "9999-12-31"),
        ("gridmart_date_between('2024-03-01', '2024-02-01')", "29"),
        (
            "gridmart_text_timestamptz('2024-01-01T00:30:00+01:00')",
            "2023-12-31 23:30:00.000000Z",
        ),
        (
            "gridmart_text_timestamp('2024-01-01 10:00')",
            "2024-01-01 10:00:00.000000",
        ),
        ("gridmart_extract('week', '2021-01-03', 'date')", "53"),
        ("gridmart_extract('isoyear', '2021-01-03', 'date')", "2020"),
        ("gridmart_extract('dow', '2024-11-24', 'date')", "0"),
        (
            "gridmart_extract('second', '2024-01-01 00:00:05.250000', 'timestamp')",
            "5.250000",
        ),
        (
            "gridmart_extract('epoch', '1969-12-31 23:59:59.500000', 'timestamp')",
            "-0.500000",
        ),
        (
            "gridmart_date_trunc('quarter', '2024-08-15 10:00:00.000000')",
            "2024-07-01 00:00:00.000000",
        ),
        (
            "gridmart_moment_text('2024-08-15 10:00:00.500000Z')",
            "2024-08-15 10:00:00.5+00",
        ),
        (
            "gridmart_text_uuid('{A0EEBC99-9C0B4EF8-bb6d6bb9-bd380a11}')",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
    ]);
}

#[test]
fn aggregates_are_exact_and_a_single_value_is_single() {
    check(&[
        (
            "(SELECT gridmart_sum_numeric(column1) FROM (VALUES (9223372036854775807), (1), (NULL)))",
            "9223372036854775808",
        ),
        (
            "(SELECT gridmart_avg_numeric(column1) FROM (VALUES (1), (2)))",
            "1.5000000000000000",
        ),
        ("(SELECT gridmart_sum_numeric(1) WHERE 0)", "NULL"),
        (
            "(SELECT gridmart_avg_float(column1) FROM (VALUES (1.0), (2.0)))",
            "1.5",
        ),
        ("(SELECT gridmart_single(column1) FROM (VALUES (7)))", "7"),
        (
            "(SELECT gridmart_single(column1) FROM (VALUES (7), (8)))",
            "21000",
        ),
    ]);
}

#[test]
fn nothing_that_a_file_may_hold_makes_them_panic() {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    let names: Vec<(String, i64)> = connection
        .prepare("SELECT DISTINCT name, narg FROM pragma_function_list WHERE name LIKE 'gridmart%' AND type <> 'w'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(names.len() > 60, "{}", names.len());
    let odd = [
        "NULL",
        "-9223372036854775808",
        "9223372036854775807",
        "0",
        "9e999",
        "''",
        "'NaN'",
        "x'ff00'",
        "CAST(x'ff' AS TEXT)",
        "'9999-12-31'",
        "'0001-01-01 00:00:00.000000Z'",
        "'1e1000'",
        "'é%\\'",
    ];
    for (name, count) in names {
        let count = if count < 0 {
            3
        } else {
            usize::try_from(count).unwrap()
        };
        for round in 0..odd.len().pow(u32::try_from(count).unwrap()) {
            let argument = |place: usize| {
                odd[round / odd.len().pow(u32::try_from(place).unwrap()) % odd.len()]
            };
            let arguments: Vec<&str> = (0..count).map(argument).collect();
            let sql = format!("SELECT {name}({})", arguments.join(", "));
            let outcome =
                connection.query_row(&sql, [], |row| row.get::<_, rusqlite::types::Value>(0));
            if let Err(error) = outcome {
                assert!(failure(&error).is_some(), "{sql}: {error}");
            }
        }
    }
}
