//! Uploads in parts: several at a time, and gone on with after a break.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header::CONTENT_LENGTH,
    post, put,
    web::{Data, Json, Path, Payload},
};
use futures_util::StreamExt as _;
use gridmart_schemas::{
    api::object::{
        ObjectPartRow, ObjectPut, ObjectUploadEnd, ObjectUploadRequest, ObjectUploadView,
    },
    id::UploadId,
    problem::{Code, Problem},
    wire::storage::{ObjectCondition, ObjectHeaders, PartView},
};
use gridmart_sdk::PartUpload;

use super::{read_json, turn};
use crate::{
    app::Control,
    edge::{
        answer::{Refusal, Refusals},
        authorization::{self as allow, Allowed},
    },
    gateway::{Turn, pipe},
};

/// About so many bytes are a part, in whole stripes: a page sends some at a time, and does
/// not lose much when one breaks.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// What makes an object of 10,000 parts.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Begins an upload.
#[utoipa::path(tag = "console", security(("session" = [])), request_body = ObjectUploadRequest,
    params(("bucket" = String, Path)),
    responses((status = 201, body = ObjectUploadView), Refusals))]
#[post("/api/v1/console/buckets/{bucket}/uploads")]
pub(in crate::edge) async fn upload_begin(
    allowed: Allowed<allow::UploadBegin>,
    control: Data<Control>,
    bucket: Path<String>,
    body: Json<ObjectUploadRequest>,
) -> Result<HttpResponse, Refusal> {
    let turn = turn(&control, &allowed)?;
    let ObjectUploadRequest { key, content_type } = body.into_inner();
    let mut head = ObjectHeaders::default();
    if let Some(content_type) = content_type {
        head.headers.insert("content-type".to_owned(), content_type);
    }
    let storage = turn.client.storage();
    let begun = async move { storage.upload_begin(bucket.into_inner(), key, head).await };
    let upload = control.gateway.run(begun).await?;
    control.gateway.upload_keep(&turn, &upload);
    Ok(HttpResponse::Created().json(view(&upload, Vec::new())))
}

fn view(upload: &PartUpload, parts: Vec<PartView>) -> ObjectUploadView {
    let stripe = upload.stripe_bytes();
    let parts = parts.into_iter().map(part_row);
    ObjectUploadView {
        upload: upload.id(),
        key: upload.key().to_owned(),
        part_bytes: (PART_BYTES / stripe * stripe).max(stripe),
        parts: parts.collect(),
    }
}

fn part_row(part: PartView) -> ObjectPartRow {
    let PartView { number, size, etag } = part;
    ObjectPartRow { number, size, etag }
}

/// Shows an upload, with the parts that are there.
#[utoipa::path(tag = "console", security(("session" = [])),
    params(("bucket" = String, Path), ("upload" = String, Path)),
    responses((status = 200, body = ObjectUploadView), Refusals))]
#[get("/api/v1/console/buckets/{bucket}/uploads/{upload}")]
pub(in crate::edge) async fn upload_view(
    allowed: Allowed<allow::UploadView>,
    control: Data<Control>,
    path: Path<(String, UploadId)>,
) -> Result<Json<ObjectUploadView>, Refusal> {
    let turn = turn(&control, &allowed)?;
    let (bucket, upload) = path.into_inner();
    let (upload, parts) = open(&control, &turn, bucket, upload).await?;
    Ok(Json(view(&upload, parts)))
}

async fn open(
    control: &Data<Control>,
    turn: &Turn,
    bucket: String,
    upload: UploadId,
) -> Result<(PartUpload, Vec<PartView>), Problem> {
    let storage = turn.client.storage();
    let found = async move { storage.upload_open(bucket, upload).await };
    let (found, parts) = control.gateway.run(found).await?;
    // What is kept already goes on as the same transfer.
    let kept = control.gateway.upload(turn, upload);
    let upload = kept.unwrap_or(found);
    control.gateway.upload_keep(turn, &upload);
    Ok((upload, parts))
}

