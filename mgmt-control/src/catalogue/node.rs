//! Nodes, join tokens, and what Elements and Hosts say of themselves, as the
//! catalogue holds them: without State.

use gridmart_schemas::{
    id::{NodeId, TokenId},
    resource::{
        any::{AnyElement, AnyHost},
        ce::ComputingElement,
        host::ComputeHost,
    },
    role::NodeKind,
    wire::desired::Wish,
};
use time::OffsetDateTime;

/// A node that has a certificate, or had one.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// The domain in its certificate.
    pub domain: String,
    /// For people.
    pub name: String,
    /// Of an Element: the controller; of a Host: its Element.
    pub parent: NodeId,
    /// When it joined.
    pub joined: OffsetDateTime,
    /// When its newest certificate runs out.
    pub not_after: OffsetDateTime,
    /// Whether it is shut out.
    pub revoked: bool,
    /// What it should be.
    pub wish: Wish,
}

/// What an Element last said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its node id.
    pub id: NodeId,
    /// `HOST:PORT` of its door, most preferred first.
    pub endpoints: Vec<String>,
    /// Its description; no State.
    pub description: AnyElement,
}

impl Element {
    /// Its description, if it is a Computing Element.
    pub const fn computing(&self) -> Option<&ComputingElement> {
        match &self.description {
            AnyElement::Computing(element) => Some(element),
            AnyElement::Storage(_) | AnyElement::Data(_) => None,
        }
    }
}

/// What a Host last said of itself, told by its Element.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its node id.
    pub id: NodeId,
    /// Its Element.
    pub element: NodeId,
    /// Its description; no State.
    pub description: AnyHost,
}

impl Host {
    /// Its description, if it is a compute Host.
    pub const fn compute(&self) -> Option<&ComputeHost> {
        match &self.description {
            AnyHost::Compute(host) => Some(host),
            AnyHost::Storage(_) | AnyHost::Data(_) => None,
        }
    }
}

/// A join token; its secret is not kept.
#[derive(Clone)]
pub struct JoinTokenRecord {
    /// Its public part.
    pub id: TokenId,
    /// For which kind.
    pub kind: NodeKind,
    /// For which domain.
    pub domain: String,
    /// Hash of the secret, hex.
    pub secret_hash: String,
    /// Uses left.
    pub uses_left: u32,
    /// For people.
    pub label: String,
    /// When it was made.
    pub created: OffsetDateTime,
    /// When it ends.
    pub expires: OffsetDateTime,
}
