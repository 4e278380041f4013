//! How long a bucket keeps new versions.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        GetObjectLockConfigurationInput, GetObjectLockConfigurationOutput, ObjectLockConfiguration,
        ObjectLockEnabled, PutObjectLockConfigurationInput, PutObjectLockConfigurationOutput,
    },
    s3_error,
};

use super::documents::{keep, kept};
use crate::storage::{
    metadata::{DocumentKind, Versioning},
    s3::{caller::bucket_session, operations::Operations, settings},
};

pub(in super::super) async fn get(
    operations: &Operations,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let (_, context) = bucket_session(&request)?;
    if !context.bucket.object_lock {
        return Err(s3_error!(
            ObjectLockConfigurationNotFoundError,
            "Object Lock configuration does not exist for this bucket"
        ));
    }
    let configuration = match kept(operations, &request, DocumentKind::ObjectLock).await? {
        Some(text) => settings::read(&text)?,
        None => ObjectLockConfiguration {
            object_lock_enabled: Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED)),
            rule: None,
        },
    };
    Ok(S3Response::new(GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(configuration),
    }))
}

pub(in super::super) async fn put(
    operations: &Operations,
    mut request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let (_, context) = bucket_session(&request)?;
    if context.bucket.versioning != Versioning::Enabled {
        return Err(s3_error!(
            InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        ));
    }
    let configuration = request.input.object_lock_configuration.take();
    let configuration = configuration.ok_or_else(|| s3_error!(MalformedXML))?;
    check(&configuration)?;
    let text = settings::write(&configuration)?;
    keep(operations, &request, DocumentKind::ObjectLock, Some(text)).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

fn check(configuration: &ObjectLockConfiguration) -> S3Result<()> {
    let malformed = || {
        s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
    };
    let enabled = configuration.object_lock_enabled.as_ref();
    if enabled.is_none_or(|word| word.as_str() != ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let Some(rule) = &configuration.rule else {
        return Ok(());
    };
    let default = rule.default_retention.as_ref().ok_or_else(malformed)?;
    let mode = default.mode.as_ref().ok_or_else(malformed)?;
    if !matches!(mode.as_str(), "GOVERNANCE" | "COMPLIANCE") {
        return Err(malformed());
    }
    match (default.days, default.years) {
        (Some(days), None) if days > 0 => Ok(()),
        (None, Some(years)) if years > 0 => Ok(()),
        (Some(_), Some(_)) | (None, None) => Err(malformed()),
        _ => {
            let mut error = s3s::S3Error::with_message(
                s3s::S3ErrorCode::Custom("InvalidRetentionPeriod".into()),
                "Default retention period must be a positive integer value",
            );
            error.set_status_code(http::StatusCode::BAD_REQUEST);
            Err(error)
        }
    }
}
