//! `CEDoc.xml`: the local information base of a Computing Element. Made for
//! pools of 2,000 Hosts.

use serde::{Deserialize, Serialize};

pub use super::element_doc::{CommonConfiguration, JoinTokenEntry, JoinTokens};
use super::{Extensions, ce::ComputingElement, element_doc, host::ComputeHost};
use crate::{
    id::Digest,
    scalar::{LocalId, Seconds, Token},
    wire::desired::Wish,
    xml::{FormatVersion, document, xml_record},
};

/// The Hosts of a Computing Element.
pub type HostTable = element_doc::HostTable<ComputeHost>;
/// One Host of a Computing Element.
pub type HostEntry = element_doc::HostEntry<ComputeHost>;

/// Largest local information base, in bytes: 2,000 Hosts take about 10 MiB.
pub const CE_DOC_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An Element's description, configuration and Host table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CeDocument {
    /// Format of the document.
    #[serde(default)]
    #[schema(value_type = String)]
    pub version: FormatVersion,
    /// Grows by one with every update of the document.
    pub generation: u64,
    /// The Element; its State is not kept here.
    pub element: ComputingElement,
    /// What the Element should be, as last heard from the controller.
    #[serde(default)]
    pub wish: Wish,
    /// How the Element works.
    pub configuration: Configuration,
    /// Its Hosts.
    #[serde(default)]
    pub host_table: HostTable,
    /// Tokens with which Hosts may join.
    #[serde(default)]
    pub join_tokens: JoinTokens,
    /// Applications that it offers.
    #[serde(default)]
    pub applications: Applications,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(CeDocument {
    attributes {
        version = "Version",
        generation = "Generation",
    }
    children {
        element = "ComputingElement",
        wish = "Desired" [default],
        configuration = "Configuration",
        host_table = "HostTable" [default],
        join_tokens = "JoinTokens" [default],
        applications = "Applications" [default],
    }
    open { extensions }
});
document!(CeDocument, "CEDoc", CE_DOC_BYTES_MAX);

impl CeDocument {
    /// A new Element without Hosts.
    pub fn new(element: ComputingElement) -> Self {
        Self {
            version: FormatVersion,
            generation: 0,
            element,
            wish: Wish::default(),
            configuration: Configuration::default(),
            host_table: HostTable::default(),
            join_tokens: JoinTokens::default(),
            applications: Applications::default(),
            extensions: Extensions::default(),
        }
    }
}

/// How an Element works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Configuration {
    /// How it watches its Hosts.
    #[serde(flatten)]
    pub common: CommonConfiguration,
    /// How long a lease holds without being renewed; above 0.
    pub lease_duration: Seconds,
    /// How long a call whose connection is lost waits to be attached again.
    pub reattach_grace: Seconds,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(Configuration {
    base { common }
    children {
        lease_duration = "LeaseDuration",
        reattach_grace = "ReattachGrace",
    }
    open { extensions }
});

impl Default for Configuration {
    fn default() -> Self {
        Self {
            common: CommonConfiguration::default(),
            lease_duration: Seconds::from_secs(300),
            reattach_grace: Seconds::from_secs(30),
            extensions: Extensions::default(),
        }
    }
}

/// Applications that an Element offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Applications {
    /// Each package once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<ApplicationEntry>,
}

xml_record!(Applications {
    children {
        applications = "Application",
    }
});

/// One version of an application on an Element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApplicationEntry {
    /// Content hash of its package.
    pub digest: Digest,
    /// Its name.
    pub app_name: LocalId,
    /// Its version.
    pub app_version: Token,
    /// Bytes of its package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What it should be here.
    pub wish: Wish,
    /// Foreign elements, carried along.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub extensions: Extensions,
}

xml_record!(ApplicationEntry {
    children {
        digest = "Digest",
        app_name = "AppName",
        app_version = "AppVersion",
        size = "Size",
        wish = "Desired",
    }
    open { extensions }
});
