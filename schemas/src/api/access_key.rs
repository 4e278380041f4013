//! Access keys: with which programs speak S3 to a Storage Element, or PostgreSQL's
//! protocol to a Data Element.

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
    /// `AWS_ACCESS_KEY_ID`, or `PGUSER`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`, or `PGPASSWORD`.
    pub secret: String,
    /// `AWS_ENDPOINT_URL`: where the Element speaks S3; `postgresql://HOST:PORT`: where it
    /// speaks PostgreSQL's protocol.
    pub endpoint: String,
    /// `AWS_REGION`; none at a Data Element.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
    /// Elements that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}
