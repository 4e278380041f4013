//! A door, and programs at it.

use std::{net::SocketAddr, sync::Arc};

use gridmart_schemas::{
    id::{NodeId, PersonName},
    resource::common::{AccessRule, Who},
    role::Role,
    storage::Redundancy,
};
use tokio_util::sync::CancellationToken;

use crate::storage::{
    keys::{NewKey, SealingKey},
    metadata::Change,
    people::People,
    s3::{
        door::{S3Door, S3Limits, Tls},
        fixture::Fixture,
        start::{Parts, answering},
        store::Store,
    },
    transfers::Transfers,
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
        let door = S3Door::bind(listen, Tls::Off, limits).unwrap();
        let address = door.local_addr();
        let stop = CancellationToken::new();
        tokio::spawn(door.serve(answering(parts, limits), stop.clone()));
        Self {
            address,
            people,
            store,
            sealing,
            stop,
            _folder: folder,
        }
    }

    /// A new key of a person.
    pub(super) async fn key(&self, person: &str, role: Role) -> NewKey {
        let key = NewKey::generate();
        self.key_put(person, role, &key).await;
        key
    }

    pub(super) async fn key_put(&self, person: &str, role: Role, key: &NewKey) {
        let person: PersonName = person.parse().unwrap();
        self.people.note(person.clone(), role);
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
