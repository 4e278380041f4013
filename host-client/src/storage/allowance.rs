//! How many bytes block tickets permit, over all requests with each. No I/O.

use std::{collections::HashMap, time::Duration};

use gridmart_fabric::ticket::{BlockClaims, LEEWAY};
use gridmart_schemas::problem::{Code, Problem};
use uuid::Uuid;

/// Tickets that are counted at a time.
const TICKETS_MAX: usize = 65_536;
/// Expired tickets are forgotten so often.
const FORGET_PAUSE: Duration = Duration::from_mins(1);

struct Spent {
    bytes: u64,
    /// From then on nobody can show it any more; seconds since 1970.
    over: i64,
}

/// What was spent of the tickets that may still be shown.
#[derive(Default)]
pub(super) struct Allowance {
    spent: HashMap<Uuid, Spent>,
    forgotten: i64,
}

impl Allowance {
    /// Spends bytes of payload; `now` is in seconds since 1970.
    pub(super) fn spend(
        &mut self,
        claims: &BlockClaims,
        bytes: u64,
        now: i64,
    ) -> Result<(), Problem> {
        self.forget(now);
        let over = claims.exp.saturating_add(LEEWAY.as_secs().cast_signed());
        let is_known = self.spent.contains_key(&claims.jti);
        if !is_known && self.spent.len() >= TICKETS_MAX {
            return Err(Problem::new(
                Code::Busy,
                "The Host has seen as many tickets as it can count at a time.",
            ));
        }
        let spent = self
            .spent
            .entry(claims.jti)
            .or_insert(Spent { bytes: 0, over });
        let sum = spent.bytes.saturating_add(bytes);
        if sum > claims.bytes {
            let detail = format!(
                "The ticket permits {} bytes of payload, and {} of them are used: {bytes} more are too many. Ask the Element for another one.",
                claims.bytes, spent.bytes
            );
            return Err(Problem::new(Code::LimitExceeded, detail));
        }
        spent.bytes = sum;
        Ok(())
    }

    fn forget(&mut self, now: i64) {
        let is_due = now.abs_diff(self.forgotten) >= FORGET_PAUSE.as_secs();
        if is_due || self.spent.len() >= TICKETS_MAX {
            self.forgotten = now;
            self.spent.retain(|_, spent| now < spent.over);
        }
    }
}

#[cfg(test)]
mod tests {
    use gridmart_fabric::ticket::{BlockCut, BlockOperation};
    use gridmart_schemas::id::{NodeId, VersionId};

    use super::*;

    fn claims(bytes: u64, exp: i64) -> BlockClaims {
        BlockClaims {
            iss: NodeId::generate(),
            sub: "ada".parse().unwrap(),
            aud: NodeId::generate(),
            presenter: "01".repeat(32).parse().unwrap(),
            version: VersionId::generate(),
            transfer: None,
            operation: BlockOperation::Put,
            bytes,
            cut: BlockCut::default(),
            nbf: 0,
            iat: 0,
            exp,
            jti: Uuid::now_v7(),
        }
    }

    #[test]
    fn a_ticket_is_spent_once_whatever_the_request() {
        let (mut allowance, one, other) = (Allowance::default(), claims(10, 300), claims(3, 300));
        allowance.spend(&one, 6, 0).unwrap();
        allowance.spend(&other, 3, 1).unwrap();
        allowance.spend(&one, 4, 100).unwrap();
        let refused = allowance.spend(&one, 1, 200).unwrap_err();
        assert_eq!(refused.code, Code::LimitExceeded);
        allowance.spend(&one, 0, 359).unwrap();
        assert!(allowance.spend(&other, u64::MAX, 359).is_err());
    }

    #[test]
    fn no_more_tickets_are_counted_than_there_is_room_for() {
        let mut allowance = Allowance::default();
        for _ in 0..TICKETS_MAX {
            allowance.spend(&claims(1, 300), 1, 10).unwrap();
        }
        let late = claims(1, 600);
        let refused = allowance.spend(&late, 1, 300).unwrap_err();
        assert_eq!(refused.code, Code::Busy);
        allowance.spend(&late, 1, 360).unwrap();
        assert_eq!(allowance.spent.len(), 1);
    }
}
