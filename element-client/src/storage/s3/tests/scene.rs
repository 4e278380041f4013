//! A door, and programs at it.

use std::{net::SocketAddr, sync::Arc};

use gridmart_schemas::{
    id::{NodeId, PersonName},
    resource::common::{AccessRule, Who},
    role::Role,
    storage::Redundancy,
    wire::desired::PersonRole,
};
use tokio_util::sync::CancellationToken;

use crate::{
    public::{
        door::{PublicDoor, Tls},
        key::NewKey,
        people::People,
    },
    storage::{
        keys::SealingKey,
        metadata::Change,
        s3::{
            door::{self, S3Limits, WHAT},
            fixture::Fixture,
            start::{Parts, answering},
            store::Store,
        },
        transfers::Transfers,
    },
};

/// A door that is open.
pub(super) struct Scene {
    pub(super) address: SocketAddr,
    pub(super) people: Arc<People>,
    store: Store,
    sealing: Arc<SealingKey>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(super) async fn open() -> Self {
        Self::open_with("127.0.0.1:0".parse().unwrap(), S3Limits::default()).await
    }

    pub(super) async fn open_with(listen: SocketAddr, limits: S3Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sealing = Arc::new(SealingKey::find_or_pass(folder.path()).unwrap());
        let people = Arc::new(People::default());
        let store = Store::Fixture(Fixture::new().await);
        let parts = Parts {
            store: store.clone(),
            sealing: Arc::clone(&sealing),
            people: Arc::clone(&people),
            transfers: Transfers::open(NodeId::generate(), Arc::default(), folder.path()).unwrap(),
            rules: Arc::new(|| vec![AccessRule::new(Who::All)]),
            redundancy: Arc::new(|| Redundancy::replica(1).unwrap()),
        };
        let door = PublicDoor::bind(listen, Tls::Off, limits.bounds(), WHAT).unwrap();
        let address = door.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(door::serve(door, answering(parts, limits), stop.clone()));
        Self {
            address,
            people,
            store,
            sealing,
            stop,
            _folder: folder,
        }
    }

    /// A person's role, as the controller says it.
    pub(super) fn person(&self, name: &str, role: Role) {
        self.people.note(PersonRole {
            name: name.parse().unwrap(),
            role,
            domain: None,
        });
    }

    /// A new key of a person.
    pub(super) async fn key(&self, person: &str, role: Role) -> NewKey {
        let key = NewKey::generate();
        self.key_put(person, role, &key).await;
        key
    }

    pub(super) async fn key_put(&self, person: &str, role: Role, key: &NewKey) {
        let person: PersonName = person.parse().unwrap();
        self.person(person.as_str(), role);
        let sealed_secret = self.sealing.seal(&key.id, &key.secret).unwrap();
        let change = Change::AccessKeyCreate {
            id: key.id.clone(),
            person,
            sealed_secret,
            label: String::new(),
        };
        self.store.commit(change).await.unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
