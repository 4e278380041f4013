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
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(DeConfiguration {
    base { common }
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
