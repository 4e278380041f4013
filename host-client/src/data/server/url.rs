//! Where a server is, and who the Host is there.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use gridmart_schemas::resource::enumeration::DataEngine;
use percent_encoding::percent_decode_str;

/// The most bytes of a file with a URL.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Rights of others to a file that holds a password.
const OTHERS: u32 = 0o077;

/// A server's URL, with the password in it, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    engine: DataEngine,
    url: String,
}

/// Why a file tells no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerUrlError {
    /// It cannot be read.
    #[error("{path} cannot be read, which is to hold the URL of a database server: {why}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        why: io::Error,
    },
    /// Others could read the password.
    #[error("{path} holds a password, and others may read it: chmod 600 {path}")]
    Open {
        /// Which file.
        path: String,
    },
    /// It holds something else.
    #[error(
        "{path} holds no URL of a database server: one line like postgresql://ACCOUNT:PASSWORD@HOST:PORT is expected"
    )]
    Malformed {
        /// Which file.
        path: String,
    },
    /// There are two.
    #[error(
        "{path} names a second {engine} server: a Host has one of each engine, start another Host"
    )]
    Second {
        /// Which file.
        path: String,
        /// Of which engine.
        engine: DataEngine,
    },
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({}://…)", self.engine)
    }
}

impl ServerUrl {
    /// Reads them all; blocks.
    pub fn of_files<'p>(
        paths: impl IntoIterator<Item = &'p Path>,
    ) -> Result<Vec<Self>, ServerUrlError> {
        let mut urls: Vec<Self> = Vec::new();
        for path in paths {
            let url = Self::of_file(path)?;
            if urls.iter().any(|known| known.engine == url.engine) {
                return Err(ServerUrlError::Second {
                    path: path.display().to_string(),
                    engine: url.engine,
                });
            }
            urls.push(url);
        }
        Ok(urls)
    }

    fn of_file(path: &Path) -> Result<Self, ServerUrlError> {
        let shown = path.display().to_string();
        let read = || {
            let found = fs::metadata(path)?;
            if found.len() > FILE_BYTES_MAX {
                let most = format!("it has more than {FILE_BYTES_MAX} bytes");
                return Err(io::Error::other(most));
            }
            Ok((found.mode(), fs::read_to_string(path)?))
        };
        let (mode, text) = read().map_err(|why| ServerUrlError::File {
            path: shown.clone(),
            why,
        })?;
        if mode & OTHERS != 0 {
            return Err(ServerUrlError::Open { path: shown });
        }
        Self::read(text.trim()).ok_or(ServerUrlError::Malformed { path: shown })
    }

    /// Reads one.
    pub fn read(url: &str) -> Option<Self> {
        let engine = match url.split_once("://")?.0 {
            "postgresql" | "postgres" => DataEngine::Postgresql,
            "mariadb" | "mysql" => DataEngine::Mariadb,
            _ => return None,
        };
        let is_one = !url.contains(char::is_whitespace);
        is_one.then(|| Self {
            engine,
            url: url.to_owned(),
        })
    }

    /// Of which engine it is.
    pub const fn engine(&self) -> &DataEngine {
        &self.engine
    }

    /// The whole of it, without what says how the server is known, and the file with the
    /// certificates for that: there is one if what travels is to be encrypted. A secret.
    pub fn parts(&self) -> Result<(String, Option<PathBuf>), String> {
        without_tls(&self.url)
    }

    /// The whole of it: a secret.
    pub fn secret(&self) -> &str {
        &self.url
    }
}

/// A URL without `sslrootcert=FILE` and `sslmode=verify-full`, and that file. What is wrong
/// with it does not show it.
pub(in crate::data) fn without_tls(url: &str) -> Result<(String, Option<PathBuf>), String> {
    let (whole, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut rest, mut roots, mut is_asked) = (Vec::new(), None, false);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => {
                let path = percent_decode_str(path).decode_utf8().ok();
                let path = path.map(|path| PathBuf::from(path.as_ref()));
                let path = path.filter(|path| path.is_absolute());
                roots = Some(path.ok_or("its URL has a sslrootcert that is no absolute path")?);
            }
            Some(("sslmode", "verify-full")) => is_asked = true,
            Some(("sslmode", _)) => {
                let refused = "its URL asks for another sslmode than verify-full, which is the \
                               only one here";
                return Err(refused.to_owned());
            }
            _ => rest.push(pair),
        }
    }
    if is_asked && roots.is_none() {
        let lacking = "its URL asks for sslmode=verify-full, and does not say by which \
                       certificates (sslrootcert=/PATH/ca.pem)";
        return Err(lacking.to_owned());
    }
    let mut url = whole.to_owned();
    if !rest.is_empty() {
        url.push('?');
        url.push_str(&rest.join("&"));
    }
    Ok((url, roots))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn how_a_server_is_known_is_taken_out_of_its_url() {
        let url = "mariadb://a:b@host?socket=/x&sslrootcert=%2Fetc/c%20a.pem&sslmode=verify-full";
        let (rest, roots) = without_tls(url).unwrap();
        assert_eq!(rest, "mariadb://a:b@host?socket=/x");
        assert_eq!(roots.unwrap(), Path::new("/etc/c a.pem"));
        let plain = "postgresql://a:b@host";
        assert_eq!(without_tls(plain), Ok((plain.to_owned(), None)));
        for query in [
            "sslmode=verify-full",
            "sslmode=require&sslrootcert=/x",
            "sslrootcert=x",
            "sslrootcert=",
        ] {
            let refused = without_tls(&format!("{plain}?{query}")).unwrap_err();
            assert!(!refused.contains("a:b"), "{refused}");
        }
    }

    #[test]
    fn a_url_is_read_from_a_file_of_its_own_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let one = put("one", "postgresql://host:hunter2@127.0.0.1:5432\n", 0o600);
        let read = ServerUrl::of_files([one.as_path()]).unwrap();
        assert_eq!(*read[0].engine(), DataEngine::Postgresql);
        assert!(!format!("{read:?}").contains("hunter2"));
        let open = put("open", "mysql://host:hunter2@127.0.0.1", 0o640);
        for (paths, words) in [
            (vec![one.as_path(), one.as_path()], "a second postgresql"),
            (vec![open.as_path()], "chmod 600"),
            (
                vec![put("other", "sqlite://x", 0o600).as_path()],
                "holds no URL",
            ),
            (vec![folder.path().join("none").as_path()], "cannot be read"),
        ] {
            let error = ServerUrl::of_files(paths).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
