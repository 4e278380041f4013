//! Buckets and their settings, access keys, settings of the Element.

use gridmart_schemas::{
    id::{BucketId, PersonName},
    scalar::BucketName,
    storage::Redundancy,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    During, StoreError,
    value::{Sql, own, own_option, parsed},
};
use crate::storage::metadata::{
    moment::Moment,
    record::{DocumentKind, Quota, Versioning},
};

/// A bucket, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its row.
    pub(in super::super) number: u64,
    /// Its id.
    pub id: BucketId,
    /// Its name.
    pub name: BucketName,
    /// Whose it is.
    pub owner: PersonName,
    /// How its stripes are kept from now on.
    pub redundancy: Redundancy,
    /// Whether it keeps old versions.
    pub versioning: Versioning,
    /// Its versions can be protected.
    pub object_lock: bool,
    /// Blocks of a stripe that may be missing when what is put is acknowledged.
    pub losses_allowed: u8,
    /// How much it may hold.
    pub quota: Quota,
    /// When it was made.
    pub created: Moment,
    /// Objects that are seen.
    pub objects: u64,
    /// Versions, older ones and delete markers included.
    pub versions: u64,
    /// Bytes of all versions.
    pub bytes: u64,
    /// Bytes of the parts of uploads.
    pub upload_bytes: u64,
}

fn bucket_read(row: &Row<'_>) -> rusqlite::Result<Bucket> {
    Ok(Bucket {
        number: own(row, "number")?,
        id: own(row, "id")?,
        name: parsed(row, "name")?,
        owner: parsed(row, "owner")?,
        redundancy: parsed(row, "redundancy")?,
        versioning: parsed(row, "versioning")?,
        object_lock: row.get("object_lock")?,
        losses_allowed: row.get("losses_allowed")?,
        quota: Quota {
            bytes: own_option(row, "quota_bytes")?,
            objects: own_option(row, "quota_objects")?,
        },
        created: own(row, "created")?,
        objects: own(row, "objects")?,
        versions: own(row, "versions")?,
        bytes: own(row, "bytes")?,
        upload_bytes: own(row, "upload_bytes")?,
    })
}

/// Reads a bucket.
pub fn bucket(connection: &Connection, id: BucketId) -> Result<Option<Bucket>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM bucket WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([Sql(id)], bucket_read).optional())
        .during("bucket")
}

/// Reads the bucket of a name.
pub fn bucket_named(
    connection: &Connection,
    name: &BucketName,
) -> Result<Option<Bucket>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM bucket WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name.as_str()], bucket_read).optional())
        .during("bucket_named")
}

/// Reads all buckets, by name.
pub fn buckets(connection: &Connection) -> Result<Vec<Bucket>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM bucket ORDER BY name")
        .and_then(|mut statement| statement.query_map([], bucket_read)?.collect())
        .during("buckets")
}

/// Reads a setting of a bucket.
pub fn bucket_document(
    connection: &Connection,
    bucket: BucketId,
    kind: DocumentKind,
) -> Result<Option<String>, StoreError> {
    connection
        .prepare_cached(
            "SELECT document FROM bucket_document
             WHERE bucket = (SELECT number FROM bucket WHERE id = ?1) AND kind = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![Sql(bucket), kind.word()], |row| row.get(0))
                .optional()
        })
        .during("bucket_document")
}

/// Reads how a bucket kept its stripes before, as far as puts that were begun
/// then may still end.
pub fn former_redundancies(
    connection: &Connection,
    bucket: BucketId,
) -> Result<Vec<Redundancy>, StoreError> {
    connection
        .prepare_cached(
            "SELECT redundancy FROM former_redundancy
             WHERE bucket = (SELECT number FROM bucket WHERE id = ?1) ORDER BY until DESC",
        )
        .and_then(|mut statement| {
            statement
                .query_map([Sql(bucket)], |row| parsed(row, "redundancy"))?
                .collect()
        })
        .during("former_redundancies")
}

/// A key with which S3 requests are signed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public part.
    pub id: String,
    /// Whose it is.
    pub person: PersonName,
    /// Its secret, encrypted.
    pub sealed_secret: Vec<u8>,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created: Moment,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

fn access_key_read(row: &Row<'_>) -> rusqlite::Result<AccessKey> {
    Ok(AccessKey {
        id: row.get("id")?,
        person: parsed(row, "person")?,
        sealed_secret: row.get("sealed_secret")?,
        label: row.get("label")?,
        created: own(row, "created")?,
    })
}

/// Reads an access key.
pub fn access_key(connection: &Connection, id: &str) -> Result<Option<AccessKey>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM access_key WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], access_key_read).optional())
        .during("access_key")
}

/// Whether anybody has an access key.
pub fn has_access_keys(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM access_key)", [], |row| {
            row.get(0)
        })
        .during("has_access_keys")
}

/// Reads the access keys of a person, by id.
pub fn access_keys_of(
    connection: &Connection,
    person: &PersonName,
) -> Result<Vec<AccessKey>, StoreError> {
    connection
        .prepare_cached("SELECT * FROM access_key WHERE person = ?1 ORDER BY id")
        .and_then(|mut statement| {
            statement
                .query_map([person.as_str()], access_key_read)?
                .collect()
        })
        .during("access_keys_of")
}

/// Reads how many losses the redundancy of each bucket bears.
pub fn losses_borne(connection: &Connection) -> Result<Vec<u8>, StoreError> {
    let read = || -> rusqlite::Result<Vec<u8>> {
        let mut statement = connection.prepare_cached("SELECT DISTINCT redundancy FROM bucket")?;
        let losses = statement.query_map([], |row| {
            parsed::<Redundancy>(row, "redundancy").map(Redundancy::parity)
        })?;
        losses.collect()
    };
    read().during("losses_borne")
}

/// Reads a setting of the Element.
pub fn setting(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    connection
        .prepare_cached("SELECT value FROM setting WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name], |row| row.get(0)).optional())
        .during("setting")
}
