//! Where the controller is, and who asks: from the environment, else from the
//! login file.

use std::{
    env, fmt,
    path::{Path, PathBuf},
};

use crate::{error::Error, login};

/// Variable with the people's door, `https://…` or `http://127.0.0.1:…`.
const URL_VARIABLE: &str = "GRIDMART_URL";
/// Variable with the API token.
const TOKEN_VARIABLE: &str = "GRIDMART_TOKEN";
/// Variable with the path of the CA's root, PEM.
const CA_VARIABLE: &str = "GRIDMART_CA";

/// What a client has to know.
#[derive(Clone)]
pub struct Settings {
    /// The controller's people's door: `https://HOST:PORT`, or plain
    /// `http://` on loopback.
    pub url: String,
    /// The API token.
    pub token: String,
    /// The CA's root as PEM text. Absent: asked of the controller, over its
    /// authenticated (or loopback) door.
    pub ca: Option<String>,
    /// Folder for the state of maps; absent: `$XDG_DATA_HOME/gridmart/jobs`
    /// or `~/.local/share/gridmart/jobs`.
    pub jobs: Option<PathBuf>,
    /// Folder for notes of uploads that can be gone on with; absent:
    /// `$XDG_DATA_HOME/gridmart/uploads` or `~/.local/share/gridmart/uploads`.
    pub uploads: Option<PathBuf>,
}

impl Settings {
    /// States the door and the token.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            ca: None,
            jobs: None,
            uploads: None,
        }
    }

    /// Reads `GRIDMART_URL`, `GRIDMART_TOKEN` and `GRIDMART_CA` (a path); what
    /// is missing comes from the login file.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_sources(
            |name| env::var(name).ok().filter(|v| !v.is_empty()),
            login::read,
        )
    }

    fn from_sources(
        variable: impl Fn(&str) -> Option<String>,
        login: impl FnOnce() -> Result<Option<login::Login>, Error>,
    ) -> Result<Self, Error> {
        let ca = variable(CA_VARIABLE)
            .map(|path| read_ca(Path::new(&path)))
            .transpose()?;
        let (url, token) = (variable(URL_VARIABLE), variable(TOKEN_VARIABLE));
        if let (Some(url), Some(token)) = (&url, &token) {
            return Ok(Self {
                ca,
                ..Self::new(url, token)
            });
        }
        let login = login()?.ok_or_else(|| {
            Error::Invalid(format!(
                "nobody is signed in: use `gridmart login URL`, or set {URL_VARIABLE} and {TOKEN_VARIABLE}"
            ))
        })?;
        // A token is for the controller that made it; another URL must bring its own.
        if url.as_ref().is_some_and(|url| *url != login.url) && token.is_none() {
            return Err(Error::Invalid(format!(
                "{URL_VARIABLE} names another controller than the login file: set {TOKEN_VARIABLE} too"
            )));
        }
        Ok(Self {
            url: url.unwrap_or(login.url),
            token: token.unwrap_or(login.token),
            ca: ca.or(login.ca),
            jobs: None,
            uploads: None,
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url)
            .field("token", &"(hidden)")
            .finish_non_exhaustive()
    }
}

fn read_ca(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| Error::local("read the CA file", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "stands in for a reader")]
    fn none() -> Result<Option<login::Login>, Error> {
        Ok(None)
    }

    #[expect(clippy::unnecessary_wraps, reason = "stands in for a reader")]
    fn saved() -> Result<Option<login::Login>, Error> {
        Ok(Some(login::Login {
            url: "https://a:1".into(),
            token: "t".into(),
            token_id: None,
            ca: Some("PEM".into()),
        }))
    }

    #[test]
    fn the_environment_wins_over_the_login_file() {
        let settings = Settings::from_sources(
            |name| match name {
                URL_VARIABLE => Some("http://127.0.0.1:7700".into()),
                TOKEN_VARIABLE => Some("secret-token".into()),
                _ => None,
            },
            saved,
        )
        .unwrap();
        assert_eq!(
            (settings.url.as_str(), settings.token.as_str()),
            ("http://127.0.0.1:7700", "secret-token")
        );
        assert!(!format!("{settings:?}").contains("secret-token"));
    }

    #[test]
    fn the_login_file_serves_when_the_environment_is_empty() {
        let settings = Settings::from_sources(|_| None, saved).unwrap();
        assert_eq!(
            (settings.url.as_str(), settings.ca.as_deref()),
            ("https://a:1", Some("PEM"))
        );
        assert!(Settings::from_sources(|_| None, none).is_err());
    }

    #[test]
    fn a_saved_token_never_goes_to_another_controller() {
        let variable = |name: &str| (name == URL_VARIABLE).then(|| "https://evil:1".to_owned());
        assert!(Settings::from_sources(variable, saved).is_err());
    }
}
