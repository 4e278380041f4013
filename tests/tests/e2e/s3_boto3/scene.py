"""The people, what they speak with, and what the behaviours have in common.

Where the door is and with which keys it is used comes from the environment:
GRIDMART_S3 is a JSON document {"endpoint", "region", "ada": {"id", "secret"}, "bob":
{"id", "secret"}, "day"}; "day" are the seconds that a day of a rule of life has.
"""

import datetime
import itertools
import json
import os
import urllib.error
import urllib.request

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

SCENE = json.loads(os.environ["GRIDMART_S3"])
ENDPOINT = SCENE["endpoint"]
PART = 5 << 20
GROUP_ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
BEHAVIOURS = []
NUMBERS = itertools.count(1)


def behaviour(function):
    BEHAVIOURS.append(function)
    return function


def client(person):
    config = Config(
        signature_version=UNSIGNED if person is None else "s3v4",
        s3={"addressing_style": "path"},
        retries={"max_attempts": 1},
    )
    key = SCENE[person] if person else {"id": None, "secret": None}
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=SCENE["region"],
        aws_access_key_id=key["id"],
        aws_secret_access_key=key["secret"],
        config=config,
    )


ada, bob, nobody = client("ada"), client("bob"), client(None)


def bucket(**settings):
    name = f"bucket-{next(NUMBERS)}"
    ada.create_bucket(Bucket=name, **settings)
    return name


def versioned():
    name = bucket()
    ada.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def put(name, key="key", body=b"body", **more):
    return ada.put_object(Bucket=name, Key=key, Body=body, **more)


def read(name, key="key", by=None, **more):
    return (by or ada).get_object(Bucket=name, Key=key, **more)["Body"].read()


def refused(status, code, function, **arguments):
    """Runs what must be refused, and gives the refusal."""
    try:
        function(**arguments)
    except ClientError as error:
        answer = error.response
        found = (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
        assert found[0] == status and code in (None, found[1]), f"{found}, not {(status, code)}"
        return answer
    raise AssertionError(f"it was not refused with {code}")


def keys(answer):
    return [line["Key"] for line in answer.get("Contents", [])]


def headers(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]


def policy(name, *statements):
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return ada.put_bucket_policy(Bucket=name, Policy=json.dumps(document))


def statement(action, resource, effect="Allow", principal="*", **condition):
    said = {
        "Effect": effect,
        "Principal": principal,
        "Action": action,
        "Resource": f"arn:aws:s3:::{resource}",
    }
    return {**said, "Condition": condition} if condition else said


def upload(name, *bodies, key="key", by=None, **more):
    """Puts an object in parts; gives the upload's id and its parts."""
    by = by or ada
    number = by.create_multipart_upload(Bucket=name, Key=key, **more)["UploadId"]
    parts = []
    for at, body in enumerate(bodies, 1):
        part = {"Bucket": name, "Key": key, "UploadId": number, "PartNumber": at}
        parts.append({"PartNumber": at, "ETag": by.upload_part(**part, Body=body)["ETag"]})
    return number, parts


def complete(name, number, parts, key="key", **more):
    return ada.complete_multipart_upload(
        Bucket=name, Key=key, UploadId=number, MultipartUpload={"Parts": parts}, **more
    )


def http(method, url, body=None, **more):
    """Speaks HTTP without the library; gives status, headers and body."""
    request = urllib.request.Request(url, data=body, method=method, headers=more)
    opener = urllib.request.build_opener(Straight)
    try:
        with opener.open(request, timeout=90) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read()


class Straight(urllib.request.HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, *_):
        return None


def later(**period):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**period)
