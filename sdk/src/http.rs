//! The people's API over HTTP: one request function for every endpoint.
//!
//! Invariants: plain HTTP only to loopback; redirects and proxies are not
//! followed, so the token reaches the controller alone; answers are bounded.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use gridmart_schemas::{
    id::RequestId,
    problem::{Code, Problem},
};
use reqwest::{Certificate, Method, Response, Url, redirect};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::Error, settings::Settings};

/// The most bytes of one answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Time to reach the door.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time without a byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection pool to the people's door.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: Url,
    token: String,
}

/// The query of a request; absent values are left out.
pub(crate) type Query<'a> = &'a [(&'a str, Option<String>)];

/// Tells whether a URL is plain HTTP to this very machine.
pub(crate) fn is_loopback_http(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Gives the SHA-256 of a PEM root's DER, in hex.
pub(crate) fn root_fingerprint(pem: &str) -> Result<String, Error> {
    let root = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| {
        Error::Invalid(format!(
            "what the controller shows as its CA is not a certificate: {e}"
        ))
    })?;
    Ok(gridmart_fabric::identity::fingerprint(&root))
}

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        Self::build(settings, true)
    }

    /// For fetching a root that a person will then be asked about; never used
    /// with a token or password.
    pub(crate) fn unverified(url: &str) -> Result<Self, Error> {
        Self::build(&Settings::new(url, ""), false)
    }

    fn build(settings: &Settings, verified: bool) -> Result<Self, Error> {
        let base = base_url(&settings.url)?;
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("gridmart-sdk/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &settings.ca {
            let root = Certificate::from_pem(pem.as_bytes()).map_err(|_| {
                Error::Invalid("the CA is not a PEM certificate; see GRIDMART_CA".to_owned())
            })?;
            builder = builder.tls_certs_only([root]);
        }
        if !verified {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let client = builder
            .build()
            .map_err(|e| Error::Invalid(format!("TLS cannot be set up: {e}")))?;
        Ok(Self {
            client,
            base,
            token: settings.token.clone(),
        })
    }

    /// Asks one endpoint below `/api/v1/`; `path` segments are escaped.
    pub(crate) async fn request<B, A>(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: Option<&B>,
    ) -> Result<A, Error>
    where
        B: Serialize + Sync + ?Sized,
        A: DeserializeOwned,
    {
        let mut request = self.prepared(method, path, query);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(self.send(request).await?).await
    }

    /// Sends a stream of bytes as the body.
    pub(crate) async fn upload<A: DeserializeOwned>(
        &self,
        path: &str,
        body: reqwest::Body,
        length: u64,
    ) -> Result<A, Error> {
        let request = self
            .prepared(Method::POST, path, &[])
            .header("content-type", "application/zstd")
            .header("content-length", length)
            .body(body);
        self.answer(self.send(request).await?).await
    }

    /// Asks for the CA's root, PEM.
    pub(crate) async fn authority(&self) -> Result<String, Error> {
        let response = self
            .send(self.prepared(Method::GET, "authority", &[]))
            .await?;
        let text = self.bytes(response).await?;
        String::from_utf8(text.to_vec())
            .map_err(|_| Error::Invalid("the controller's CA is not PEM text".to_owned()))
    }

    fn prepared(&self, method: Method, path: &str, query: Query<'_>) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["api", "v1"])
                .extend(path.split('/'));
        }
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let mut request = self
            .client
            .request(method, url)
            .header("x-request-id", RequestId::generate().to_string());
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        request
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|e| self.unreachable(e))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable {
            what: "the controller".to_owned(),
            address: self.base.to_string(),
            source: Box::new(error.without_url()),
        }
    }

    async fn answer<A: DeserializeOwned>(&self, response: Response) -> Result<A, Error> {
        let body = self.bytes(response).await?;
        // Endpoints without an answer reply with nothing at all.
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(text).map_err(|e| {
            Error::refused(
                Code::VersionUnsupported,
                format!("the controller's answer cannot be read: {e}"),
            )
        })
    }

    async fn bytes(&self, mut response: Response) -> Result<Bytes, Error> {
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(e))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::refused(
                    Code::TooLarge,
                    format!("the controller's answer is over {ANSWER_BYTES_MAX} bytes"),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body.into());
        }
        Err(refusal(status.as_u16(), &body).into())
    }
}

fn refusal(status: u16, body: &[u8]) -> Problem {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        Problem::new(Code::Internal, format!("the door answered HTTP {status} without problem details: {text:?}; is it a gridmart controller?"))
    })
}

fn base_url(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|e| {
        Error::Invalid(format!(
            "{text:?} is not a URL ({e}); https://HOST:PORT is expected"
        ))
    })?;
    match url.scheme() {
        "https" if url.host_str().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(Error::Invalid(format!(
            "{text} would send the token unprotected: plain http:// is for this machine alone; use https://"
        ))),
        _ => Err(Error::Invalid(format!(
            "{text:?} is not a controller's URL; https://HOST:PORT is expected"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_in_the_clear_on_loopback_alone() {
        for good in [
            "http://127.0.0.1:7700",
            "http://[::1]:7700",
            "http://localhost:1",
            "https://grid.example:7700/",
        ] {
            assert!(base_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://grid.example:7700",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "grid",
            "http://127.0.0.1.evil.example",
        ] {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn path_segments_are_escaped() {
        let http = Http::new(&Settings::new("http://127.0.0.1:1", "t")).unwrap();
        let request = http.prepared(
            Method::GET,
            "people/a b?c",
            &[("after", Some("x&y".into())), ("limit", None)],
        );
        let url = request.build().unwrap().url().to_string();
        assert_eq!(
            url,
            "http://127.0.0.1:1/api/v1/people/a%20b%3Fc?after=x%26y"
        );
    }

    #[test]
    fn a_foreign_answer_is_named_as_such() {
        assert!(refusal(404, b"<html>").detail.contains("HTTP 404"));
        let problem = Problem::new(Code::NeedUnmet, "no memory");
        assert_eq!(
            refusal(409, &serde_json::to_vec(&problem).unwrap()).code,
            Code::NeedUnmet
        );
    }
}
