//! Who may do what: tickets, cut epochs, and the rules as they are now.

use std::sync::Arc;

use gridmart_fabric::{
    rule::{
        Subject,
        bucket::{judge, judge_somewhere},
    },
    ticket::AccessClaims,
};
use gridmart_schemas::{
    id::BucketId,
    problem::{Code, Problem},
    role::{Desired, Operation},
    wire::{
        Done,
        storage::{ObjectJudge, StorageOpen, StorageOpened},
        transfer::TransferMark,
    },
};
use time::OffsetDateTime;

use super::{BUCKETS_MAX, StorageStream, write::object_key};
use crate::storage::{
    bucket::{RuledBucket, unknown},
    service::Service,
};

/// Somebody who may do what they ask for, and with which bucket.
pub(super) struct Admitted {
    pub(super) claims: Arc<AccessClaims>,
    pub(super) bucket: RuledBucket,
    pub(super) service: Arc<Service>,
}

/// What of a bucket is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// A key, or all keys that begin so.
    Keys(&'a str),
    /// It is not known yet: some part must be allowed.
    Some,
}

impl StorageStream {
    pub(super) async fn on_open(&self, open: StorageOpen) -> Result<StorageOpened, Problem> {
        let now = OffsetDateTime::now_utc();
        let judged = self.se.ticket_keys.read().verify_access(
            &open.ticket,
            self.se.id,
            &self.presenter,
            now,
        );
        let explain = |problem| {
            self.se
                .parent_clock
                .explain(problem, "the Element", "the controller")
        };
        let claims = judged.map_err(explain)?;
        let bucket = claims.bucket.ok_or_else(|| {
            Problem::new(
                Code::TicketForeign,
                "The ticket names no bucket; ask for access to one.",
            )
        })?;
        {
            let mut grants = self.grants.lock();
            if grants.len() >= BUCKETS_MAX && !grants.contains_key(&bucket) {
                let detail = format!("At most {BUCKETS_MAX} buckets are open on one stream.");
                return Err(Problem::new(Code::LimitExceeded, detail));
            }
            grants.insert(bucket, Arc::new(claims.clone()));
        }
        let operation = claims
            .operations
            .first()
            .copied()
            .unwrap_or(Operation::Read);
        // What is begun may go on while the Element is stopped.
        let admitted = self
            .admit_while(bucket, operation, Part::Some, true)
            .await?;
        let bucket = admitted.bucket.bucket;
        Ok(StorageOpened {
            bucket: bucket.id,
            name: bucket.name,
            redundancy: bucket.redundancy,
        })
    }

    /// Tells whether a request would be admitted now.
    pub(super) async fn on_judge(&self, asked: ObjectJudge) -> Result<Done, Problem> {
        let ObjectJudge {
            bucket,
            key,
            operation,
        } = asked;
        self.admit(bucket, operation, Part::Keys(object_key(&key)?.as_str()))
            .await?;
        Ok(Done {})
    }

    /// Judges a request that begins something, or is done with its answer.
    pub(super) async fn admit(
        &self,
        bucket: BucketId,
        operation: Operation,
        part: Part<'_>,
    ) -> Result<Admitted, Problem> {
        self.admit_while(bucket, operation, part, false).await
    }

    /// Judges a request of a transfer, which may be under way.
    pub(super) async fn admit_moving(
        &self,
        bucket: BucketId,
        operation: Operation,
        part: Part<'_>,
        mark: Option<&TransferMark>,
    ) -> Result<Admitted, Problem> {
        let transfers = &self.se.goods.transfers;
        transfers.check(mark)?;
        let goes_on = transfers.is_present(mark);
        self.admit_while(bucket, operation, part, goes_on).await
    }

    async fn admit_while(
        &self,
        bucket: BucketId,
        operation: Operation,
        part: Part<'_>,
        goes_on: bool,
    ) -> Result<Admitted, Problem> {
        let claims = self.grants.lock().get(&bucket).cloned();
        let claims = claims.ok_or_else(|| {
            Problem::new(
                Code::NotAuthorized,
                format!("The bucket {bucket} is not open on this stream: show a ticket for it."),
            )
        })?;
        self.in_force(&claims, operation, goes_on)?;
        let service = self.se.goods.service()?;
        let read = service.read(move |connection| RuledBucket::read(connection, bucket));
        let found = read.await?.ok_or_else(|| unknown(bucket))?;
        self.allowed(&claims, &found, operation, part)?;
        Ok(Admitted {
            claims,
            bucket: found,
            service,
        })
    }

    fn in_force(
        &self,
        claims: &AccessClaims,
        operation: Operation,
        goes_on: bool,
    ) -> Result<(), Problem> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if claims.exp <= now {
            return Err(Problem::new(
                Code::TicketExpired,
                "The ticket with which the bucket was opened has ended; show a new one.",
            ));
        }
        if !claims.operations.contains(&operation) {
            let detail = format!("The ticket does not permit to {operation}.");
            return Err(Problem::new(Code::NotAuthorized, detail));
        }
        let wish = self.se.goods.pool.lock().wish();
        if claims.cut.element < wish.cut_epoch {
            return Err(Problem::new(
                Code::TicketCut,
                "The ticket was made before transfers were ended here; ask for a new one.",
            ));
        }
        if wish.desired != Desired::Production && !goes_on {
            return Err(Problem::new(Code::NotAccepting, "The Element is stopped."));
        }
        Ok(())
    }

    fn allowed(
        &self,
        claims: &AccessClaims,
        found: &RuledBucket,
        operation: Operation,
        part: Part<'_>,
    ) -> Result<(), Problem> {
        let subject = Subject {
            person: &claims.sub,
            role: claims.role,
            domain: claims.domain.as_deref(),
            application: None,
        };
        let document = self.se.base.read();
        let element = &document.element.access.rules;
        let ruling = match part {
            Part::Keys(keys) => judge(element, &found.rules, &subject, operation, Some(keys)),
            Part::Some => judge_somewhere(element, &found.rules, &subject, operation),
        };
        if ruling.allowed {
            return Ok(());
        }
        let detail = format!(
            "{} may not {operation} in the bucket {}: {}.",
            claims.sub, found.bucket.name, ruling.reason
        );
        Err(Problem::new(Code::NotAuthorized, detail))
    }
}
