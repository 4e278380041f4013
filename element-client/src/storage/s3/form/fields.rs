//! The fields of a form: which must be there, and what those mean that the S3
//! library does not know.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use s3s::{
    S3Result,
    auth::S3Auth as _,
    dto::{ObjectCannedACL, PostObjectInput, Tagging},
    post_policy::{PostPolicy, PostPolicyCondition},
    s3_error,
    xml::{Deserialize as _, Deserializer},
};

use super::Head;
use crate::storage::s3::{authentication::Authentication, facts};

impl Head {
    /// Whether all fields are there that belong together.
    pub(super) fn check_fields(&self) -> S3Result<()> {
        let has = |name: &str| self.value(name).is_some();
        let is_signed = has("signature") || has("x-amz-signature");
        let is_about_key = has("policy") || has("awsaccesskeyid") || has("x-amz-credential");
        let missing = if !has("key") {
            "key"
        } else if is_about_key && !is_signed {
            "signature"
        } else if is_signed && !has("policy") {
            "policy"
        } else {
            return Ok(());
        };
        Err(s3_error!(
            InvalidArgument,
            "Bucket POST must contain a field named '{missing}'. If it is specified, please check \
             the order of the fields."
        ))
    }

    /// The policy, where it can be read: the S3 library refuses others.
    pub(super) fn policy(&self) -> Option<PostPolicy> {
        PostPolicy::from_base64(self.value("policy")?).ok()
    }

