//! What policies say.

use super::*;

fn judge(
    policy: &str,
    person: Option<&str>,
    action: &str,
    resource: &str,
    facts: &[(&str, &str)],
) -> Verdict {
    let mut known = Facts::default();
    for (key, value) in facts {
        known.add(key, *value);
    }
    Policy::parse(policy).unwrap().judge(&Query {
        person,
        action,
        resource: &format!("arn:aws:s3:::{resource}"),
        facts: &known,
    })
}

#[test]
fn an_open_bucket_is_read_by_all_and_written_by_none() {
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},
        "Action":["s3:GetObject","s3:List*"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}]}"#;
    assert_eq!(
        judge(policy, None, "s3:GetObject", "b/k", &[]),
        Verdict::Allow
    );
    assert_eq!(
        judge(policy, None, "s3:ListBucket", "b", &[]),
        Verdict::Allow
    );
    assert_eq!(
        judge(policy, None, "s3:PutObject", "b/k", &[]),
        Verdict::Silent
    );
    assert_eq!(
        judge(policy, None, "s3:GetObject", "c/k", &[]),
        Verdict::Silent
    );
    assert!(Policy::parse(policy).unwrap().is_public());
}

#[test]
fn a_denial_counts_more_and_persons_are_named() {
    let policy = r#"{"Statement":[
        {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::1:user/bob","eve"]},"Action":"s3:*","Resource":"arn:aws:s3:::b/*"},
        {"Effect":"Deny","NotPrincipal":{"AWS":"bob"},"Action":"s3:DeleteObject","Resource":"*"}]}"#;
    assert_eq!(
        judge(policy, Some("bob"), "s3:DeleteObject", "b/k", &[]),
        Verdict::Allow
    );
    assert_eq!(
        judge(policy, Some("eve"), "s3:DeleteObject", "b/k", &[]),
        Verdict::Deny
    );
    assert_eq!(
        judge(policy, Some("eve"), "s3:PutObject", "b/k", &[]),
        Verdict::Allow
    );
    assert_eq!(
        judge(policy, Some("mallory"), "s3:PutObject", "b/k", &[]),
        Verdict::Silent
    );
    assert_eq!(
        judge(policy, None, "s3:PutObject", "b/k", &[]),
        Verdict::Silent
    );
    assert!(!Policy::parse(policy).unwrap().is_public());
}

#[test]
fn conditions_compare_as_their_operators_say() {
    let holds = |condition: &str, facts: &[(&str, &str)]| {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{condition}}}}}"#
        );
        judge(&policy, None, "s3:GetObject", "b/k", facts) == Verdict::Allow
    };
    let prefix = r#"{"StringLike":{"s3:prefix":["a/*","b"]}}"#;
    assert!(holds(prefix, &[("s3:prefix", "a/x")]) && holds(prefix, &[("s3:prefix", "b")]));
    assert!(!holds(prefix, &[("s3:prefix", "c")]) && !holds(prefix, &[]));
    let not = r#"{"StringNotEquals":{"s3:x-amz-acl":"private"}}"#;
    assert!(holds(not, &[("s3:x-amz-acl", "public-read")]) && holds(not, &[]));
    assert!(!holds(not, &[("s3:x-amz-acl", "private")]));
    let exists = r#"{"StringEqualsIfExists":{"s3:ExistingObjectTag/a":"1"}}"#;
    assert!(holds(exists, &[]) && !holds(exists, &[("s3:existingobjecttag/a", "2")]));
    let network = r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32"]}}"#;
    assert!(holds(network, &[("aws:SourceIp", "10.200.1.1")]));
    assert!(holds(network, &[("aws:SourceIp", "2001:db8:1::1")]));
    assert!(!holds(network, &[("aws:SourceIp", "11.0.0.1")]));
    let number = r#"{"NumericLessThanEquals":{"s3:max-keys":10}}"#;
    assert!(holds(number, &[("s3:max-keys", "9")]) && !holds(number, &[("s3:max-keys", "11")]));
    let secure = r#"{"Bool":{"aws:SecureTransport":true}}"#;
    assert!(holds(secure, &[("aws:SecureTransport", "true")]));
    let absent = r#"{"Null":{"s3:x-amz-acl":"true"}}"#;
    assert!(holds(absent, &[]) && !holds(absent, &[("s3:x-amz-acl", "private")]));
    let all = r#"{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b"]}}"#;
    assert!(holds(
        all,
        &[
            ("s3:RequestObjectTagKeys", "a"),
            ("s3:RequestObjectTagKeys", "b")
        ]
    ));
    assert!(!holds(
        all,
        &[
            ("s3:RequestObjectTagKeys", "a"),
            ("s3:RequestObjectTagKeys", "c")
        ]
    ));
}

#[test]
fn what_is_no_policy_is_refused() {
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"Statement":[]}"#,
        r#"{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Perhaps","Principal":"*","Action":"s3:*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"bob","Action":"s3:*","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ec2:Run","Resource":"*"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"b"}]}"#,
        r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Is":{"a":"b"}}}]}"#,
    ] {
        assert!(Policy::parse(bad).is_err(), "{bad}");
    }
    assert!(Policy::parse(&format!("{}{{}}", " ".repeat(20 * 1024))).is_err());
}
