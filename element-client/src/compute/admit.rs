//! Who may enter the queue, and what a client gets for it: access tickets
//! judged, lease tickets made.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gridmart_fabric::{
    need::parse_needs,
    rule::{self, Subject},
    ticket::{AccessClaims, TicketApplication, Times},
};
use gridmart_schemas::{
    id::{KeyHash, NodeId, RequestId},
    problem::{Code, Problem},
    role::{Operation, Role},
    wire::queue::{AVOID_MAX, Lease, QueueEnter, Relay, ResumedLease},
};
use time::OffsetDateTime;

use super::{
    Ce,
    lease::{LeaseState, ProvenLease, prove},
    queue::{
        Queue,
        entry::{Asker, EntryKey, Epochs, SessionId, Wanted},
    },
};

/// How far operators and admins may raise or lower an entry.
const PRIORITY_OPERATOR_MAX: i32 = 100;

/// What a person of this role may ask for: others may only step back.
fn bounded_priority(priority: i32, role: Role) -> i32 {
    let most = match role {
        Role::Admin | Role::Operator => PRIORITY_OPERATOR_MAX,
        Role::Developer | Role::User | Role::Viewer => 0,
    };
    priority.clamp(-PRIORITY_OPERATOR_MAX, most)
}

/// What an entry wants, whose access ticket is verified; all but the cut epochs,
/// which the queue judges.
pub fn wanted(
    key: EntryKey,
    presenter: &KeyHash,
    enter: QueueEnter,
    claims: AccessClaims,
    application: TicketApplication,
    request: Option<RequestId>,
) -> Result<Wanted, Problem> {
    Ok(Wanted {
        key,
        digest: application.digest,
        cut: Epochs {
            element: claims.cut.element,
            host: 0,
            application: claims.cut.application,
        },
        slots: enter.slots,
        job: enter.job,
        hosts_max: enter.hosts_max,
        avoid: enter.avoid.into_iter().collect(),
        priority: bounded_priority(enter.priority, claims.role),
        request: claims.request.or(request),
        asker: Arc::new(Asker {
            person: claims.sub,
            role: claims.role,
            domain: claims.domain,
            presenter: presenter.clone(),
            needs: parse_needs(&claims.needs)?,
        }),
    })
}

impl Ce {
    /// Judges an access ticket, with everything but the cut epochs, which the
    /// queue compares with what is in force when the entry is made.
    pub(crate) fn judge_access(
        &self,
        ticket: &str,
        presenter: &KeyHash,
    ) -> Result<(AccessClaims, TicketApplication), Problem> {
        let now = OffsetDateTime::now_utc();
        let judged = self
            .ticket_keys
            .read()
            .verify_access(ticket, self.id, presenter, now);
        let explain = |problem| {
            self.parent_clock
                .explain(problem, "the Element", "the controller")
        };
        let claims = judged.map_err(explain)?;
        if !claims.operations.contains(&Operation::Call) {
            return Err(Problem::new(
                Code::NotAuthorized,
                "The ticket does not permit calls.",
            ));
        }
        let application = claims.application.clone().ok_or_else(|| {
            Problem::new(
                Code::TicketForeign,
                "The ticket names no application; ask for access to one.",
            )
        })?;
        let document = self.base.read();
        let subject = Subject {
            person: &claims.sub,
            role: claims.role,
            domain: claims.domain.as_deref(),
            application: Some(&application.name),
        };
        let ruling = rule::evaluate(
            &document.element.access.rules,
            &subject,
            Operation::Call,
            None,
        );
        if !ruling.allowed {
            let name = &document.element.info.common.name;
            return Err(Problem::new(
                Code::NotAuthorized,
                format!(
                    "The rules of {name} do not let {} call: {}.",
                    claims.sub, ruling.reason
                ),
            ));
        }
        Ok((claims, application))
    }

