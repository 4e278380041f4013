//! Where things are that Elements keep for people: buckets on Storage Elements, databases
//! on Data Elements.

use std::sync::Arc;

use gridmart_schemas::{
    id::PersonName,
    problem::{Code, Problem},
    role::NodeKind,
};

use crate::catalogue::{View, node::Node};

/// One kind of such things.
pub struct Kept {
    /// What one is, as people say it.
    what: &'static str,
    /// Who keeps them, for people, and for join tokens.
    keeper: &'static str,
    kinds: &'static [NodeKind],
    token: &'static str,
}

/// Buckets.
pub(super) const BUCKETS: Kept = Kept {
    what: "bucket",
    keeper: "Storage Element",
    kinds: &[NodeKind::StorageElement],
    token: "se",
};

/// Databases.
pub(super) const DATABASES: Kept = Kept {
    what: "database",
    keeper: "Data Element",
    kinds: &[NodeKind::DataElement],
    token: "de",
};

/// Access keys, with which programs speak S3 or PostgreSQL's protocol.
pub(super) const KEYS: Kept = Kept {
    what: "access key",
    keeper: "Storage or Data Element",
    kinds: &[NodeKind::StorageElement, NodeKind::DataElement],
    token: "se",
};

impl Kept {
    /// The Elements that may keep some and are not revoked, or the one that is named.
    pub(super) fn elements(
        &self,
        view: &View,
        element: Option<&str>,
    ) -> Result<Vec<Arc<Node>>, Problem> {
        if let Some(element) = element {
            return Ok(vec![view.resource_of(element, self.kinds)?]);
        }
        let all = view.catalogue.nodes.values();
        Ok(all
            .filter(|node| self.kinds.contains(&node.kind) && !node.revoked)
            .cloned()
            .collect())
    }

    /// The one that is named, or the only one.
    pub(super) fn the_element(
        &self,
        view: &View,
        element: Option<&str>,
    ) -> Result<Arc<Node>, Problem> {
        let Self { keeper, token, .. } = self;
        let all = self.elements(view, element)?;
        match all.as_slice() {
            [one] => Ok(Arc::clone(one)),
            [] => Err(Problem::new(
                Code::NotFound,
                format!("There is no {keeper}: join one (`gridmart token create --kind {token}`)."),
            )),
            several => {
                let names: Vec<&str> = several.iter().map(|node| node.name.as_str()).collect();
                let detail = format!(
                    "There are several {keeper}s: {}. Name one as `element`.",
                    names.join(", ")
                );
                Err(Problem::new(Code::InvalidRequest, detail))
            }
        }
    }

    /// There is none where somebody has answered.
    pub(super) fn away(&self, text: &str, silent: &[String]) -> Problem {
        if silent.is_empty() {
            return self.unknown(text);
        }
        Problem::new(
            Code::ElementDown,
            format!(
                "No Element that answers has a {} {text:?}; these did not answer: {}.",
                self.what,
                silent.join(", ")
            ),
        )
    }

    /// A name that means more than one, each with its Element.
    pub(super) fn several(&self, text: &str, names: &[String]) -> Problem {
        let detail = format!(
            "{text:?} means several {}s: {}. Say which.",
            self.what,
            names.join(", ")
        );
        Problem::new(Code::InvalidRequest, detail)
    }

    /// It may be seen, and not be changed.
    pub(super) fn anothers(&self, text: &str, owner: &PersonName) -> Problem {
        let detail = format!(
            "The {} {text} belongs to {owner}; its owner and operators may do this.",
            self.what
        );
        Problem::new(Code::NotAuthorized, detail)
    }

    /// Whether there is one is nobody's business who may not use it.
    pub(super) fn unknown(&self, text: &str) -> Problem {
        let shown: String = text.chars().take(80).collect();
        Problem::new(
            Code::NotFound,
            format!("There is no {} {shown:?} that you may use.", self.what),
        )
    }
}
