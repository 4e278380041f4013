//! People.

use gridmart_schemas::{
    api::person::{PersonChange, PersonCreate, PersonView},
    id::PersonName,
    problem::{Code, Problem},
    role::Role,
    scalar::LocalId,
};

use super::{Control, context::Context};
use crate::{
    catalogue::{Snapshot, person::Person},
    failure::Failure,
};

/// Lists everybody.
pub fn person_list(control: &Control) -> Vec<PersonView> {
    control
        .catalogue
        .snapshot()
        .people
        .values()
        .map(|person| view(person))
        .collect()
}

fn view(person: &Person) -> PersonView {
    PersonView {
        name: person.name.clone(),
        role: person.role,
        domain: person.domain.clone(),
        enabled: person.enabled,
    }
}

/// Adds a person.
pub async fn person_create(
    control: &Control,
    context: &Context,
    wanted: PersonCreate,
) -> Result<PersonView, Failure> {
    let PersonCreate {
        name,
        role,
        domain,
        password,
    } = wanted;
    if let Some(domain) = &domain {
        domain_check(domain)?;
    }
    let password_hash = control.passwords.hash(password).await?;
    let mut entry = context.act("person.create", name.to_string());
    entry.detail = format!("as {role}");
    control
        .administer(entry, move |update| {
            if update.snapshot().people.contains_key(&name) {
                return Err(Problem::new(
                    Code::AlreadyExists,
                    format!("There is a person {name} already."),
                )
                .into());
            }
            let person = Person {
                name,
                role,
                domain,
                enabled: true,
                password_hash,
                created: update.now(),
            };
            let view = view(&person);
            update.put_person(person)?;
            Ok(view)
        })
        .await
}

/// A domain is named as in certificates and documents.
pub fn domain_check(domain: &str) -> Result<(), Problem> {
    LocalId::new(domain)
        .map(drop)
        .map_err(|error| Problem::new(Code::InvalidRequest, format!("As a domain, {error}.")))
}

/// Changes role, password, or whether they may sign in.
pub async fn person_change(
    control: &Control,
    context: &Context,
    name: PersonName,
    change: PersonChange,
) -> Result<PersonView, Failure> {
    let PersonChange {
        role,
        password,
        enabled,
    } = change;
    let password_hash = match password {
        Some(password) => Some(control.passwords.hash(password).await?),
        None => None,
    };
    let mut entry = context.act("person.change", name.to_string());
    entry.detail = words(role, password_hash.is_some(), enabled);
    control
        .administer(entry, move |update| {
            let known = update.snapshot().people.get(&name).cloned();
            let known = known.ok_or_else(|| {
                Problem::new(Code::NotFound, format!("There is no person {name}."))
            })?;
            let mut person = Person::clone(&known);
            person.role = role.unwrap_or(person.role);
            person.enabled = enabled.unwrap_or(person.enabled);
            if let Some(password_hash) = password_hash {
                // Whoever knew the old one is signed out.
                person.password_hash = password_hash;
                update.remove_api_tokens_of(&name)?;
            }
            let view = view(&person);
            update.put_person(person)?;
            if !has_admin(update.snapshot()) {
                let detail = format!("{name} is the last admin: make another one first.");
                return Err(Problem::new(Code::InvalidRequest, detail).into());
            }
            Ok(view)
        })
        .await
}

fn has_admin(catalogue: &Snapshot) -> bool {
    catalogue
        .people
        .values()
        .any(|person| person.enabled && person.role == Role::Admin)
}

fn words(role: Option<Role>, password: bool, enabled: Option<bool>) -> String {
    let role = role.map(|role| format!("role {role}"));
    let password = password.then(|| "new password".to_owned());
    let enabled = enabled.map(|enabled| if enabled { "enabled" } else { "disabled" }.to_owned());
    let all: Vec<String> = [role, password, enabled].into_iter().flatten().collect();
    all.join(", ")
}