    /// What a policy must have that the S3 library does not ask for: a moment as S3
    /// writes it, and a word on the bucket, which must be that of the path.
    pub(super) fn check_policy(&self, path: &str) -> S3Result<()> {
        let bucket = path.trim_matches('/');
        let denied = || s3_error!(AccessDenied, "{DENIED}");
        if self.value("bucket").is_some_and(|told| told != bucket) {
            return Err(denied());
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let is_moment = self.value("policy").and_then(expiration);
        if is_moment.is_none_or(|text| !(text.contains('T') && text.ends_with('Z'))) {
            return Err(s3_error!(
                InvalidPolicyDocument,
                "Invalid Policy: Invalid 'expiration' value"
            ));
        }
        if is_covered(&policy, "bucket", bucket) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    /// Verifies a signature of the older form, which covers the policy as the newer
    /// one does, in constant time: the S3 library compares it byte by byte.
    pub(super) async fn check_old_signature(
        &self,
        authentication: &Authentication,
    ) -> S3Result<()> {
        let (Some(signature), None) = (self.value("signature"), self.value("x-amz-signature"))
        else {
            return Ok(());
        };
        let wrong = || {
            s3_error!(
                SignatureDoesNotMatch,
                "The request signature we calculated does not match the signature you provided."
            )
        };
        let id = self.value("awsaccesskeyid").unwrap_or_default();
        let secret = authentication.get_secret_key(id).await?;
        let key = hmac::Key::new(
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            secret.expose().as_bytes(),
        );
        let signature = STANDARD.decode(signature).map_err(|_| wrong())?;
        let policy = self.value("policy").unwrap_or_default();
        hmac::verify(&key, policy.as_bytes(), &signature).map_err(|_| wrong())
    }
}

const DENIED: &str = "Invalid according to Policy: Policy Condition failed";
/// How fields begin that say what the file must be.
const CHECKSUM: &str = "x-amz-checksum-";

/// When a policy ends, as it is written.
fn expiration(policy: &str) -> Option<String> {
    let bytes = STANDARD.decode(policy).ok()?;
    let policy: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(policy.get("expiration")?.as_str()?.to_owned())
}

/// Whether a field is taken from the form itself: what the file must be needs no
/// policy's consent, where it says nothing of it.
pub(super) fn is_apart(policy: Option<&PostPolicy>, name: &str) -> bool {
    let asks = |condition: &PostPolicyCondition| match condition {
        PostPolicyCondition::Eq { field, .. } | PostPolicyCondition::StartsWith { field, .. } => {
            field == name
        }
        PostPolicyCondition::ContentLengthRange { .. } => false,
    };
    name.starts_with(CHECKSUM) && policy.is_some_and(|policy| !policy.conditions.iter().any(asks))
}

/// Whether a policy has a condition for a field, and all that it has hold.
fn is_covered(policy: &PostPolicy, name: &str, value: &str) -> bool {
    let mut held = policy.conditions.iter().filter_map(|condition| {
        let (field, holds) = match condition {
            PostPolicyCondition::Eq { field, value: said } => (field, said == value),
            PostPolicyCondition::StartsWith { field, prefix } => {
                (field, value.starts_with(prefix.as_str()))
            }
            PostPolicyCondition::ContentLengthRange { .. } => return None,
        };
        (field == name).then_some(holds)
    });
    held.next() == Some(true) && held.all(|holds| holds)
}

/// Adds to an operation's input what the S3 library left out of it.
pub(in super::super) fn complete(head: &Head, input: &mut PostObjectInput) -> S3Result<()> {
    let policy = input.policy.as_ref();
    let value = |name: &str| {
        let value = head.value(name)?;
        // The S3 library has asked the same, of the fields as it has read them.
        let is_covered = policy.is_none_or(|policy| is_covered(policy, name, value));
        Some(if is_covered {
            Ok(value.to_owned())
        } else {
            Err(s3_error!(AccessDenied, "{DENIED}"))
        })
    };
    let (acl, tagging) = (value("acl").transpose()?, value("tagging").transpose()?);
    if let Some(acl) = acl {
        input.acl = Some(ObjectCannedACL::from(acl));
    }
    if let Some(tagging) = tagging {
        input.tagging = Some(tags(&tagging)?);
    }
    for (algorithm, place) in [
        ("crc32", &mut input.checksum_crc32),
        ("crc32c", &mut input.checksum_crc32c),
        ("crc64nvme", &mut input.checksum_crc64nvme),
        ("sha1", &mut input.checksum_sha1),
        ("sha256", &mut input.checksum_sha256),
    ] {
        if let Some(told) = head.value(&format!("{CHECKSUM}{algorithm}")) {
            *place = Some(told.to_owned());
        }
    }
    Ok(())
}

/// Tags as a header has them, of tags in XML.
fn tags(xml: &str) -> S3Result<String> {
    let mut read = Deserializer::new(xml.as_bytes());
    let tagging = Tagging::deserialize(&mut read).map_err(|_| {
        s3_error!(
            MalformedXML,
            "The field 'tagging' is no list of tags in XML."
        )
    })?;
    let pairs = tagging.tag_set.into_iter().map(|tag| {
        let text = |value: Option<String>| facts::encoded(&value.unwrap_or_default());
        format!("{}={}", text(tag.key), text(tag.value))
    });
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_must_speak_of_a_field_and_all_it_says_must_hold() {
        let policy = |conditions: &str| {
            let text =
                format!(r#"{{"expiration":"2030-01-01T00:00:00Z","conditions":[{conditions}]}}"#);
            PostPolicy::from_json(&text).unwrap()
        };
        let none = policy(r#"{"bucket":"b"},["content-length-range",0,1]"#);
        assert!(!is_covered(&none, "acl", "private"));
        let one = policy(r#"{"acl":"private"}"#);
        assert!(is_covered(&one, "acl", "private") && !is_covered(&one, "acl", "public-read"));
        let both = policy(r#"["starts-with","$acl","p"],{"acl":"private"}"#);
        assert!(is_covered(&both, "acl", "private") && !is_covered(&both, "acl", "public-read"));
    }

    #[test]
    fn tags_come_as_xml() {
        let xml = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag>\
                   <Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>";
        assert_eq!(tags(xml).unwrap(), "a%20b=1%262&c=");
        assert!(tags("tags").is_err());
    }
}
