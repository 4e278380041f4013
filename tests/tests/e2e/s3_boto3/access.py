"""Who may, with keys, without, and from the pages of others."""

import json

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from scene import (
    ENDPOINT,
    GROUP_ALL,
    SCENE,
    ada,
    behaviour,
    bob,
    bucket,
    http,
    keys,
    nobody,
    policy,
    put,
    read,
    refused,
    statement,
)


# Who may.


@behaviour
def short_lists_of_access_say_who_may():
    name = bucket(ACL="public-read")
    put(name, "open", ACL="public-read")
    put(name, "closed")
    assert keys(nobody.list_objects(Bucket=name)) == ["closed", "open"]
    assert read(name, "open", by=nobody) == b"body"
    refused(403, "AccessDenied", nobody.get_object, Bucket=name, Key="closed")
    refused(403, "AccessDenied", bob.put_object, Bucket=name, Key="new", Body=b"")
    grants = ada.get_bucket_acl(Bucket=name)["Grants"]
    assert grants[0] == {"Grantee": {"Type": "Group", "URI": GROUP_ALL}, "Permission": "READ"}
    assert grants[1]["Grantee"]["ID"] == "ada" and grants[1]["Permission"] == "FULL_CONTROL"


@behaviour
def a_grant_gives_what_it_says_and_no_more():
    name = bucket()
    owner = ada.get_bucket_acl(Bucket=name)
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": "bob"}, "Permission": "WRITE"}
    lists = {"Owner": owner["Owner"], "Grants": owner["Grants"] + [grant]}
    ada.put_bucket_acl(Bucket=name, AccessControlPolicy=lists)
    bob.put_object(Bucket=name, Key="key", Body=b"of bob")
    refused(403, "AccessDenied", bob.list_objects, Bucket=name)
    refused(403, "AccessDenied", bob.get_bucket_acl, Bucket=name)
    refused(403, "AccessDenied", bob.put_bucket_acl, Bucket=name, ACL="public-read")


@behaviour
def policies_let_in_and_a_denial_counts_more():
    name = bucket()
    put(name, "public/a")
    put(name, "private/a")
    policy(
        name,
        statement("s3:GetObject", f"{name}/*"),
        statement("s3:GetObject", f"{name}/private/*", effect="Deny"),
    )
    assert read(name, "public/a", by=nobody) == b"body"
    refused(403, "AccessDenied", nobody.get_object, Bucket=name, Key="private/a")
    refused(403, "AccessDenied", ada.get_object, Bucket=name, Key="private/a")
    assert ada.get_bucket_policy_status(Bucket=name)["PolicyStatus"]["IsPublic"]
    ada.delete_bucket_policy(Bucket=name)
    refused(403, "AccessDenied", nobody.get_object, Bucket=name, Key="public/a")
    refused(404, "NoSuchBucketPolicy", ada.get_bucket_policy, Bucket=name)


@behaviour
def policies_ask_for_tags_prefixes_and_headers():
    name = bucket()
    for key, tags in (("yes", "state=open"), ("no", "state=shut")):
        put(name, key, Tagging=tags)
    tagged = {"StringEquals": {"s3:ExistingObjectTag/state": "open"}}
    below = {"StringLike": {"s3:prefix": "in/*"}}
    plain = {"Null": {"s3:x-amz-server-side-encryption": "true"}}
    policy(
        name,
        statement("s3:GetObject", f"{name}/*", **tagged),
        statement("s3:ListBucket", name, **below),
        statement("s3:PutObject", f"{name}/*", effect="Deny", **plain),
    )
    assert read(name, "yes", by=bob) == b"body"
    refused(403, "AccessDenied", bob.get_object, Bucket=name, Key="no")
    assert keys(bob.list_objects_v2(Bucket=name, Prefix="in/")) == []
    refused(403, "AccessDenied", bob.list_objects_v2, Bucket=name, Prefix="out/")
    refused(403, "AccessDenied", put, name=name)
    put(name, ServerSideEncryption="AES256")


