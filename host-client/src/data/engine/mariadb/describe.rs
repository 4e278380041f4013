//! What tables a database has, and whether a server is one that a Host can use.
//!
//! A column's type by PostgreSQL's name, and its default as a value, are its comment: the
//! judge puts them there, and nobody else makes tables in a database of the Host's.

use std::collections::BTreeMap;

use gridmart_schemas::data::{Column, Schema, Table, Value};
use mysql_async::{Conn, prelude::Queryable as _};

use super::{
    failure::{Failure as _, Phase},
    session::Session,
};
use crate::data::engine::{EngineError, SqlState};

/// What the account needs in the Host's databases.
const RIGHTS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
];
/// What it may not have of the whole server.
const TOO_MUCH: &[&str] = &["ALL PRIVILEGES", "SUPER", "FILE", "CREATE USER"];
/// The oldest server: its texts are folded as PostgreSQL's are.
const OLDEST: (u16, u16) = (10, 11);
/// A statement and its largest value have to fit.
const PACKET_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// How an index says that a person made it, and no key.
const INDEX_COMMENT: &str = "gridmart";

pub(super) async fn describe(session: &mut Session) -> Result<Schema, EngineError> {
    of(session.connection()?).await
}

pub(super) async fn of(conn: &mut Conn) -> Result<Schema, EngineError> {
    let mut tables = columns(conn).await?;
    keys(conn, &mut tables).await?;
    let views = views(conn).await?;
    for table in tables.values() {
        if table.key.is_empty() {
            let message = format!("table {:?} has no primary key", table.name);
            return Err(EngineError::refused(SqlState::INVALID_TABLE, message));
        }
    }
    Ok(Schema {
        tables: tables.into_values().collect(),
        views,
        ..Schema::default()
    })
}

async fn columns(conn: &mut Conn) -> Result<BTreeMap<String, Table>, EngineError> {
    let told: Vec<(String, String, String, String)> = conn
        .query(
            "SELECT c.table_name, c.column_name, c.is_nullable, c.column_comment
             FROM information_schema.columns AS c JOIN information_schema.tables AS t
               ON t.table_schema = c.table_schema AND t.table_name = c.table_name
             WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'
               AND c.table_name NOT LIKE 'gridmart!_%' ESCAPE '!'
               AND t.table_comment <> 'gridmart view'
             ORDER BY c.table_name, c.ordinal_position",
        )
        .await
        .during(Phase::Statement)?;
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for (table, name, nullable, comment) in told {
        let column = column(&table, name, &nullable, &comment)?;
        let entry = tables.entry(table.clone()).or_insert_with(|| Table {
            name: table,
            columns: Vec::new(),
            key: Vec::new(),
            has_sequence: false,
            has_row_id_key: false,
            unique_keys: Vec::new(),
            indexes: Vec::new(),
        });
        entry.columns.push(column);
    }
    Ok(tables)
}

fn column(table: &str, name: String, nullable: &str, comment: &str) -> Result<Column, EngineError> {
    let (sql_type, default) = comment.split_once(' ').unwrap_or((comment, ""));
    let foreign = || {
        EngineError::refused(
            SqlState::INVALID_TABLE,
            format!(
                "the column {name:?} of the table {table:?} was not made by gridmart: its comment \
                 does not tell its type"
            ),
        )
    };
    let sql_type = sql_type.parse().map_err(|_| foreign())?;
    let default: Option<Value> = if default.is_empty() {
        None
    } else {
        Some(serde_json::from_str(default).map_err(|_| foreign())?)
    };
    Ok(Column {
        name,
        sql_type,
        is_nullable: nullable == "YES",
        default,
    })
}

