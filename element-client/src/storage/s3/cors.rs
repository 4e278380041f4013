//! Which web pages may ask: browsers ask first, and are told.

use http::{HeaderMap, HeaderValue, Method, header};
use s3s::{
    S3Result,
    dto::{CORSConfiguration, CORSRule},
    s3_error,
};

/// Rules of a bucket, as S3 has it.
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// Refuses what is no setting.
pub(super) fn check(configuration: &CORSConfiguration) -> S3Result<()> {
    let rules = &configuration.cors_rules;
    if rules.is_empty() || rules.len() > RULES_MAX {
        return Err(s3_error!(MalformedXML, "1 to {RULES_MAX} rules are taken."));
    }
    for rule in rules {
        let unknown = rule
            .allowed_methods
            .iter()
            .find(|method| !METHODS.contains(&method.as_str()));
        if let Some(method) = unknown {
            return Err(s3_error!(
                InvalidRequest,
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            ));
        }
        let stars = |text: &String| text.matches('*').count() > 1;
        let headers = rule.allowed_headers.iter().flatten();
        if let Some(text) = rule
            .allowed_origins
            .iter()
            .chain(headers)
            .find(|text| stars(text))
        {
            return Err(s3_error!(
                InvalidRequest,
                "\"{text}\" can not have more than one wildcard."
            ));
        }
    }
    Ok(())
}

/// What a browser asks for.
pub(super) struct Asked<'a> {
    pub(super) origin: &'a str,
    pub(super) method: &'a str,
    /// Headers that the page wants to send.
    pub(super) headers: Vec<String>,
}

impl<'a> Asked<'a> {
    /// Reads what a request asks for; `None`: it comes from no page.
    pub(super) fn read(method: &'a Method, headers: &'a HeaderMap) -> Option<Self> {
        let text =
            |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let origin = text(header::ORIGIN)?;
        let is_preflight = method == Method::OPTIONS;
        // A request itself may say for which method it was asked before.
        let method = match text(header::ACCESS_CONTROL_REQUEST_METHOD) {
            Some(asked) => asked,
            None if is_preflight => return None,
            None => method.as_str(),
        };
        let wanted = text(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|_| is_preflight);
        let headers = wanted.unwrap_or_default().split(',').map(str::trim);
        Some(Self {
            origin,
            method,
            headers: headers
                .filter(|header| !header.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        })
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

fn is_for(rule: &CORSRule, asked: &Asked<'_>) -> bool {
    let allowed: Vec<String> = rule
        .allowed_headers
        .iter()
        .flatten()
        .map(|header| header.to_ascii_lowercase())
        .collect();
    rule.allowed_methods
        .iter()
        .any(|method| method == asked.method)
        && rule
            .allowed_origins
            .iter()
            .any(|origin| matches(origin, asked.origin))
        && asked
            .headers
            .iter()
            .all(|header| allowed.iter().any(|allowed| matches(allowed, header)))
}

/// The headers of the answer for a page; `None`: it may not ask.
pub(super) fn answer(configuration: &CORSConfiguration, asked: &Asked<'_>) -> Option<HeaderMap> {
    let rule = configuration
        .cors_rules
        .iter()
        .find(|rule| is_for(rule, asked))?;
    let is_for_all = rule.allowed_origins.iter().any(|origin| origin == "*");
    let mut headers = HeaderMap::new();
    let mut put = |name: header::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    let origin = if is_for_all { "*" } else { asked.origin };
    put(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.to_owned());
    if !is_for_all {
        put(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".to_owned());
    }
    put(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        rule.allowed_methods.join(", "),
    );
    if !asked.headers.is_empty() {
        put(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            asked.headers.join(", "),
        );
    }
    if let Some(exposed) = &rule.expose_headers {
        put(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed.join(", "));
    }
    if let Some(seconds) = rule.max_age_seconds {
        put(header::ACCESS_CONTROL_MAX_AGE, seconds.to_string());
    }
    put(
        header::VARY,
        "Origin, Access-Control-Request-Headers, Access-Control-Request-Method".to_owned(),
    );
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(origins: &[&str], methods: &[&str], headers: &[&str]) -> CORSConfiguration {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>()
        };
        CORSConfiguration {
            cors_rules: vec![CORSRule {
                allowed_headers: Some(owned(headers)),
                allowed_methods: owned(methods),
                allowed_origins: owned(origins),
                expose_headers: Some(owned(&["x-amz-meta-a"])),
                id: None,
                max_age_seconds: Some(60),
            }],
        }
    }

    #[test]
    fn pages_are_answered_by_the_rule_that_is_for_them() {
        let rules = configuration(&["https://*.example.org"], &["GET", "PUT"], &["x-amz-*"]);
        let ask = |origin: &'static str, method: &'static str, headers: &[&str]| {
            let headers = headers.iter().map(|header| (*header).to_owned()).collect();
            answer(
                &rules,
                &Asked {
                    origin,
                    method,
                    headers,
                },
            )
        };
        let headers = ask("https://a.example.org", "PUT", &["x-amz-date"]).unwrap();
        assert_eq!(
            headers["access-control-allow-origin"],
            "https://a.example.org"
        );
        assert_eq!(headers["access-control-allow-headers"], "x-amz-date");
        assert_eq!(headers["access-control-max-age"], "60");
        assert!(ask("https://a.example.com", "PUT", &[]).is_none());
        assert!(ask("https://a.example.org", "DELETE", &[]).is_none());
        assert!(ask("https://a.example.org", "PUT", &["content-type"]).is_none());
        assert!(check(&rules).is_ok());
        assert!(check(&configuration(&["*"], &["PATCH"], &[])).is_err());
        assert!(check(&configuration(&["*.*"], &["GET"], &[])).is_err());
    }
}
