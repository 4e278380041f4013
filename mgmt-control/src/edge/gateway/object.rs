//! Objects: listed, shown, read by ranges, deleted.

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header::{IF_RANGE, RANGE},
    web::{Data, Json, Path, Query},
};
use futures_util::TryStreamExt as _;
use gridmart_schemas::{
    api::object::{BlockRow, ObjectDetail, ObjectListing, ObjectRow, StripeRow},
    problem::{Code, Problem},
    wire::storage::{ObjectView, ObjectsListed, StripeView},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::turn;
use crate::{
    app::Control,
    catalogue::Snapshot,
    edge::{
        answer::{Refusal, Refusals},
        authorization::{self as allow, Allowed},
        gateway::range::{Part, part_of},
    },
    gateway,
};

/// Lines of a page, if nothing is said.
const LINES: u32 = 200;
/// Stripes of a page, if nothing is said, and the most.
const STRIPES: (u32, u32) = (16, 64);
/// What a browser may show by itself: it runs nothing of these.
const SHOWN: [&str; 4] = ["image/", "video/", "audio/", "text/plain"];
/// Bytes of somebody's are no page of ours: nothing in them runs, or is loaded.
const POLICY: &str = "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; \
                      style-src 'unsafe-inline'; frame-ancestors 'self'";

/// Which objects are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::edge) struct ListQuery {
    /// What keys begin with.
    #[serde(default)]
    prefix: String,
    /// What ends a folder (`/`); absent: all keys stand for themselves.
    delimiter: Option<String>,
    /// Begin after this.
    after: Option<String>,
    /// Lines of the page, up to 1,000.
    limit: Option<u32>,
}

/// Lists objects of a bucket, by key.
#[utoipa::path(tag = "console", security(("session" = [])), params(("bucket" = String, Path), ListQuery),
    responses((status = 200, body = ObjectListing), Refusals))]
#[get("/api/v1/console/buckets/{bucket}/objects")]
pub(in crate::edge) async fn object_list(
    allowed: Allowed<allow::ObjectList>,
    control: Data<Control>,
    bucket: Path<String>,
    query: Query<ListQuery>,
) -> Result<Json<ObjectListing>, Refusal> {
    let turn = turn(&control, &allowed)?;
    let ListQuery {
        prefix,
        delimiter,
        after,
        limit,
    } = query.into_inner();
    let mut pages = turn.client.storage().list(bucket.into_inner());
    pages = pages.prefix(prefix).page(limit.unwrap_or(LINES));
    if let Some(delimiter) = delimiter {
        pages = pages.delimiter(delimiter);
    }
    if let Some(after) = after {
        pages = pages.after(after);
    }
    let page = async move { pages.next().await };
    let ObjectsListed {
        objects,
        prefixes,
        next,
    } = control.gateway.run(page).await?.unwrap_or_default();
    Ok(Json(ObjectListing {
        objects: objects.into_iter().map(row).collect(),
        prefixes,
        next,
    }))
}

fn row(object: ObjectView) -> ObjectRow {
    ObjectRow {
        content_type: object.head.headers.get("content-type").cloned(),
        key: object.key,
        size: object.size,
        etag: object.etag,
        modified: object.modified,
    }
}

/// Which object.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::edge) struct ObjectQuery {
    /// Its key.
    key: String,
}

/// Which object, and which of its stripes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::edge) struct DetailQuery {
    /// Its key.
    key: String,
    /// The byte whose stripe is the first.
    #[serde(default)]
    from: u64,
    /// Stripes of the page, up to 64.
    stripes: Option<u32>,
}

/// Shows an object, and on which Hosts the blocks of its stripes are.
#[utoipa::path(tag = "console", security(("session" = [])), params(("bucket" = String, Path), DetailQuery),
    responses((status = 200, body = ObjectDetail), Refusals))]
#[get("/api/v1/console/buckets/{bucket}/object")]
pub(in crate::edge) async fn object_view(
    allowed: Allowed<allow::ObjectView>,
    control: Data<Control>,
    bucket: Path<String>,
    query: Query<DetailQuery>,
) -> Result<Json<ObjectDetail>, Refusal> {
    let turn = turn(&control, &allowed)?;
    let DetailQuery { key, from, stripes } = query.into_inner();
    let (usual, most) = STRIPES;
    let stripes = stripes.unwrap_or(usual).clamp(1, most);
    let storage = turn.client.storage();
    let found = async move { storage.placement(&bucket, &key, (from, stripes)).await };
    let (object, stripes) = control.gateway.run(found).await?;
    let catalogue = control.catalogue.snapshot();
    let end = stripes
        .last()
        .map(|stripe| stripe.start + stripe.manifest.data_length);
    Ok(Json(ObjectDetail {
        version: object.version,
        headers: object.head.headers.clone(),
        metadata: object.head.metadata.clone(),
        blocks_missing: object.blocks_missing.unwrap_or(0),
        next: end.filter(|end| *end < object.size),
        stripes: stripes
            .iter()
            .map(|stripe| stripe_row(&catalogue, stripe))
            .collect(),
        object: row(object),
    }))
}

