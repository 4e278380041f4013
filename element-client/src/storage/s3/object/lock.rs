//! Protection of versions against deletion.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectRetentionInput,
        GetObjectRetentionOutput, ObjectLockConfiguration, ObjectLockLegalHold,
        ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
        PutObjectLegalHoldInput, PutObjectLegalHoldOutput, PutObjectRetentionInput,
        PutObjectRetentionOutput, Timestamp,
    },
    s3_error,
};
use time::{Duration, OffsetDateTime};

use super::{head::timestamp, version};
use crate::storage::{
    metadata::{
        Bucket, Change, DocumentKind, Moment, ObjectVersion, Retention, RetentionMode, query,
    },
    s3::{
        caller::bucket_session, context::BucketContext, deed::BYPASS_GOVERNANCE, fault,
        operations::Operations, settings,
    },
};

const DAYS_OF_YEAR: i64 = 365;

/// How a new version is protected.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Protection {
    pub(in super::super) retention: Option<Retention>,
    pub(in super::super) legal_hold: bool,
}

fn not_lockable() -> s3s::S3Error {
    s3_error!(
        InvalidRequest,
        "Bucket is missing Object Lock Configuration"
    )
}

fn mode_read(word: &str) -> S3Result<RetentionMode> {
    match word {
        "GOVERNANCE" => Ok(RetentionMode::Governance),
        "COMPLIANCE" => Ok(RetentionMode::Compliance),
        _ => Err(s3_error!(MalformedXML, "Unknown mode of retention: {word}")),
    }
}

const fn mode_word(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => ObjectLockMode::GOVERNANCE,
        RetentionMode::Compliance => ObjectLockMode::COMPLIANCE,
    }
}

fn hold_read(word: &str) -> S3Result<bool> {
    match word {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        _ => Err(s3_error!(MalformedXML, "Unknown legal hold: {word}")),
    }
}

fn future(until: &Timestamp) -> S3Result<Moment> {
    let until = OffsetDateTime::from(until.clone());
    if until <= OffsetDateTime::now_utc() {
        return Err(s3_error!(
            InvalidArgument,
            "The retain until date must be in the future!"
        ));
    }
    Ok(Moment::from(until))
}

/// The protection that a request gives, or else the bucket's.
pub(in super::super) async fn of_input(
    operations: &Operations,
    context: &BucketContext,
    mode: Option<&ObjectLockMode>,
    until: Option<&Timestamp>,
    hold: Option<&ObjectLockLegalHoldStatus>,
) -> S3Result<Protection> {
    let legal_hold = hold
        .map(|status| hold_read(status.as_str()))
        .transpose()?
        .unwrap_or(false);
    let is_asked = mode.is_some() || until.is_some() || hold.is_some();
    if !context.bucket.object_lock {
        return if is_asked {
            Err(not_lockable())
        } else {
            Ok(Protection::default())
        };
    }
    let retention = match (mode, until) {
        (Some(mode), Some(until)) => {
            let mode = mode_read(mode.as_str())
                .map_err(|_| s3_error!(InvalidArgument, "Unknown wormMode directive."))?;
            Some(Retention {
                mode,
                until: future(until)?,
            })
        }
        (None, None) => of_bucket(operations, context).await?,
        _ => {
            return Err(s3_error!(
                InvalidArgument,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
            ));
        }
    };
    Ok(Protection {
        retention,
        legal_hold,
    })
}

/// What the bucket gives to new versions.
async fn of_bucket(
    operations: &Operations,
    context: &BucketContext,
) -> S3Result<Option<Retention>> {
    let id = context.bucket.id;
    let document = operations
        .store
        .read(move |connection| query::bucket_document(connection, id, DocumentKind::ObjectLock))
        .await
        .map_err(|problem| fault::of(&problem))?;
    let Some(document) = document else {
        return Ok(None);
    };
    let configuration: ObjectLockConfiguration = settings::read(&document)?;
    let Some(default) = configuration.rule.and_then(|rule| rule.default_retention) else {
        return Ok(None);
    };
    let days = match (default.days, default.years) {
        (Some(days), _) => i64::from(days),
        (None, Some(years)) => i64::from(years) * DAYS_OF_YEAR,
        (None, None) => return Ok(None),
    };
    let Some(mode) = default.mode else {
        return Ok(None);
    };
    let until = OffsetDateTime::now_utc().checked_add(Duration::days(days));
    Ok(Some(Retention {
        mode: mode_read(mode.as_str())?,
        until: until.map_or(Moment::from_microseconds(i64::MAX), Moment::from),
    }))
}

