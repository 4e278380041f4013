//! Join tokens: the controller makes them for Elements, an Element for its Hosts.

use gridmart_fabric::join::JoinToken;
use gridmart_schemas::{
    api::join_token::{JoinTokenRequest, JoinTokenRow, JoinTokenView},
    id::TokenId,
    problem::{Code, Problem},
    wire::control_element::{JoinTokenCreate, JoinTokenMade},
};
use time::{Duration, OffsetDateTime};

use super::{
    Control, ELEMENT_ANSWER_MAX, context::Context, person::domain_check,
    session::LABEL_CHARACTERS_MAX,
};
use crate::{catalogue::node::JoinTokenRecord, failure::Failure};

/// How often one token may be used, at most.
const USES_MAX: u32 = 10_000;
/// How long it may be used, at most.
const LIFE_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// Tokens in force at a time.
const TOKENS_MAX: usize = 10_000;

/// Makes a join token.
pub async fn join_token_create(
    control: &Control,
    context: &Context,
    wanted: JoinTokenRequest,
) -> Result<JoinTokenView, Failure> {
    let invalid = |detail: String| Problem::new(Code::InvalidRequest, detail);
    if !(1..=USES_MAX).contains(&wanted.uses) {
        return Err(invalid(format!("A join token has 1 to {USES_MAX} uses.")).into());
    }
    if !(1..=LIFE_SECONDS_MAX).contains(&wanted.expires_in) {
        return Err(invalid(format!("A join token lives 1 s to {LIFE_SECONDS_MAX} s.")).into());
    }
    match wanted.kind {
        kind if kind.is_element() => for_element(control, context, wanted).await,
        kind if kind.is_host() => for_host(control, context, wanted).await,
        _ => {
            let detail =
                "A controller does not join; join a `ce`, `chost`, `se`, `shost`, `de` or `dhost`.";
            Err(invalid(detail.to_owned()).into())
        }
    }
}

async fn for_element(
    control: &Control,
    context: &Context,
    wanted: JoinTokenRequest,
) -> Result<JoinTokenView, Failure> {
    let JoinTokenRequest {
        kind,
        domain,
        element,
        uses,
        expires_in,
        label,
    } = wanted;
    let Some(domain) = domain.filter(|_| element.is_none()) else {
        let detail = "An Element's join token names its `domain` (and no `element`).";
        return Err(Problem::new(Code::InvalidRequest, detail).into());
    };
    domain_check(&domain)?;
    let token = JoinToken::generate(
        kind,
        &domain,
        control.node,
        &control.authority.root_fingerprint(),
    );
    let text = token.to_string();
    let mut entry = context.act("join-token.create", token.id.to_string());
    entry.detail = format!("{kind} in {domain}, {uses} uses, {expires_in} s");
    control
        .administer(entry, move |update| {
            update.remove_expired_tokens()?;
            if update.snapshot().join_tokens.len() >= TOKENS_MAX {
                let detail = format!("There are {TOKENS_MAX} join tokens already: delete some.");
                return Err(Problem::new(Code::QuotaExceeded, detail).into());
            }
            let created = update.now();
            update.put_join_token(JoinTokenRecord {
                id: token.id,
                kind,
                domain,
                secret_hash: token.secret_hash(),
                uses_left: uses,
                label: label.chars().take(LABEL_CHARACTERS_MAX).collect(),
                created,
                expires: created.saturating_add(Duration::seconds(expires_in.cast_signed())),
            })?;
            Ok(())
        })
        .await?;
    let endpoint = control.nodes_endpoint.clone();
    let command = format!(
        "gridmart element {} --controller {endpoint} --join-token {text}",
        kind.goods()
    );
    Ok(JoinTokenView {
        token: text,
        endpoint,
        command,
    })
}

async fn for_host(
    control: &Control,
    context: &Context,
    wanted: JoinTokenRequest,
) -> Result<JoinTokenView, Failure> {
    let JoinTokenRequest {
        kind,
        domain,
        element,
        uses,
        expires_in,
        label,
    } = wanted;
    let Some(element) = element.filter(|_| domain.is_none()) else {
        let detail =
            "A Host's join token names its `element` (and no `domain`: that is the Element's).";
        return Err(Problem::new(Code::InvalidRequest, detail).into());
    };
    let node = control
        .catalogue
        .view()
        .resource_of(&element, kind.element_kind().as_slice())?;
    let label = label.chars().take(LABEL_CHARACTERS_MAX).collect();
    let request = JoinTokenCreate {
        kind,
        uses,
        expires_in,
        label,
    };
    let made = control
        .streams
        .ask(
            node.id,
            &node.name,
            &request,
            Some(context.request),
            ELEMENT_ANSWER_MAX,
        )
        .await?;
    let mut entry = context.act("join-token.create", node.name.clone());
    entry.detail = format!("{kind}, {uses} uses, {expires_in} s");
    control.administer(entry, |_| Ok(())).await?;
    let JoinTokenMade { token, endpoint } = made;
    let command = format!(
        "gridmart host {} --element {endpoint} --join-token {token}",
        kind.goods()
    );
    Ok(JoinTokenView {
        token,
        endpoint,
        command,
    })
}

/// Lists the controller's own join tokens that are in force.
pub fn join_token_list(control: &Control) -> Vec<JoinTokenRow> {
    let now = OffsetDateTime::now_utc();
    control
        .catalogue
        .snapshot()
        .join_tokens
        .values()
        .filter(|token| token.expires > now && token.uses_left > 0)
        .map(|token| JoinTokenRow {
            id: token.id,
            kind: token.kind,
            domain: token.domain.clone(),
            uses_left: token.uses_left,
            expires: token.expires,
            label: token.label.clone(),
        })
        .collect()
}

/// Takes a join token back.
pub async fn join_token_delete(
    control: &Control,
    context: &Context,
    id: TokenId,
) -> Result<(), Failure> {
    control
        .administer(
            context.act("join-token.delete", id.to_string()),
            move |update| {
                if !update.snapshot().join_tokens.contains_key(&id) {
                    return Err(Problem::new(
                        Code::NotFound,
                        format!("There is no join token {id}."),
                    )
                    .into());
                }
                update.remove_join_token(id)?;
                Ok(())
            },
        )
        .await
}
