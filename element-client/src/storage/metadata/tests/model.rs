//! A bucket as S3 describes it, in the simplest way: every key with its
//! versions, oldest first.

use std::collections::BTreeMap;

use crate::storage::metadata::record::Versioning;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelVersion {
    pub(super) id: u64,
    pub(super) is_null: bool,
    pub(super) is_marker: bool,
    pub(super) size: u64,
    pub(super) etag: String,
}

#[derive(Clone, Debug)]
pub(super) struct ModelUpload {
    pub(super) key: String,
    /// Part numbers: the id that names their bytes, and their size.
    pub(super) parts: BTreeMap<u16, (u64, u64)>,
}

pub(super) struct Model {
    pub(super) versioning: Versioning,
    pub(super) keys: BTreeMap<String, Vec<ModelVersion>>,
    pub(super) uploads: BTreeMap<u64, ModelUpload>,
    /// Stripes that are to be collected.
    pub(super) garbage_bytes: u64,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            versioning: Versioning::Off,
            keys: BTreeMap::new(),
            uploads: BTreeMap::new(),
            garbage_bytes: 0,
        }
    }

    pub(super) fn current(&self, key: &str) -> Option<&ModelVersion> {
        let newest = self.keys.get(key)?.last()?;
        (!newest.is_marker).then_some(newest)
    }

    pub(super) fn add(&mut self, key: &str, id: u64, marker: bool, size: u64, etag: String) {
        let is_null = self.versioning != Versioning::Enabled;
        let versions = self.keys.entry(key.to_owned()).or_default();
        if is_null {
            let replaced = versions.extract_if(.., |version| version.is_null);
            self.garbage_bytes += replaced.map(|version| version.size).sum::<u64>();
        }
        versions.push(ModelVersion {
            id,
            is_null,
            is_marker: marker,
            size,
            etag,
        });
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, key: &str, which: impl Fn(&ModelVersion) -> bool) -> bool {
        let Some(versions) = self.keys.get_mut(key) else {
            return false;
        };
        let Some(at) = versions.iter().position(which) else {
            return false;
        };
        self.garbage_bytes += versions.remove(at).size;
        if versions.is_empty() {
            self.keys.remove(key);
        }
        true
    }

    pub(super) fn delete(&mut self, key: &str, marker: u64) -> bool {
        if self.versioning == Versioning::Off {
            return self.remove(key, |_| true);
        }
        self.add(key, marker, true, 0, String::new());
        true
    }

    /// Lines of a listing: an item's key and id, or a common prefix.
    pub(super) fn list(&self, all: bool, prefix: &str, delimiter: Option<&str>) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for (key, versions) in &self.keys {
            let Some(rest) = key.strip_prefix(prefix) else {
                continue;
            };
            let shown: Vec<_> = if all {
                versions.iter().rev().collect()
            } else {
                self.current(key).into_iter().collect()
            };
            let end = delimiter.and_then(|text| rest.find(text).map(|at| at + text.len()));
            match end {
                _ if shown.is_empty() => {}
                Some(end) => {
                    let line = Line::Prefix(key[..prefix.len() + end].to_owned());
                    if lines.last() != Some(&line) {
                        lines.push(line);
                    }
                }
                None => lines.extend(
                    shown
                        .into_iter()
                        .map(|version| Line::Item(key.clone(), version.id)),
                ),
            }
        }
        lines
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    Item(String, u64),
    Prefix(String),
}
