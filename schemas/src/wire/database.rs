//! Controller → Data Element: databases. What an Element knows of its databases it
//! is asked for, so that nothing is told twice and nothing is old.

use serde::{Deserialize, Serialize};

use super::{Done, requests};
use crate::{
    id::{DatabaseId, NodeId, PersonName},
    resource::{
        database::{Database, DatabaseRules, ShadowRule},
        enumeration::DataEngine,
        host::ReplicaCheck,
    },
    scalar::DatabaseName,
};

/// The most databases of one answer.
pub const DATABASES_MAX: u32 = 1000;

/// Which databases there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DatabaseList {
    /// Only the one of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DatabaseName>,
    /// Those after this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DatabaseName>,
    /// At most so many, and never more than [`DATABASES_MAX`].
    pub limit: u32,
}

/// Answer to [`DatabaseList`], by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DatabasesTold {
    /// The databases.
    pub databases: Vec<Database>,
    /// There are more after these.
    #[serde(default)]
    pub more: bool,
}

/// Make a database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DatabaseMake {
    /// Its name; refused if the Element has one of it.
    pub name: DatabaseName,
    /// Whose it is.
    pub owner: PersonName,
    /// How many shadows it has.
    pub shadows: u32,
    /// What keeps it; absent: SQLite.
    #[serde(default)]
    pub engine: DataEngine,
    /// What keeps its shadows; absent: the Element chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_engine: Option<DataEngine>,
}

/// Change what a database's owner allows. What is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DatabaseChange {
    /// Which one.
    pub database: DatabaseId,
    /// Who may see what, besides its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<DatabaseRules>,
}

/// Remove a database, with all that is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DatabaseRemove {
    /// Which one.
    pub database: DatabaseId,
}

/// Have one more shadow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShadowAdd {
    /// Of which database.
    pub database: DatabaseId,
    /// On which Host; absent: the Element chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<NodeId>,
    /// What keeps it; absent: the Element chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<DataEngine>,
    /// What it holds; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<ShadowRule>>,
}

/// Have a shadow hold something else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShadowChange {
    /// Of which database.
    pub database: DatabaseId,
    /// On which Host.
    pub host: NodeId,
    /// What it holds; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<ShadowRule>>,
}

/// Have a shadow no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShadowRemove {
    /// Of which database.
    pub database: DatabaseId,
    /// On which Host.
    pub host: NodeId,
}

/// Make a shadow the core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShadowPromote {
    /// Of which database.
    pub database: DatabaseId,
    /// On which Host; absent: the one that has most of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<NodeId>,
    /// Although it lacks what the core, or another shadow, is known to have.
    #[serde(default)]
    pub allow_loss: bool,
}

/// Tell how comparisons of shadows with their core come out; waits a while for those
/// that run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShadowCheck {
    /// Of which database.
    pub database: DatabaseId,
    /// On which Host; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<NodeId>,
    /// Begin them, where none runs.
    #[serde(default)]
    pub begin: bool,
}

/// Answer to [`ShadowCheck`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowChecks {
    /// For each shadow.
    pub checks: Vec<ShadowCheckTold>,
}

/// How a comparison of a shadow with its core is, or came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowCheckTold {
    /// The shadow's Host.
    pub host: NodeId,
    /// Its name, for people.
    pub name: String,
    /// It is not over.
    pub running: bool,
    /// What the last one found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<ReplicaCheck>,
    /// Why the last one came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

requests! {
    DatabaseList = "database-list" => DatabasesTold,
    DatabaseMake = "database-make" => Database,
    DatabaseChange = "database-change" => Database,
    DatabaseRemove = "database-remove" => Done,
    ShadowAdd = "shadow-add" => Database,
    ShadowChange = "shadow-change" => Database,
    ShadowRemove = "shadow-remove" => Database,
    ShadowPromote = "shadow-promote" => Database,
    ShadowCheck = "shadow-check" => ShadowChecks,
}
