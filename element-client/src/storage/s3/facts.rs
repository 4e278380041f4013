//! What policies may ask of a request.

use http::{HeaderMap, Uri};

use super::{
    caller::{Caller, Remote},
    policy::Facts,
};

/// Parameters that are facts by their own name.
const PARAMETERS: &[&str] = &["prefix", "delimiter", "max-keys", "VersionId"];
/// Headers that are facts by their own name.
const HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-metadata-directive",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
    "x-amz-content-sha256",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
    "x-amz-object-ownership",
    "if-match",
    "if-none-match",
];

/// Collects what is known of a request.
pub(super) fn of_request(
    caller: &Caller,
    remote: Option<Remote>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Facts {
    let mut facts = Facts::default();
    if let Caller::Person { name, .. } = caller {
        facts.add("aws:username", name.as_str());
        facts.add("aws:userid", name.as_str());
    }
    if let Some(remote) = remote {
        facts.add(
            "aws:SourceIp",
            remote.address.ip().to_canonical().to_string(),
        );
        facts.add("aws:SecureTransport", remote.is_secure.to_string());
    }
    for parameter in PARAMETERS {
        if let Some(value) = query_value(uri, parameter) {
            facts.add(&format!("s3:{parameter}"), value);
        }
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    for header in HEADERS {
        if let Some(value) = text(header) {
            facts.add(&format!("s3:{header}"), value);
        }
    }
    for (header, key) in [("referer", "aws:Referer"), ("user-agent", "aws:UserAgent")] {
        if let Some(value) = text(header) {
            facts.add(key, value);
        }
    }
    for (key, value) in pairs(text("x-amz-tagging").unwrap_or_default()) {
        facts.add("s3:RequestObjectTagKeys", key.clone());
        facts.add(&format!("s3:RequestObjectTag/{key}"), value);
    }
    facts
}

impl Facts {
    /// The prefix of a listing.
    pub(super) fn prefix(&self) -> Option<&str> {
        self.get("s3:prefix")?.first().map(String::as_str)
    }
}

/// The value of a parameter of a request.
pub(super) fn query_value(uri: &Uri, name: &str) -> Option<String> {
    // It is asked many times of each request: what is not meant is not decoded.
    pieces(uri.query()?)
        .find(|(key, _)| {
            let is_encoded = key.contains(['%', '+']);
            key.eq_ignore_ascii_case(name)
                || (is_encoded && decoded(key).eq_ignore_ascii_case(name))
        })
        .map(|(_, value)| decoded(value))
}

/// Names and values, encoded.
fn pieces(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// Names and values as queries and the header of tags have them.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    pieces(text)
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect()
}

/// Takes `%XX` and `+` apart; what is no UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| byte == b'%')
            .and_then(|digits| hex::decode(digits).ok());
        if let Some(hex) = hex {
            bytes.extend(hex);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names and values as [`pairs`] reads them.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if is_plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries_are_taken_apart() {
        let uri: Uri = "/b?prefix=a%2Fb+c&delimiter=%2F&versionId=x&empty"
            .parse()
            .unwrap();
        assert_eq!(query_value(&uri, "prefix").unwrap(), "a/b c");
        assert_eq!(query_value(&uri, "empty").unwrap(), "");
        assert_eq!(query_value(&uri, "max-keys"), None);
        let hidden: Uri = "/b?pre%66ix=a&x=prefix".parse().unwrap();
        assert_eq!(query_value(&hidden, "prefix").unwrap(), "a");
        let facts = of_request(&Caller::Anonymous, None, &uri, &HeaderMap::new());
        assert_eq!(facts.prefix(), Some("a/b c"));
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "\\PC{0,40}") {
            let _ = pairs(&text);
            prop_assert_eq!(decoded(&encoded(&text)), text);
        }
    }
}
