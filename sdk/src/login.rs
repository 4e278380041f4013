//! Signing in, and the login file: `$XDG_CONFIG_HOME/gridmart/login.toml` or
//! `~/.config/gridmart/login.toml`, readable by its owner alone.
//!
//! Invariant: a password is sent only over a door that was proved to be the
//! right one: verified TLS, or plain HTTP on loopback.

use std::{
    env, fmt, fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use gridmart_schemas::{
    api::person::{ApiTokenMade, LoginRequest},
    id::{PersonName, TokenId},
    problem::Code,
};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    error::Error,
    http::{Http, is_loopback_http, root_fingerprint},
    settings::Settings,
};

/// A login file over this size is not one.
const LOGIN_BYTES_MAX: u64 = 64 * 1024;

/// What the login file keeps.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The controller's people's door.
    pub url: String,
    /// The API token.
    pub token: String,
    /// Its id, by which it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// The CA's root, PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Why a door may be believed to be the controller's.
pub enum Trust {
    /// This root, PEM text, must have signed its certificate.
    Root(String),
    /// A person compares the root's fingerprint (SHA-256, hex) with what the
    /// controller printed, and says yes.
    Confirm(Box<dyn FnOnce(&str) -> bool + Send>),
    /// The system's roots decide (and loopback is believed).
    System,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root(_) => "Root",
            Self::Confirm(_) => "Confirm",
            Self::System => "System",
        })
    }
}

/// Signs in with a password, and keeps the token in the login file.
///
/// `label` says to people what the token is for.
pub async fn login(
    url: &str,
    name: &PersonName,
    password: &str,
    label: &str,
    trust: Trust,
) -> Result<Login, Error> {
    let url = url.trim_end_matches('/').to_owned();
    let ca = trusted_root(&url, trust).await?;
    let http = Http::new(&Settings {
        ca: ca.clone(),
        ..Settings::new(&url, "")
    })?;
    let request = LoginRequest {
        name: name.clone(),
        password: password.to_owned(),
        label: label.to_owned(),
    };
    let made: ApiTokenMade = http
        .request(Method::POST, "login", &[], Some(&request))
        .await?;
    // Asked again over the door that is proved now.
    let ca = match ca {
        Some(ca) => Some(ca),
        None => Some(http.authority().await?),
    };
    let login = Login {
        url,
        token: made.token,
        token_id: Some(made.id),
        ca,
    };
    let path = login_path()?;
    blocking_write(path, login.clone()).await?;
    Ok(login)
}

async fn trusted_root(url: &str, trust: Trust) -> Result<Option<String>, Error> {
    match trust {
        Trust::Root(pem) => Ok(Some(pem)),
        Trust::System => Ok(None),
        Trust::Confirm(_) if is_loopback_http(url) => Ok(None),
        Trust::Confirm(confirm) => {
            let pem = Http::unverified(url)?.authority().await?;
            let fingerprint = root_fingerprint(&pem)?;
            if confirm(&fingerprint) {
                Ok(Some(pem))
            } else {
                Err(Error::Invalid(format!(
                    "the controller at {url} was not believed; nothing was sent to it"
                )))
            }
        }
    }
}

/// What became of signing out.
#[derive(Debug)]
pub struct LoggedOut {
    /// Whether there was a login file.
    pub removed: bool,
    /// The token, if the login file named it.
    pub token_id: Option<TokenId>,
    /// Why the token could not be made worthless; absent if it is.
    pub unrevoked: Option<Error>,
}

/// Signs out: makes the token of the login file worthless, as far as its
/// controller can be reached, and removes the file whatever comes of that.
pub async fn logout() -> Result<LoggedOut, Error> {
    logout_from(&login_path()?).await
}

async fn logout_from(path: &Path) -> Result<LoggedOut, Error> {
    let (token_id, revoked) = match read_from(path) {
        Ok(None) => {
            return Ok(LoggedOut {
                removed: false,
                token_id: None,
                unrevoked: None,
            });
        }
        Ok(Some(login)) => (login.token_id, revoke(login).await),
        // A file that cannot be read is removed all the same.
        Err(error) => (None, Err(error)),
    };
    fs::remove_file(path).map_err(|e| Error::local("remove the login file", path, e))?;
    Ok(LoggedOut {
        removed: true,
        token_id,
        unrevoked: revoked.err(),
    })
}

