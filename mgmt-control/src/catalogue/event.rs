//! An event before it has its number and its time, and which commands are one.

use gridmart_schemas::{
    api::event::{Severity, Topical},
    id::NodeId,
};

use super::{Snapshot, audit::AuditEntry};

/// The longest text of an event.
const TEXT_CHARACTERS_MAX: usize = 300;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventEntry {
    /// `resource.condition`, or the action of the audit log.
    pub(crate) kind: &'static str,
    /// How much it matters.
    pub(crate) severity: Severity,
    /// About what.
    pub(crate) subject: Topical,
    /// Who did it.
    pub(crate) actor: Option<String>,
    /// In words.
    pub(crate) text: String,
    /// Whether everybody is told.
    pub(crate) open: bool,
}

/// What a node is called in an event.
pub(crate) fn topical_node(catalogue: &Snapshot, id: NodeId) -> Topical {
    let node = catalogue.nodes.get(&id);
    Topical {
        kind: node.map_or("node", |node| node.kind.as_str()).to_owned(),
        id: id.to_string(),
        name: node.map_or_else(|| id.to_string(), |node| node.name.clone()),
    }
}

impl EventEntry {
    /// The event that an act of the audit log is, if it is one: what people do
    /// to machines, applications and goods; not what they do to accounts.
    pub(crate) fn of_act(catalogue: &Snapshot, act: &AuditEntry) -> Option<Self> {
        let (severity, open, words) = match act.action {
            "resource.start" | "application.start" => (Severity::Info, true, "start was asked for"),
            "resource.stop" | "application.stop" => (Severity::Info, true, "stop was asked for"),
            "resource.kill" | "application.kill" => (Severity::Warning, true, "kill was asked for"),
            "application.upload" => (Severity::Info, true, "was uploaded"),
            "application.promote" => (Severity::Info, true, "was made the default"),
            "node.join" => (Severity::Info, true, "has joined"),
            "node.revoke" => (Severity::Warning, true, "was revoked"),
            "layout.apply" => (Severity::Info, true, "has a new layout"),
            "call.kill" | "job.kill" | "transfer.kill" | "sql-session.kill" => {
                (Severity::Info, false, "was ended")
            }
            "bucket.create" | "database.create" => (Severity::Info, false, "was created"),
            "bucket.delete" | "database.delete" => (Severity::Info, false, "was deleted"),
            "shadow.add" => (Severity::Info, false, "has another shadow"),
            "shadow.remove" => (Severity::Info, false, "has a shadow less"),
            "shadow.promote" => (Severity::Warning, false, "has another core"),
            _ => return None,
        };
        let node = node_of(catalogue, act);
        let subject = match node {
            Some(id) => topical_node(catalogue, id),
            None => Topical {
                kind: act.action.split('.').next().unwrap_or("node").to_owned(),
                id: bounded(&act.target),
                name: bounded(&act.target),
            },
        };
        Some(Self {
            kind: act.action,
            severity,
            text: bounded(&format!("{} {words}", subject.name)),
            subject,
            actor: Some(name_of(catalogue, &act.actor)),
            open,
        })
    }
}

/// The node that an act names, by its id or, where nodes have names, by that.
fn node_of(catalogue: &Snapshot, act: &AuditEntry) -> Option<NodeId> {
    if let Ok(id) = act.target.parse() {
        return Some(id).filter(|id| catalogue.nodes.contains_key(id));
    }
    let of_node = ["node.", "layout."];
    if !of_node.iter().any(|kind| act.action.starts_with(kind)) {
        return None;
    }
    // Ids count up with time: whoever has just joined stands at the end.
    let mut newest = catalogue.nodes.values().rev();
    newest
        .find(|node| node.name == act.target)
        .map(|node| node.id)
}

/// A person's name, or that of a node that has acted.
fn name_of(catalogue: &Snapshot, actor: &str) -> String {
    let node = actor
        .parse()
        .ok()
        .and_then(|id: NodeId| catalogue.nodes.get(&id));
    node.map_or_else(|| actor.to_owned(), |node| node.name.clone())
}

/// A text that no row is made too long by.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX).collect()
}
