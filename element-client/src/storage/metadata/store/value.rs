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
    types::{FromSql, FromSqlResult, ToSqlOutput, Type, ValueRef},
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

/// The columns of a row in the order in which a statement names them: to find each
/// by its name takes longer than to read it.
pub(super) struct Columns<'a, 'statement> {
    row: &'a Row<'statement>,
    next: usize,
}

impl<'a, 'statement> Columns<'a, 'statement> {
    pub(super) const fn of(row: &'a Row<'statement>) -> Self {
        Self { row, next: 0 }
    }

    const fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// Reads the next one.
    pub(super) fn plain<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let at = self.step();
        self.row.get(at)
    }

    /// Reads the next one, of our types.
    pub(super) fn own<T>(&mut self) -> rusqlite::Result<T>
    where
        Sql<T>: FromSql,
    {
        self.plain::<Sql<T>>().map(|value| value.0)
    }

    /// Reads the next one, which may be null, of our types.
    pub(super) fn own_option<T>(&mut self) -> rusqlite::Result<Option<T>>
    where
        Sql<T>: FromSql,
    {
        Ok(self.plain::<Option<Sql<T>>>()?.map(|value| value.0))
    }

    /// Reads a text as what it says.
    fn text_at<T, E>(
        &self,
        at: usize,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> rusqlite::Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let unreadable = |source| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, source);
        let text = self.row.get_ref(at)?.as_bytes()?;
        let text = std::str::from_utf8(text).map_err(|source| unreadable(Box::new(source)))?;
        read(text).map_err(|source| unreadable(Box::new(source)))
    }

    /// Reads the next one, JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let at = self.step();
        self.text_at(at, |text| serde_json::from_str(text))
    }

    /// Reads the next one, a key.
    pub(super) fn key(&mut self) -> rusqlite::Result<ObjectKey> {
        let at = self.step();
        self.text_at(at, |text| ObjectKey::try_from(text.to_owned()))
    }

    /// Reads the next two, a mode and until when: a retention.
    pub(super) fn retention(&mut self) -> rusqlite::Result<Option<Retention>> {
        let mode = self.step();
        let Some(until) = self.own_option()? else {
            return Ok(None);
        };
        // Without a mode it cannot be read: it must not be taken for no protection.
        let mode = self.text_at(mode, str::parse)?;
        Ok(Some(Retention { mode, until }))
    }
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
