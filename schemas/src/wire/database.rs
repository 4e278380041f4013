//! Controller → Data Element: databases. What an Element knows of its databases it
//! is asked for, so that nothing is told twice and nothing is old.

use serde::{Deserialize, Serialize};

use super::{Done, requests};
use crate::{
    id::{DatabaseId, PersonName},
    resource::database::{Database, DatabaseRules},
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

requests! {
    DatabaseList = "database-list" => DatabasesTold,
    DatabaseMake = "database-make" => Database,
    DatabaseChange = "database-change" => Database,
    DatabaseRemove = "database-remove" => Done,
}
