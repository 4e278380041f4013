//! Buckets and objects: `bucket`, `put`, `get`, `ls`, `rm`, `cp`, `mv`, `sync`.

pub(crate) mod bucket;
pub(crate) mod copy;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod remove;
pub(crate) mod sync;

use std::str::FromStr;

use gridmart_schemas::scalar::BucketName;

use crate::failure::Failure;

/// Where buckets are, if that has to be said.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Where {
    /// Storage Element, by id or name, if several have a bucket of that name
    #[arg(long, value_name = "ELEMENT")]
    element: Option<String>,
}

impl Where {
    /// The bucket as the SDK takes it.
    fn bucket(&self, name: &BucketName) -> String {
        match &self.element {
            Some(element) => format!("{element}/{name}"),
            None => name.to_string(),
        }
    }
}

/// `BUCKET/KEY`, or `BUCKET` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    bucket: BucketName,
    /// A key, or the beginning of keys; may be empty.
    key: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bucket, key) = text.split_once('/').unwrap_or((text, ""));
        let bucket = bucket
            .parse()
            .map_err(|error| format!("BUCKET/KEY is expected: {error}"))?;
        Ok(Self {
            bucket,
            key: key.to_owned(),
        })
    }
}

impl Place {
    fn show(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// Refuses what names no key.
    fn whole(&self) -> Result<&str, Failure> {
        if self.key.is_empty() {
            return Err(Failure::Usage(format!(
                "{} is a bucket; name a key in it: {}/KEY",
                self.bucket, self.bucket
            )));
        }
        Ok(&self.key)
    }

    /// The key, or, where it is that of a folder, a name in it.
    fn key_of(&self, name: Option<&str>) -> Result<String, Failure> {
        if !self.key.is_empty() && !self.key.ends_with('/') {
            return Ok(self.key.clone());
        }
        match name {
            Some(name) => Ok(format!("{}{name}", self.key)),
            None => Err(Failure::Usage(format!("{} names no key", self.show()))),
        }
    }

    /// What keys below it begin with: itself and `/`, as a folder.
    fn prefix(&self) -> String {
        match self.key.as_str() {
            "" => String::new(),
            key if key.ends_with('/') => key.to_owned(),
            key => format!("{key}/"),
        }
    }
}

/// The last name of a key.
fn name_of(key: &str) -> Option<&str> {
    key.rsplit('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_buckets_and_keys() {
        let place = |text: &str| text.parse::<Place>();
        let read = place("photos/2026/sea.jpg").unwrap();
        assert_eq!(
            (read.bucket.as_str(), read.key.as_str()),
            ("photos", "2026/sea.jpg")
        );
        assert_eq!(read.key_of(Some("a")).unwrap(), "2026/sea.jpg");
        assert_eq!(
            place("photos/2026/").unwrap().key_of(Some("a")).unwrap(),
            "2026/a"
        );
        assert_eq!(place("photos").unwrap().key_of(Some("a")).unwrap(), "a");
        assert!(place("photos/").unwrap().key_of(None).is_err());
        assert_eq!(place("photos/2026").unwrap().prefix(), "2026/");
        assert_eq!(place("photos").unwrap().prefix(), "");
        assert!(place("Photos/x").is_err() && place("").is_err() && place("/x").is_err());
    }
}
