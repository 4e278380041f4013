//! Access keys as the controller asks for them, on behalf of their persons.

use gridmart_fabric::stream::{Incoming, reply};
use gridmart_schemas::{
    problem::{Code, Problem},
    scalar::UtcTime,
    wire::{
        Done, Request as _,
        access_key::{
            AccessKeyList, AccessKeyMade, AccessKeyMake, AccessKeyRemove, AccessKeyTold,
            AccessKeysTold,
        },
        desired::PersonRole,
    },
};
use serde_json::value::RawValue;

use crate::{
    public::key::{NewKey, require_label, require_room, unknown},
    storage::{
        Se,
        metadata::{AccessKey, Change, query},
        s3::REGION,
    },
};

impl Se {
    /// What the controller asks of access keys; `None`: it is about something
    /// else.
    pub(in crate::storage) async fn on_key_request(
        &self,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        let answered = match incoming.kind.as_str() {
            AccessKeyMake::KIND => self.key_make(incoming).await,
            AccessKeyList::KIND => self.key_list(incoming).await,
            AccessKeyRemove::KIND => self.key_remove(incoming).await,
            _ => return None,
        };
        Some(answered)
    }

    async fn key_make(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let AccessKeyMake {
            person,
            role,
            domain,
            label,
        } = incoming.read()?;
        require_label(&label)?;
        let service = self.goods.service()?;
        let whose = person.clone();
        let present = service.read(move |connection| query::access_keys_of(connection, &whose));
        require_room(&person, present.await?.len())?;
        let NewKey { id, secret } = NewKey::generate();
        let sealed_secret = self.goods.s3.sealing.seal(&id, &secret).map_err(|error| {
            tracing::error!(%error, "a new access key cannot be sealed");
            Problem::new(Code::Internal, "The access key cannot be made.")
        })?;
        let change = Change::AccessKeyCreate {
            id: id.clone(),
            person: person.clone(),
            sealed_secret,
            label,
        };
        service.commit(change).await?;
        self.goods.s3.people.note(PersonRole {
            name: person,
            role,
            domain,
        });
        let read = service.read(move |connection| query::access_key(connection, &id));
        let key = read
            .await?
            .ok_or_else(|| Problem::new(Code::Internal, "The new access key is gone already."))?;
        reply(&AccessKeyMade {
            key: told(key),
            secret,
            endpoint: self.goods.s3.url(),
            region: REGION.to_owned(),
        })
    }

    async fn key_list(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let AccessKeyList { person } = incoming.read()?;
        let service = self.goods.service()?;
        let read = service.read(move |connection| query::access_keys_of(connection, &person));
        let keys = read.await?.into_iter().map(told).collect();
        reply(&AccessKeysTold { keys })
    }

    async fn key_remove(&self, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let AccessKeyRemove { person, id } = incoming.read()?;
        let service = self.goods.service()?;
        let asked = id.clone();
        let read = service.read(move |connection| query::access_key(connection, &asked));
        if read.await?.is_none_or(|key| key.person != person) {
            return Err(unknown(&person, &id));
        }
        service.commit(Change::AccessKeyDelete { id }).await?;
        reply(&Done {})
    }
}

fn told(key: AccessKey) -> AccessKeyTold {
    AccessKeyTold {
        id: key.id,
        label: key.label,
        created: UtcTime::new(key.created.to_offset_date_time()).unwrap_or_else(|_| UtcTime::now()),
    }
}
