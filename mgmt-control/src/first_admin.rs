//! The first admin: made at the first start, told in `first-admin.json`.
//!
//! Invariant: the file is durable before the person is: a crash between the
//! two leaves a file whose secrets mean nothing, and the next start replaces it.

use std::{io, path::Path};

use gridmart_fabric::disk::{RealDisk, Secrecy, durable_write, read_bounded};
use gridmart_schemas::{id::PersonName, role::Role};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    app::{api_token::LIFE_MAX, password, session::make_token},
    catalogue::{Catalogue, audit::AuditEntry, person::Person},
    failure::Failure,
};

/// Name of the file in the data folder.
const FILE: &str = "first-admin.json";
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The first admin's name.
const NAME: &str = "admin";

/// What the file says.
#[derive(Serialize, Deserialize)]
struct FirstAdmin {
    url: String,
    user: String,
    password: String,
    token: String,
}

/// Makes the first admin if there is nobody; keeps the file's URL true.
pub(crate) async fn ensure(
    catalogue: &Catalogue,
    data_dir: &Path,
    url: &str,
) -> Result<(), Failure> {
    let path = data_dir.join(FILE);
    if !catalogue.snapshot().people.is_empty() {
        return refresh(&path, url)
            .map_err(|error| Failure::internal("rewriting first-admin.json", &error));
    }
    let name: PersonName = NAME
        .parse()
        .map_err(|error| Failure::internal("naming the first admin", &error))?;
    let made = password::make();
    let password_hash = password::hash(&made)?;
    let now = OffsetDateTime::now_utc().truncate_to_second();
    let (text, token) = make_token(&name, "first admin", now, LIFE_MAX);
    let told = FirstAdmin {
        url: url.to_owned(),
        user: name.to_string(),
        password: made,
        token: text,
    };
    write(&path, &told).map_err(|error| Failure::internal("writing first-admin.json", &error))?;
    catalogue
        .update(move |update| {
            let entry = AuditEntry {
                actor: "gridmart".to_owned(),
                action: "person.create",
                target: name.to_string(),
                request: None,
                detail: "the first admin".to_owned(),
            };
            update.put_person(Person {
                name,
                role: Role::Admin,
                domain: None,
                enabled: true,
                password_hash,
                created: now,
            })?;
            update.put_api_token(token)?;
            Ok(update.audit(&entry, "done")?)
        })
        .await?;
    tracing::info!(file = %path.display(), "the first admin was made; the file has the password");
    Ok(())
}

/// The port may be another one than last time.
fn refresh(path: &Path, url: &str) -> io::Result<()> {
    let Some(bytes) = read_bounded(path, FILE_BYTES_MAX)? else {
        return Ok(());
    };
    // A file that somebody else has written is left alone.
    let Ok(mut told) = serde_json::from_slice::<FirstAdmin>(&bytes) else {
        return Ok(());
    };
    if told.url == url {
        return Ok(());
    }
    url.clone_into(&mut told.url);
    write(path, &told)
}

fn write(path: &Path, told: &FirstAdmin) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(told)?;
    text.push(b'\n');
    durable_write(&RealDisk, path, &text, Secrecy::Secret)
}
