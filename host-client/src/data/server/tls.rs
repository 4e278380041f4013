//! Servers on other machines are reached over TLS, and known by certificates that an
//! administrator has named: nobody else's count.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// The most bytes of a file with certificates.
const BYTES_MAX: u64 = 1024 * 1024;

/// Reads the certificates by which a server is known, as PEM; blocks.
pub(in crate::data) fn certificates_read(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?.take(BYTES_MAX + 1);
        file.read_to_end(&mut bytes)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(io::Error::other(format!(
                "it has more than {BYTES_MAX} bytes"
            )));
        }
        Ok(bytes)
    };
    let path = path.display();
    let bytes = read().map_err(|why| {
        format!("{path} (its sslrootcert) cannot be read, which is to hold certificates: {why}")
    })?;
    roots(&bytes).map_err(|why| format!("{path} (its sslrootcert) {why}"))?;
    Ok(bytes)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "is not PEM".to_owned())?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(roots)
}

/// How a client speaks to a server that is known by a certificate in that file: its name
/// has to be the one in the URL. Blocks.
pub(in crate::data) fn client_config(path: &Path) -> Result<ClientConfig, String> {
    let roots = roots(&certificates_read(path)?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for (text, words) in [
            (None, "cannot be read"),
            (Some(""), "holds no certificate"),
            (
                Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
                "is not PEM",
            ),
            (
                Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "cannot be used",
            ),
        ] {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let refused = client_config(&path).unwrap_err();
            assert!(
                refused.contains("ca.pem") && refused.contains(words),
                "{refused}"
            );
        }
    }
}
