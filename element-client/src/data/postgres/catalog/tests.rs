//! Questions of clients, as they ask them.

use gridmart_schemas::data::{SqlType, Value};

use super::*;
use crate::data::sql::{Column, Literal, Statements, Table};

fn contents() -> Contents {
    let column = |name: &str, column_type, nullable| Column {
        name: name.into(),
        column_type,
        nullable,
        default: (name == "article").then(|| Literal::Text("nut".to_owned())),
    };
    let table = Table {
        name: "orders".into(),
        columns: vec![
            column("id", SqlType::Int8, false),
            column("secret", SqlType::Text, true),
            column("article", SqlType::Varchar(Some(40)), true),
            column("price", SqlType::Numeric(Some((10, 2))), true),
        ],
        primary_key: vec![0],
        unique_keys: vec![vec![2, 3], vec![1]],
    };
    Contents {
        person: "bob".to_owned(),
        owner: "ada".to_owned(),
        database: "shop".to_owned(),
        databases: vec!["shop".to_owned()],
        tables: vec![Listed {
            table,
            columns: vec![0, 2, 3],
            view: None,
        }],
        settings: vec![("timezone".to_owned(), "UTC".to_owned())],
        process: 7,
    }
}

fn asked(
    text: &str,
    values: &[Literal],
) -> Result<Vec<String>, crate::data::postgres::wire::backend::Fault> {
    let statements = Statements::split(text).unwrap();
    let statement = statements.iter().next().unwrap();
    assert!(is_asked(statement), "{text}");
    let question = question(statement, &[])?;
    let rows = question.answer(&contents(), values)?;
    let shown = |value: &Value| {
        let mut out = bytes::BytesMut::new();
        crate::data::postgres::value::put_text(&mut out, value);
        String::from_utf8(out.to_vec()).unwrap()
    };
    let line = |row: &Vec<Value>| row.iter().map(shown).collect::<Vec<_>>().join("|");
    Ok(rows.iter().map(line).collect())
}

#[test]
fn what_a_person_may_not_see_is_not_there() {
    let names = "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute \
                 WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attnum";
    assert_eq!(
        asked(names, &[]).unwrap(),
        [
            "id|bigint|t",
            "article|character varying(40)|f",
            "price|numeric(10,2)|f"
        ]
    );
    let keys = "SELECT c2.relname, i.indisprimary, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), \
                i.indkey FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i \
                WHERE c.relname = 'orders' AND c.oid = i.indrelid AND i.indexrelid = c2.oid \
                ORDER BY i.indisprimary DESC, c2.relname";
    let told = asked(keys, &[]).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].ends_with("(article, price)|2 3"), "{told:?}");
}

#[test]
fn clients_questions_are_answered() {
    for (text, expected) in [
        (
            "SELECT n.nspname as \"Schema\", c.relname as \"Name\", \
             CASE c.relkind WHEN 'r' THEN 'table' END as \"Type\", \
             pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\" FROM pg_catalog.pg_class c \
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r','p','') AND n.nspname !~ '^pg_toast' \
             AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2",
            "public|orders|table|ada",
        ),
        (
            "SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) \
             '^(orders)$' COLLATE pg_catalog.default",
            "orders",
        ),
        (
            "SELECT r.rolname, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m \
             JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) as memberof \
             FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' AND r.rolcanlogin",
            "bob|{}",
        ),
        (
            "SELECT result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM (SELECT a.attname AS \
             COLUMN_NAME, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname \
             AS PK_NAME, information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM \
             FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid) \
             JOIN pg_catalog.pg_index i ON (a.attrelid = i.indrelid) JOIN pg_catalog.pg_class ci ON \
             (ci.oid = i.indexrelid) WHERE i.indisprimary) result WHERE result.A_ATTNUM = \
             (result.KEYS).x",
            "id|1|orders_pkey",
        ),
        (
            "SELECT attr.conname, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols \
             FROM (SELECT con.conname, con.ord, a.attname FROM pg_catalog.pg_attribute a JOIN \
             (SELECT c.conrelid, c.conname, unnest(i.indkey) AS attnum, \
             generate_subscripts(i.indkey, 1) AS ord FROM pg_catalog.pg_constraint c JOIN \
             pg_catalog.pg_index i ON c.conindid = i.indexrelid WHERE c.contype = 'u') AS con \
             ON a.attnum = con.attnum AND a.attrelid = con.conrelid) AS attr GROUP BY attr.conname",
            "orders_article_price_key|{article,price}",
        ),
        (
            "SELECT tmp.I_INDOPTION[tmp.AT - 1] & 1::smallint FROM (SELECT i.indoption AS I_INDOPTION, \
             (information_schema._pg_expandarray(i.indkey)).n AS AT FROM pg_catalog.pg_index i \
             WHERE i.indisprimary) AS tmp",
            "0",
        ),
        ("SELECT current_schema(), current_database()", "public|shop"),
        ("SELECT (current_schemas(true))[1]", "pg_catalog"),
        (
            "SELECT s.r FROM pg_catalog.generate_series(1, 1) AS s(r)",
            "1",
        ),
        (
            "SELECT table_name, is_nullable FROM information_schema.columns WHERE column_name = 'id'",
            "orders|NO",
        ),
    ] {
        assert_eq!(asked(text, &[]).unwrap(), [expected], "{text}");
    }
    let name = [Literal::Text("r".to_owned())];
    let text = "SELECT relname FROM pg_class WHERE relkind = ANY (ARRAY[$1::VARCHAR])";
    assert_eq!(asked(text, &name).unwrap(), ["orders"]);
}

#[test]
fn nothing_else_is_reached() {
    let deep = format!(
        "SELECT pg_backend_pid() + {}1{}",
        "(".repeat(5_000),
        ")".repeat(5_000)
    );
    // A tree that is deep without parentheses: neither of the two libraries may fall.
    let long = format!("SELECT pg_backend_pid(){}", " + 1".repeat(3_000));
    for (text, state) in [
        ("SELECT * FROM orders, pg_class", "0A000"),
        ("SELECT * FROM sqlite_master, pg_class", "0A000"),
        ("SELECT pg_read_file('/etc/passwd')", "0A000"),
        ("SELECT load_extension('x'), pg_backend_pid()", "0A000"),
        ("SELECT pg_sleep(100)", "0A000"),
        ("SELECT * FROM pragma_database_list, pg_class", "0A000"),
        ("SELECT relname::point FROM pg_class", "0A000"),
        (&deep, "54001"),
        (&long, "0A000"),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*), \
             pg_backend_pid() FROM n",
            "57014",
        ),
    ] {
        let refused = asked(text, &[]).unwrap_err();
        assert_eq!(refused.state, state, "{text}: {}", refused.message);
    }
}
