//! Lists of objects, versions and uploads, by key.
//!
//! With a delimiter, keys that share what is between the prefix and the next
//! delimiter are one line; the list jumps over them, however many there are.

use std::ops::ControlFlow;

use gridmart_schemas::id::BucketId;
use rusqlite::{Connection, Row, Rows, params};

use super::{
    During, StoreError,
    object::{ObjectVersion, version_columns, version_read},
    value::Sql,
};

/// The most lines of a page.
pub(super) const LINES_MAX: usize = 1000;

/// Above every byte of UTF-8: a key with it appended is above all keys that
/// begin with it.
const ABOVE: u8 = 0xFF;

/// What is listed.
#[derive(Clone, Debug)]
pub struct ListingRequest {
    /// Of which bucket.
    pub bucket: BucketId,
    /// What keys begin with.
    pub prefix: String,
    /// What ends a common prefix; not empty.
    pub delimiter: Option<String>,
    /// Where to begin.
    pub page: Page,
    /// Lines at most; never more than 1,000.
    pub limit: usize,
}

/// Where a list begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// At its beginning.
    #[default]
    Start,
    /// After a key.
    After(String),
    /// After all keys that begin so.
    AfterPrefix(String),
    /// After this version or upload of a key.
    Within {
        /// The key.
        key: String,
        /// The version's or upload's number.
        number: u64,
    },
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// Those that stand for themselves, in order.
    pub items: Vec<T>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one.
    pub next: Option<Page>,
}

/// A page of objects.
pub type Listing = Listed<ObjectVersion>;
/// A page of versions.
pub type VersionListing = Listed<ObjectVersion>;

/// Lists the objects that are seen, by key.
pub fn object_list(
    connection: &Connection,
    request: &ListingRequest,
) -> Result<Listing, StoreError> {
    let mut statement = connection
        .prepare_cached(concat!(
            "SELECT ",
            version_columns!(),
            " FROM version
             WHERE bucket = (SELECT number FROM bucket WHERE id = ?1)
                 AND key >= ?2 AND key < ?3 AND is_latest = 1 AND is_marker = 0
             ORDER BY key"
        ))
        .during("object_list")?;
    let upper = above(&request.prefix);
    walk(request, Page::after_item, |cursor, visit| {
        visit_rows(
            statement.query(params![Sql(request.bucket), cursor.key, upper])?,
            version_read,
            visit,
        )
    })
    .during("object_list")
}

/// Lists all versions and delete markers, by key, of each key the newest first.
pub fn version_list(
    connection: &Connection,
    request: &ListingRequest,
) -> Result<VersionListing, StoreError> {
    let mut statement = connection
        .prepare_cached(concat!(
            "SELECT ",
            version_columns!(),
            " FROM version
             WHERE bucket = (SELECT number FROM bucket WHERE id = ?1)
                 AND key >= ?2 AND key < ?3 AND (key > ?2 OR ?4 IS NULL OR number < ?4)
             ORDER BY key, number DESC"
        ))
        .during("version_list")?;
    let upper = above(&request.prefix);
    walk(request, Page::within_item, |cursor, visit| {
        visit_rows(
            statement.query(params![
                Sql(request.bucket),
                cursor.key,
                upper,
                Sql(cursor.number)
            ])?,
            version_read,
            visit,
        )
    })
    .during("version_list")
}

/// What stands in a list.
pub(super) trait Line {
    /// Its key.
    fn key(&self) -> &str;
    /// Its number.
    fn number(&self) -> u64;
}

impl Line for ObjectVersion {
    fn key(&self) -> &str {
        self.key.as_str()
    }

    fn number(&self) -> u64 {
        self.number
    }
}

impl Page {
    pub(super) fn after_item(item: &impl Line) -> Self {
        Self::After(item.key().to_owned())
    }

    pub(super) fn within_item(item: &impl Line) -> Self {
        Self::Within {
            key: item.key().to_owned(),
            number: item.number(),
        }
    }
}

/// Where a scan begins: at this key, or after that number of it.
pub(super) struct Cursor {
    pub(super) key: Vec<u8>,
    pub(super) number: Option<u64>,
}

impl Cursor {
    fn of(request: &ListingRequest) -> Self {
        let prefix = request.prefix.as_bytes();
        let (key, number) = match &request.page {
            Page::Start => (prefix.to_vec(), None),
            // No key is between a key and itself with a NUL.
            Page::After(key) => ([key.as_bytes(), &[0]].concat(), None),
            Page::AfterPrefix(common) => (above(common), None),
            Page::Within { key, number } => (key.as_bytes().to_vec(), Some(*number)),
        };
        if key.as_slice() < prefix {
            return Self {
                key: prefix.to_vec(),
                number: None,
            };
        }
        Self { key, number }
    }
}

/// Above all keys that begin so.
pub(super) fn above(prefix: &str) -> Vec<u8> {
    [prefix.as_bytes(), &[ABOVE]].concat()
}

/// Reads rows until the visitor has enough.
pub(super) fn visit_rows<T>(
    mut rows: Rows<'_>,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
    visit: &mut dyn FnMut(T) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    while let Some(row) = rows.next()? {
        if visit(read(row)?).is_break() {
            break;
        }
    }
    Ok(())
}

/// Collects a page: scans from a cursor on, and jumps over what a common prefix
/// stands for.
pub(super) fn walk<T: Line>(
    request: &ListingRequest,
    page_after: fn(&T) -> Page,
    mut scan: impl FnMut(&Cursor, &mut dyn FnMut(T) -> ControlFlow<()>) -> rusqlite::Result<()>,
) -> rusqlite::Result<Listed<T>> {
    let limit = request.limit.min(LINES_MAX);
    let mut listed = Listed {
        items: Vec::new(),
        prefixes: Vec::new(),
        next: None,
    };
    let mut last: Option<Page> = None;
    let mut cursor = Some(Cursor::of(request));
    while limit > 0
        && let Some(begin) = cursor.take()
    {
        scan(&begin, &mut |item| {
            if listed.items.len() + listed.prefixes.len() == limit {
                listed.next = last.take();
                return ControlFlow::Break(());
            }
            if let Some(common) = common_prefix(request, item.key()) {
                cursor = Some(Cursor {
                    key: above(&common),
                    number: None,
                });
                last = Some(Page::AfterPrefix(common.clone()));
                listed.prefixes.push(common);
                return ControlFlow::Break(());
            }
            last = Some(page_after(&item));
            listed.items.push(item);
            ControlFlow::Continue(())
        })?;
    }
    Ok(listed)
}

fn common_prefix(request: &ListingRequest, key: &str) -> Option<String> {
    let delimiter = request
        .delimiter
        .as_deref()
        .filter(|text| !text.is_empty())?;
    let rest = key.get(request.prefix.len()..)?;
    let end = request.prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end).map(str::to_owned)
}
