"""Buckets, and what is settled for what is in them."""

import datetime
import time

from botocore.exceptions import ClientError

from scene import (
    ENDPOINT,
    PART,
    SCENE,
    ada,
    behaviour,
    bob,
    bucket,
    complete,
    headers,
    http,
    keys,
    later,
    put,
    read,
    refused,
    upload,
    versioned,
)


# Buckets.


@behaviour
def a_bucket_is_made_once_and_again_by_its_owner_as_it_is():
    name = bucket()
    put(name)
    ada.create_bucket(Bucket=name)
    assert keys(ada.list_objects(Bucket=name)) == ["key"]
    refused(409, "BucketAlreadyExists", ada.create_bucket, Bucket=name, ACL="public-read")
    refused(409, "BucketAlreadyExists", bob.create_bucket, Bucket=name)
    refused(409, "BucketNotEmpty", ada.delete_bucket, Bucket=name)


@behaviour
def bad_names_of_buckets_are_refused():
    for bad in ("a_b", "a..b", "a.-b", "ab-", "10.20.30.40", "aa"):
        url = f"{ENDPOINT}/{bad}"
        answer = http("PUT", url)
        assert answer[0] in (400, 403), (bad, answer)


@behaviour
def buckets_are_listed_page_by_page():
    names = sorted(bucket() for _ in range(3))
    first = ada.list_buckets(MaxBuckets=1, Prefix="bucket-")
    assert len(first["Buckets"]) == 1 and first["ContinuationToken"]
    whole = [line["Name"] for line in ada.list_buckets()["Buckets"]]
    assert set(names) <= set(whole)


# Tags, and how long objects live.


@behaviour
def tags_are_few_and_short():
    name = bucket()
    put(name)
    tags = lambda count: {"TagSet": [{"Key": str(at), "Value": "v"} for at in range(count)]}
    same = {"Bucket": name, "Key": "key"}
    ada.put_object_tagging(**same, Tagging=tags(10))
    assert headers(ada.head_object(**same))["x-amz-tagging-count"] == "10"
    refused(400, "InvalidTag", ada.put_object_tagging, **same, Tagging=tags(11))
    long = {"TagSet": [{"Key": "k" * 129, "Value": "v"}]}
    refused(400, "InvalidTag", ada.put_object_tagging, **same, Tagging=long)
    ada.delete_object_tagging(**same)
    assert ada.get_object_tagging(**same)["TagSet"] == []


@behaviour
def a_bucket_has_tags_of_its_own():
    name = bucket()
    refused(404, "NoSuchTagSet", ada.get_bucket_tagging, Bucket=name)
    tags = [{"Key": "of", "Value": "ada"}]
    ada.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    assert ada.get_bucket_tagging(Bucket=name)["TagSet"] == tags
    ada.delete_bucket_tagging(Bucket=name)
    refused(404, "NoSuchTagSet", ada.get_bucket_tagging, Bucket=name)


def lives(name, *rules):
    return ada.put_bucket_lifecycle_configuration(
        Bucket=name, LifecycleConfiguration={"Rules": list(rules)}
    )


@behaviour
def rules_of_life_are_kept_and_told_with_objects():
    name = bucket()
    rule = {"ID": "one", "Status": "Enabled", "Prefix": "old/", "Expiration": {"Days": 1}}
    lives(name, rule)
    assert ada.get_bucket_lifecycle_configuration(Bucket=name)["Rules"] == [rule]
    assert 'rule-id="one"' in put(name, "old/key")["Expiration"]
    assert "Expiration" not in put(name, "new/key")
    ada.delete_bucket_lifecycle(Bucket=name)
    refused(
        404, "NoSuchLifecycleConfiguration", ada.get_bucket_lifecycle_configuration, Bucket=name
    )


@behaviour
def rules_of_life_that_mean_nothing_are_refused():
    name = bucket()
    rule = {"ID": "one", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}
    for wrong, code in [
        ([{**rule, "Expiration": {"Days": 0}}], "InvalidArgument"),
        ([{**rule, "ID": "a" * 256}], "InvalidArgument"),
        ([rule, rule], "InvalidArgument"),
        ([{**rule, "Status": "enabled"}], "MalformedXML"),
    ]:
        try:
            lives(name, *wrong)
        except ClientError as error:
            assert error.response["Error"]["Code"] == code, error
        else:
            raise AssertionError(f"{wrong} was taken")


def rule(**more):
    return {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": "old/"}, **more}


def wait(what, is_so):
    """Waits for a few days of rules of life."""
    end = time.monotonic() + 30 * SCENE["day"]
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@behaviour
def what_is_over_goes():
    name = bucket()
    put(name, "old/key")
    put(name, "new/key")
    number, _ = upload(name, b"part", key="old/parts")
    day = {"Days": 1}
    lives(name, rule(Expiration=day, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}))
    wait("the old one goes", lambda: keys(ada.list_objects(Bucket=name)) == ["new/key"])
    wait("the upload goes", lambda: "Uploads" not in ada.list_multipart_uploads(Bucket=name))


