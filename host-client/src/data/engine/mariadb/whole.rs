//! The statements that make a database's tables, as the server tells them: for shadows on
//! such servers.

use gridmart_schemas::resource::enumeration::DataEngine;
use mysql_async::{Conn, prelude::Queryable as _};

use super::{
    Access,
    failure::{Failure as _, Phase},
};
use crate::data::{
    engine::EngineError,
    log::{Whole, Words},
};

/// How the server is to tell and to take them: texts are written with backslashes there.
const MODE: &str = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION";
/// Tables that are gridmart's own have names that nobody else's have.
const TABLES: &str = "SELECT table_name FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'
      AND table_name NOT LIKE 'gridmart!_%' ESCAPE '!' ORDER BY table_name";

/// Reads it. Nobody may change the schema meanwhile.
pub(super) async fn whole(conn: &mut Conn) -> Result<Whole, EngineError> {
    let mode = mode_set(conn).await?;
    let names: Vec<String> = conn.query(TABLES).await.during(Phase::Statement)?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let text = format!("SHOW CREATE TABLE `{}`", name.replace('`', "``"));
        let told: Option<(String, String)> =
            conn.query_first(text).await.during(Phase::Statement)?;
        tables.extend(told.map(|(_, statement)| statement));
    }
    mode_set_back(conn, &mode).await?;
    Ok(Whole {
        tables,
        ..Whole::default()
    })
}

/// Reads it on a connection of its own.
pub(super) async fn whole_at(access: &Access) -> Result<Whole, EngineError> {
    let mut conn = access.connect().await?;
    let read = whole(&mut conn).await;
    let _ = conn.disconnect().await;
    read
}

/// Makes all of it in an empty database.
pub(super) async fn make(conn: &mut Conn, whole: &Whole) -> Result<(), EngineError> {
    let mode = mode_set(conn).await?;
    // They may refer to each other.
    run(conn, "SET SESSION foreign_key_checks = 0").await?;
    for statement in &whole.tables {
        run(conn, statement).await?;
    }
    mode_set_back(conn, &mode).await?;
    run(conn, "SET SESSION foreign_key_checks = 1").await?;
    for statement in &whole.changes {
        run(conn, statement).await?;
    }
    Ok(())
}

async fn run(conn: &mut Conn, text: &str) -> Result<(), EngineError> {
    conn.query_drop(text).await.during(Phase::Statement)
}

/// Sets the mode; gives that of before.
async fn mode_set(conn: &mut Conn) -> Result<String, EngineError> {
    let mode: Option<String> = conn
        .query_first("SELECT @@SESSION.sql_mode")
        .await
        .during(Phase::Statement)?;
    run(conn, &format!("SET SESSION sql_mode = '{MODE}'")).await?;
    Ok(mode.unwrap_or_default())
}

async fn mode_set_back(conn: &mut Conn, mode: &str) -> Result<(), EngineError> {
    run(conn, &format!("SET SESSION sql_mode = '{mode}'")).await
}

/// A change of the schema for the log: the whole is not known when the server logs it.
pub(super) fn words(statement: String) -> Words {
    Words {
        engine: DataEngine::Mariadb,
        statement,
        whole: None,
    }
}
