//! The joining side of an enrolment.

use gridmart_schemas::{
    problem::{Code, Problem},
    wire::enrol::{Certificate, EnrolRequest},
};

use super::JoinToken;
use crate::{
    identity::{IdentityError, NewKey, NodeIdentity},
    request::post_json,
    tls::{FoundRoot, connect_unpinned},
};

/// Where doors take enrolments.
pub const ENROL_PATH: &str = "/v1/enrol";

fn unusable(error: &IdentityError) -> Problem {
    Problem::new(
        Code::CertificateRefused,
        format!("The certificate that was issued cannot be used: {error}."),
    )
}

/// Joins: makes a key, shows the token to its parent, gets the certificate.
///
/// The token leaves only after the door has proven, under the root of the
/// token's fingerprint, to be the token's parent.
pub async fn enrol(
    endpoints: &[String],
    token: &JoinToken,
    name: &str,
) -> Result<NodeIdentity, Problem> {
    let root = FoundRoot::new(&token.fingerprint);
    let key =
        NewKey::generate().map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let request = EnrolRequest {
        token: token.to_string(),
        kind: token.kind,
        name: name.to_owned(),
        csr_pem: key
            .csr_pem()
            .map_err(|error| Problem::new(Code::Internal, error.to_string()))?,
    };
    let channel = connect_unpinned(endpoints, (token.parent, token.parent_kind()), &root).await?;
    let certificate: Certificate = post_json(channel, ENROL_PATH, &request).await?;
    let identity = key
        .into_identity(&certificate)
        .map_err(|error| unusable(&error))?;
    let pinned = root
        .root()
        .is_some_and(|root| root.as_ref() == identity.root_der());
    if !pinned
        || (identity.kind(), identity.domain()) != (token.kind, &*token.domain)
        || identity.parent() != token.parent
    {
        return Err(Problem::new(
            Code::CertificateRefused,
            "The certificate that was issued is not what the token says.",
        ));
    }
    Ok(identity)
}
