//! `AEDoc.xml`: the manifest in an application's package.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    ae::{AeInfo, AePolicy, AeState, Command},
    common::AccessControlBase,
    needs::Needs,
};
use crate::{
    scalar::Uri,
    xml::{FormatVersion, document, xml_record},
};

/// Largest manifest, in bytes.
pub const AE_DOC_BYTES_MAX: usize = 256 * 1024;

/// The manifest of one version of an application. State is no part of it:
/// Elements report that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AeDocument {
    /// Format of the document.
    #[serde(default)]
    #[schema(value_type = String)]
    pub version: FormatVersion,
    /// What it is.
    pub info: AeInfo,
    /// What limits it.
    #[serde(default)]
    pub policy: AePolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
    /// How it is run.
    pub command: Command,
    /// What it needs of a Host.
    #[serde(default)]
    pub needs: Needs,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(AeDocument {
    attributes { version = "Version" }
    children {
        info = "Info",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
        command = "Command",
        needs = "Needs" [default],
    }
    open { extensions }
});
document!(AeDocument, "AEDoc", AE_DOC_BYTES_MAX);

impl AeDocument {
    /// The least that a manifest says.
    pub fn new(info: AeInfo, command: Command) -> Self {
        Self {
            version: FormatVersion,
            info,
            policy: AePolicy::default(),
            access: AccessControlBase::default(),
            command,
            needs: Needs::default(),
            extensions: Extensions::default(),
        }
    }
}

/// An application as the catalogue shows it: the manifest's groups, and what
/// Elements reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApplicationEnvironment {
    /// `urn:…`, never reused.
    pub id: Uri,
    /// What it is.
    pub info: AeInfo,
    /// How it is, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AeState>,
    /// What limits it.
    #[serde(default)]
    pub policy: AePolicy,
    /// Whom its owner allows.
    #[serde(default)]
    pub access: AccessControlBase,
    /// How it is run.
    pub command: Command,
    /// What it needs of a Host.
    #[serde(default)]
    pub needs: Needs,
}

xml_record!(ApplicationEnvironment {
    attributes { id = "ID" }
    children {
        info = "Info",
        state = "State",
        policy = "Policy" [default],
        access = "AccessControlBase" [default],
        command = "Command",
        needs = "Needs" [default],
    }
});
document!(
    ApplicationEnvironment,
    "ApplicationEnvironment",
    AE_DOC_BYTES_MAX
);
