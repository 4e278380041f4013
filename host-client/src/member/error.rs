//! Why a Host cannot start.

use std::{io, path::PathBuf};

use gridmart_fabric::{identity::IdentityError, node_lock::NodeLockError, tls::TlsError};
use gridmart_schemas::{problem::Problem, role::NodeKind};

/// A Host that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Another process has the data folder.
    #[error(transparent)]
    Lock(#[from] NodeLockError),
    /// The identity cannot be read or kept.
    #[error("the Host's identity in {} cannot be used", folder.display())]
    Identity {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// There is no identity and no token to get one.
    #[error(
        "the Host in {} has not joined an Element yet: give it a join token, made with `gridmart token create --kind {kind}`",
        folder.display()
    )]
    NotJoined {
        /// The data folder.
        folder: PathBuf,
        /// What the Host is.
        kind: NodeKind,
    },
    /// Applications would see the data folder.
    #[error(
        "the data folder {} lies in {shown}, which every sandbox shows to its application: name another folder",
        folder.display()
    )]
    DataFolderShown {
        /// The data folder.
        folder: PathBuf,
        /// The folder of the system that it lies in.
        shown: &'static str,
    },
    /// A database server is not what it has to be.
    #[error("the {engine} server that the Host was told of cannot be used: {why}")]
    Server {
        /// Of which engine it is.
        engine: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The identity is another kind of node's.
    #[error("the data folder {} belongs to a node of kind {kind}, not to a {goods} Host: name another folder", folder.display())]
    OtherKind {
        /// The data folder.
        folder: PathBuf,
        /// Whose it is.
        kind: NodeKind,
        /// What the Host has.
        goods: &'static str,
    },
    /// The join token is not one for this.
    #[error("the join token cannot be used: {reason}")]
    Token {
        /// Why.
        reason: String,
    },
    /// The name is not one.
    #[error("the Host's name cannot be used: {reason}")]
    Name {
        /// Why.
        reason: String,
    },
    /// The Element refuses, or cannot be reached.
    #[error("joining the Element at {element} failed: {problem}; {}", problem.hint)]
    Join {
        /// Its address.
        element: String,
        /// Why.
        problem: Box<Problem>,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up for the Host")]
    Tls(#[from] TlsError),
    /// The system refuses.
    #[error("{action} {target} failed")]
    System {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl HostError {
    pub(crate) fn system(
        action: &'static str,
        target: &dyn std::fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self + use<> {
        let target = target.to_string();
        move |source| Self::System {
            action,
            target,
            source,
        }
    }
}