@behaviour
def old_versions_and_what_hides_nothing_go():
    name = versioned()
    for body in (b"1", b"2", b"3"):
        put(name, "old/key", body)
    put(name, "old/deleted")
    ada.delete_object(Bucket=name, Key="old/deleted")
    days = {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}
    lives(name, rule(NoncurrentVersionExpiration=days))
    listed = lambda: ada.list_object_versions(Bucket=name)
    wait("the oldest goes", lambda: len(listed()["Versions"]) == 3)
    rules = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    lives(name, rule(**rules, Expiration={"ExpiredObjectDeleteMarker": True}))
    wait("the others and the marker go", lambda: "DeleteMarkers" not in listed())
    assert [line["IsLatest"] for line in listed()["Versions"]] == [True]
    assert read(name, "old/key") == b"3"


# Locks.


@behaviour
def a_bucket_is_locked_at_birth_or_once_it_keeps_versions():
    name = bucket()
    days = {"Mode": "GOVERNANCE", "Days": 1}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": days}}
    what = {"Bucket": name, "ObjectLockConfiguration": lock}
    refused(409, "InvalidBucketState", ada.put_object_lock_configuration, **what)
    ada.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    before = put(name, "before")
    ada.put_object_lock_configuration(**what)
    assert ada.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"] == lock
    refused(
        409,
        "InvalidBucketState",
        ada.put_bucket_versioning,
        Bucket=name,
        VersioningConfiguration={"Status": "Suspended"},
    )
    made = put(name)
    gone = {"Bucket": name, "Key": "key", "VersionId": made["VersionId"]}
    refused(403, "AccessDenied", ada.delete_object, **gone)
    ada.delete_object(Bucket=name, Key="before", VersionId=before["VersionId"])
    ada.delete_object(**gone, BypassGovernanceRetention=True)


@behaviour
def what_is_retained_or_held_stays():
    name = bucket(ObjectLockEnabledForBucket=True)
    version = put(name)["VersionId"]
    gone = {"Bucket": name, "Key": "key", "VersionId": version}
    same = {"Bucket": name, "Key": "key"}
    ada.put_object_legal_hold(**same, LegalHold={"Status": "ON"})
    refused(403, "AccessDenied", ada.delete_object, **gone, BypassGovernanceRetention=True)
    ada.put_object_legal_hold(**same, LegalHold={"Status": "OFF"})
    until = later(days=10).replace(microsecond=0)
    long, short = [
        {"Mode": "GOVERNANCE", "RetainUntilDate": until - datetime.timedelta(days=less)}
        for less in (0, 5)
    ]
    ada.put_object_retention(**same, Retention=long)
    assert ada.get_object_retention(**same)["Retention"] == long
    refused(403, "AccessDenied", ada.put_object_retention, **same, Retention=short)
    ada.put_object_retention(**same, Retention=short, BypassGovernanceRetention=True)
    refused(403, "AccessDenied", ada.delete_object, **gone)
    marker = ada.delete_object(**same)
    assert marker["DeleteMarker"]


# Encryption.


def customer(byte):
    key = bytes([byte]) * 32
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


@behaviour
def a_key_of_ones_own_opens_what_it_closed():
    name = bucket()
    body = bytes(range(256)) * 8
    put(name, body=body, **customer(1))
    assert read(name, **customer(1)) == body
    assert read(name, Range="bytes=1000-1009", **customer(1)) == body[1000:1010]
    for more in ({}, customer(2)):
        refused(400, "InvalidRequest", ada.get_object, Bucket=name, Key="key", **more)
    refused(400, None, ada.head_object, Bucket=name, Key="key")
    source = {f"CopySource{what}": value for what, value in customer(1).items()}
    copy = {"Bucket": name, "Key": "copy", "CopySource": {"Bucket": name, "Key": "key"}}
    ada.copy_object(**copy, **source, **customer(2))
    assert read(name, "copy", **customer(2)) == body


@behaviour
def a_bucket_encrypts_what_nobody_asks_to():
    name = bucket()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ada.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert put(name)["ServerSideEncryption"] == "AES256"
    answer = ada.get_object(Bucket=name, Key="key")
    assert answer["ServerSideEncryption"] == "AES256" and answer["Body"].read() == b"body"
    number, parts = upload(name, b"a" * PART, b"b", key="parts")
    complete(name, number, parts, key="parts")
    assert read(name, "parts", Range=f"bytes={PART - 1}-{PART}") == b"ab"


@behaviour
def encryption_that_is_not_there_is_refused():
    name = bucket()
    refused(
        501, "NotImplemented", put, name=name, ServerSideEncryption="aws:kms", SSEKMSKeyId="key"
    )
    refused(400, "InvalidArgument", put, name=name, ServerSideEncryption="aes:kms")
