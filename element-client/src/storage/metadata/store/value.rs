//! Our types as SQLite's values.

use std::str::FromStr;

use gridmart_fabric::sqlite::unreadable;
pub(super) use gridmart_fabric::sqlite::{json, parsed};
use gridmart_schemas::{
    id::{BucketId, NodeId, StripeId, UploadId, VersionId},
    storage::BlockRoot,
};
use rusqlite::{
    Row, ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use uuid::Uuid;

use crate::storage::metadata::{
    key::ObjectKey,
    moment::Moment,
    position::Epoch,
    record::{DocumentKind, Retention, RetentionMode, Versioning},
};

/// One of our types in a column.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Sql<T>(pub(in super::super) T);

macro_rules! uuid_columns {
    ($($id:ident),+) => {$(
        impl ToSql for Sql<$id> {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_uuid().as_bytes())))
            }
        }

        impl FromSql for Sql<$id> {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let bytes = <[u8; 16]>::column_result(value)?;
                Ok(Self($id::from_uuid(Uuid::from_bytes(bytes))))
            }
        }
    )+};
}

uuid_columns!(BucketId, NodeId, StripeId, UploadId, VersionId);

impl ToSql for Sql<BlockRoot> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Sql<BlockRoot> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(|bytes| Self(BlockRoot::new(bytes)))
    }
}

impl ToSql for Sql<&ObjectKey> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(
            self.0.as_str().as_bytes(),
        )))
    }
}

impl ToSql for Sql<u64> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        // Sizes and sequences never come near 2^63; the bits are kept anyhow.
        Ok(self.0.cast_signed().into())
    }
}

impl FromSql for Sql<u64> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|number| Self(number.cast_unsigned()))
    }
}

impl ToSql for Sql<Option<u64>> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Some(number) => number.cast_signed().into(),
            None => rusqlite::types::Null.into(),
        })
    }
}

impl ToSql for Sql<Epoch> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.number().cast_signed().into())
    }
}

impl FromSql for Sql<Epoch> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Sql::<u64>::column_result(value).map(|number| Self(Epoch::new(number.0)))
    }
}

impl ToSql for Sql<Moment> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.microseconds().into())
    }
}

impl FromSql for Sql<Moment> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_i64()
            .map(|microseconds| Self(Moment::from_microseconds(microseconds)))
    }
}

/// Reads one of our types.
pub(in super::super) fn own<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    Sql<T>: FromSql,
{
    row.get::<_, Sql<T>>(column).map(|value| value.0)
}

/// Reads a nullable one of our types.
pub(in super::super) fn own_option<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    Sql<T>: FromSql,
{
    row.get::<_, Option<Sql<T>>>(column)
        .map(|value| value.map(|value| value.0))
}

/// Reads a key.
pub(super) fn key(row: &Row<'_>, column: &str) -> rusqlite::Result<ObjectKey> {
    let bytes: Vec<u8> = row.get(column)?;
    let text =
        String::from_utf8(bytes).map_err(|source| unreadable(row, column, Box::new(source)))?;
    ObjectKey::try_from(text).map_err(|source| unreadable(row, column, Box::new(source)))
}

/// A word in a column that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a word that this version knows")]
pub struct UnknownWord(String);

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// The word in the store.
            pub(in super::super) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    other => Err(UnknownWord(other.to_owned())),
                }
            }
        }
    };
}

words!(Versioning { Off = "off", Enabled = "enabled", Suspended = "suspended" });
words!(RetentionMode { Governance = "governance", Compliance = "compliance" });
words!(DocumentKind {
    Lifecycle = "lifecycle",
    Cors = "cors",
    Policy = "policy",
    Tagging = "tagging",
    Ownership = "ownership",
    PublicAccessBlock = "public-access-block",
    ObjectLock = "object-lock",
    Access = "access",
    Acl = "acl",
    Encryption = "encryption",
});

/// Reads the two columns of a retention.
pub(in super::super) fn retention(row: &Row<'_>) -> rusqlite::Result<Option<Retention>> {
    let Some(until) = own_option(row, "retain_until")? else {
        return Ok(None);
    };
    Ok(Some(Retention {
        mode: parsed(row, "retention_mode")?,
        until,
    }))
}
