//! The console's page, out of the binary: its files, and `index.html` for each
//! address that people may type or send. Nothing here needs a session: what is
//! served is the same for everybody, and tells nothing.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method,
        header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH},
    },
};

/// The page that every address of the console begins with.
const INDEX: &str = "index.html";
/// Files in here have a hash of their content in their name.
const HASHED: &str = "assets/";
/// What is no address of the page.
const API: &str = "api/";

/// Served where the page was not built.
#[cfg(not(console))]
const WITHOUT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>gridmart</title>\n\
<h1>The console is not in this build</h1>\n\
<p>The controller serves, and the command line works: <code>gridmart resources</code>.</p>\n\
<p>To have the console, build it and gridmart again:</p>\n\
<pre>cd mgmt-control/console &amp;&amp; npm ci &amp;&amp; npm run build\ncargo build --release -p gridmart</pre>\n</html>\n";

/// What browsers are told of the page. Scripts and styles are files of the
/// page itself; `style` attributes alone may stand in it.
const POLICIES: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; \
         connect-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self'; \
         manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

#[cfg(console)]
#[derive(rust_embed::RustEmbed)]
#[folder = "console/dist/"]
struct Built;

/// A file of the page.
struct File {
    name: String,
    bytes: Cow<'static, [u8]>,
    /// Of its content.
    hash: [u8; 32],
}

#[cfg(console)]
fn file(name: &str) -> Option<File> {
    let found = Built::get(name)?;
    Some(File {
        name: name.to_owned(),
        hash: found.metadata.sha256_hash(),
        bytes: found.data,
    })
}

#[cfg(not(console))]
fn file(name: &str) -> Option<File> {
    (name == INDEX).then(|| File {
        name: name.to_owned(),
        hash: *blake3::hash(WITHOUT.as_bytes()).as_bytes(),
        bytes: Cow::Borrowed(WITHOUT.as_bytes()),
    })
}

/// The page, if this asks for it: one of its files, or an address of it.
pub(super) fn page(request: &HttpRequest) -> Option<HttpResponse> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let path = request.path().strip_prefix('/')?;
    if path.starts_with(API) || path == API.trim_end_matches('/') {
        return None;
    }
    let found = match file(path) {
        Some(found) => found,
        // Names of files may have any form in an address: who asks decides.
        None if !path.starts_with(HASHED) && wants_page(request.headers()) => file(INDEX)?,
        None => return None,
    };
    Some(answer(request, found))
}

/// A browser that shows a page says so; a program asks for no page.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn answer(request: &HttpRequest, file: File) -> HttpResponse {
    let File { name, bytes, hash } = file;
    let tag = format!("\"{}\"", &blake3::Hash::from_bytes(hash).to_hex()[..32]);
    let known = request.headers().get(IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|one| is_same(one, &tag)));
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    let cache = if name.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static(cache)));
    response.insert_header((ETAG, tag));
    for (policy, value) in POLICIES {
        let policy = HeaderName::from_static(policy);
        response.insert_header((policy, HeaderValue::from_static(value)));
    }
    if is_known {
        return response.finish();
    }
    response.content_type(content_type(&name));
    match bytes {
        Cow::Borrowed(bytes) => response.body(bytes),
        Cow::Owned(bytes) => response.body(bytes),
    }
}

fn is_same(one: &str, tag: &str) -> bool {
    let one = one.trim();
    one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
}

/// What the page is made of; the rest is bytes.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn ask(path: &str, headers: &[(&str, &str)]) -> Option<HttpResponse> {
        let mut request = TestRequest::get().uri(path);
        for header in headers {
            request = request.insert_header(*header);
        }
        page(&request.to_http_request())
    }

    const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    fn header<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
        let value = response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn addresses_of_the_page_are_the_page() {
        for path in [
            "/",
            "/map",
            "/resources/x/history",
            "/files/b/photo.jpg",
            "/sign-in?next=/map",
        ] {
            let response = ask(path, &[BROWSER]).unwrap();
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(
                header(&response, "content-type"),
                "text/html; charset=utf-8"
            );
            assert_eq!(header(&response, "cache-control"), "no-cache");
            let policy = header(&response, "content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self';"),
                "{policy}"
            );
            let tag = header(&response, "etag").to_owned();
            let again = ask(path, &[BROWSER, ("if-none-match", &tag)]).unwrap();
            assert_eq!(again.status(), 304);
        }
    }

    #[test]
    fn what_is_none_of_it_is_not() {
        for path in [
            "/api",
            "/api/v1/nothing",
            "/assets/old-1234.js",
            "/assets/../index.html/x",
        ] {
            assert!(ask(path, &[BROWSER]).is_none(), "{path}");
        }
        // A program that asks for something that is not there is told so.
        for accept in [("accept", "*/*"), ("accept", "application/json")] {
            assert!(ask("/resources", &[accept]).is_none());
        }
        let post = TestRequest::post().uri("/").insert_header(BROWSER);
        assert!(page(&post.to_http_request()).is_none());
    }

    #[cfg(console)]
    #[test]
    fn files_with_a_hash_are_kept_for_ever() {
        let name = Built::iter().find(|name| name.starts_with(HASHED)).unwrap();
        let response = ask(&format!("/{name}"), &[]).unwrap();
        assert_eq!(
            header(&response, "cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert_ne!(
            header(&response, "content-type"),
            "application/octet-stream",
            "{name}"
        );
    }
}
