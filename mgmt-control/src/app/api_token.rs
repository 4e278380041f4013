//! API tokens: people make them for themselves, admins for anybody.

use gridmart_schemas::{
    api::person::{ApiTokenCreate, ApiTokenMade, ApiTokenRow},
    id::TokenId,
    problem::{Code, Problem},
    role::Role,
};
use time::Duration;

use super::{Control, context::Context, session::make_token};
use crate::{catalogue::Snapshot, failure::Failure};

/// How long a token lives if nobody says otherwise.
const LIFE_DEFAULT: Duration = Duration::days(30);
/// How long it lives at most.
pub const LIFE_MAX: Duration = Duration::days(366);
/// Tokens of one person at a time.
const TOKENS_MAX: usize = 1000;

/// Makes a token.
pub async fn api_token_create(
    control: &Control,
    context: &Context,
    wanted: ApiTokenCreate,
) -> Result<ApiTokenMade, Failure> {
    let ApiTokenCreate {
        person,
        expires_in,
        label,
    } = wanted;
    let person = person.unwrap_or_else(|| context.actor.name.clone());
    if person != context.actor.name && context.actor.role != Role::Admin {
        return Err(Problem::new(
            Code::NotAuthorized,
            "Only admins make API tokens for others.",
        )
        .into());
    }
    let life = match expires_in {
        None => LIFE_DEFAULT,
        Some(seconds) => Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)),
    };
    if life.is_zero() || life > LIFE_MAX {
        return Err(Problem::new(
            Code::InvalidRequest,
            format!("An API token lives 1 s to {} days.", LIFE_MAX.whole_days()),
        )
        .into());
    }
    control
        .administer(
            context.act("api-token.create", person.to_string()),
            move |update| {
                let catalogue = update.snapshot();
                if !catalogue.people.contains_key(&person) {
                    return Err(Problem::new(
                        Code::NotFound,
                        format!("There is no person {person}."),
                    )
                    .into());
                }
                if catalogue
                    .api_tokens
                    .values()
                    .filter(|token| token.person == person && token.session.is_none())
                    .count()
                    >= TOKENS_MAX
                {
                    let detail =
                        format!("{person} has {TOKENS_MAX} API tokens already: delete some.");
                    return Err(Problem::new(Code::QuotaExceeded, detail).into());
                }
                let (text, token) = make_token(&person, &label, update.now(), life);
                let made = ApiTokenMade {
                    token: text,
                    id: token.id,
                    expires: token.expires,
                };
                update.put_api_token(token)?;
                Ok(made)
            },
        )
        .await
}

/// Lists one's own tokens; admins see all.
pub fn api_token_list(control: &Control, context: &Context) -> Vec<ApiTokenRow> {
    let catalogue = control.catalogue.snapshot();
    let mut rows: Vec<ApiTokenRow> = catalogue
        .api_tokens
        .values()
        .filter(|token| token.person == context.actor.name || context.actor.role == Role::Admin)
        .map(|token| ApiTokenRow {
            id: token.id,
            person: token.person.clone(),
            label: token.label.clone(),
            session: token.session.is_some(),
            created: token.created,
            expires: token.expires,
        })
        .collect();
    rows.sort_by_key(|row| row.id);
    rows
}

/// Deletes a token: one's own; admins delete any.
pub async fn api_token_delete(
    control: &Control,
    context: &Context,
    id: TokenId,
) -> Result<(), Failure> {
    let actor = context.actor.clone();
    control
        .administer(
            context.act("api-token.delete", id.to_string()),
            move |update| {
                let allowed = |catalogue: &Snapshot| {
                    let token = catalogue.api_tokens.get(&id)?;
                    (token.person == actor.name || actor.role == Role::Admin).then_some(())
                };
                // A token of somebody else is not even told to exist.
                allowed(update.snapshot()).ok_or_else(|| {
                    Problem::new(Code::NotFound, format!("There is no API token {id}."))
                })?;
                update.remove_api_token(id)?;
                Ok(())
            },
        )
        .await
}
