//! People and their API tokens.

use gridmart_schemas::id::{PersonName, TokenId};
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{During, StoreError, moment, parsed, parsed_option};
use crate::catalogue::person::{ApiToken, Person, SessionFacts};

/// Reads everybody.
pub(crate) fn person_list(connection: &Connection) -> Result<Vec<Person>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM person")
        .during("person_list")?;
    let rows = statement.query_map([], person).during("person_list")?;
    rows.collect::<rusqlite::Result<_>>().during("person_list")
}

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        name: parsed(row, "name")?,
        role: parsed(row, "role")?,
        domain: row.get("domain")?,
        enabled: row.get("enabled")?,
        password_hash: row.get("password_hash")?,
        created: moment(row, "created")?,
    })
}

/// Writes a person, new or changed.
pub(crate) fn person_put(connection: &Connection, person: &Person) -> Result<(), StoreError> {
    let Person {
        name,
        role,
        domain,
        enabled,
        password_hash,
        created,
    } = person;
    connection
        .prepare_cached(
            "INSERT INTO person (name, role, domain, enabled, password_hash, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (name) DO UPDATE SET role = ?2, domain = ?3, enabled = ?4, password_hash = ?5",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                name.as_str(),
                role.as_str(),
                domain,
                enabled,
                password_hash,
                created.unix_timestamp()
            ])
        })
        .during("person_put")
        .map(drop)
}

/// Reads all API tokens.
pub(crate) fn api_token_list(connection: &Connection) -> Result<Vec<ApiToken>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM api_token")
        .during("api_token_list")?;
    let rows = statement
        .query_map([], api_token)
        .during("api_token_list")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("api_token_list")
}

fn api_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let rotated: Option<i64> = row.get("rotated")?;
    let session = match rotated {
        None => None,
        Some(_) => Some(SessionFacts {
            rotated: moment(row, "rotated")?,
            secret_hash_before: row.get("secret_hash_before")?,
            parent: parsed_option(row, "parent")?,
        }),
    };
    Ok(ApiToken {
        id: parsed(row, "id")?,
        person: parsed(row, "person")?,
        label: row.get("label")?,
        secret_hash: row.get("secret_hash")?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
        session,
    })
}

/// Writes an API token, new or with another secret.
pub(crate) fn api_token_put(connection: &Connection, token: &ApiToken) -> Result<(), StoreError> {
    let ApiToken {
        id,
        person,
        label,
        secret_hash,
        created,
        expires,
        session,
    } = token;
    let session = session.as_ref();
    connection
        .execute(
            "INSERT INTO api_token (id, person, label, secret_hash, created, expires, rotated, secret_hash_before, parent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET secret_hash = ?4, rotated = ?7, secret_hash_before = ?8",
            params![
                id.to_string(),
                person.as_str(),
                label,
                secret_hash,
                created.unix_timestamp(),
                expires.unix_timestamp(),
                session.map(|session| session.rotated.unix_timestamp()),
                session.and_then(|session| session.secret_hash_before.as_ref()),
                session.and_then(|session| session.parent).map(|parent| parent.to_string()),
            ],
        )
        .during("api_token_put")
        .map(drop)
}

/// Removes one API token, and the sessions that were begun with it.
pub(crate) fn api_token_delete(connection: &Connection, id: TokenId) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM api_token WHERE id = ?1 OR parent = ?1",
            [id.to_string()],
        )
        .during("api_token_delete")
        .map(drop)
}

/// Removes all API tokens of a person.
pub(crate) fn api_token_delete_of(
    connection: &Connection,
    person: &PersonName,
) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM api_token WHERE person = ?1", [person.as_str()])
        .during("api_token_delete_of")
        .map(drop)
}

/// Removes API tokens whose time is over, and sessions that idle since `idle`.
pub(crate) fn api_token_delete_expired(
    connection: &Connection,
    now: OffsetDateTime,
    idle: OffsetDateTime,
) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM api_token WHERE expires <= ?1 OR rotated <= ?2",
            [now.unix_timestamp(), idle.unix_timestamp()],
        )
        .during("api_token_delete_expired")
        .map(drop)
}
