"""Forms of web pages."""

import base64
import hashlib
import hmac
import json

from scene import (
    ENDPOINT,
    SCENE,
    ada,
    behaviour,
    bucket,
    http,
    later,
    nobody,
    read,
)


def form(fields, file=b"file", file_name="a.txt"):
    """A form's body and kind."""
    text = b""
    for field, value in fields.items():
        text += f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'
    return text + head.encode() + file + b"\r\n--x--\r\n"


def post(name, fields, file=b"file", **more):
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    return http("POST", f"{ENDPOINT}/{name}", form(fields, file, **more), **kind)


def allowed(name, *conditions, **fields):
    """The fields of a form that ada has signed; the newer form."""
    made = ada.generate_presigned_post(
        name, fields.pop("key"), Fields=dict(fields), Conditions=list(conditions)
    )
    return made["fields"]


@behaviour
def a_form_puts_an_object_by_the_name_of_its_file():
    name = bucket()
    fields = allowed(name, ["starts-with", "$key", "in/"], key="in/${filename}")
    assert post(name, fields, file_name="C:\\dir\\a b.txt")[0] == 204
    assert read(name, "in/a b.txt") == b"file"


@behaviour
def a_form_that_is_not_as_its_policy_has_it_is_refused():
    name = bucket()
    good = allowed(name, ["content-length-range", 2, 4], {"acl": "private"}, key="k", acl="private")
    assert post(name, good)[0] == 204
    assert post(name, good, b"too long")[0] == 400 and post(name, good, b"1")[0] == 400
    for field, value in [("key", "other"), ("acl", "public-read"), ("x-amz-meta-a", "b")]:
        assert post(name, {**good, field: value})[0] == 403, field
    assert post(bucket(), good)[0] == 403
    forged = {**good, "x-amz-signature": good["x-amz-signature"][::-1]}
    assert post(name, forged)[0] == 403


@behaviour
def a_form_lacks_nothing():
    name = bucket()
    good = allowed(name, key="k")
    for missing in ("key", "x-amz-signature", "policy"):
        fields = {field: value for field, value in good.items() if field != missing}
        assert post(name, fields)[0] == 400, missing
    assert post(name, {"key": "k"})[0] == 403


@behaviour
def a_form_may_be_signed_as_the_older_ones_are():
    name = bucket()
    until = later(hours=1).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"bucket": name}, {"key": "k"}, ["starts-with", "$tagging", ""]]
    said = json.dumps({"expiration": until, "conditions": conditions}).encode()
    signed = base64.b64encode(said)
    secret = SCENE["ada"]["secret"].encode()
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha1).digest()).decode()
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"
    fields = {"key": "k", "AWSAccessKeyId": SCENE["ada"]["id"], "policy": signed.decode()}
    assert post(name, {**fields, "signature": signature[::-1], "tagging": tags})[0] == 403
    assert post(name, {**fields, "signature": signature, "tagging": tags})[0] == 204
    assert ada.get_object_tagging(Bucket=name, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]


@behaviour
def a_form_is_answered_as_it_asks():
    name = bucket(ACL="public-read-write")
    status, _, body = post(name, {"key": "k", "acl": "public-read", "success_action_status": "201"})
    assert status == 201 and b"<Key>k</Key>" in body
    assert read(name, "k", by=nobody) == b"file"
    assert post(name, {"key": "k", "success_action_status": "404"})[::2] == (204, b"")
    page = f"{ENDPOINT}/{name}"
    status, told, _ = post(name, {"key": "k", "success_action_redirect": page})
    assert status == 303 and told["Location"].startswith(f"{page}?bucket={name}&key=k&etag=%22")
