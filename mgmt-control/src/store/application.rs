//! Application versions, and their wishes on single Hosts.

use gridmart_schemas::{
    id::{Digest, NodeId},
    wire::desired::Wish,
};
use rusqlite::{Connection, Row, params};

use super::{During, StoreError, count, json, moment, number, parsed, to_json, wish};
use crate::catalogue::application::Application;

/// Reads all application versions, oldest upload first.
pub(crate) fn application_list(connection: &Connection) -> Result<Vec<Application>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM application ORDER BY rowid")
        .during("application_list")?;
    let rows = statement
        .query_map([], application)
        .during("application_list")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("application_list")
}

fn application(row: &Row<'_>) -> rusqlite::Result<Application> {
    Ok(Application {
        digest: parsed(row, "digest")?,
        name: row.get("name")?,
        version: row.get("version")?,
        size: count(row, "size")?,
        manifest: json(row, "manifest")?,
        owner: parsed(row, "owner")?,
        uploaded: moment(row, "uploaded")?,
        default: row.get("is_default")?,
        wish: wish(row)?,
    })
}

/// Writes an application version, new or changed.
pub(crate) fn application_put(
    connection: &Connection,
    application: &Application,
) -> Result<(), StoreError> {
    let Application {
        digest,
        name,
        version,
        size,
        manifest,
        owner,
        uploaded,
        default,
        wish,
    } = application;
    let put = || -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT INTO application (digest, name, version, size, manifest, owner, uploaded,
                                          is_default, desired, generation, cut_epoch)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (digest) DO UPDATE SET is_default = ?8, desired = ?9,
                                                    generation = ?10, cut_epoch = ?11",
            )?
            .execute(params![
                digest.as_str(),
                name,
                version,
                number(*size),
                to_json(manifest)?,
                owner.as_str(),
                uploaded.unix_timestamp(),
                default,
                wish.desired.as_str(),
                number(wish.generation),
                number(wish.cut_epoch)
            ])
    };
    put().during("application_put").map(drop)
}

/// Reads the wishes of applications on single Hosts.
pub(crate) fn host_application_list(
    connection: &Connection,
) -> Result<Vec<(Digest, NodeId, Wish)>, StoreError> {
    let mut statement = connection
        .prepare("SELECT * FROM host_application")
        .during("host_application_list")?;
    let rows = statement
        .query_map([], |row| {
            Ok((parsed(row, "digest")?, parsed(row, "host")?, wish(row)?))
        })
        .during("host_application_list")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("host_application_list")
}

/// Writes the wish of an application on one Host.
pub(crate) fn host_application_put(
    connection: &Connection,
    digest: &Digest,
    host: NodeId,
    wish: Wish,
) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO host_application (digest, host, desired, generation, cut_epoch)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (digest, host) DO UPDATE SET desired = ?3, generation = ?4, cut_epoch = ?5",
            params![
                digest.as_str(),
                host.to_string(),
                wish.desired.as_str(),
                number(wish.generation),
                number(wish.cut_epoch)
            ],
        )
        .during("host_application_put")
        .map(drop)
}
