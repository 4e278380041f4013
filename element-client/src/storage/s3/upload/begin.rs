//! Beginning and aborting uploads.

use gridmart_schemas::id::UploadId;
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType,
        CreateMultipartUploadInput, CreateMultipartUploadOutput,
    },
    s3_error,
};

use super::{ALGORITHM, TYPE, missing, required, version_of};
use crate::storage::{
    metadata::{Change, UploadCreate},
    s3::{
        caller::{Caller, bucket_session},
        digest::Algorithm,
        encryption::{self, Wanted, customer},
        fault,
        object::{acl, head::told, lock, version},
        operations::Operations,
    },
};

/// Of what the checksum will be: S3 has its own opinion for each algorithm.
fn checksum_type(algorithm: Algorithm, asked: Option<&ChecksumType>) -> S3Result<&'static str> {
    let unfit = |word: &str| {
        s3_error!(
            InvalidRequest,
            "The {word} checksum type cannot be used with the {algorithm} checksum algorithm."
        )
    };
    match asked.map(ChecksumType::as_str) {
        None | Some(ChecksumType::COMPOSITE) if algorithm.composes() => Ok(ChecksumType::COMPOSITE),
        None => Ok(ChecksumType::FULL_OBJECT),
        Some(ChecksumType::FULL_OBJECT) if algorithm.combines() => Ok(ChecksumType::FULL_OBJECT),
        Some(word) => Err(unfit(word)),
    }
}

pub(in super::super) async fn create(
    operations: &Operations,
    mut request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let (session, context) = bucket_session(&request)?;
    let input = &mut request.input;
    let wanted = Wanted::read(
        input.server_side_encryption.as_ref(),
        input.ssekms_key_id.as_deref(),
        customer!(input),
        context.is_encrypted,
    )?;
    let mut head = told!(input).into_head()?;
    acl::put_into(
        &mut head,
        (&session, &context),
        input.acl.as_ref().map(s3s::dto::ObjectCannedACL::as_str),
        &acl::grants!(input),
    )?;
    let algorithm = input.checksum_algorithm.as_ref();
    let algorithm = algorithm
        .map(|word| Algorithm::parse(word.as_str()))
        .transpose()?;
    if algorithm.is_none() && input.checksum_type.is_some() {
        return Err(s3_error!(
            InvalidRequest,
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        ));
    }
    let kind = algorithm.map(|algorithm| checksum_type(algorithm, input.checksum_type.as_ref()));
    let kind = kind.transpose()?;
    if let Some((algorithm, kind)) = algorithm.zip(kind) {
        head.checksums
            .insert(ALGORITHM.to_owned(), algorithm.word().to_owned());
        head.checksums.insert(TYPE.to_owned(), kind.to_owned());
    }
    let protection = lock::of_input(
        operations,
        &context,
        input.object_lock_mode.as_ref(),
        input.object_lock_retain_until_date.as_ref(),
        input.object_lock_legal_hold_status.as_ref(),
    )
    .await?;
    let upload = UploadId::generate();
    encryption::begin(&mut head, &wanted, operations.sealing(), version_of(upload))?;
    let told = encryption::told(&head, wanted.customer());
    let owner = match &session.caller {
        Caller::Person { name, .. } => name.clone(),
        Caller::Anonymous => context.rules.owner.clone(),
    };
    operations
        .store
        .commit(Change::UploadCreate(UploadCreate {
            upload,
            version: version_of(upload),
            bucket: context.bucket.id,
            key: version::key(&input.key)?,
            owner,
            head,
            retention: protection.retention,
            legal_hold: protection.legal_hold,
        }))
        .await
        .map_err(fault::where_missing(s3s::S3ErrorCode::NoSuchBucket))?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(context.bucket.name.to_string()),
        checksum_algorithm: algorithm.map(Algorithm::name),
        checksum_type: kind.map(ChecksumType::from_static),
        key: Some(input.key.clone()),
        upload_id: Some(upload.to_string()),
        server_side_encryption: told.server,
        sse_customer_algorithm: told.algorithm,
        sse_customer_key_md5: told.md5,
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(in super::super) async fn abort(
    operations: &Operations,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let (_, context) = bucket_session(&request)?;
    let input = request.input;
    let found = required(&operations.store, &context, &input.key, &input.upload_id).await?;
    let committed = operations
        .store
        .commit(Change::UploadAbort { upload: found.id })
        .await;
    committed.map_err(|problem| match problem.code {
        gridmart_schemas::problem::Code::NotFound => missing(),
        _ => fault::of(&problem),
    })?;
    let output = AbortMultipartUploadOutput::default();
    Ok(S3Response::with_status(
        output,
        http::StatusCode::NO_CONTENT,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_have_their_types() {
        let (full, composite) = (
            ChecksumType::from_static(ChecksumType::FULL_OBJECT),
            ChecksumType::from_static(ChecksumType::COMPOSITE),
        );
        let of = |algorithm, asked| checksum_type(algorithm, asked).ok();
        assert_eq!(of(Algorithm::Sha256, None), Some("COMPOSITE"));
        assert_eq!(of(Algorithm::Crc64Nvme, None), Some("FULL_OBJECT"));
        assert_eq!(of(Algorithm::Crc32, Some(&full)), Some("FULL_OBJECT"));
        assert_eq!(of(Algorithm::Crc32, Some(&composite)), Some("COMPOSITE"));
        assert_eq!(of(Algorithm::Sha1, Some(&full)), None);
        assert_eq!(of(Algorithm::Crc64Nvme, Some(&composite)), None);
    }
}