fn stripe_row(catalogue: &Snapshot, stripe: &StripeView) -> StripeRow {
    let manifest = &stripe.manifest;
    let name = |id| {
        let host = catalogue.nodes.get(id);
        host.map_or_else(String::new, |host| host.name.clone())
    };
    let blocks = manifest.blocks.iter().map(|block| BlockRow {
        position: block.position,
        host: block.host,
        host_name: name(&block.host),
    });
    StripeRow {
        start: stripe.start,
        size: manifest.data_length,
        redundancy: manifest.redundancy.to_string(),
        blocks_wanted: manifest.redundancy.blocks(),
        blocks_needed: manifest.redundancy.data(),
        blocks: blocks.collect(),
    }
}

/// Which object, and whether it is shown or saved.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::edge) struct ReadQuery {
    /// Its key.
    key: String,
    /// To be shown, if it is an image, a film, a sound or plain text; else it is saved.
    #[serde(default)]
    show: bool,
}

/// Reads an object, or a range of it (RFC 9110, 14.2).
#[utoipa::path(tag = "console", security(("session" = [])), params(("bucket" = String, Path), ReadQuery),
    responses((status = 200, description = "Its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, description = "A range of them", body = Vec<u8>, content_type = "application/octet-stream"), Refusals))]
#[get("/api/v1/console/buckets/{bucket}/object/content")]
pub(in crate::edge) async fn object_read(
    allowed: Allowed<allow::ObjectRead>,
    request: HttpRequest,
    control: Data<Control>,
    bucket: Path<String>,
    query: Query<ReadQuery>,
) -> Result<HttpResponse, Refusal> {
    let turn = turn(&control, &allowed)?;
    let ReadQuery { key, show } = query.into_inner();
    let (bucket, storage) = (bucket.into_inner(), turn.client.storage());
    let stat = {
        let (storage, bucket, key) = (storage.clone(), bucket.clone(), key.clone());
        async move { storage.stat(&bucket, &key).await }
    };
    let object = control.gateway.run(stat).await?;
    let etag = format!("\"{}\"", object.etag);
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let wanted = header(RANGE).filter(|_| header(IF_RANGE).is_none_or(|known| known == etag));
    let part = part_of(wanted, object.size);
    let (from, to) = match part {
        Part::Whole => (0, object.size),
        Part::Range(from, to) => (from, to),
        Part::Beyond => {
            return Ok(HttpResponse::RangeNotSatisfiable()
                .insert_header(("content-range", format!("bytes */{}", object.size)))
                .finish());
        }
    };
    let get = storage
        .get(bucket, key.clone())
        .version(object.version)
        .range(from..to);
    let reader = control.gateway.run(async move { get.open().await }).await?;
    let bytes = reader.into_stream().map_err(std::io::Error::other);
    // The request's turn is over when its last byte has gone.
    let bytes = bytes.inspect_ok(move |_| _ = &turn);
    let mut answer = if part == Part::Whole {
        HttpResponse::Ok()
    } else {
        HttpResponse::PartialContent()
    };
    if part != Part::Whole {
        let range = format!("bytes {from}-{}/{}", to - 1, object.size);
        answer.insert_header(("content-range", range));
    }
    let content_type = object.head.headers.get("content-type").map(String::as_str);
    let shown = content_type.filter(|kind| show && SHOWN.iter().any(|one| kind.starts_with(one)));
    let disposition = if shown.is_some() {
        "inline"
    } else {
        "attachment"
    };
    Ok(answer
        .insert_header(("content-type", shown.unwrap_or("application/octet-stream")))
        .insert_header((
            "content-disposition",
            format!("{disposition}; {}", file_name(&key)),
        ))
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("accept-ranges", "bytes"))
        .insert_header(("etag", etag))
        .no_chunking(to - from)
        .streaming(gateway::body(control.gateway.runtime(), bytes)))
}

/// The last part of a key as the name of a file (RFC 6266, RFC 8187).
fn file_name(key: &str) -> String {
    use std::fmt::Write as _;
    let name = key
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or("object");
    let mut text = "filename*=UTF-8''".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Deletes an object. One that is not there is no error.
#[utoipa::path(tag = "console", security(("session" = [])), params(("bucket" = String, Path), ObjectQuery),
    responses((status = 204, description = "It is not there any more"), Refusals))]
#[delete("/api/v1/console/buckets/{bucket}/object")]
pub(in crate::edge) async fn object_delete(
    allowed: Allowed<allow::ObjectDelete>,
    control: Data<Control>,
    bucket: Path<String>,
    query: Query<ObjectQuery>,
) -> Result<HttpResponse, Refusal> {
    let turn = turn(&control, &allowed)?;
    let (storage, key) = (turn.client.storage(), query.into_inner().key);
    if key.is_empty() {
        return Err(Problem::new(Code::InvalidRequest, "An object's key is not empty.").into());
    }
    let deleted = async move { storage.delete(&bucket, &key).await };
    control.gateway.run(deleted).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_is_a_file_name_that_ends_no_header() {
        assert_eq!(
            file_name("a/b c\r\n\"ü"),
            "filename*=UTF-8''b%20c%0D%0A%22%C3%BC"
        );
        assert_eq!(file_name("///"), "filename*=UTF-8''object");
        assert_eq!(file_name("x/y/"), "filename*=UTF-8''y");
    }
}
