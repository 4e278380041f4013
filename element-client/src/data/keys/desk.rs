//! Access keys as the controller asks for them, on behalf of their persons.

use std::sync::Arc;

use gridmart_fabric::{
    sqlite::StoreError,
    stream::{Incoming, reply},
};
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

use super::{KnownKey, Verifier};
use crate::{
    data::De,
    public::key::{NewKey, require_label, require_room, unknown},
};

impl De {
    /// What the controller asks of access keys; `None`: it is about something else.
    pub(in crate::data) async fn on_key_request(
        self: &Arc<Self>,
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

    async fn key_make(self: &Arc<Self>, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let AccessKeyMake {
            person,
            role,
            domain,
            label,
        } = incoming.read()?;
        require_label(&label)?;
        let (NewKey { id, secret }, whose) = (NewKey::generate(), person.clone());
        let new = secret.clone();
        let made = self.blocking(move |de| {
            let keys = &de.goods.keys;
            require_room(&whose, keys.of(&whose).map_err(failed)?.len())?;
            let key = KnownKey {
                id,
                person: whose,
                label,
                created: UtcTime::now(),
                verifier: Verifier::of(&new),
            };
            keys.put(&key).map_err(failed)?;
            Ok::<_, Problem>(told(key))
        });
        let key = made.await??;
        self.goods.people.note(PersonRole {
            name: person,
            role,
            domain,
        });
        reply(&AccessKeyMade {
            key,
            secret,
            endpoint: self.goods.postgres.url(),
            region: String::new(),
        })
    }

    async fn key_list(self: &Arc<Self>, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let AccessKeyList { person } = incoming.read()?;
        let read = self.blocking(move |de| de.goods.keys.of(&person).map_err(failed));
        let keys = read.await??.into_iter().map(told).collect();
        reply(&AccessKeysTold { keys })
    }

    async fn key_remove(self: &Arc<Self>, incoming: &Incoming) -> Result<Box<RawValue>, Problem> {
        let AccessKeyRemove { person, id } = incoming.read()?;
        let gone = id.clone();
        let removed = self.blocking(move |de| {
            if de.goods.keys.remove(&id, &person).map_err(failed)? {
                return Ok(());
            }
            Err(unknown(&person, &id))
        });
        removed.await??;
        self.goods.postgres.end_sessions_of(&gone);
        reply(&Done {})
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn failed(error: StoreError) -> Problem {
    let source = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    tracing::error!(%error, source, "the file of access keys refuses");
    Problem::new(Code::StorageFailed, format!("{error}: {source}"))
}

fn told(key: KnownKey) -> AccessKeyTold {
    AccessKeyTold {
        id: key.id,
        label: key.label,
        created: key.created,
    }
}
