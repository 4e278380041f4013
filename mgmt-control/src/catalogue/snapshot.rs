//! The catalogue at one moment: immutable maps that share structure with the
//! moments before, so that a change costs what it changes.
//!
//! Invariant: only the writer makes new snapshots, and the `put` functions
//! here keep the maps' references to each other whole.

use std::sync::Arc;

use gridmart_schemas::{
    id::{Digest, NodeId, PersonName, TokenId},
    role::NodeKind,
    wire::desired::Wish,
};
use imbl::{HashMap, OrdMap, OrdSet};
use rusqlite::Connection;

use super::{
    application::Application,
    node::{Element, Host, JoinTokenRecord, Node},
    person::{ApiToken, Person},
};
use crate::store::{self, StoreError};

/// Key of the last used generation in the store.
pub(super) const GENERATION: &str = "generation";

/// The catalogue at one moment.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Generation of the newest command; one counter for all things, so that
    /// wishes of different things can be compared by age.
    pub generation: u64,
    /// Number of the newest event in the store.
    pub newest_event: u64,
    /// People by name.
    pub people: OrdMap<PersonName, Arc<Person>>,
    /// API tokens by their public part.
    pub api_tokens: HashMap<TokenId, Arc<ApiToken>>,
    /// Join tokens by their public part.
    pub join_tokens: OrdMap<TokenId, Arc<JoinTokenRecord>>,
    /// Nodes by id.
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// Nodes that are revoked.
    pub revoked: OrdSet<NodeId>,
    /// Elements that have told of themselves.
    pub elements: OrdMap<NodeId, Arc<Element>>,
    /// Hosts that have told of themselves.
    pub hosts: OrdMap<NodeId, Arc<Host>>,
    /// Hosts of each Element.
    pub hosts_of: OrdMap<NodeId, OrdSet<NodeId>>,
    /// Application versions by content hash.
    pub applications: OrdMap<Digest, Arc<Application>>,
    /// Versions by application name, oldest upload first.
    pub versions: OrdMap<String, Vec<Digest>>,
    /// Wishes for an application on one Host, where they were given apart.
    pub host_wishes: OrdMap<NodeId, OrdMap<Digest, Wish>>,
}

impl Snapshot {
    /// Reads the whole catalogue from the store.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let generation = store::meta_get(connection, GENERATION)?;
        let mut snapshot = Self {
            newest_event: store::event::event_newest(connection)?,
            generation: generation.and_then(|text| text.parse().ok()).unwrap_or(0),
            ..Self::default()
        };
        for person in store::person::person_list(connection)? {
            snapshot.put_person(person);
        }
        for token in store::person::api_token_list(connection)? {
            snapshot.put_api_token(token);
        }
        for token in store::join_token::join_token_list(connection)? {
            snapshot.put_join_token(token);
        }
        for node in store::node::node_list(connection)? {
            snapshot.put_node(node);
        }
        for element in store::node::element_list(connection)? {
            snapshot.put_element(element);
        }
        for host in store::node::host_list(connection)? {
            snapshot.put_host(host);
        }
        for application in store::application::application_list(connection)? {
            snapshot.put_application(application);
        }
        for (digest, host, wish) in store::application::host_application_list(connection)? {
            snapshot.put_host_wish(&digest, host, wish);
        }
        Ok(snapshot)
    }

    pub(super) fn put_person(&mut self, person: Person) {
        self.people.insert(person.name.clone(), Arc::new(person));
    }

    pub(super) fn put_api_token(&mut self, token: ApiToken) {
        self.api_tokens.insert(token.id, Arc::new(token));
    }

    pub(super) fn put_join_token(&mut self, token: JoinTokenRecord) {
        self.join_tokens.insert(token.id, Arc::new(token));
    }

    pub(super) fn put_node(&mut self, node: Node) {
        if node.revoked {
            self.revoked.insert(node.id);
        } else {
            self.revoked.remove(&node.id);
        }
        self.nodes.insert(node.id, Arc::new(node));
    }

    pub(super) fn put_element(&mut self, element: Element) {
        self.elements.insert(element.id, Arc::new(element));
    }

    pub(super) fn put_host(&mut self, host: Host) {
        self.hosts_of
            .entry(host.element)
            .or_default()
            .insert(host.id);
        self.hosts.insert(host.id, Arc::new(host));
    }

    pub(super) fn put_application(&mut self, application: Application) {
        let versions = self.versions.entry(application.name.clone()).or_default();
        if !versions.contains(&application.digest) {
            versions.push(application.digest.clone());
        }
        self.applications
            .insert(application.digest.clone(), Arc::new(application));
    }

    pub(super) fn put_host_wish(&mut self, digest: &Digest, host: NodeId, wish: Wish) {
        self.host_wishes
            .entry(host)
            .or_default()
            .insert(digest.clone(), wish);
    }

    #[cfg(test)]
    pub(crate) fn put_host_wish_for_tests(&mut self, digest: &Digest, host: NodeId, wish: Wish) {
        self.put_host_wish(digest, host, wish);
    }

    // === Lookups ===

    /// A node of one kind that is not revoked.
    pub fn live_node(&self, id: NodeId, kind: NodeKind) -> Option<&Arc<Node>> {
        self.nodes
            .get(&id)
            .filter(|node| node.kind == kind && !node.revoked)
    }

    /// Hosts of an Element, of whatever kind, that are not revoked.
    pub fn live_hosts_of(&self, element: NodeId) -> impl Iterator<Item = (&Arc<Node>, &Arc<Host>)> {
        self.hosts_of
            .get(&element)
            .into_iter()
            .flatten()
            .filter_map(|id| {
                let node = self.nodes.get(id).filter(|node| !node.revoked)?;
                Some((node, self.hosts.get(id)?))
            })
    }

    /// Computing Elements that are not revoked and have told of themselves.
    pub fn live_computing_elements(&self) -> impl Iterator<Item = (&Arc<Node>, &Arc<Element>)> {
        self.elements.iter().filter_map(|(id, element)| {
            Some((self.live_node(*id, NodeKind::ComputingElement)?, element))
        })
    }

    /// The versions of an application, oldest upload first; empty if unknown.
    pub fn versions_of(&self, name: &str) -> impl Iterator<Item = &Arc<Application>> {
        self.versions
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|digest| self.applications.get(digest))
    }

    /// The version that the name alone means.
    pub fn default_version(&self, name: &str) -> Option<&Arc<Application>> {
        self.versions_of(name)
            .find(|application| application.default)
    }

    /// What an application should be on one Host: the newer of its own wish
    /// and the one that was given for that Host.
    pub fn wish_on_host(&self, application: &Application, host: NodeId) -> Wish {
        let apart = self
            .host_wishes
            .get(&host)
            .and_then(|wishes| wishes.get(&application.digest));
        match apart {
            Some(apart) if apart.generation > application.wish.generation => *apart,
            _ => application.wish,
        }
    }
}
