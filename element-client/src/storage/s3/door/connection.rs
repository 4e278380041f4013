//! One connection: requests one after the other, each looked at before the S3
//! library sees it, and answers completed by what S3 gives to each.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use gridmart_schemas::id::TransferId;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::{Body, S3Error, s3_error, service::S3Service};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{S3Limits, body::PacedBody, io::StallCut, sized::sized};
use crate::{
    public::door::Place,
    storage::s3::{
        answer,
        authentication::Authentication,
        caller::{Handle, Remote},
        cors, form, guard, settings,
        store::Store,
    },
};

/// What answers requests. Clones share everything.
#[derive(Clone)]
pub(in super::super) struct Answering {
    pub(in super::super) service: S3Service,
    /// For what web pages may ask.
    pub(in super::super) store: Store,
    /// For forms of web pages.
    pub(in super::super) authentication: Authentication,
    pub(in super::super) limits: S3Limits,
    pub(in super::super) requests: Arc<Semaphore>,
    pub(in super::super) forms: Arc<Semaphore>,
}

/// Serves a connection to its end.
pub(super) async fn connection<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    transport: T,
    remote: SocketAddr,
    is_secure: bool,
    answering: Answering,
    stop: CancellationToken,
    place: Place,
) -> io::Result<()> {
    let limits = answering.limits;
    let remote = Remote {
        address: remote,
        is_secure,
    };
    let cut = CancellationToken::new();
    let cutting = cut.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = answering.clone();
        let handle = Handle {
            id: TransferId::generate(),
            connection: cutting.clone(),
        };
        request.extensions_mut().insert(handle);
        request.extensions_mut().insert(remote);
        async move { Ok::<_, Infallible>(answering.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        .serve_connection(
            TokioIo::new(StallCut::new(transport, limits.stall)),
            service,
        );
    let ending = async {
        tokio::pin!(served);
        tokio::select! {
            ended = &mut served => ended,
            () = stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        }
    };
    let ended = cut.run_until_cancelled(Box::pin(ending)).await;
    drop(place);
    let killed = || Err(io::Error::other("the transfer on it was killed"));
    ended.map_or_else(killed, |ended| ended.map_err(io::Error::other))
}

impl Answering {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let handle = request.extensions().get::<Handle>();
        let id = handle.map_or_else(TransferId::generate, |handle| handle.id);
        let id = id.to_string();
        let page = page_headers(self, &request).await;
        let kind = answer::Kind::of(request.method(), request.uri());
        let mut response = match timeout(self.limits.request_wait, self.requests.acquire()).await {
            Ok(Ok(_permit)) => self.answer_now(request, page.as_ref()).await,
            _ => refused(
                &s3_error!(SlowDown, "Please reduce your request rate."),
                &id,
            ),
        };
        response = answer::completed(response, kind, &id);
        let headers = response.headers_mut();
        if let Some(page) = page {
            headers.extend(page);
        }
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert("x-amz-request-id", id);
        }
        response
    }

    /// A place for a form of a web page; other requests need none.
    async fn form_permit(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Option<SemaphorePermit<'_>>, ()> {
        let kind = request.headers().get(http::header::CONTENT_TYPE);
        let is_form = request.method() == Method::POST
            && kind.is_some_and(|kind| {
                kind.as_bytes()
                    .to_ascii_lowercase()
                    .starts_with(b"multipart/")
            });
        if !is_form {
            return Ok(None);
        }
        match timeout(self.limits.request_wait, self.forms.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(()),
        }
    }

    async fn answer_now(
        &self,
        request: Request<Incoming>,
        page: Option<&HeaderMap>,
    ) -> Response<Body> {
        if request.method() == Method::OPTIONS {
            return preflight(request.headers(), page);
        }
        if let Err(error) = guard::check(&request) {
            return refused(&error, "");
        }
        let Ok(form) = self.form_permit(&request).await else {
            return refused(&s3_error!(SlowDown, "Please reduce your request rate."), "");
        };
        let is_chunked = request
            .headers()
            .get("x-amz-content-sha256")
            .is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
        let limits = self.limits;
        let request = request.map(|body| PacedBody::new(body, &limits, is_chunked));
        let read = request.body().read_mark();
        let mut response = self.answer_body(request, form.is_some()).await;
        if !read.is_read() {
            close_after(&mut response);
        }
        response
    }

    /// Has the library answer; the body is read as far as it wants it.
    async fn answer_body(&self, mut request: Request<PacedBody>, is_form: bool) -> Response<Body> {
        guard::complete_date(&mut request);
        let request = if is_form {
            form::begin(request, &self.authentication).await
        } else {
            sized(request).await
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return refused(&error, ""),
        };
        match self.service.call(request).await {
            Ok(response) if is_form => {
                form::answered(response).unwrap_or_else(|error| refused(&error, ""))
            }
            Ok(response) => response,
            Err(error) => {
                let error = s3s::StdError::from(error);
                tracing::error!(%error, "the S3 door cannot answer");
                refused(
                    &s3_error!(InternalError, "We encountered an internal error."),
                    "",
                )
            }
        }
    }
}

/// An answer that the S3 library does not make.
fn refused(error: &S3Error, id: &str) -> Response<Body> {
    let status = error
        .status_code()
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = settings::write(error).unwrap_or_default();
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    let mut response = Response::new(Body::from(Bytes::from(declared)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    if id.is_empty() {
        close_after(&mut response);
    }
    response
}

/// Has the connection end with this answer. Of a body that was not read nobody knows
/// how much is still to come: who asked whether to send it (`Expect: 100-continue`)
/// sends the next request instead, which must not be taken for the body (RFC 9110,
/// 10.1.1).
fn close_after(response: &mut Response<Body>) {
    response
        .headers_mut()
        .insert(http::header::CONNECTION, HeaderValue::from_static("close"));
}

/// What a web page is told that asks; `None`: it comes from none, or may not.
async fn page_headers(answering: &Answering, request: &Request<Incoming>) -> Option<HeaderMap> {
    let asked = cors::Asked::read(request.method(), request.headers())?;
    let name = request
        .uri()
        .path()
        .trim_start_matches('/')
        .split('/')
        .next()?;
    let name = gridmart_schemas::scalar::BucketName::new(name).ok()?;
    let document = answering.store.read(move |connection| {
        use crate::storage::metadata::{DocumentKind, query};
        match query::bucket_named(connection, &name)? {
            Some(bucket) => query::bucket_document(connection, bucket.id, DocumentKind::Cors),
            None => Ok(None),
        }
    });
    let configuration = settings::read(&document.await.ok()??).ok()?;
    cors::answer(&configuration, &asked)
}

/// The answer to a browser that asks before the page does.
fn preflight(headers: &HeaderMap, page: Option<&HeaderMap>) -> Response<Body> {
    let has = |name: http::HeaderName| headers.contains_key(name);
    let is_whole = has(http::header::ORIGIN) && has(http::header::ACCESS_CONTROL_REQUEST_METHOD);
    match page {
        Some(_) => Response::new(Body::empty()),
        None if !is_whole => {
            let mut error = s3s::S3Error::with_message(
                s3s::S3ErrorCode::Custom("BadRequest".into()),
                "Insufficient information. Origin and Access-Control-Request-Method headers needed.",
            );
            error.set_status_code(StatusCode::BAD_REQUEST);
            refused(&error, "")
        }
        None => refused(
            &s3_error!(
                AccessDenied,
                "CORSResponse: This CORS request is not allowed. This is usually because the \
                 evalution of Origin, request method / Access-Control-Request-Method or \
                 Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
            ),
            "",
        ),
    }
}
