//! What every new Element says of itself, until its owner says otherwise.

use gridmart_fabric::identity::NodeIdentity;
use gridmart_schemas::{
    resource::{
        common::{AccessControlBase, AccessRule, CommonInfo, Who},
        element_doc::CommonConfiguration,
    },
    scalar::{ScalarError, Seconds, Uri},
};

use crate::{config::Config, run::ElementError};

/// How long a Host may take to answer a probe.
const PROBE_TIMEOUT: Seconds = Seconds::from_secs(3);

/// The error of a setting that does not fit into the information base.
pub(crate) fn unfit(what: &'static str) -> impl FnOnce(ScalarError) -> ElementError {
    move |error| ElementError::Setting {
        what,
        reason: error.to_string(),
    }
}

/// Its id, as it stands in documents.
pub(crate) fn element_id(identity: &NodeIdentity) -> Result<Uri, ElementError> {
    identity.node().to_urn().parse().map_err(unfit("id"))
}

/// What it is, with what it can do (`Capability` of GLUE 2).
pub(crate) fn common_info(
    config: &Config,
    identity: &NodeIdentity,
    capabilities: &[&str],
) -> Result<CommonInfo, ElementError> {
    let mut common = CommonInfo::new(
        config.name.parse().map_err(unfit("name"))?,
        identity.domain().parse().map_err(unfit("domain"))?,
    );
    common.implementation_name = "gridmart".parse().ok();
    common.implementation_version = env!("CARGO_PKG_VERSION").parse().ok();
    common.capabilities = capabilities
        .iter()
        .filter_map(|capability| capability.parse().ok())
        .collect();
    Ok(common)
}

/// How it watches its Hosts.
pub(crate) fn common_configuration() -> CommonConfiguration {
    CommonConfiguration {
        probe_timeout: PROBE_TIMEOUT,
        ..CommonConfiguration::default()
    }
}

/// Everybody may use it.
pub(crate) fn open_access() -> AccessControlBase {
    AccessControlBase::from_rules(vec![AccessRule::new(Who::All)])
}
