//! An entry of the audit log, before it has its place and result.

use gridmart_schemas::id::RequestId;

/// Who did what to what.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// A person's name, a node's id, or `gridmart` itself.
    pub actor: String,
    /// `application.upload`, `resource.stop`, `node.join`, …
    pub action: &'static str,
    /// To what.
    pub target: String,
    /// The request.
    pub request: Option<RequestId>,
    /// More, for people.
    pub detail: String,
}
