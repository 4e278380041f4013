//! Scalars of storage: names of buckets, and what Hosts share when they fail.

use super::{
    collapse,
    text::{is_local_id, is_token, string_scalar},
};

/// Shortest and longest name of a bucket, in bytes.
const BUCKET_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// S3's rules: they make each name fit for a host name, and never an address.
fn is_bucket_name(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    let is_address = text.split('.').count() == 4
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    BUCKET_NAME_BYTES.contains(&text.len())
        && ends.into_iter().all(|end| end.is_some_and(is_alphanumeric))
        && text
            .bytes()
            .all(|byte| is_alphanumeric(byte) || matches!(byte, b'-' | b'.'))
        && !text.contains("..")
        && !is_address
}

fn is_failure_label(text: &str) -> bool {
    is_token(text)
        && text.split_once('=').is_some_and(|(key, value)| {
            is_local_id(key) && !value.is_empty() && !value.starts_with(' ')
        })
}

string_scalar!(
    /// The name of a bucket, as S3 allows it; unlike a [`super::LocalId`] it may
    /// begin with a digit.
    BucketName, "3 to 63 of a-z, 0-9, `-`, `.`; first and last a letter or digit, no `..`, not like an IP address", collapse, is_bucket_name
);
string_scalar!(
    /// What a Host shares with others when it fails, as `key=value`: `rack=r1`,
    /// `room=cellar`, `power=b`. Keys are free; equal values of one key fail together.
    FailureLabel, "key=value; the key a letter, then letters, digits, `_`, `-`, `.`, `:`; at most 255 characters", collapse, is_failure_label
);

impl FailureLabel {
    /// What is shared: `rack`.
    pub fn key(&self) -> &str {
        self.halves().0
    }

    /// Which one: `r1`.
    pub fn value(&self) -> &str {
        self.halves().1
    }

    fn halves(&self) -> (&str, &str) {
        self.as_str().split_once('=').unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_are_those_of_s3() {
        for good in [
            "abc",
            "0-9",
            "my.bucket-1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.a",
            "a.-b",
            " abc\n",
            &"a".repeat(63),
        ] {
            assert!(BucketName::new(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "192.168.0.1",
            "é-b",
            "a b",
            &"a".repeat(64),
        ] {
            assert!(BucketName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn failure_labels_have_a_key_and_a_value() {
        let label = FailureLabel::new(" rack=row 1=left ").unwrap();
        assert_eq!((label.key(), label.value()), ("rack", "row 1=left"));
        for bad in [
            "",
            "rack",
            "rack=",
            "=r1",
            "rack =r1",
            "rack= r1",
            "1=r1",
            &format!("rack={}", "x".repeat(251)),
        ] {
            assert!(FailureLabel::new(bad).is_err(), "{bad:?}");
        }
    }
}
