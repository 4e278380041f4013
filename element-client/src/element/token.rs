//! Join tokens: how they are made, and how their uses are counted.

use std::sync::Arc;

use gridmart_fabric::{identity::fingerprint, join::JoinToken};
use gridmart_schemas::{
    problem::{Code, Problem},
    resource::element_doc::JoinTokenEntry,
    scalar::UtcTime,
    wire::control_element::{JoinTokenCreate, JoinTokenMade},
};

use super::{
    Element,
    goods::{ElementDocument, Goods},
};

/// The longest life of a join token: 30 days.
const TOKEN_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// The most uses of a join token.
const TOKEN_USES_MAX: u32 = 10_000;
/// The most join tokens at a time.
const TOKENS_MAX: usize = 1_000;

impl<G: Goods> Element<G> {
    /// Makes a token with which Hosts may join; only its hash is kept.
    pub(crate) async fn create_join_token(
        self: &Arc<Self>,
        create: JoinTokenCreate,
    ) -> Result<JoinTokenMade, Problem> {
        let refusal = |detail: String| Err(Problem::new(Code::InvalidRequest, detail));
        if create.kind != G::HOST_KIND {
            return refusal(format!(
                "A {} makes join tokens for Hosts of its pool, not for {}.",
                G::ELEMENT,
                create.kind
            ));
        }
        if create.uses == 0 || create.uses > TOKEN_USES_MAX {
            return refusal(format!(
                "A join token may be used 1 to {TOKEN_USES_MAX} times."
            ));
        }
        if create.expires_in == 0 || create.expires_in > TOKEN_SECONDS_MAX {
            return refusal(format!(
                "A join token may be used for 1 to {TOKEN_SECONDS_MAX} seconds."
            ));
        }
        let identity = self.identity.current();
        let token = JoinToken::generate(
            G::HOST_KIND,
            identity.domain(),
            self.id,
            &fingerprint(identity.root_der()),
        );
        let life = i64::try_from(create.expires_in).unwrap_or(i64::MAX);
        let invalid = |error: gridmart_schemas::scalar::ScalarError| {
            Problem::new(Code::InvalidRequest, error.to_string())
        };
        let entry = JoinTokenEntry {
            hash: token.secret_hash().parse().map_err(invalid)?,
            label: Some(create.label.as_str())
                .filter(|label| !label.trim().is_empty())
                .map(str::parse)
                .transpose()
                .map_err(invalid)?,
            expires: UtcTime::from_unix_seconds(UtcTime::now().unix_seconds().saturating_add(life))
                .map_err(invalid)?,
            remaining: create.uses,
        };
        let made = self.blocking(move |element| {
            element.base.update_together(move |document| {
                let now = UtcTime::now();
                let tokens = &mut document.join_tokens_mut().tokens;
                tokens.retain(|token| token.expires > now);
                if tokens.len() >= TOKENS_MAX {
                    return Err(Problem::new(
                        Code::LimitExceeded,
                        format!(
                            "There are {TOKENS_MAX} join tokens already; wait until some expire."
                        ),
                    ));
                }
                tokens.push(entry.clone());
                Ok(())
            })
        });
        made.await?.map_err(|error| error.to_problem())?;
        Ok(JoinTokenMade {
            token: token.to_string(),
            endpoint: self.endpoints.first().cloned().unwrap_or_default(),
        })
    }
}

/// Whether a join token may be used; the one place that says so.
pub(super) fn use_check<D: ElementDocument>(
    document: &D,
    token: &JoinToken,
) -> Result<(), Problem> {
    let entry = document
        .join_tokens()
        .tokens
        .iter()
        .find(|entry| token.secret_matches(entry.hash.as_str()))
        .ok_or_else(unknown)?;
    if entry.expires <= UtcTime::now() {
        return Err(Problem::new(
            Code::JoinTokenExpired,
            format!("The join token has expired at {}.", entry.expires),
        ));
    }
    if entry.remaining == 0 {
        return Err(spent());
    }
    Ok(())
}

/// Counts a use of a join token, or (`by` 1) gives it back.
pub(super) fn count_use<D: ElementDocument>(
    document: &mut D,
    token: &JoinToken,
    by: i32,
) -> Result<(), Problem> {
    if by < 0 {
        use_check(document, token)?;
    }
    let matches = |entry: &&mut JoinTokenEntry| token.secret_matches(entry.hash.as_str());
    let mut entries = document.join_tokens_mut().tokens.iter_mut();
    let entry = entries.find(matches).ok_or_else(unknown)?;
    entry.remaining = entry.remaining.checked_add_signed(by).ok_or_else(spent)?;
    Ok(())
}

fn unknown() -> Problem {
    Problem::new(
        Code::JoinTokenInvalid,
        "This Element knows no such join token.",
    )
}

fn spent() -> Problem {
    Problem::new(
        Code::JoinTokenSpent,
        "The uses of the join token are spent.",
    )
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{id::NodeId, resource::ce_doc::CeDocument, role::NodeKind};

    use super::*;

    fn shown(remaining: u32, seconds: i64) -> (CeDocument, JoinToken) {
        let mut document = crate::info_base::tests::document();
        let token = JoinToken::generate(
            NodeKind::ComputeHost,
            "lab",
            NodeId::generate(),
            &"0".repeat(64),
        );
        document.join_tokens.tokens.push(JoinTokenEntry {
            hash: token.secret_hash().parse().unwrap(),
            label: None,
            expires: UtcTime::from_unix_seconds(UtcTime::now().unix_seconds() + seconds).unwrap(),
            remaining,
        });
        (document, token)
    }

    #[test]
    fn a_token_is_good_for_its_uses_and_its_time() {
        let (mut document, token) = shown(2, 60);
        count_use(&mut document, &token, -1).unwrap();
        count_use(&mut document, &token, -1).unwrap();
        assert_eq!(
            count_use(&mut document, &token, -1).unwrap_err().code,
            Code::JoinTokenSpent
        );
        assert_eq!(
            use_check(&document, &token).unwrap_err().code,
            Code::JoinTokenSpent
        );
        count_use(&mut document, &token, 1).unwrap();
        use_check(&document, &token).unwrap();
        count_use(&mut document, &token, -1).unwrap();
        let (mut document, token) = shown(1, -1);
        assert_eq!(
            count_use(&mut document, &token, -1).unwrap_err().code,
            Code::JoinTokenExpired
        );
        let (_, other) = shown(1, 60);
        assert_eq!(
            count_use(&mut document, &other, -1).unwrap_err().code,
            Code::JoinTokenInvalid
        );
    }
}
