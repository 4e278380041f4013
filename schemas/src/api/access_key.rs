//! Access keys: with which programs speak S3 to a Storage Element.

use serde::{Deserialize, Serialize};

use crate::{id::NodeId, wire::access_key::AccessKeyTold};

/// `POST /api/v1/access-keys` (`?element=`): for oneself.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessKeyCreate {
    /// For people: what it is for.
    #[serde(default)]
    pub label: String,
}

/// A new access key; its secret is shown this once.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessKeyMade {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_ENDPOINT_URL`: where the Element speaks S3.
    pub endpoint: String,
    /// `AWS_REGION`.
    pub region: String,
    /// The Element.
    pub element: NodeId,
    /// The Element's name.
    pub element_name: String,
}

/// An access key, as its person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessKeyView {
    /// The key.
    #[serde(flatten)]
    pub key: AccessKeyTold,
    /// The Element that knows it.
    pub element: NodeId,
    /// The Element's name.
    pub element_name: String,
}

/// `GET /api/v1/access-keys` (`?element=`): one's own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AccessKeysView {
    /// The keys, Element by Element.
    pub keys: Vec<AccessKeyView>,
    /// Storage Elements that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}