/// What stands for views: tables whose one column has the definition as its default, in
/// hexadecimal digits.
async fn views(conn: &mut Conn) -> Result<Vec<(String, String)>, EngineError> {
    let told: Vec<(String, Option<String>)> = conn
        .query(
            "SELECT c.table_name, c.column_default
             FROM information_schema.columns AS c JOIN information_schema.tables AS t
               ON t.table_schema = c.table_schema AND t.table_name = c.table_name
             WHERE c.table_schema = DATABASE() AND t.table_comment = 'gridmart view'
             ORDER BY c.table_name",
        )
        .await
        .during(Phase::Statement)?;
    let views = told.into_iter().map(|(name, default)| {
        let definition = default.as_deref().and_then(definition);
        let definition = definition.ok_or_else(|| {
            let message = format!("the view {name:?} has no definition that can be read");
            EngineError::refused(SqlState::INVALID_TABLE, message)
        });
        definition.map(|definition| (name, definition))
    });
    views.collect()
}

/// What a default says between its quotes.
fn definition(default: &str) -> Option<String> {
    let (_, rest) = default.split_once('\'')?;
    let (digits, _) = rest.split_once('\'')?;
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

async fn keys(conn: &mut Conn, tables: &mut BTreeMap<String, Table>) -> Result<(), EngineError> {
    let told: Vec<(String, String, bool, String, String)> = conn
        .query(
            "SELECT table_name, index_name, non_unique, column_name, index_comment
             FROM information_schema.statistics WHERE table_schema = DATABASE()
             ORDER BY table_name, index_name, seq_in_index",
        )
        .await
        .during(Phase::Statement)?;
    let mut known: BTreeMap<(String, String), (bool, bool, Vec<usize>)> = BTreeMap::new();
    for (table, index, repeats, column, comment) in told {
        let Some(found) = tables.get(&table) else {
            continue;
        };
        let place = found.columns.iter().position(|one| one.name == column);
        let key = known.entry((table, index)).or_default();
        key.0 = !repeats;
        key.1 = comment == INDEX_COMMENT;
        key.2.extend(place);
    }
    for ((table, index), (unique, named, columns)) in known {
        let Some(table) = tables.get_mut(&table) else {
            continue;
        };
        if index == "PRIMARY" {
            table.key = columns;
            continue;
        }
        if unique {
            table.unique_keys.push(columns);
        }
        if named {
            table.indexes.push(index);
        }
    }
    Ok(())
}

/// The server's version, as it tells it.
pub(super) async fn version(conn: &mut Conn) -> Option<String> {
    conn.query_first("SELECT VERSION()").await.ok().flatten()
}

/// Refuses a server, or an account, that a Host should not use.
pub(super) async fn server_check(conn: &mut Conn) -> Result<(), EngineError> {
    let told: Option<(String, u64, u64)> = conn
        .query_first("SELECT VERSION(), @@lower_case_table_names, @@max_allowed_packet")
        .await
        .during(Phase::Begin)?;
    let (version, folded, packet) = told.unwrap_or_default();
    let numbers: Vec<u16> = version
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect();
    let number = |place: usize| numbers.get(place).copied().unwrap_or_default();
    if !version.contains("MariaDB") || (number(0), number(1)) < OLDEST {
        return Err(unfit(format!(
            "the server is {version}: gridmart needs MariaDB {}.{} or newer",
            OLDEST.0, OLDEST.1
        )));
    }
    if folded != 0 {
        return Err(unfit(
            "the server does not tell names of tables apart by their case: start it anew, empty, \
             with lower_case_table_names=0"
                .to_owned(),
        ));
    }
    if packet < PACKET_BYTES_MIN {
        return Err(unfit(format!(
            "the server takes messages of {packet} bytes: have max_allowed_packet set to {PACKET_BYTES_MIN} or more"
        )));
    }
    let grants: Vec<String> = conn
        .query("SHOW GRANTS FOR CURRENT_USER()")
        .await
        .during(Phase::Begin)?;
    // As an administrator's session shows and takes them.
    let grants: Vec<String> = grants.iter().map(|grant| grant.replace('"', "`")).collect();
    rights_check(&grants)
}

fn unfit(why: String) -> EngineError {
    EngineError::refused(SqlState::NOT_PERMITTED, why)
}

/// The account, if it lacks a right on the whole server.
pub(super) fn lacks_right(grants: &[String], right: &str) -> Option<String> {
    let mut account = String::from("CURRENT_USER()");
    for grant in grants {
        let (object, rights) = grant.split_once(" ON ").map_or(("", ""), |(rights, rest)| {
            (rest, rights.trim_start_matches("GRANT "))
        });
        let Some((_, to)) = object.split_once(" TO ") else {
            continue;
        };
        if !object.starts_with("*.*") {
            continue;
        }
        if rights.split(", ").any(|held| held == right) {
            return None;
        }
        let to = to.split(" IDENTIFIED").next().unwrap_or(to);
        account = to.replace('"', "`");
    }
    Some(account)
}

fn rights_check(grants: &[String]) -> Result<(), EngineError> {
    let (mut own, mut account) = (false, String::from("'gridmart'@'%'"));
    for grant in grants {
        let Some((rights, rest)) = grant
            .strip_prefix("GRANT ")
            .and_then(|grant| grant.split_once(" ON "))
        else {
            continue;
        };
        let (object, to) = rest.split_once(" TO ").unwrap_or((rest, ""));
        if object == "*.*" {
            to.split(" IDENTIFIED")
                .next()
                .unwrap_or(to)
                .clone_into(&mut account);
            let held: Vec<&str> = rights.split(", ").collect();
            if let Some(right) = TOO_MUCH.iter().find(|right| held.contains(right)) {
                return Err(unfit(format!(
                    "the account has {right} on the whole server, more than a Host may have: \
                     REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}, then GRANT {} ON \
                     `gridmart\\_%`.* TO {account}",
                    RIGHTS.join(", ")
                )));
            }
        }
        let ours = matches!(object, "`gridmart\\_%`.*" | "`gridmart_%`.*");
        let enough = rights == "ALL PRIVILEGES" || {
            let held: Vec<&str> = rights.split(", ").collect();
            RIGHTS.iter().all(|right| held.contains(right))
        };
        own |= ours && enough;
    }
    if own {
        return Ok(());
    }
    Err(unfit(format!(
        "the account lacks rights for the Host's databases: GRANT {} ON `gridmart\\_%`.* TO {account}",
        RIGHTS.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(grants: &[&str]) -> Result<(), String> {
        let grants: Vec<String> = grants.iter().map(|grant| (*grant).to_owned()).collect();
        rights_check(&grants).map_err(|error| error.to_string())
    }

    #[test]
    fn an_account_has_enough_and_not_too_much() {
        let plain = "GRANT USAGE ON *.* TO `host`@`%` IDENTIFIED BY PASSWORD '*1'";
        let own = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER ON `gridmart\\_%`.* TO `host`@`%`";
        assert_eq!(checked(&[plain, own]), Ok(()));
        let all = "GRANT ALL PRIVILEGES ON `gridmart\\_%`.* TO `host`@`%`";
        assert_eq!(checked(&[plain, all]), Ok(()));
        let told = [plain.to_owned(), own.to_owned()];
        let lacking = lacks_right(&told, "REPLICATION SLAVE");
        assert_eq!(lacking.as_deref(), Some("`host`@`%`"));
        let told = ["GRANT REPLICATION SLAVE, FILE ON *.* TO `host`@`%`".to_owned()];
        assert_eq!(lacks_right(&told, "REPLICATION SLAVE"), None);
        let lacks = checked(&[plain]).unwrap_err();
        assert!(
            lacks.contains("GRANT SELECT, INSERT") && lacks.contains("TO `host`@`%`"),
            "{lacks}"
        );
        for much in ["ALL PRIVILEGES", "SELECT, SUPER", "FILE"] {
            let held = format!("GRANT {much} ON *.* TO `host`@`%` WITH GRANT OPTION");
            let refused = checked(&[&held, own]).unwrap_err();
            assert!(refused.contains("on the whole server"), "{refused}");
        }
    }
}
