//! `SEDoc.xml` as the information base of a Storage Element.

use gridmart_fabric::identity::NodeIdentity;
use gridmart_schemas::{
    resource::{
        common::CommonInfo,
        element_doc::{CommonConfiguration, HostEntry, JoinTokens},
        enumeration::SeArchitecture,
        host::{StorageHost, StorageHostState},
        se::{SeInfo, SePolicy, StorageElement},
        se_doc::SeDocument,
    },
    scalar::{Seconds, Uri},
    wire::desired::Wish,
};

use crate::{
    config::Config,
    element::{
        description,
        goods::{ElementDocument, TableHost},
    },
    run::ElementError,
};

/// What it can do.
const CAPABILITIES: &[&str] = &["data.management.storage"];

impl TableHost for StorageHost {
    type State = StorageHostState;

    fn id(&self) -> &Uri {
        &self.id
    }

    fn without_state(&self) -> Self {
        Self {
            state: None,
            ..self.clone()
        }
    }
}

impl ElementDocument for SeDocument {
    type Host = StorageHost;

    fn common_info(&self) -> &CommonInfo {
        &self.element.info.common
    }

    /// Of its first address: where it is reached by another port than it listens
    /// on, its owner says on which it listens as well.
    fn door_port(&self) -> Option<u16> {
        let door = self.element.info.common.endpoints.first()?;
        let (_, port) = door.as_str().rsplit_once(':')?;
        port.parse().ok()
    }

    fn set_door(&mut self, _port: u16, endpoints: Vec<Uri>) {
        self.element.info.common.endpoints = endpoints;
    }

    fn set_up(&mut self, config: &Config) {
        if let Some(delay) = config.repair_delay {
            self.configuration.repair_delay = Seconds::from_duration(delay);
        }
        if let Some(rate) = config.repair_rate {
            self.configuration.repair_rate = rate;
        }
    }

    fn common_configuration(&self) -> &CommonConfiguration {
        &self.configuration.common
    }

    /// Nobody attaches again: a transfer that breaks off is made again.
    fn reattach_grace(&self) -> Seconds {
        Seconds::default()
    }

    fn set_wish(&mut self, wish: Wish) {
        self.wish = wish;
    }

    fn hosts(&self) -> &[HostEntry<StorageHost>] {
        &self.host_table.hosts
    }

    fn hosts_mut(&mut self) -> &mut Vec<HostEntry<StorageHost>> {
        &mut self.host_table.hosts
    }

    fn join_tokens(&self) -> &JoinTokens {
        &self.join_tokens
    }

    fn join_tokens_mut(&mut self) -> &mut JoinTokens {
        &mut self.join_tokens
    }
}

/// The information base of a new Element.
pub(super) fn first_document(
    config: &Config,
    identity: &NodeIdentity,
) -> Result<SeDocument, ElementError> {
    let common = description::common_info(config, identity, CAPABILITIES)?;
    let mut document = SeDocument::new(StorageElement {
        id: description::element_id(identity)?,
        info: SeInfo::new(common, SeArchitecture::Multidisk),
        state: None,
        policy: SePolicy::default(),
        access: description::open_access(),
    });
    document.configuration.common = description::common_configuration();
    Ok(document)
}
