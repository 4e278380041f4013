//! TLS between nodes, and between programs and nodes.
//!
//! Invariants: TLS 1.3 only, nothing is resumed; a dial believes only a
//! certificate from the pinned root that names the expected node; a door
//! accepts any certificate as proof that its key is held, and takes it for a
//! node's only if it is from the root, in time, and not revoked. Identities
//! may be replaced while doors and dials use them.

mod channel;
mod client;
mod connection;
mod judge;
mod revocation;
mod server;

use std::sync::Arc;

use gridmart_schemas::{id::NodeId, role::NodeKind};
use rustls::crypto::CryptoProvider;

pub(crate) use self::judge::verify_node_chain;
pub(crate) use self::{
    channel::BoxedTransport,
    client::FoundRoot,
    connection::{CONNECT_TIMEOUT, connect, connect_over, connect_unpinned},
};
pub use self::{
    channel::{Channel, Transport},
    client::ClientTls,
    revocation::Revocations,
    server::{ServerTls, web_server_config},
};

/// The node that a dial expects at the other end.
pub type Expected = (NodeId, NodeKind);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The configuration is refused.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    /// The root cannot be used.
    #[error("the root certificate cannot be used to verify others: {0}")]
    Root(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