async fn revoke(login: Login) -> Result<(), Error> {
    let id = login.token_id.ok_or_else(|| {
        Error::Invalid("the login file does not say the id of its token".to_owned())
    })?;
    let client = Client::connect(Settings {
        ca: login.ca,
        ..Settings::new(login.url, login.token)
    })?;
    let revoked = client.tokens().delete(id).await;
    client.close().await;
    match revoked {
        // It was worthless already.
        Err(error) if error.code() == Some(Code::CredentialsRefused) => Ok(()),
        other => other,
    }
}

async fn blocking_write(path: PathBuf, login: Login) -> Result<(), Error> {
    tokio::task::spawn_blocking(move || write_to(&path, &login))
        .await
        .map_err(|e| Error::Invalid(format!("writing the login file was interrupted: {e}")))?
}

/// Tells where the login file is, or will be.
pub fn login_path() -> Result<PathBuf, Error> {
    Ok(config_home(|name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    })?
    .join("gridmart")
    .join("login.toml"))
}

fn config_home(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    variable("XDG_CONFIG_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".config")))
        .ok_or_else(|| {
            Error::Invalid(
                "neither XDG_CONFIG_HOME nor HOME is set: where is the login file?".to_owned(),
            )
        })
}

/// Reads the login file, if there is one.
pub(crate) fn read() -> Result<Option<Login>, Error> {
    read_from(&login_path()?)
}

fn read_from(path: &Path) -> Result<Option<Login>, Error> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::local("read the login file", path, error)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(Error::Invalid(format!(
            "the login file {0} can be read by others: run `chmod 600 {0}`, then make a new token",
            path.display()
        )));
    }
    if meta.len() > LOGIN_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "{} is too large for a login file",
            path.display()
        )));
    }
    let text =
        fs::read_to_string(path).map_err(|e| Error::local("read the login file", path, e))?;
    let login = toml::from_str(&text).map_err(|e| {
        Error::Invalid(format!(
            "the login file {} is damaged ({}): sign in again",
            path.display(),
            e.message()
        ))
    })?;
    Ok(Some(login))
}

fn write_to(path: &Path, login: &Login) -> Result<(), Error> {
    let failed = |e| Error::local("write the login file", path, e);
    let text = toml::to_string(login)
        .map_err(|e| Error::Invalid(format!("the login cannot be written: {e}")))?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let fresh = path.with_extension(format!("toml.{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Login {
        Login {
            url: "https://a:7700".into(),
            token: "gmt_secret".into(),
            token_id: Some(TokenId::generate()),
            ca: Some("-----BEGIN\nX\n".into()),
        }
    }

    #[test]
    fn the_login_file_is_private_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/login.toml");
        assert!(read_from(&path).unwrap().is_none());
        write_to(&path, &example()).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = read_from(&path).unwrap().unwrap();
        assert_eq!(
            (read.url, read.token, read.ca),
            (example().url, example().token, example().ca)
        );
        assert!(!format!("{:?}", example()).contains("gmt_secret"));
    }

    #[test]
    fn an_open_or_damaged_login_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.toml");
        write_to(&path, &example()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(
            read_from(&path)
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "url = ").unwrap();
        let refusal = read_from(&path).unwrap_err().to_string();
        assert!(
            refusal.contains("damaged") && !refusal.contains("secret"),
            "{refusal}"
        );
    }

    #[tokio::test]
    async fn signing_out_removes_the_file_and_says_what_it_could_not_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.toml");
        let nobody = logout_from(&path).await.unwrap();
        assert!(!nobody.removed && nobody.unrevoked.is_none());
        // Nobody listens at that port: it was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let login = Login {
            url: format!("http://127.0.0.1:{port}"),
            ca: None,
            ..example()
        };
        write_to(&path, &login).unwrap();
        let out = logout_from(&path).await.unwrap();
        assert!(out.removed && out.unrevoked.is_some(), "{out:?}");
        assert_eq!(out.token_id, login.token_id);
        assert!(!path.exists());
        fs::write(&path, "url = ").unwrap();
        let out = logout_from(&path).await.unwrap();
        assert!(out.removed && out.unrevoked.is_some() && !path.exists());
    }

    #[test]
    fn the_config_folder_follows_the_desktop_rules() {
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/h"));
        assert_eq!(config_home(home).unwrap(), Path::new("/h/.config"));
        assert!(config_home(|_| None).is_err());
    }
}
