//! Hosts, access keys and settings.

use gridmart_schemas::id::{NodeId, PersonName};
use rusqlite::params;

use super::{Outcome, Place};
use crate::storage::metadata::{
    refusal::Refusal,
    store::{During as _, Sql, query},
};

pub(super) fn known(place: Place<'_>, host: NodeId) -> Outcome {
    place
        .store
        .execute(
            "INSERT INTO host (id, known) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET removed = NULL",
            params![Sql(host), Sql(place.time)],
        )
        .during("host_known")?;
    Ok(())
}

pub(super) fn removed(place: Place<'_>, host: NodeId) -> Outcome {
    let changed = place
        .store
        .execute(
            "UPDATE host SET removed = coalesce(removed, ?2) WHERE id = ?1",
            params![Sql(host), Sql(place.time)],
        )
        .during("host_removed")?;
    if changed == 0 {
        return Err(Refusal::HostUnknown(host).into());
    }
    Ok(())
}

pub(super) fn access_key_create(
    place: Place<'_>,
    id: &str,
    person: &PersonName,
    sealed_secret: &[u8],
    label: &str,
) -> Outcome {
    if query::access_key(place.store, id)?.is_some() {
        return Err(Refusal::AccessKeyExists(id.to_owned()).into());
    }
    place
        .store
        .execute(
            "INSERT INTO access_key (id, person, sealed_secret, label, created)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, person.as_str(), sealed_secret, label, Sql(place.time)],
        )
        .during("access_key_create")?;
    Ok(())
}

pub(super) fn access_key_delete(place: Place<'_>, id: &str) -> Outcome {
    let changed = place
        .store
        .execute("DELETE FROM access_key WHERE id = ?1", [id])
        .during("access_key_delete")?;
    if changed == 0 {
        return Err(Refusal::AccessKeyUnknown(id.to_owned()).into());
    }
    Ok(())
}

pub(super) fn setting(place: Place<'_>, name: &str, value: Option<&str>) -> Outcome {
    match value {
        Some(value) => place.store.execute(
            "INSERT INTO setting (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = ?2",
            params![name, value],
        ),
        None => place
            .store
            .execute("DELETE FROM setting WHERE name = ?1", [name]),
    }
    .during("setting")?;
    Ok(())
}