pub(in super::super) fn mode(version: &ObjectVersion) -> Option<ObjectLockMode> {
    let retention = version.retention?;
    Some(ObjectLockMode::from_static(mode_word(retention.mode)))
}

pub(in super::super) fn until(version: &ObjectVersion) -> Option<Timestamp> {
    version
        .retention
        .map(|retention| timestamp(retention.until))
}

pub(in super::super) fn hold_status(
    bucket: &Bucket,
    version: &ObjectVersion,
) -> Option<ObjectLockLegalHoldStatus> {
    (bucket.object_lock && version.legal_hold)
        .then(|| ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON))
}

/// A version of a bucket that locks.
async fn lockable(
    operations: &Operations,
    context: &BucketContext,
    key: &str,
    version: Option<&str>,
) -> S3Result<ObjectVersion> {
    if !context.bucket.object_lock {
        return Err(not_lockable());
    }
    let choice = version::choice(version)?;
    let key = version::key(key)?;
    version::required(&operations.store, &context.bucket, &key, choice).await
}

pub(in super::super) async fn put_retention(
    operations: &Operations,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = request.input;
    let found = lockable(
        operations,
        &context,
        &input.key,
        input.version_id.as_deref(),
    )
    .await?;
    let retention = match input.retention {
        None
        | Some(ObjectLockRetention {
            mode: None,
            retain_until_date: None,
        }) => None,
        Some(ObjectLockRetention {
            mode: Some(mode),
            retain_until_date: Some(until),
        }) => Some(Retention {
            mode: mode_read(mode.as_str())?,
            until: future(&until)?,
        }),
        Some(_) => return Err(s3_error!(MalformedXML)),
    };
    let bypass = input.bypass_governance_retention == Some(true)
        && operations
            .gate
            .permit(&session, &context, BYPASS_GOVERNANCE, Some(&input.key))
            .is_ok();
    let mode_of = |retention: Option<Retention>| retention.map(|retention| retention.mode);
    let changes_mode = mode_of(found.retention) == Some(RetentionMode::Governance)
        && mode_of(retention) == Some(RetentionMode::Compliance);
    if changes_mode && !bypass {
        return Err(fault::denied());
    }
    lock(
        operations,
        &context,
        &found,
        retention,
        found.legal_hold,
        bypass,
    )
    .await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

async fn lock(
    operations: &Operations,
    context: &BucketContext,
    found: &ObjectVersion,
    retention: Option<Retention>,
    legal_hold: bool,
    bypass: bool,
) -> S3Result<()> {
    let change = Change::ObjectLock {
        bucket: context.bucket.id,
        key: found.key.clone(),
        version: crate::storage::metadata::VersionChoice::Id(found.id),
        retention,
        legal_hold,
        bypass,
    };
    let committed = operations.store.commit(change).await;
    committed
        .map(drop)
        .map_err(fault::where_missing(s3s::S3ErrorCode::NoSuchVersion))
}

pub(in super::super) async fn get_retention(
    operations: &Operations,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let found = lockable(
        operations,
        &context,
        &input.key,
        input.version_id.as_deref(),
    )
    .await?;
    let retention = found.retention.ok_or_else(|| {
        s3_error!(
            NoSuchObjectLockConfiguration,
            "The specified object does not have a ObjectLock configuration"
        )
    })?;
    Ok(S3Response::new(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(mode_word(
                retention.mode,
            ))),
            retain_until_date: Some(timestamp(retention.until)),
        }),
    }))
}

pub(in super::super) async fn put_hold(
    operations: &Operations,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let found = lockable(
        operations,
        &context,
        &input.key,
        input.version_id.as_deref(),
    )
    .await?;
    let status = input.legal_hold.and_then(|hold| hold.status);
    let status = status.ok_or_else(|| s3_error!(MalformedXML))?;
    let legal_hold = hold_read(status.as_str())?;
    lock(
        operations,
        &context,
        &found,
        found.retention,
        legal_hold,
        false,
    )
    .await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

pub(in super::super) async fn get_hold(
    operations: &Operations,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let found = lockable(
        operations,
        &context,
        &input.key,
        input.version_id.as_deref(),
    )
    .await?;
    let word = if found.legal_hold {
        ObjectLockLegalHoldStatus::ON
    } else {
        ObjectLockLegalHoldStatus::OFF
    };
    Ok(S3Response::new(GetObjectLegalHoldOutput {
        legal_hold: Some(ObjectLockLegalHold {
            status: Some(ObjectLockLegalHoldStatus::from_static(word)),
        }),
    }))
}
