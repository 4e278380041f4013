"""Objects, lists of them, and their versions."""

import base64
import hashlib

from scene import (
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


# Lists.


@behaviour
def lists_are_paged_and_grouped():
    name = bucket()
    for key in ("alone", "blue/a", "blue/b/c", "green/a", "green/b"):
        put(name, key)
    first = ada.list_objects(Bucket=name, Delimiter="/", MaxKeys=1)
    assert keys(first) == ["alone"] and first["IsTruncated"] and first["NextMarker"] == "alone"
    second = ada.list_objects(Bucket=name, Delimiter="/", MaxKeys=1, Marker="alone")
    assert second["CommonPrefixes"] == [{"Prefix": "blue/"}] and second["NextMarker"] == "blue/"
    third = ada.list_objects(Bucket=name, Delimiter="/", MaxKeys=1, Marker="blue/")
    assert third["CommonPrefixes"] == [{"Prefix": "green/"}] and not third["IsTruncated"]


@behaviour
def the_newer_lists_go_on_by_a_token():
    name = bucket()
    for key in ("a", "b", "c"):
        put(name, key)
    first = ada.list_objects_v2(Bucket=name, MaxKeys=1, StartAfter="a")
    assert keys(first) == ["b"] and first["KeyCount"] == 1 and "Owner" not in first["Contents"][0]
    token = first["NextContinuationToken"]
    rest = ada.list_objects_v2(Bucket=name, ContinuationToken=token, FetchOwner=True)
    assert keys(rest) == ["c"] and rest["Contents"][0]["Owner"]["ID"] == "ada"


@behaviour
def odd_keys_come_back_as_they_are():
    name = bucket()
    odd = [" ", '"', "$", "%", "&", "'", "+", "<", ">", "?versionId", "_ _", "é/ü"]
    for key in odd:
        put(name, key, key.encode())
    assert keys(ada.list_objects_v2(Bucket=name)) == sorted(odd, key=str.encode)
    assert all(read(name, key) == key.encode() for key in odd)
    encoded = ada.list_objects(Bucket=name, EncodingType="url", Prefix="+")
    assert keys(encoded) == ["%2B"]


def longest():
    """A key of 1,024 bytes with each byte that UTF-8 has, but NUL.

    No document of XML can name it: lists tell it as a URL does, and nobody deletes it with others.
    """
    ascii = bytes(range(1, 0x80))
    two = b"".join(bytes([lead, 0x80 + lead % 64]) for lead in range(0xC2, 0xE0))
    three = b"".join(bytes([lead, 0x9F, 0x80 + lead % 64]) for lead in range(0xE1, 0xF0))
    four = bytes([0xE0, 0xA0, 0x80]) + b"".join(
        bytes([lead, 0x90 if lead == 0xF0 else 0x80, 0x80, 0x80]) for lead in range(0xF0, 0xF5)
    )
    last = b"".join(bytes([0xD0, tail]) for tail in range(0x80, 0xC0))
    return (ascii + two + three + four + last).ljust(1024, b"k").decode()


@behaviour
def the_longest_key_has_every_byte_and_no_key_is_longer():
    name, key = bucket(), longest()
    assert len(key.encode()) == 1024
    put(name, key, b"odd")
    assert read(name, key) == b"odd"
    assert keys(ada.list_objects_v2(Bucket=name)) == [key]
    assert keys(ada.list_objects_v2(Bucket=name, Prefix=key[:700])) == [key]
    ada.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": key})
    assert read(name, "copy") == b"odd"
    ada.delete_object(Bucket=name, Key=key)
    assert keys(ada.list_objects_v2(Bucket=name)) == ["copy"]
    refused(400, "KeyTooLongError", put, name=name, key="k" * 1025)


@behaviour
def keys_that_look_like_paths_are_keys():
    name, other = bucket(), bucket()
    put(other, "secret", b"of another bucket")
    tricks = [
        f"../{other}/secret", f"a/../../{other}/secret", "..", ".", "a/./b", "a/..", "/absolute",
        "//two//", "..\\windows", "%2e%2e/escaped", "..%2fescaped", "C:\\file", "~", "a/",
    ]  # fmt: skip
    for key in tricks:
        put(name, key, key.encode())
    assert keys(ada.list_objects_v2(Bucket=name)) == sorted(tricks)
    assert all(read(name, key) == key.encode() for key in tricks)
    assert read(other, "secret") == b"of another bucket"
    refused(403, "AccessDenied", bob.get_object, Bucket=name, Key=tricks[0])
    for key in tricks:
        ada.delete_object(Bucket=name, Key=key)
    assert keys(ada.list_objects_v2(Bucket=name)) == [] and len(keys(ada.list_objects_v2(Bucket=other))) == 1


@behaviour
def sizes_at_which_something_changes():
    name = bucket()
    stripe = 4 << 20
    for size in (0, 1, (128 << 10) + 1, stripe - 1, stripe, stripe + 1):
        body = (b"0123456789abcde" * (size // 15 + 1))[:size]
        assert put(name, str(size), body)["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        assert ada.head_object(Bucket=name, Key=str(size))["ContentLength"] == size
        assert read(name, str(size)) == body
        if size:
            tail = ada.get_object(Bucket=name, Key=str(size), Range="bytes=-1")["Body"].read()
            assert tail == body[-1:]


@behaviour
def a_limit_of_none_lists_nothing_and_one_that_is_no_number_is_refused():
    name = bucket()
    put(name)
    nothing = ada.list_objects(Bucket=name, MaxKeys=0)
    assert keys(nothing) == [] and not nothing["IsTruncated"]
    url = ada.generate_presigned_url("list_objects", Params={"Bucket": name})
    assert http("GET", url + "&max-keys=many")[0] in (400, 403)


# Objects.


@behaviour
def an_object_keeps_its_headers_and_loses_them_when_it_is_put_anew():
    name = bucket()
    put(name, Metadata={"colour": "blue", "none": ""}, CacheControl="no-cache", ContentType="a/b")
    head = ada.head_object(Bucket=name, Key="key")
    assert head["Metadata"] == {"colour": "blue", "none": ""}
    assert (head["CacheControl"], head["ContentType"]) == ("no-cache", "a/b")
    put(name)
    assert ada.head_object(Bucket=name, Key="key")["Metadata"] == {}


@behaviour
def ranges_are_cut_and_those_beyond_are_refused():
    name = bucket()
    put(name, body=b"0123456789z")
    for asked, given, told in [
        ("bytes=4-7", b"4567", "bytes 4-7/11"),
        ("bytes=4-", b"456789z", "bytes 4-10/11"),
        ("bytes=-7", b"456789z", "bytes 4-10/11"),
    ]:
        answer = ada.get_object(Bucket=name, Key="key", Range=asked)
        assert answer["Body"].read() == given and answer["ContentRange"] == told
    refused(416, "InvalidRange", ada.get_object, Bucket=name, Key="key", Range="bytes=40-50")
    put(name, "empty", b"")
    refused(416, "InvalidRange", ada.get_object, Bucket=name, Key="empty", Range="bytes=0-1")


@behaviour
def reads_on_condition():
    name = bucket()
    etag = put(name)["ETag"]
    same = {"Bucket": name, "Key": "key"}
    assert ada.get_object(**same, IfMatch=etag) and ada.get_object(**same, IfNoneMatch="other")
    refused(412, "PreconditionFailed", ada.get_object, **same, IfMatch='"other"')
    fresh = refused(304, None, ada.get_object, **same, IfNoneMatch=etag)
    assert headers(fresh)["etag"] == etag
    refused(412, None, ada.get_object, **same, IfUnmodifiedSince=later(days=-1))
    refused(304, None, ada.get_object, **same, IfModifiedSince=later(seconds=1))


@behaviour
def writes_on_condition():
    name = bucket()
    refused(404, "NoSuchKey", put, name=name, IfMatch="*")
    etag = put(name, IfNoneMatch="*")["ETag"]
    refused(412, "PreconditionFailed", put, name=name, IfNoneMatch="*")
    refused(412, "PreconditionFailed", put, name=name, IfMatch='"other"')
    put(name, body=b"new", IfMatch=etag)
    number, parts = upload(name, b"part")
    refused(
        412, "PreconditionFailed", complete, name=name, number=number, parts=parts, IfNoneMatch="*"
    )
    assert read(name) == b"new"


@behaviour
def deletes_on_condition():
    name = versioned()
    made = put(name)
    same = {"Bucket": name, "Key": "key"}
    refused(412, "PreconditionFailed", ada.delete_object, **same, IfMatch="other")
    assert ada.delete_object(**same, IfMatch=made["ETag"])["DeleteMarker"]
    refused(412, "PreconditionFailed", ada.delete_object, **same, IfMatch="other")
    ada.delete_object(**same, VersionId=made["VersionId"], IfMatch=made["ETag"])
    ada.delete_object(Bucket=name, Key="never", IfMatch="other")


@behaviour
def many_objects_are_deleted_at_once_each_on_its_own_condition():
    name = bucket()
    for key in ("one", "two"):
        put(name, key)
    objects = [{"Key": "one", "ETag": "other"}, {"Key": "two"}, {"Key": "never"}]
    answer = ada.delete_objects(Bucket=name, Delete={"Objects": objects})
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    assert [line["Key"] for line in answer["Deleted"]] == ["two", "never"]
    many = {"Objects": [{"Key": str(at)} for at in range(1001)]}
    refused(400, "MalformedXML", ada.delete_objects, Bucket=name, Delete=many)


@behaviour
def bodies_that_are_not_as_told_are_refused():
    name = bucket()
    refused(400, "InvalidDigest", put, name=name, ContentMD5=base64.b64encode(b"short").decode())
    refused(400, "BadDigest", put, name=name, ContentMD5=base64.b64encode(bytes(16)).decode())
    for kind, size in (("CRC32", 4), ("CRC32C", 4), ("CRC64NVME", 8), ("SHA1", 20), ("SHA256", 32)):
        # Of the right form, and not of this body.
        wrong = base64.b64encode(bytes([1] * size)).decode()
        refused(400, "BadDigest", put, name=name, **{f"Checksum{kind}": wrong})
    refused(404, "NoSuchKey", ada.get_object, Bucket=name, Key="key")


@behaviour
def a_refusal_carries_the_id_of_its_request():
    answer = refused(404, "NoSuchKey", ada.get_object, Bucket=bucket(), Key="key")
    told = answer["ResponseMetadata"]["RequestId"]
    assert told and told == headers(answer)["x-amz-request-id"]


@behaviour
def what_a_body_is_encoded_as_is_kept():
    name = bucket()
    put(name, ContentEncoding="gzip")
    assert ada.head_object(Bucket=name, Key="key")["ContentEncoding"] == "gzip"


@behaviour
def a_short_body_may_come_without_its_length():
    name = bucket()
    url = ada.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "key"})
    assert http("PUT", url, iter([b"bo", b"dy"]))[0] == 200
    assert read(name) == b"body"


# Copies.


@behaviour
def a_copy_keeps_or_replaces_what_its_original_says():
    name, other = bucket(), bucket()
    put(name, Metadata={"colour": "blue"}, ContentType="a/b")
    source = {"Bucket": name, "Key": "key"}
    ada.copy_object(Bucket=other, Key="kept", CopySource=source)
    kept = ada.head_object(Bucket=other, Key="kept")
    assert (kept["Metadata"], kept["ContentType"]) == ({"colour": "blue"}, "a/b")
    more = {"Metadata": {"size": "1"}, "MetadataDirective": "REPLACE"}
    ada.copy_object(Bucket=other, Key="new", CopySource=source, **more)
    assert ada.head_object(Bucket=other, Key="new")["Metadata"] == {"size": "1"}
    refused(400, "InvalidRequest", ada.copy_object, Bucket=name, Key="key", CopySource=source)
    ada.copy_object(Bucket=name, Key="key", CopySource=source, **more)
    missing = {"Bucket": name, "Key": "never"}
    refused(404, "NoSuchKey", ada.copy_object, Bucket=other, Key="new", CopySource=missing)


@behaviour
def a_copy_is_made_on_condition_and_by_who_may_read_alone():
    name = bucket()
    etag = put(name)["ETag"]
    copy = {"Bucket": name, "Key": "copy", "CopySource": {"Bucket": name, "Key": "key"}}
    ada.copy_object(**copy, CopySourceIfMatch=etag)
    refused(412, "PreconditionFailed", ada.copy_object, **copy, CopySourceIfNoneMatch=etag)
    bob.create_bucket(Bucket=f"{name}-of-bob")
    copy["Bucket"] = f"{name}-of-bob"
    refused(403, "AccessDenied", bob.copy_object, **copy)


# Versions.


@behaviour
def versions_are_kept_and_a_delete_hides_them():
    name = versioned()
    one, two = put(name, body=b"1")["VersionId"], put(name, body=b"2")["VersionId"]
    marker = ada.delete_object(Bucket=name, Key="key")
    assert marker["DeleteMarker"]
    hidden = refused(404, "NoSuchKey", ada.get_object, Bucket=name, Key="key")
    assert headers(hidden)["x-amz-delete-marker"] == "true"
    assert read(name, VersionId=one) == b"1"
    refused(405, None, ada.get_object, Bucket=name, Key="key", VersionId=marker["VersionId"])
    listed = ada.list_object_versions(Bucket=name)
    assert [line["VersionId"] for line in listed["Versions"]] == [two, one]
    assert listed["DeleteMarkers"][0]["IsLatest"]
    ada.delete_object(Bucket=name, Key="key", VersionId=marker["VersionId"])
    assert read(name) == b"2"


@behaviour
def without_versions_any_more_the_null_version_is_overwritten():
    name = bucket()
    put(name, body=b"plain")
    for status in ("Enabled", "Suspended"):
        ada.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
        put(name, body=status.encode())
    versions = ada.list_object_versions(Bucket=name)["Versions"]
    assert len(versions) == 2 and versions[0]["VersionId"] == "null"
    assert "VersionId" not in put(name)
    ada.delete_object(Bucket=name, Key="key", VersionId="null")
    assert read(name) == b"Enabled"


@behaviour
def many_versions_are_deleted_at_once():
    name = versioned()
    made = [put(name, key)["VersionId"] for key in ("a", "a", "b")]
    objects = [{"Key": key, "VersionId": made[at]} for at, key in enumerate("aab")]
    answer = ada.delete_objects(Bucket=name, Delete={"Objects": objects})
    assert {line["VersionId"] for line in answer["Deleted"]} == set(made)
    assert "Versions" not in ada.list_object_versions(Bucket=name)
    ada.delete_bucket(Bucket=name)


@behaviour
def an_old_version_is_copied_back():
    name = versioned()
    old = put(name, body=b"old")["VersionId"]
    put(name, body=b"new")
    source = {"Bucket": name, "Key": "key", "VersionId": old}
    made = ada.copy_object(Bucket=name, Key="key", CopySource=source)
    assert made["CopySourceVersionId"] == old and made["VersionId"] != old
    assert read(name) == b"old"
