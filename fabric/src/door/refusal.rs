//! Log lines of those who are refused.

use std::{fmt::Display, io, net::SocketAddr};

use gridmart_schemas::problem::Code;
use rustls::{AlertDescription, Error};

use super::answer::Refused;
use crate::telemetry::LineGate;

/// The most letters of a path that are logged: strangers choose it.
const PATH_CHARACTERS_MAX: usize = 120;

/// Tells what a handshake failed by; none: the peer only went away.
pub(super) fn code_of(error: &io::Error) -> Option<Code> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    let judged = matches!(
        error,
        Error::InvalidCertificate(_)
            | Error::AlertReceived(
                AlertDescription::UnknownCA
                    | AlertDescription::BadCertificate
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateUnknown
                    // Its signer has the name of one that is known, not the key.
                    | AlertDescription::DecryptError
                    | AlertDescription::UnsupportedCertificate
            )
    );
    Some(if judged {
        Code::CertificateRefused
    } else {
        Code::TlsRequired
    })
}

/// Logs a peer who has not come as far as to ask for something.
pub(super) fn log(gate: &LineGate, remote: SocketAddr, code: Option<Code>, reason: impl Display) {
    let Some(left_out) = gate.admit() else { return };
    let code = code.map(tracing::field::display);
    tracing::info!(%remote, code, %reason, left_out, "refused at the door");
}

/// Logs a request that was answered by a problem.
pub(super) fn log_answer(gate: &LineGate, remote: SocketAddr, path: &str, refused: &Refused) {
    let Some(left_out) = gate.admit() else { return };
    let path: String = path.chars().take(PATH_CHARACTERS_MAX).collect();
    let Refused { code, detail } = refused;
    tracing::info!(%remote, path, %code, detail, left_out, "refused at the door");
}
