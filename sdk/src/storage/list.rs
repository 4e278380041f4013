//! Which objects there are.

use gridmart_schemas::wire::storage::{LINES_MAX, ObjectList, ObjectView, ObjectsListed};

use super::{Storage, access::Use};
use crate::error::Error;

/// Describes a listing, and reads it page by page.
#[derive(Debug)]
#[must_use = "nothing happens before `next` or `all`"]
pub struct ObjectPages {
    storage: Storage,
    bucket: String,
    prefix: String,
    delimiter: Option<String>,
    after: Option<String>,
    limit: u32,
    ended: bool,
}

impl ObjectPages {
    pub(super) fn new(storage: Storage, bucket: String) -> Self {
        Self {
            storage,
            bucket,
            prefix: String::new(),
            delimiter: None,
            after: None,
            limit: LINES_MAX,
            ended: false,
        }
    }

    /// Lists only keys that begin so.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Lists keys that go on behind this, after the prefix, as one common prefix.
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = Some(delimiter.into());
        self
    }

    /// Begins after this key.
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// Pages of at most so many lines, and never more than 1,000.
    pub fn page(mut self, lines: u32) -> Self {
        self.limit = lines.clamp(1, LINES_MAX);
        self
    }

    /// The next page, by key; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<ObjectsListed>, Error> {
        if self.ended {
            return Ok(None);
        }
        let plane = self.storage.plane().await?;
        let request = |bucket| ObjectList {
            bucket,
            prefix: self.prefix.clone(),
            delimiter: self.delimiter.clone(),
            after: self.after.clone(),
            limit: self.limit,
        };
        let page = plane.ask(&self.bucket, Use::Read, request).await?;
        // A page that leads nowhere is the last.
        self.ended = page.next.is_none() || page.next == self.after;
        self.after.clone_from(&page.next);
        Ok(Some(page))
    }

    /// All objects of the rest, without common prefixes; may be many.
    pub async fn all(mut self) -> Result<Vec<ObjectView>, Error> {
        let mut objects = Vec::new();
        while let Some(page) = self.next().await? {
            objects.extend(page.objects);
        }
        Ok(objects)
    }
}
