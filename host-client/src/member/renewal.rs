//! Renewing the Host's certificate, through its Element.

use std::time::Duration;

use gridmart_fabric::{identity::IdentityError, stream::Peer};
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::enrol::CertificateRenew,
};
use time::OffsetDateTime;

use super::{comm::blocking, member::Member};

/// A certificate comes from the controller, through the Element.
const RENEWAL_TIME_MAX: Duration = Duration::from_secs(30);

/// Renews the certificate, if it is time to.
pub(super) async fn renew_certificate(member: &Member, peer: &Peer) {
    let identity = member.identity.current();
    if !identity.needs_renewal(OffsetDateTime::now_utc()) {
        return;
    }
    let renewed = async {
        let fault = |error: IdentityError| Problem::new(Code::Internal, error.to_string());
        let request = CertificateRenew {
            node: identity.node(),
            csr_pem: identity.csr_pem().map_err(fault)?,
            names: Vec::new(),
        };
        let certificate = peer.ask(&request, RENEWAL_TIME_MAX).await?;
        let renewed = identity.renewed(&certificate).map_err(fault)?;
        let folder = member.data_dir.clone();
        blocking(move || renewed.save(&folder).map(|()| renewed).map_err(fault)).await
    };
    match renewed.await {
        Ok(renewed) => {
            tracing::info!(not_after = %renewed.not_after(), "the certificate is renewed");
            member.identity.replace(renewed);
        }
        Err(problem) => {
            tracing::warn!(%problem, "the certificate could not be renewed, trying again later");
        }
    }
}
