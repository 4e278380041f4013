//! What each operation of S3 does, in the words of policies and of rights.

/// What a deed needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// To be known: it is about no bucket.
    Known,
    /// To look at what is in the bucket.
    List,
    /// To read an object.
    Read,
    /// To write or delete an object.
    Write,
    /// To read the access control list.
    ReadAcl,
    /// To change the access control list.
    WriteAcl,
    /// To own the bucket.
    Own,
    /// What its operation finds out by itself, object by object.
    Later,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    /// As policies name it.
    pub(super) action: &'static str,
    pub(super) need: Need,
}

const fn deed(action: &'static str, need: Need) -> Deed {
    Deed { action, need }
}

pub(super) const PUT_OBJECT: Deed = Deed {
    action: "s3:PutObject",
    need: Need::Write,
};
pub(super) const GET_OBJECT: Deed = Deed {
    action: "s3:GetObject",
    need: Need::Read,
};
pub(super) const GET_OBJECT_VERSION: Deed = Deed {
    action: "s3:GetObjectVersion",
    need: Need::Read,
};
pub(super) const DELETE_OBJECT: Deed = Deed {
    action: "s3:DeleteObject",
    need: Need::Write,
};
pub(super) const DELETE_OBJECT_VERSION: Deed = Deed {
    action: "s3:DeleteObjectVersion",
    need: Need::Write,
};
pub(super) const LIST_BUCKET: Deed = Deed {
    action: "s3:ListBucket",
    need: Need::List,
};
pub(super) const LIST_BUCKET_VERSIONS: Deed = Deed {
    action: "s3:ListBucketVersions",
    need: Need::List,
};
pub(super) const BYPASS_GOVERNANCE: Deed = Deed {
    action: "s3:BypassGovernanceRetention",
    need: Need::Own,
};

/// The deed of an operation; `None`: there is none of that name here. With a
/// version, an object's old contents are meant, which policies tell apart.
pub(super) fn of(operation: &str, has_version: bool) -> Option<Deed> {
    let of_object = |plain, version, need| deed(if has_version { version } else { plain }, need);
    Some(match operation {
        "ListBuckets" => deed("s3:ListAllMyBuckets", Need::Known),
        "CreateBucket" => deed("s3:CreateBucket", Need::Known),
        "GetObject" | "HeadObject" => of_object("s3:GetObject", "s3:GetObjectVersion", Need::Read),
        "GetObjectAttributes" => of_object(
            "s3:GetObjectAttributes",
            "s3:GetObjectVersionAttributes",
            Need::Read,
        ),
        "GetObjectTagging" => of_object(
            "s3:GetObjectTagging",
            "s3:GetObjectVersionTagging",
            Need::Read,
        ),
        "PutObjectTagging" => of_object(
            "s3:PutObjectTagging",
            "s3:PutObjectVersionTagging",
            Need::Write,
        ),
        "DeleteObjectTagging" => of_object(
            "s3:DeleteObjectTagging",
            "s3:DeleteObjectVersionTagging",
            Need::Write,
        ),
        "GetObjectAcl" => of_object("s3:GetObjectAcl", "s3:GetObjectVersionAcl", Need::ReadAcl),
        "PutObjectAcl" => of_object("s3:PutObjectAcl", "s3:PutObjectVersionAcl", Need::WriteAcl),
        "DeleteObject" => of_object("s3:DeleteObject", "s3:DeleteObjectVersion", Need::Write),
        "PutObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => PUT_OBJECT,
        "AbortMultipartUpload" => deed("s3:AbortMultipartUpload", Need::Write),
        "ListParts" => deed("s3:ListMultipartUploadParts", Need::Read),
        "GetObjectRetention" => deed("s3:GetObjectRetention", Need::Read),
        "PutObjectRetention" => deed("s3:PutObjectRetention", Need::Write),
        "GetObjectLegalHold" => deed("s3:GetObjectLegalHold", Need::Read),
        "PutObjectLegalHold" => deed("s3:PutObjectLegalHold", Need::Write),
        "DeleteObjects" | "PostObject" => deed("s3:PutObject", Need::Later),
        _ => return of_bucket(operation),
    })
}

fn of_bucket(operation: &str) -> Option<Deed> {
    Some(match operation {
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => LIST_BUCKET,
        "ListObjectVersions" => LIST_BUCKET_VERSIONS,
        "ListMultipartUploads" => deed("s3:ListBucketMultipartUploads", Need::List),
        "GetBucketLocation" => deed("s3:GetBucketLocation", Need::List),
        "DeleteBucket" => deed("s3:DeleteBucket", Need::Own),
        "GetBucketAcl" => deed("s3:GetBucketAcl", Need::ReadAcl),
        "PutBucketAcl" => deed("s3:PutBucketAcl", Need::WriteAcl),
        "GetBucketVersioning" => deed("s3:GetBucketVersioning", Need::Own),
        "PutBucketVersioning" => deed("s3:PutBucketVersioning", Need::Own),
        "GetBucketTagging" => deed("s3:GetBucketTagging", Need::Own),
        "PutBucketTagging" | "DeleteBucketTagging" => deed("s3:PutBucketTagging", Need::Own),
        "GetBucketCors" => deed("s3:GetBucketCORS", Need::Own),
        "PutBucketCors" | "DeleteBucketCors" => deed("s3:PutBucketCORS", Need::Own),
        "GetBucketPolicy" => deed("s3:GetBucketPolicy", Need::Own),
        "GetBucketPolicyStatus" => deed("s3:GetBucketPolicyStatus", Need::Own),
        "PutBucketPolicy" => deed("s3:PutBucketPolicy", Need::Own),
        "DeleteBucketPolicy" => deed("s3:DeleteBucketPolicy", Need::Own),
        "GetBucketLifecycleConfiguration" => deed("s3:GetLifecycleConfiguration", Need::Own),
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => {
            deed("s3:PutLifecycleConfiguration", Need::Own)
        }
        "GetBucketOwnershipControls" => deed("s3:GetBucketOwnershipControls", Need::Own),
        "PutBucketOwnershipControls" | "DeleteBucketOwnershipControls" => {
            deed("s3:PutBucketOwnershipControls", Need::Own)
        }
        "GetPublicAccessBlock" => deed("s3:GetBucketPublicAccessBlock", Need::Own),
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => {
            deed("s3:PutBucketPublicAccessBlock", Need::Own)
        }
        "GetBucketEncryption" => deed("s3:GetEncryptionConfiguration", Need::Own),
        "PutBucketEncryption" | "DeleteBucketEncryption" => {
            deed("s3:PutEncryptionConfiguration", Need::Own)
        }
        "GetObjectLockConfiguration" => deed("s3:GetBucketObjectLockConfiguration", Need::Own),
        "PutObjectLockConfiguration" => deed("s3:PutBucketObjectLockConfiguration", Need::Own),
        _ => return None,
    })
}

impl Deed {
    /// Whether a denial of the bucket's own policy can keep its owner from it:
    /// not from the policy itself, or a slip would close the bucket for good.
    pub(super) fn is_about_policy(&self) -> bool {
        matches!(
            self.action,
            "s3:GetBucketPolicy" | "s3:PutBucketPolicy" | "s3:DeleteBucketPolicy"
        )
    }
}
