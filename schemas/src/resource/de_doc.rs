//! `DEDoc.xml`: the local information base of a Data Element.

use serde::{Deserialize, Serialize};

use super::{
    Extensions,
    database::Database,
    de::DataElement,
    element_doc::{self, CommonConfiguration, JoinTokens},
    host::DataHost,
};
use crate::{
    id::{DatabaseId, NodeId},
    scalar::{Seconds, Uri},
    wire::desired::Wish,
    xml::{FormatVersion, document, xml_record},
};

/// Largest local information base, in bytes.
pub const DE_DOC_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The Hosts of a Data Element.
pub type DataHostTable = element_doc::HostTable<DataHost>;
/// One Host of a Data Element.
pub type DataHostEntry = element_doc::HostEntry<DataHost>;

/// A Data Element's description, configuration, Host table and databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeDocument {
    /// Format of the document.
    #[serde(default)]
    #[schema(value_type = String)]
    pub version: FormatVersion,
    /// Grows by one with every update of the document.
    pub generation: u64,
    /// The Element; its State is not kept here.
    pub element: DataElement,
    /// What the Element should be, as last heard from the controller.
    #[serde(default)]
    pub wish: Wish,
    /// How the Element works.
    pub configuration: DeConfiguration,
    /// Its Hosts.
    #[serde(default)]
    pub host_table: DataHostTable,
    /// Tokens with which Hosts may join.
    #[serde(default)]
    pub join_tokens: JoinTokens,
    /// Its databases.
    #[serde(default)]
    pub databases: Databases,
    /// Copies that Hosts are to remove, and have not said to have removed.
    #[serde(default)]
    pub removed_copies: RemovedCopies,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DeDocument {
    attributes {
        version = "Version",
        generation = "Generation",
    }
    children {
        element = "DataElement",
        wish = "Desired" [default],
        configuration = "Configuration",
        host_table = "HostTable" [default],
        join_tokens = "JoinTokens" [default],
        databases = "Databases" [default],
        removed_copies = "RemovedCopies" [default],
    }
    open { extensions }
});
document!(DeDocument, "DEDoc", DE_DOC_BYTES_MAX);

impl DeDocument {
    /// A new Element without Hosts and databases.
    pub fn new(element: DataElement) -> Self {
        Self {
            version: FormatVersion,
            generation: 0,
            element,
            wish: Wish::default(),
            configuration: DeConfiguration::default(),
            host_table: DataHostTable::default(),
            join_tokens: JoinTokens::default(),
            databases: Databases::default(),
            removed_copies: RemovedCopies::default(),
            extensions: Extensions::default(),
        }
    }
}

/// How a Data Element works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeConfiguration {
    /// How it watches its Hosts.
    #[serde(flatten)]
    pub common: CommonConfiguration,
    /// In which time every shadow is compared with its core once; above 0; absent:
    /// one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_interval: Option<Seconds>,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DeConfiguration {
    base { common }
    children {
        check_interval = "CheckInterval",
    }
    open { extensions }
});

/// The databases of a Data Element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Databases {
    /// Each id and each name once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Database>,
}

xml_record!(Databases {
    children {
        databases = "Database",
    }
});

/// Copies that are to go. A copy is removed only because it stands here, never because
/// it stands nowhere: a document that was lost takes no data with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RemovedCopies {
    /// The copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<RemovedCopy>,
}

xml_record!(RemovedCopies {
    children {
        copies = "Copy",
    }
});

/// A copy that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RemovedCopy {
    /// Of which database: `urn:uuid:…`.
    pub database: Uri,
    /// On which Host: `urn:uuid:…`.
    pub host: Uri,
    /// The database itself is gone: a core goes as well, and what was set aside.
    pub whole: bool,
}

xml_record!(RemovedCopy {
    children {
        database = "DataResourceAbstractName",
        host = "Host",
        whole = "Whole",
    }
});

impl RemovedCopy {
    /// The copy of a database on a Host.
    pub fn of(database: DatabaseId, host: NodeId, whole: bool) -> Self {
        Self {
            database: Uri::from_uuid(database.as_uuid()),
            host: Uri::from_uuid(host.as_uuid()),
            whole,
        }
    }

    /// Of which database, on which Host; `None` in a document that was written by
    /// hand, and wrongly.
    pub fn place(&self) -> Option<(DatabaseId, NodeId)> {
        let database = self.database.as_str().strip_prefix("urn:uuid:")?;
        let host = self.host.as_str().strip_prefix("urn:uuid:")?;
        Some((database.parse().ok()?, host.parse().ok()?))
    }
}
