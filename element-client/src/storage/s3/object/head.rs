//! What an object says of itself: from the headers of a request to metadata, and
//! back.

use std::collections::{BTreeMap, HashMap};

use s3s::{
    S3Result,
    dto::{Timestamp, TimestampFormat},
    s3_error,
};

use crate::storage::{
    metadata::{Moment, ObjectHead},
    s3::{acl::Acl, facts},
};

/// Bytes of a user's own metadata, as S3 has it.
const METADATA_BYTES_MAX: usize = 2 * 1024;
const TAGS_MAX: usize = 10;
const TAG_KEY_CHARACTERS_MAX: usize = 128;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;
/// What an object is that nobody said anything of.
pub(in super::super) const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";
/// Beside the headers of S3 in an object's metadata: its list of access.
pub(in super::super) const ACL: &str = "x-gridmart-acl";
const CHUNKED: &str = "aws-chunked";

/// The headers of a request that readers get back.
#[derive(Debug, Default)]
pub(in super::super) struct Told {
    pub(in super::super) cache_control: Option<String>,
    pub(in super::super) content_disposition: Option<String>,
    pub(in super::super) content_encoding: Option<String>,
    pub(in super::super) content_language: Option<String>,
    pub(in super::super) content_type: Option<String>,
    pub(in super::super) expires: Option<Timestamp>,
    pub(in super::super) website_redirect_location: Option<String>,
    pub(in super::super) metadata: Option<HashMap<String, String>>,
    pub(in super::super) tagging: Option<String>,
}

/// Takes the headers out of an operation's input.
macro_rules! told {
    ($input:expr) => {
        $crate::storage::s3::object::head::Told {
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            content_type: $input.content_type.take(),
            expires: $input.expires.take(),
            website_redirect_location: $input.website_redirect_location.take(),
            metadata: $input.metadata.take(),
            tagging: $input.tagging.take(),
        }
    };
}
pub(in super::super) use told;

impl Told {
    /// As metadata keeps it.
    pub(in super::super) fn into_head(self) -> S3Result<ObjectHead> {
        let metadata: BTreeMap<String, String> =
            self.metadata.unwrap_or_default().into_iter().collect();
        let bytes: usize = metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if bytes > METADATA_BYTES_MAX {
            return Err(s3_error!(
                MetadataTooLarge,
                "Your metadata headers exceed the maximum allowed metadata size"
            ));
        }
        let expires = self.expires.as_ref().map(http_date);
        let headers = [
            ("cache-control", self.cache_control),
            ("content-disposition", self.content_disposition),
            (
                "content-encoding",
                self.content_encoding
                    .and_then(|text| without_chunked(&text)),
            ),
            ("content-language", self.content_language),
            (
                "content-type",
                self.content_type.filter(|text| !text.is_empty()),
            ),
            ("expires", expires),
            (
                "x-amz-website-redirect-location",
                self.website_redirect_location,
            ),
        ];
        Ok(ObjectHead {
            headers: headers
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            metadata,
            checksums: BTreeMap::new(),
            tags: tags_of_header(self.tagging.as_deref().unwrap_or_default())?,
        })
    }
}

/// How the body came is no property of the object.
fn without_chunked(text: &str) -> Option<String> {
    if !text.to_ascii_lowercase().contains(CHUNKED) {
        return Some(text.to_owned()).filter(|text| !text.is_empty());
    }
    let codings: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(CHUNKED))
        .collect();
    (!codings.is_empty()).then(|| codings.join(","))
}

/// A moment as HTTP has it.
pub(in super::super) fn http_date(time: &Timestamp) -> String {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = time.format(TimestampFormat::HttpDate, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A moment as S3's answers have it.
pub(in super::super) fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from(moment.to_offset_date_time())
}

/// Reads the header `x-amz-tagging`.
fn tags_of_header(text: &str) -> S3Result<BTreeMap<String, String>> {
    tags(facts::pairs(text))
}

/// Tags of an object, within S3's limits.
pub(in super::super) fn tags(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> S3Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > TAG_KEY_CHARACTERS_MAX {
            return Err(s3_error!(
                InvalidTag,
                "The TagKey you have provided is invalid"
            ));
        }
        if value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
            return Err(s3_error!(
                InvalidTag,
                "The TagValue you have provided is invalid"
            ));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(
                InvalidTag,
                "Cannot provide multiple Tags with the same key"
            ));
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(s3_error!(
            InvalidTag,
            "Object tags cannot be greater than 10"
        ));
    }
    Ok(tags)
}

/// Notes who is on an object's list.
pub(in super::super) fn acl_put(head: &mut ObjectHead, acl: &Acl) -> S3Result<()> {
    let text = serde_json::to_string(acl).map_err(|error| s3_error!(error, InternalError))?;
    head.headers.insert(ACL.to_owned(), text);
    Ok(())
}

/// Who is on an object's list; none: it has none of its own.
pub(in super::super) fn acl(head: &ObjectHead) -> Option<Acl> {
    serde_json::from_str(head.headers.get(ACL)?).ok()
}

/// A header that readers get back.
pub(in super::super) fn header(head: &ObjectHead, name: &str) -> Option<String> {
    head.headers.get(name).cloned()
}

/// When an object stops to be fresh.
pub(in super::super) fn expires(head: &ObjectHead) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, head.headers.get("expires")?).ok()
}

/// The user's own metadata, if there is any.
pub(in super::super) fn metadata(head: &ObjectHead) -> Option<HashMap<String, String>> {
    (!head.metadata.is_empty()).then(|| head.metadata.clone().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_kept_and_limits_hold() {
        let told = Told {
            content_encoding: Some("aws-chunked, gzip".to_owned()),
            content_type: Some(String::new()),
            tagging: Some("a=1&b=%2F".to_owned()),
            metadata: Some([("k".to_owned(), "v".to_owned())].into()),
            ..Told::default()
        };
        let head = told.into_head().unwrap();
        assert_eq!(header(&head, "content-encoding").unwrap(), "gzip");
        assert_eq!(header(&head, "content-type"), None);
        assert_eq!(head.tags["b"], "/");
        assert_eq!(without_chunked("aws-chunked"), None);
        assert_eq!(without_chunked("deflate, gzip").unwrap(), "deflate, gzip");
        let large = Told {
            metadata: Some([("k".to_owned(), "v".repeat(2048))].into()),
            ..Told::default()
        };
        assert_eq!(
            large.into_head().unwrap_err().code().as_str(),
            "MetadataTooLarge"
        );
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert!(tags((0..10).map(|at| pair(&at.to_string(), ""))).is_ok());
        assert!(tags((0..11).map(|at| pair(&at.to_string(), ""))).is_err());
        assert!(tags([pair("a", "1"), pair("a", "2")]).is_err());
        assert!(tags([pair(&"a".repeat(129), "")]).is_err());
        assert!(tags([pair("a", &"v".repeat(257))]).is_err());
    }
}
