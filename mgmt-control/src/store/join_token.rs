//! Join tokens of the controller: for Elements.

use gridmart_schemas::id::TokenId;
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{During, StoreError, moment, parsed};
use crate::catalogue::node::JoinTokenRecord;

/// Reads all join tokens.
pub(crate) fn join_token_list(connection: &Connection) -> Result<Vec<JoinTokenRecord>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM join_token")
        .during("join_token_list")?;
    let rows = statement
        .query_map([], join_token)
        .during("join_token_list")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("join_token_list")
}

fn join_token(row: &Row<'_>) -> rusqlite::Result<JoinTokenRecord> {
    Ok(JoinTokenRecord {
        id: parsed(row, "id")?,
        kind: parsed(row, "kind")?,
        domain: row.get("domain")?,
        secret_hash: row.get("secret_hash")?,
        uses_left: row.get("uses_left")?,
        label: row.get("label")?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
    })
}

/// Writes a join token, new or with fewer uses left.
pub(crate) fn join_token_put(
    connection: &Connection,
    token: &JoinTokenRecord,
) -> Result<(), StoreError> {
    let JoinTokenRecord {
        id,
        kind,
        domain,
        secret_hash,
        uses_left,
        label,
        created,
        expires,
    } = token;
    connection
        .execute(
            "INSERT INTO join_token (id, kind, domain, secret_hash, uses_left, label, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET uses_left = ?5",
            params![
                id.to_string(),
                kind.as_str(),
                domain,
                secret_hash,
                uses_left,
                label,
                created.unix_timestamp(),
                expires.unix_timestamp()
            ],
        )
        .during("join_token_put")
        .map(drop)
}

/// Removes one join token.
pub(crate) fn join_token_delete(connection: &Connection, id: TokenId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM join_token WHERE id = ?1", [id.to_string()])
        .during("join_token_delete")
        .map(drop)
}

/// Removes join tokens whose time was over at `before`.
pub(crate) fn join_token_delete_expired(
    connection: &Connection,
    before: OffsetDateTime,
) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM join_token WHERE expires <= ?1",
            [before.unix_timestamp()],
        )
        .during("join_token_delete_expired")
        .map(drop)
}
