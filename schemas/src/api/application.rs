//! Applications on the shelf.

use serde::{Deserialize, Serialize};

use crate::{
    id::{Digest, NodeId, PersonName},
    wire::desired::Wish,
};

/// One version of an application. `POST /api/v1/applications` (the body is the
/// package, a zstd-compressed tar) and `GET /api/v1/applications[/NAME]`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApplicationView {
    /// `AppName`.
    pub name: String,
    /// `AppVersion`.
    pub version: String,
    /// Content hash of the package.
    pub digest: Digest,
    /// Bytes of the package.
    pub size: u64,
    /// `task`, `service`, `session`.
    pub kind: String,
    /// `Info/Description`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `NAME/VERSION` of each capability.
    pub capabilities: Vec<String>,
    /// Who put it on the shelf.
    pub owner: PersonName,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub uploaded: time::OffsetDateTime,
    /// Whether `NAME` alone means this version.
    pub default: bool,
    /// What it should be.
    pub wish: Wish,
    /// Where it stands, as far as is known.
    pub deployments: Vec<DeploymentView>,
}

/// Where a version stands on one node.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeploymentView {
    /// Element or Host.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// GLUE 2 `AppEnvState`.
    pub state: String,
    /// Why it is broken or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to an upload.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UploadDone {
    /// The version as it stands now.
    pub application: ApplicationView,
    /// False: the very same package was there already.
    pub created: bool,
}