async fn known(
    control: &Data<Control>,
    turn: &Turn,
    bucket: String,
    upload: UploadId,
) -> Result<PartUpload, Problem> {
    match control.gateway.upload(turn, upload) {
        Some(upload) => Ok(upload),
        None => Ok(open(control, turn, bucket, upload).await?.0),
    }
}

/// Sends a part, numbered from 1 to 10,000: the body, whose length is told.
#[utoipa::path(tag = "console", security(("session" = [])),
    params(("bucket" = String, Path), ("upload" = String, Path), ("number" = u16, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = ObjectPartRow), Refusals))]
#[put("/api/v1/console/buckets/{bucket}/uploads/{upload}/parts/{number}")]
pub(in crate::edge) async fn upload_part(
    allowed: Allowed<allow::UploadPart>,
    request: HttpRequest,
    control: Data<Control>,
    path: Path<(String, UploadId, u16)>,
    mut body: Payload,
) -> Result<Json<ObjectPartRow>, Refusal> {
    let turn = turn(&control, &allowed)?;
    let (bucket, upload, number) = path.into_inner();
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|text| text.to_str().ok()?.parse().ok());
    let length = length.ok_or_else(|| {
        let detail = "A part's length is told before it comes (Content-Length).";
        Problem::new(Code::InvalidRequest, detail)
    })?;
    let upload = known(&control, &turn, bucket, upload).await?;
    let (send, pieces) = pipe();
    let putting = control
        .gateway
        .run(async move { upload.put(number, pieces, length).await });
    let sending = async move {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(std::io::Error::other);
            // Who puts tells why it takes no more.
            if send.send(piece).await.is_err() {
                break;
            }
        }
    };
    let (put, ()) = futures_util::future::join(putting, sending).await;
    Ok(Json(part_row(put?)))
}

/// Makes an object of the parts.
#[utoipa::path(tag = "console", security(("session" = [])), request_body = ObjectUploadEnd,
    params(("bucket" = String, Path), ("upload" = String, Path)),
    responses((status = 200, body = ObjectPut), Refusals))]
#[post("/api/v1/console/buckets/{bucket}/uploads/{upload}")]
pub(in crate::edge) async fn upload_complete(
    allowed: Allowed<allow::UploadComplete>,
    control: Data<Control>,
    path: Path<(String, UploadId)>,
    body: Payload,
) -> Result<Json<ObjectPut>, Refusal> {
    let ObjectUploadEnd { parts, if_absent } = read_json(body, BODY_BYTES_MAX).await?;
    let turn = turn(&control, &allowed)?;
    let (bucket, id) = path.into_inner();
    let upload = known(&control, &turn, bucket, id).await?;
    let condition = ObjectCondition {
        if_match: None,
        if_absent,
    };
    let ended = async move { upload.complete(parts, condition).await };
    let done = control.gateway.run(ended).await?;
    control.gateway.upload_drop(&turn, id);
    Ok(Json(ObjectPut {
        version: done.version,
        etag: done.etag,
    }))
}

/// Forgets an upload with its parts. One that is not there is no error.
#[utoipa::path(tag = "console", security(("session" = [])),
    params(("bucket" = String, Path), ("upload" = String, Path)),
    responses((status = 204, description = "It is not there any more"), Refusals))]
#[delete("/api/v1/console/buckets/{bucket}/uploads/{upload}")]
pub(in crate::edge) async fn upload_forget(
    allowed: Allowed<allow::UploadForget>,
    control: Data<Control>,
    path: Path<(String, UploadId)>,
) -> Result<HttpResponse, Refusal> {
    let turn = turn(&control, &allowed)?;
    let (bucket, id) = path.into_inner();
    let upload = match known(&control, &turn, bucket, id).await {
        Ok(upload) => upload,
        Err(problem) if problem.code == Code::NotFound => {
            return Ok(HttpResponse::NoContent().finish());
        }
        Err(problem) => return Err(problem.into()),
    };
    control
        .gateway
        .run(async move { upload.forget().await })
        .await?;
    control.gateway.upload_drop(&turn, id);
    Ok(HttpResponse::NoContent().finish())
}