@behaviour
def policies_that_mean_nothing_are_refused():
    name = bucket()
    for wrong in (
        statement("s3:GetObject", f"{name}/*", StringSounds={"s3:prefix": "a"}),
        statement("ec2:Run", name),
        {
            "Effect": "Allow",
            "NotPrincipal": {"AWS": "bob"},
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{name}/*",
        },
    ):
        try:
            policy(name, wrong)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "MalformedPolicy", error
        else:
            raise AssertionError(f"{wrong} was taken")


@behaviour
def what_is_public_can_be_forbidden():
    name = bucket()
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy"), True)
    block["RestrictPublicBuckets"] = False
    ada.put_bucket_acl(Bucket=name, ACL="public-read")
    nobody.list_objects(Bucket=name)
    ada.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
    assert ada.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"] == block
    refused(403, "AccessDenied", nobody.list_objects, Bucket=name)
    refused(403, "AccessDenied", ada.put_bucket_acl, Bucket=name, ACL="public-read")
    refused(403, "AccessDenied", put, name=name, ACL="public-read")
    refused(
        403,
        "AccessDenied",
        ada.put_bucket_policy,
        Bucket=name,
        Policy=json.dumps({"Statement": [statement("s3:GetObject", f"{name}/*")]}),
    )


@behaviour
def the_owner_of_a_bucket_may_own_all_that_is_in_it():
    name = bucket(ObjectOwnership="BucketOwnerEnforced")
    policy(name, statement("s3:*", f"{name}/*", principal={"AWS": "bob"}))
    bob.put_object(Bucket=name, Key="key", Body=b"of bob")
    assert ada.get_object_acl(Bucket=name, Key="key")["Owner"]["ID"] == "ada"
    refused(
        400,
        "AccessControlListNotSupported",
        bob.put_object,
        Bucket=name,
        Key="new",
        Body=b"",
        ACL="private",
    )
    refused(400, "AccessControlListNotSupported", ada.put_bucket_acl, Bucket=name, ACL="private")


@behaviour
def who_puts_may_leave_it_to_the_owner_of_the_bucket():
    theirs = {"ACL": "bucket-owner-full-control"}
    for ownership, of_full, of_private in [
        ("ObjectWriter", "bob", "bob"),
        ("BucketOwnerPreferred", "ada", "bob"),
    ]:
        name = bucket(ACL="public-read-write", ObjectOwnership=ownership)
        bob.put_object(Bucket=name, Key="full", Body=b"full", **theirs)
        bob.put_object(Bucket=name, Key="private", Body=b"private")
        assert bob.get_object_acl(Bucket=name, Key="private")["Owner"]["ID"] == of_private
        assert ada.get_object_acl(Bucket=name, Key="full")["Owner"]["ID"] == of_full


@behaviour
def what_is_not_there_is_told_to_who_may_list_alone():
    name = bucket()
    refused(403, "AccessDenied", bob.get_object, Bucket=name, Key="in/never")
    below = {"StringLike": {"s3:prefix": "in/*"}}
    policy(name, statement("s3:ListBucket", name, **below))
    refused(404, "NoSuchKey", bob.get_object, Bucket=name, Key="in/never")
    refused(403, "AccessDenied", bob.get_object, Bucket=name, Key="out/never")


@behaviour
def who_has_signed_wrongly_or_expects_another_owner_is_refused():
    name = bucket(ACL="public-read-write")
    forged = boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name=SCENE["region"],
        aws_access_key_id=SCENE["ada"]["id"],
        aws_secret_access_key="wrong",
        config=Config(s3={"addressing_style": "path"}),
    )
    refused(403, "SignatureDoesNotMatch", forged.list_objects, Bucket=name)
    refused(403, "AccessDenied", nobody.list_objects, Bucket=name, ExpectedBucketOwner="bob")


@behaviour
def urls_are_signed_for_others_and_run_out():
    name = bucket()
    put(name)
    what = {"Bucket": name, "Key": "key"}
    url = ada.generate_presigned_url("get_object", Params=what, ExpiresIn=100)
    assert http("GET", url)[::2] == (200, b"body")
    assert http("GET", url.replace("key?", "other?"))[0] == 403
    for over in (-1, 8 * 86_400):
        url = ada.generate_presigned_url("get_object", Params=what, ExpiresIn=over)
        assert http("GET", url)[0] == 403, over
    url = ada.generate_presigned_url("put_object", Params={**what, "Key": "new"})
    assert http("PUT", url, b"put")[0] == 200 and read(name, "new") == b"put"


# Pages of others.


@behaviour
def browsers_are_told_which_pages_may_ask():
    name = bucket(ACL="public-read")
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*.example.org"]}]
    ada.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
    url, ask = f"{ENDPOINT}/{name}", "Access-Control-Request-Method"
    allow = "Access-Control-Allow-Origin"
    assert http("GET", url, Origin="https://a.example.org")[1][allow] == "https://a.example.org"
    assert http("GET", url, Origin="https://a.example.com")[1][allow] is None
    assert http("OPTIONS", url)[0] == 400
    assert http("OPTIONS", url, Origin="https://a.example.org", **{ask: "GET"})[0] == 200
    assert http("OPTIONS", url, Origin="https://a.example.org", **{ask: "PUT"})[0] == 403
