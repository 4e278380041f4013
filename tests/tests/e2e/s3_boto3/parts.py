"""Objects that are put in parts, and checksums."""

import base64
import hashlib
import zlib

from scene import (
    PART,
    ada,
    behaviour,
    bucket,
    complete,
    put,
    read,
    refused,
    upload,
)


# Parts.


@behaviour
def an_object_is_put_in_parts_and_read_by_part():
    name = bucket()
    bodies = [b"a" * PART, b"b" * PART, b"c"]
    number, parts = upload(name, *bodies, Metadata={"colour": "blue"})
    made = complete(name, number, parts)
    assert made["ETag"].endswith('-3"') and complete(name, number, parts)["ETag"] == made["ETag"]
    assert read(name) == b"".join(bodies)
    second = ada.get_object(Bucket=name, Key="key", PartNumber=2)
    assert second["PartsCount"] == 3 and second["Body"].read() == bodies[1]
    refused(400, "InvalidPart", ada.get_object, Bucket=name, Key="key", PartNumber=4)


@behaviour
def parts_that_do_not_fit_together_are_refused():
    name = bucket()
    number, parts = upload(name, b"small", b"last")
    refused(400, "EntityTooSmall", complete, name=name, number=number, parts=parts)
    refused(400, "InvalidPartOrder", complete, name=name, number=number, parts=parts[::-1])
    wrong = [{"PartNumber": 1, "ETag": "0" * 32}]
    refused(400, "InvalidPart", complete, name=name, number=number, parts=wrong)
    refused(400, "MalformedXML", complete, name=name, number=number, parts=[])
    ada.abort_multipart_upload(Bucket=name, Key="key", UploadId=number)
    refused(404, "NoSuchUpload", complete, name=name, number=number, parts=parts[:1])
    assert "Uploads" not in ada.list_multipart_uploads(Bucket=name)


@behaviour
def parts_are_copied_by_range():
    name = bucket()
    put(name, body=b"0123456789")
    number = ada.create_multipart_upload(Bucket=name, Key="copy")["UploadId"]
    part = {"Bucket": name, "Key": "copy", "UploadId": number, "PartNumber": 1}
    part["CopySource"] = {"Bucket": name, "Key": "key"}
    for bad in ("0-2", "bytes=0", "bytes=a-b", "bytes=0-2,3-5"):
        refused(400, "InvalidArgument", ada.upload_part_copy, **part, CopySourceRange=bad)
    refused(416, "InvalidRange", ada.upload_part_copy, **part, CopySourceRange="bytes=0-21")
    made = ada.upload_part_copy(**part, CopySourceRange="bytes=2-5")["CopyPartResult"]
    complete(name, number, [{"PartNumber": 1, "ETag": made["ETag"]}], key="copy")
    assert read(name, "copy") == b"2345"


@behaviour
def uploads_and_their_parts_are_listed():
    name = bucket()
    number, parts = upload(name, b"a", b"bc", b"def", key="one")
    others = [upload(name, key="two")[0] for _ in range(2)]
    listed = ada.list_multipart_uploads(Bucket=name)["Uploads"]
    assert [line["UploadId"] for line in listed] == [number, *others]
    assert {line["Owner"]["ID"] for line in listed} == {"ada"}
    first = ada.list_multipart_uploads(Bucket=name, MaxUploads=1)
    assert first["IsTruncated"] and first["NextKeyMarker"] == "one"
    told = ada.list_parts(Bucket=name, Key="one", UploadId=number, PartNumberMarker=1, MaxParts=1)
    assert [part["Size"] for part in told["Parts"]] == [2] and told["NextPartNumberMarker"] == 2
    assert told["Parts"][0]["ETag"] == parts[1]["ETag"]


@behaviour
def a_part_that_is_put_again_is_another():
    name = bucket()
    number, old = upload(name, b"old")
    part = {"Bucket": name, "Key": "key", "UploadId": number, "PartNumber": 1}
    new = [{"PartNumber": 1, "ETag": ada.upload_part(**part, Body=b"new")["ETag"]}]
    refused(400, "InvalidPart", complete, name=name, number=number, parts=old)
    complete(name, number, new)
    assert read(name) == b"new"


# Checksums.


@behaviour
def checksums_are_kept_and_told_to_who_asks():
    name = bucket()
    right = base64.b64encode(hashlib.sha256(b"body").digest()).decode()
    assert put(name, ChecksumSHA256=right)["ChecksumSHA256"] == right
    same = {"Bucket": name, "Key": "key"}
    assert "ChecksumSHA256" not in ada.head_object(**same)
    assert ada.head_object(**same, ChecksumMode="ENABLED")["ChecksumSHA256"] == right
    told = ada.get_object_attributes(**same, ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert told["Checksum"]["ChecksumSHA256"] == right and told["ObjectSize"] == 4


@behaviour
def checksums_of_parts_make_one_of_the_whole():
    name = bucket()
    bodies = [b"a" * PART, b"b"]
    crc = lambda body: base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    for kind, expected in [
        ("FULL_OBJECT", crc(b"".join(bodies))),
        ("COMPOSITE", crc(b"".join(base64.b64decode(crc(body)) for body in bodies)) + "-2"),
    ]:
        chosen = {"ChecksumAlgorithm": "CRC32", "ChecksumType": kind}
        number = ada.create_multipart_upload(Bucket=name, Key=kind, **chosen)["UploadId"]
        parts = []
        for at, body in enumerate(bodies, 1):
            part = {"Bucket": name, "Key": kind, "UploadId": number, "PartNumber": at}
            made = ada.upload_part(**part, Body=body, ChecksumAlgorithm="CRC32")
            parts.append({"PartNumber": at, "ETag": made["ETag"], "ChecksumCRC32": crc(body)})
        made = complete(name, number, parts, key=kind)
        assert (made["ChecksumCRC32"], made["ChecksumType"]) == (expected, kind)
        part = ada.get_object(Bucket=name, Key=kind, PartNumber=2)
        assert (part["ChecksumCRC32"], part["ChecksumType"]) == (crc(b"b"), kind)
        told = ada.get_object_attributes(
            Bucket=name, Key=kind, ObjectAttributes=["ObjectParts"], MaxParts=1, PartNumberMarker=1
        )["ObjectParts"]
        assert [part["PartNumber"] for part in told["Parts"]] == [2] and not told["IsTruncated"]
