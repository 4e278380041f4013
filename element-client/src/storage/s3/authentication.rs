//! Whose an access key is.

use std::sync::Arc;

use gridmart_schemas::id::PersonName;
use s3s::{
    S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
};

use super::{caller::Caller, fault, known::Known, store::Store};
use crate::{
    public::people::People,
    storage::{
        keys::SealingKey,
        metadata::{AccessKey, query},
    },
};

/// Longer ids are nobody's.
const ID_BYTES_MAX: usize = 128;

/// Finds keys. Clones share everything.
#[derive(Clone)]
pub(super) struct Authentication {
    pub(super) store: Store,
    pub(super) sealing: Arc<SealingKey>,
    pub(super) people: Arc<People>,
    /// Those that were used.
    pub(super) known: Arc<Known<Arc<AccessKey>>>,
}

fn unknown() -> s3s::S3Error {
    s3_error!(
        InvalidAccessKeyId,
        "The AWS Access Key Id you provided does not exist in our records."
    )
}

impl Authentication {
    async fn find(&self, id: &str) -> S3Result<Arc<AccessKey>> {
        if id.len() > ID_BYTES_MAX {
            return Err(unknown());
        }
        let wanted = id.to_owned();
        let read = async {
            self.store
                .read(move |connection| query::access_key(connection, &wanted))
                .await
                .map_err(|problem| fault::of(&problem))?
                .map(Arc::new)
                .ok_or_else(unknown)
        };
        self.known.get(&self.store, id, read).await
    }

    /// Who has signed with a key, with the role of now.
    pub(super) async fn caller(&self, id: &str) -> S3Result<Caller> {
        let person: PersonName = self.find(id).await?.person.clone();
        let role = self.people.role(&person).ok_or_else(unknown)?;
        Ok(Caller::Person { name: person, role })
    }
}

#[async_trait::async_trait]
impl S3Auth for Authentication {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        let key = self.find(id).await?;
        match self.sealing.unseal(&key.id, &key.sealed_secret) {
            Ok(secret) => Ok(SecretKey::from(secret)),
            Err(error) => {
                tracing::warn!(%error, key = key.id, "an access key cannot be used; it must be made anew");
                Err(S3ErrorCode::InvalidAccessKeyId.into())
            }
        }
    }
}
