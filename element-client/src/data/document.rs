//! `DEDoc.xml` as the information base of a Data Element.

use gridmart_fabric::identity::NodeIdentity;
use gridmart_schemas::{
    resource::{
        Extensions,
        common::CommonInfo,
        de::{DataElement, DeInfo, DePolicy},
        de_doc::DeDocument,
        element_doc::{CommonConfiguration, HostEntry, JoinTokens},
        enumeration::DataEngine,
        host::{DataHost, DataHostState},
    },
    scalar::{Seconds, Uri},
    wire::desired::Wish,
};

use crate::{
    config::{Config, DataLimits},
    element::{
        description,
        goods::{ElementDocument, TableHost},
    },
    run::ElementError,
};

/// What it can do.
const CAPABILITIES: &[&str] = &["data.access.relational"];

impl TableHost for DataHost {
    type State = DataHostState;

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

impl ElementDocument for DeDocument {
    type Host = DataHost;

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
        if let Some(interval) = config.check_interval {
            self.configuration.check_interval = Some(Seconds::from_duration(interval));
        }
        let DataLimits {
            sessions,
            running,
            waiting,
            time,
            result_bytes,
            result_rows,
        } = config.data_limits;
        let policy = &mut self.element.policy;
        note(&mut policy.max_sessions, sessions);
        note(&mut policy.max_running_requests, running);
        note(&mut policy.max_waiting_requests, waiting);
        note(
            &mut policy.max_request_time,
            time.map(Seconds::from_duration),
        );
        note(&mut policy.max_result_size, result_bytes);
        note(&mut policy.max_result_rows, result_rows);
        self.hosts_changed();
    }

    fn common_configuration(&self) -> &CommonConfiguration {
        &self.configuration.common
    }

    /// Nobody attaches again: a statement that breaks off is run again.
    fn reattach_grace(&self) -> Seconds {
        Seconds::default()
    }

    fn set_wish(&mut self, wish: Wish) {
        self.wish = wish;
    }

    fn hosts(&self) -> &[HostEntry<DataHost>] {
        &self.host_table.hosts
    }

    fn hosts_mut(&mut self) -> &mut Vec<HostEntry<DataHost>> {
        &mut self.host_table.hosts
    }

    /// It keeps databases on what its Hosts have.
    fn hosts_changed(&mut self) {
        let hosts = self.host_table.hosts.iter();
        self.element.info.engines = engines_of(hosts.map(|entry| &entry.host));
    }

    fn join_tokens(&self) -> &JoinTokens {
        &self.join_tokens
    }

    fn join_tokens_mut(&mut self) -> &mut JoinTokens {
        &mut self.join_tokens
    }
}

/// The engines of all of them, SQLite first, which each has.
fn engines_of<'h>(hosts: impl Iterator<Item = &'h DataHost>) -> Vec<DataEngine> {
    let found = hosts.flat_map(|host| &host.info.engines);
    let found = found.map(|engine| engine.name.clone());
    let mut others: Vec<DataEngine> = found
        .filter(|engine| *engine != DataEngine::Sqlite)
        .collect();
    others.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    others.dedup();
    std::iter::once(DataEngine::Sqlite).chain(others).collect()
}

/// What is said now counts from here on.
fn note<T>(noted: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *noted = said;
    }
}

/// The information base of a new Element.
pub(super) fn first_document(
    config: &Config,
    identity: &NodeIdentity,
) -> Result<DeDocument, ElementError> {
    let common = description::common_info(config, identity, CAPABILITIES)?;
    let mut document = DeDocument::new(DataElement {
        id: description::element_id(identity)?,
        info: DeInfo {
            common,
            engines: vec![DataEngine::Sqlite],
            access_protocols: Vec::new(),
            extensions: Extensions::default(),
        },
        state: None,
        policy: DePolicy::default(),
        access: description::open_access(),
    });
    document.configuration.common = description::common_configuration();
    Ok(document)
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::id::NodeId;

    use super::{
        super::pool::tests::{host, state},
        *,
    };

    #[test]
    fn an_element_has_the_engines_of_its_hosts() {
        let having = |engine: DataEngine| {
            let mut host = host(NodeId::generate(), state(&[]));
            let mut other = host.info.engines[0].clone();
            other.name = engine;
            host.info.engines.push(other);
            host
        };
        let hosts = [DataEngine::Postgresql, DataEngine::Mariadb].map(having);
        let [one, other] = &hosts;
        let wanted = [
            DataEngine::Sqlite,
            DataEngine::Mariadb,
            DataEngine::Postgresql,
        ];
        assert_eq!(engines_of([one, other, one].into_iter()), wanted);
        assert_eq!(engines_of([].into_iter()), [DataEngine::Sqlite]);
    }
}
