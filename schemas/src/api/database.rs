//! Databases: tables under rules, on a core and its shadows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::{DatabaseId, KeyHash, NodeId},
    resource::{
        database::{Database, DatabaseRule, ShadowRule},
        enumeration::DataEngine,
    },
    role::Operation,
    scalar::DatabaseName,
};

/// `POST /api/v1/databases`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseCreateRequest {
    /// Its name.
    pub name: DatabaseName,
    /// Id or name of the Data Element; may be absent where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// How many shadows it has, each on a Host of its own.
    #[serde(default)]
    pub shadows: u32,
    /// What keeps it: `sqlite`, `postgresql`, `mariadb`; absent: `sqlite`.
    #[serde(default)]
    #[schema(value_type = String)]
    pub engine: DataEngine,
    /// What keeps its shadows: `sqlite`, or `postgresql` for a database on it; absent: that,
    /// if there are Hosts for it, else `sqlite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub shadow_engine: Option<DataEngine>,
}

/// `PATCH /api/v1/databases/{name}`: what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseChangeRequest {
    /// Who may see what, besides its owner, in place of the present rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<DatabaseRule>>,
}

/// `POST /api/v1/databases/{name}/shadows`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowAddRequest {
    /// Id or name of the Host; absent: whichever fits best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What keeps it: `sqlite`, or `postgresql` for a database on it; absent: that, if there
    /// is a Host for it, else `sqlite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub engine: Option<DataEngine>,
    /// What it holds of the database; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<ShadowRule>>,
}

/// `PATCH /api/v1/databases/{name}/shadows/{host}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowChangeRequest {
    /// What it holds of the database from here on; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<ShadowRule>>,
}

/// `POST /api/v1/databases/{name}/shadows/check`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowRequest {
    /// Id or name of the Host; absent: all that have a shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// `POST /api/v1/databases/{name}/shadows/promote`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowPromoteRequest {
    /// Id or name of the Host; absent: the one that has most of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Although it lacks what the core, or another shadow, is known to have.
    #[serde(default)]
    pub allow_loss: bool,
}

/// A database, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabaseView {
    /// Its id.
    pub id: DatabaseId,
    /// The Element that keeps it.
    pub element: NodeId,
    /// That Element's name.
    pub element_name: String,
    /// Where it is reached with PostgreSQL's protocol: `postgresql://HOST:PORT/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it is, how it is, where it is, and who may.
    pub database: Database,
    /// Names of the Hosts that have a copy, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_names: BTreeMap<String, String>,
}

/// `GET /api/v1/databases`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabasesView {
    /// Those that the asker may use, by name.
    pub databases: Vec<DatabaseView>,
    /// Data Elements that did not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<String>,
}

/// `POST /api/v1/access/databases`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseAccessRequest {
    /// Its name, or `ELEMENT/NAME`.
    pub database: String,
    /// What is to be done: `read`, `write`.
    pub operations: Vec<Operation>,
    /// Hash of the key with which the asker will open TLS.
    pub presenter: KeyHash,
}

/// What an SDK has to know of a database to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DatabaseAccess {
    /// Its id.
    pub id: DatabaseId,
    /// Its name.
    pub name: DatabaseName,
}
