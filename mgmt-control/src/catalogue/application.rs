//! Application versions, as the catalogue holds them.

use gridmart_schemas::{
    id::{Digest, PersonName},
    resource::ae_doc::AeDocument,
    wire::desired::{ApplicationWish, Wish},
};
use time::OffsetDateTime;

/// One version of an application on the shelf.
#[derive(Clone, Debug)]
pub struct Application {
    /// Content hash of the package.
    pub digest: Digest,
    /// `AppName`.
    pub name: String,
    /// `AppVersion`.
    pub version: String,
    /// Bytes of the package.
    pub size: u64,
    /// Its manifest.
    pub manifest: AeDocument,
    /// Who put it on the shelf.
    pub owner: PersonName,
    /// When.
    pub uploaded: OffsetDateTime,
    /// Whether the name alone means this version.
    pub default: bool,
    /// What it should be.
    pub wish: Wish,
}

impl Application {
    /// The form that travels to nodes.
    pub fn to_wish(&self, wish: Wish) -> ApplicationWish {
        ApplicationWish {
            digest: self.digest.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            size: self.size,
            wish,
        }
    }

    /// For people: `NAME@VERSION`.
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}