    /// Checks what a client wants.
    pub(crate) fn admit(
        &self,
        session: SessionId,
        presenter: &KeyHash,
        enter: QueueEnter,
        request: Option<RequestId>,
    ) -> Result<Wanted, Problem> {
        let (claims, application) = self.judge_access(&enter.ticket, presenter)?;
        if enter.avoid.len() > AVOID_MAX {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("At most {AVOID_MAX} Hosts may be avoided."),
            ));
        }
        let key = EntryKey {
            session,
            entry: enter.entry,
        };
        wanted(key, presenter, enter, claims, application, request)
    }

    /// Makes the message that tells a client of its lease, with a new ticket.
    pub(crate) fn lease_message(
        &self,
        queue: &Queue,
        lease: &LeaseState,
    ) -> Result<Lease, Problem> {
        let gone = || {
            Problem::new(
                Code::LeaseUnknown,
                format!("The lease {} is not in force any more.", lease.id),
            )
        };
        let host = queue.host(lease.host).ok_or_else(gone)?;
        let presenter = lease.presenter.clone().ok_or_else(gone)?;
        let life = self.base.read().configuration.lease_duration.to_duration();
        let times = Times::starting(OffsetDateTime::now_utc(), life);
        let claims = lease.claims(self.id, presenter, times);
        let (endpoints, relay) = if host.relayed {
            let relay = Relay {
                element: self.id,
                endpoints: self.endpoints.clone(),
            };
            (Vec::new(), Some(relay))
        } else {
            (host.endpoints.clone(), None)
        };
        Ok(Lease {
            lease: lease.id,
            host: lease.host,
            host_name: host.name().to_owned(),
            endpoints,
            relay,
            slots: lease.slots,
            ticket: self.identity.current().signing_key().sign_lease(&claims)?,
            expires_in: u32::try_from(times.exp - times.iat).unwrap_or(0),
            overdue_after_ms: millis(host.overdue_after),
            incarnation: lease.incarnation.or(host.incarnation).ok_or_else(gone)?,
        })
    }

    /// Judges the leases that a client brings along. One whose ticket has run
    /// out while the Element was away is believed if the Element remembers
    /// that very lease and key.
    pub(crate) fn prove(
        &self,
        queue: &Queue,
        presenter: &KeyHash,
        leases: Vec<ResumedLease>,
    ) -> Vec<ProvenLease> {
        let now = OffsetDateTime::now_utc();
        let proven = |resumed: ResumedLease| {
            let audience = unverified_audience(&resumed.ticket)?;
            let verified =
                self.own_keys
                    .read()
                    .verify_lease(&resumed.ticket, audience, presenter, now);
            if let Err(problem) = &verified {
                tracing::info!(%problem, lease.id = %resumed.lease, "a lease is brought along with a ticket that does not serve");
            }
            let known = queue.leases().get(resumed.lease);
            prove(resumed.lease, verified, known, presenter)
        };
        leases.into_iter().filter_map(proven).collect()
    }
}

/// For whom a ticket says it is; only to know whom to verify it for.
fn unverified_audience(ticket: &str) -> Option<NodeId> {
    #[derive(serde::Deserialize)]
    struct Audience {
        aud: NodeId,
    }
    let claims = ticket
        .split('.')
        .nth(1)
        .filter(|claims| claims.len() <= gridmart_fabric::ticket::TICKET_BYTES_MAX)?;
    let json = URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice::<Audience>(&json)
        .ok()
        .map(|audience| audience.aud)
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_operators_may_go_first() {
        assert_eq!(bounded_priority(50, Role::User), 0);
        assert_eq!(bounded_priority(-500, Role::User), -100);
        assert_eq!(bounded_priority(500, Role::Operator), 100);
    }

    #[test]
    fn any_text_has_an_audience_or_none() {
        let id = NodeId::generate();
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":"{id}","x":1}}"#));
        assert_eq!(unverified_audience(&format!("a.{claims}.b")), Some(id));
        for bad in [
            "",
            ".",
            "a.b.c",
            "a.e30.c",
            &format!("a.{}.c", "A".repeat(100_000)),
        ] {
            assert_eq!(unverified_audience(bad), None);
        }
    }
}
