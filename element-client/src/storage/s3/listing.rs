//! What all lists of a bucket ask alike: what keys begin with, what groups them, how
//! they are written, how many lines and from where on.

use gridmart_schemas::id::BucketId;
use s3s::{
    S3Result,
    dto::{CommonPrefix, EncodingType},
    s3_error,
};

use super::caller::Session;
use crate::storage::metadata::{ListingRequest, Page};

/// Lines of a page, as S3 has it.
pub(super) const LINES_MAX: usize = 1000;

/// How keys are written in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    fn read(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
        }
    }

    pub(super) fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => text
                .bytes()
                .map(|byte| match byte {
                    b'A'..=b'Z'
                    | b'a'..=b'z'
                    | b'0'..=b'9'
                    | b'-'
                    | b'_'
                    | b'.'
                    | b'~'
                    | b'/'
                    | b'*' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                })
                .collect(),
        }
    }

    pub(super) fn told(self) -> Option<EncodingType> {
        (self == Self::Url).then(|| EncodingType::from_static(EncodingType::URL))
    }

    pub(super) fn prefixes(self, prefixes: Vec<String>) -> Vec<CommonPrefix> {
        let told = prefixes.into_iter().map(|prefix| CommonPrefix {
            prefix: Some(self.write(&prefix)),
        });
        told.collect()
    }
}

/// How many lines are asked for.
pub(super) fn limit(asked: Option<i32>, name: &str) -> S3Result<usize> {
    match asked {
        None => Ok(LINES_MAX),
        Some(asked) => usize::try_from(asked)
            .map(|limit| limit.min(LINES_MAX))
            .map_err(|_| {
                s3_error!(
                    InvalidArgument,
                    "Argument {name} must be an integer between 0 and 2147483647"
                )
            }),
    }
}

/// What of a list is asked for, whatever is listed.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) encoding: Encoding,
    /// Lines at most.
    pub(super) limit: usize,
}

/// Takes it out of an operation's input; the second is what the input calls the
/// number of lines.
macro_rules! asked {
    ($session:expr, $input:expr, $max:ident, $name:literal) => {
        $crate::storage::s3::listing::Asked::read(
            $session,
            ($input.prefix.take(), $input.delimiter.take()),
            $input.encoding_type.as_ref(),
            $crate::storage::s3::listing::limit($input.$max, $name)?,
        )
    };
}
pub(super) use asked;

impl Asked {
    pub(super) fn read(
        session: &Session,
        (prefix, delimiter): (Option<String>, Option<String>),
        encoding: Option<&EncodingType>,
        limit: usize,
    ) -> S3Result<Self> {
        check_prefix(session, prefix.as_deref())?;
        Ok(Self {
            prefix: prefix.unwrap_or_default(),
            delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()),
            encoding: Encoding::read(encoding)?,
            limit,
        })
    }

    /// The page after a key that an earlier one ended with, or that somebody names.
    pub(super) fn page_after(&self, marker: &str) -> Page {
        page_after(marker, &self.prefix, self.delimiter.as_deref())
    }

    /// What is read of the metadata.
    pub(super) fn request(&self, bucket: BucketId, page: Page) -> ListingRequest {
        ListingRequest {
            bucket,
            prefix: self.prefix.clone(),
            delimiter: self.delimiter.clone(),
            page,
            limit: self.limit,
        }
    }

    /// How many lines were asked for, as answers tell it.
    pub(super) fn limit_told(&self) -> Option<i32> {
        i32::try_from(self.limit).ok()
    }

    pub(super) fn delimiter_told(&self) -> Option<String> {
        let delimiter = self.delimiter.as_deref();
        delimiter.map(|delimiter| self.encoding.write(delimiter))
    }
}

/// Not the prefix that was permitted: a query that says it twice.
fn check_prefix(session: &Session, prefix: Option<&str>) -> S3Result<()> {
    if session.facts.prefix().unwrap_or_default() == prefix.unwrap_or_default() {
        Ok(())
    } else {
        Err(s3_error!(InvalidArgument, "The prefix is not clear."))
    }
}

/// After a key that an earlier page ended with, or that somebody names. A key
/// that is a common prefix itself stands for all below it.
fn page_after(marker: &str, prefix: &str, delimiter: Option<&str>) -> Page {
    if marker.is_empty() {
        return Page::Start;
    }
    let is_common = delimiter
        .filter(|text| !text.is_empty())
        .is_some_and(|delimiter| {
            let rest = marker.strip_prefix(prefix).unwrap_or_default();
            rest.find(delimiter)
                .is_some_and(|at| at + delimiter.len() == rest.len())
        });
    if is_common {
        Page::AfterPrefix(marker.to_owned())
    } else {
        Page::After(marker.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_that_are_common_prefixes_stand_for_all_below() {
        let page = |marker, prefix| page_after(marker, prefix, Some("/"));
        assert_eq!(page("", ""), Page::Start);
        assert_eq!(page("a", ""), Page::After("a".to_owned()));
        assert_eq!(page("a/", ""), Page::AfterPrefix("a/".to_owned()));
        assert_eq!(page("a/b", ""), Page::After("a/b".to_owned()));
        assert_eq!(page("a/b/", "a/"), Page::AfterPrefix("a/b/".to_owned()));
        assert_eq!(page("a/", "a/"), Page::After("a/".to_owned()));
        assert_eq!(page_after("a/", "", None), Page::After("a/".to_owned()));
    }

    #[test]
    fn keys_are_encoded_as_s3_does() {
        assert_eq!(Encoding::Url.write("foo+1/bar baz"), "foo%2B1/bar%20baz");
        assert_eq!(Encoding::Url.write("ü\n"), "%C3%BC%0A");
        assert_eq!(Encoding::Plain.write("a b"), "a b");
    }
}
