//! Where programs write, and what they have written.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use gridmart_fabric::{
    block::{PREFIX_BYTES_MAX, payload_bytes, stripe_bytes_max, stripe_redundancy},
    ticket::{BlockClaims, BlockCut, BlockOperation, LIFE_MAX, Times},
};
use gridmart_schemas::{
    id::{BlockId, BucketId, NodeId, StripeId, TransferId, VersionId},
    problem::{Code, Problem},
    role::Operation,
    storage::{BlockRoot, Redundancy},
    wire::{
        Done,
        storage::{
            BlockReplace, BlockReplaced, Committed, HostDoor, ObjectCommit, ObjectCommitted,
            ObjectCondition, ObjectDelete, ObjectHeaders, RECEIPTS_MAX, STRIPES_MAX,
            StripeManifest, StripePlan, StripesAllocate, StripesAllocated,
        },
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    StorageStream,
    grant::{Admitted, Part},
};
use crate::storage::{
    metadata::{
        Applied, Change, Condition, DeleteTarget, EtagMatch, KeyError, ObjectHead, ObjectKey,
        ObjectPut, PartPut, PlacedBlock, Stripe, is_own_header,
    },
    placement::{Candidate, choose_for_repair, choose_least},
};

/// How often the bytes of a plan may go over a ticket: blocks that are sent
/// again, or read again.
const REPEATS: u64 = 4;
/// How long block tickets live.
const TICKET_LIFE: Duration = LIFE_MAX;
/// Headers and metadata of an object, in bytes together: more than S3 allows.
const HEAD_BYTES_MAX: usize = 16 * 1024;

impl StorageStream {
    pub(super) async fn on_allocate(
        &self,
        wanted: StripesAllocate,
    ) -> Result<StripesAllocated, Problem> {
        let StripesAllocate {
            bucket,
            version,
            stripes,
            key,
            redundancy,
            transfer,
        } = wanted;
        let part = key.as_deref().map_or(Part::Some, Part::Keys);
        let admitted = self
            .admit_moving(bucket, Operation::Write, part, transfer.as_ref())
            .await?;
        let policy = admitted.policy(redundancy).await?;
        lengths_check(policy, &stripes)?;
        let version = version.unwrap_or_else(VersionId::generate);
        let mark = self.putting(&admitted, key, transfer, version)?;
        let losses = admitted.bucket.bucket.losses_allowed;
        let bytes = stripes.iter().sum();
        let candidates = admitted.service.data().hosts.candidates();
        let mut plans = Vec::with_capacity(stripes.len());
        let mut payloads: BTreeMap<NodeId, u64> = BTreeMap::new();
        for data_length in stripes {
            let redundancy = stripe_redundancy(policy, data_length);
            let payload = payload_of(redundancy, data_length)?;
            let least = redundancy.least(losses);
            let hosts = chosen(&candidates, (redundancy, least), payload)?;
            for host in &hosts {
                *payloads.entry(*host).or_default() += payload;
            }
            plans.push(StripePlan {
                stripe: StripeId::generate(),
                redundancy,
                hosts,
                least: Some(least),
            });
        }
        let ticketed = (version, Some(mark.transfer), BlockOperation::Put);
        let hosts = self.doors(&admitted, ticketed, &payloads)?;
        let planned = plans.iter().map(|plan| (plan.stripe, plan.hosts.clone()));
        self.se.goods.transfers.on_planned(mark, bytes, planned);
        Ok(StripesAllocated {
            version,
            epoch: admitted.service.epoch(),
            stripes: plans,
            hosts,
            transfer: Some(mark),
        })
    }

    pub(super) async fn on_replace(&self, wanted: BlockReplace) -> Result<BlockReplaced, Problem> {
        let BlockReplace {
            bucket,
            version,
            stripe_bytes,
            used,
            redundancy,
            transfer,
        } = wanted;
        let admitted = self
            .admit_moving(bucket, Operation::Write, Part::Some, transfer.as_ref())
            .await?;
        let mark = self.putting(&admitted, None, transfer, version)?;
        let policy = admitted.policy(redundancy).await?;
        lengths_check(policy, &[stripe_bytes])?;
        let payload = payload_of(stripe_redundancy(policy, stripe_bytes), stripe_bytes)?;
        let candidates = admitted.service.data().hosts.candidates();
        let bytes = payload + PREFIX_BYTES_MAX as u64;
        let host = choose_for_repair(&candidates, &used, bytes, rand::random())?;
        let payloads = BTreeMap::from([(host, payload)]);
        let ticketed = (version, Some(mark.transfer), BlockOperation::Put);
        let mut doors = self.doors(&admitted, ticketed, &payloads)?;
        let door = doors.remove(&host).ok_or_else(|| away(host))?;
        Ok(BlockReplaced { host, door })
    }

    /// The ways to Hosts, with a ticket for so many bytes on each. Hosts that
    /// are not to be reached now are left out of what is read from.
    pub(super) fn doors(
        &self,
        admitted: &Admitted,
        (version, transfer, operation): (VersionId, Option<TransferId>, BlockOperation),
        payloads: &BTreeMap<NodeId, u64>,
    ) -> Result<BTreeMap<NodeId, HostDoor>, Problem> {
        let times = Times::starting(OffsetDateTime::now_utc(), TICKET_LIFE);
        let identity = self.se.identity.current();
        let key = identity.signing_key();
        let mut doors = BTreeMap::new();
        for (host, payload) in payloads {
            let Some((name, endpoints, cut)) = self.way(*host) else {
                continue;
            };
            let claims = BlockClaims {
                iss: self.se.id,
                sub: admitted.claims.sub.clone(),
                aud: *host,
                presenter: self.presenter.clone(),
                version,
                transfer,
                operation,
                bytes: payload.saturating_mul(REPEATS),
                cut,
                nbf: times.nbf,
                iat: times.iat,
                exp: times.exp,
                jti: Uuid::now_v7(),
            };
            let door = HostDoor {
                name,
                endpoints,
                ticket: key.sign_block(&claims)?,
            };
            doors.insert(*host, door);
        }
        Ok(doors)
    }

    fn way(&self, host: NodeId) -> Option<(String, Vec<String>, BlockCut)> {
        let pool = self.se.goods.pool.lock();
        let cut = pool.wish().cut_epoch;
        let known = pool.host(host).filter(|known| !known.revoked)?;
        let cut = BlockCut {
            element: cut,
            host: known.wish.cut_epoch,
        };
        Some((known.name().to_owned(), known.endpoints.clone(), cut))
    }

    pub(super) async fn on_commit(&self, commit: ObjectCommit) -> Result<ObjectCommitted, Problem> {
        let ObjectCommit {
            bucket,
            content,
            version,
            stripes,
            receipts,
            transfer,
        } = commit;
        let (admitted, key) = match &content {
            Committed::Object { key, .. } => {
                let part = Part::Keys(key);
                let admitted = self.admit_moving(bucket, Operation::Write, part, transfer.as_ref());
                (admitted.await?, key.clone())
            }
            Committed::Part { upload, .. } => {
                let (admitted, found) = self
                    .admit_upload(bucket, *upload, transfer.as_ref())
                    .await?;
                (admitted, found.key.as_str().to_owned())
            }
        };
        admitted.kept_check(&stripes).await?;
        let stored = self.receipts_check(version, receipts)?;
        let etag = etag_of(&stripes);
        let size = stripes.iter().map(|stripe| stripe.data_length);
        let size = size.fold(0, u64::saturating_add);
        let written: Vec<StripeId> = stripes.iter().map(|stripe| stripe.stripe).collect();
        let stripes = manifest(stripes, &stored, admitted.bucket.bucket.losses_allowed)?;
        let is_part = matches!(content, Committed::Part { .. });
        let change = change_of(content, (bucket, version), (size, etag.clone()), stripes)?;
        let mark = self.putting(&admitted, Some(key), transfer, version)?;
        let committed = if is_part {
            let committed = admitted.service.commit(change).await?;
            self.se.goods.transfers.on_part(mark, &written);
            committed
        } else {
            self.showing(mark, size, admitted.service.commit(change))
                .await?
        };
        let version = match committed.applied {
            Applied::Version(outcome) => outcome.version,
            Applied::Done => version,
        };
        Ok(ObjectCommitted { version, etag })
    }

    /// The blocks that Hosts say to have.
    fn receipts_check(
        &self,
        version: VersionId,
        receipts: Vec<String>,
    ) -> Result<HashMap<(NodeId, BlockId), BlockRoot>, Problem> {
        if receipts.len() > RECEIPTS_MAX {
            let detail = format!("A commit has {RECEIPTS_MAX} receipts at most.");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let now = OffsetDateTime::now_utc();
        let cut = self.se.goods.pool.lock().wish().cut_epoch;
        let mut stored = HashMap::new();
        let keys = self.se.goods.host_keys.read();
        for receipt in receipts {
            let claims = keys.verify_receipt(&receipt, self.se.id, &self.presenter, now)?;
            if claims.cut.is_some_and(|written| written.element < cut) {
                return Err(Problem::new(
                    Code::Terminated,
                    "The Element was killed after a block of this was written; put it again.",
                ));
            }
            if claims.version != version {
                return Err(Problem::new(
                    Code::TicketForeign,
                    "A receipt is for another object version.",
                ));
            }
            let blocks = claims.blocks.into_iter();
            stored.extend(blocks.map(|block| ((claims.iss, block.id), block.root)));
        }
        Ok(stored)
    }

    pub(super) async fn on_delete(&self, wanted: ObjectDelete) -> Result<Done, Problem> {
        let ObjectDelete {
            bucket,
            key,
            version,
        } = wanted;
        let admitted = self
            .admit(bucket, Operation::Write, Part::Keys(&key))
            .await?;
        let target = version.map_or_else(
            || DeleteTarget::Object {
                marker: VersionId::generate(),
            },
            DeleteTarget::Version,
        );
        let delete = crate::storage::metadata::ObjectDelete {
            bucket,
            key: object_key(&key)?,
            target,
            condition: Condition::default(),
            bypass: false,
        };
        let deleted = admitted.service.commit(Change::ObjectDelete(delete));
        match deleted.await {
            // It is gone, which is all that was asked for; also by an earlier
            // request whose answer was lost.
            Err(problem) if problem.code == Code::NotFound => Ok(Done {}),
            other => other.map(|_| Done {}),
        }
    }
}

/// The change that shows an object or a part.
fn change_of(
    content: Committed,
    (bucket, version): (BucketId, VersionId),
    (size, etag): (u64, String),
    stripes: Vec<Stripe>,
) -> Result<Change, Problem> {
    Ok(match content {
        Committed::Object {
            key,
            head,
            condition,
        } => Change::ObjectPut(ObjectPut {
            bucket,
            key: object_key(&key)?,
            version,
            size,
            etag,
            head: head_of(head)?,
            retention: None,
            legal_hold: false,
            stripes,
            condition: condition_of(condition),
        }),
        Committed::Part { upload, number } => Change::PartPut(PartPut {
            upload,
            number,
            size,
            etag,
            checksums: BTreeMap::new(),
            stripes,
        }),
    })
}

fn lengths_check(policy: Redundancy, lengths: &[u64]) -> Result<(), Problem> {
    let most = stripe_bytes_max(policy) as u64;
    let fits = |length: &u64| (1..=most).contains(length);
    if lengths.is_empty() || lengths.len() > STRIPES_MAX || !lengths.iter().all(fits) {
        let detail = format!(
            "1 to {STRIPES_MAX} stripes may be asked for, each of 1 to {most} bytes as {policy} \
             cuts them."
        );
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    Ok(())
}

fn payload_of(redundancy: Redundancy, data_length: u64) -> Result<u64, Problem> {
    payload_bytes(redundancy, data_length)
        .map(|bytes| bytes as u64)
        .ok_or_else(|| {
            let detail = format!("{data_length} bytes are more than a stripe of {redundancy} has.");
            Problem::new(Code::InvalidRequest, detail)
        })
}

fn chosen(
    candidates: &[Candidate],
    (redundancy, least): (Redundancy, u8),
    payload: u64,
) -> Result<Vec<NodeId>, Problem> {
    let bytes = payload + PREFIX_BYTES_MAX as u64;
    let wanted = (redundancy.blocks().into(), least.into());
    Ok(choose_least(candidates, wanted, bytes, rand::random())?)
}

fn away(host: NodeId) -> Problem {
    Problem::new(
        Code::HostDown,
        format!("Where the Host {host} is, is not known now."),
    )
}

/// What is committed of stripes, of which the blocks that are told, and all but so
/// many losses, are on Hosts.
fn manifest(
    stripes: Vec<StripeManifest>,
    stored: &HashMap<(NodeId, BlockId), BlockRoot>,
    losses: u8,
) -> Result<Vec<Stripe>, Problem> {
    if stripes.len() > STRIPES_MAX {
        let detail = format!("A commit has {STRIPES_MAX} stripes at most: use an upload in parts.");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    stripes
        .into_iter()
        .map(|stripe| {
            let StripeManifest {
                stripe,
                data_length,
                redundancy,
                blocks,
            } = stripe;
            let least = redundancy.least(losses);
            if blocks.len() < usize::from(least) {
                let detail = format!(
                    "Of stripe {stripe}, which is kept as {redundancy}, {} blocks are there, and \
                     its bucket wants {least} at least.",
                    blocks.len()
                );
                return Err(Problem::new(Code::StorageDegraded, detail));
            }
            for block in &blocks {
                let position = block.position;
                let id = BlockId { stripe, position };
                if stored.get(&(block.host, id)) != Some(&block.root) {
                    let detail = format!("No receipt says that {} has block {id}.", block.host);
                    return Err(Problem::new(Code::InvalidRequest, detail));
                }
            }
            Ok(Stripe {
                id: stripe,
                data_length,
                redundancy,
                payload_length: payload_of(redundancy, data_length)?,
                blocks: blocks.into_iter().map(PlacedBlock::from).collect(),
            })
        })
        .collect()
}

/// Names the content as it was written; it is no hash of the bytes as such.
fn etag_of(stripes: &[StripeManifest]) -> String {
    let mut hasher = blake3::Hasher::new();
    for block in stripes.iter().flat_map(|stripe| &stripe.blocks) {
        hasher.update(block.root.as_bytes());
    }
    etag("gm", &hasher)
}

pub(super) fn etag(prefix: &str, hasher: &blake3::Hasher) -> String {
    let hash = hasher.finalize().to_hex();
    format!("{prefix}-{}", &hash[..32])
}

pub(super) fn object_key(key: &str) -> Result<ObjectKey, Problem> {
    key.parse()
        .map_err(|error: KeyError| Problem::new(Code::InvalidRequest, error.to_string()))
}

pub(super) fn head_of(head: ObjectHeaders) -> Result<ObjectHead, Problem> {
    let ObjectHeaders { headers, metadata } = head;
    if let Some(name) = headers.keys().find(|name| is_own_header(name)) {
        let detail = format!("The header {name:?} is the Element's own; leave it out.");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let both = headers.iter().chain(&metadata);
    let bytes: usize = both.map(|(name, value)| name.len() + value.len()).sum();
    if bytes > HEAD_BYTES_MAX {
        let detail = format!("Headers and metadata may have {HEAD_BYTES_MAX} bytes together.");
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(ObjectHead {
        headers,
        metadata,
        ..ObjectHead::default()
    })
}

pub(super) fn condition_of(condition: ObjectCondition) -> Condition {
    Condition {
        if_match: condition.if_match.map(|etag| EtagMatch::OneOf(vec![etag])),
        if_none_match: condition.if_absent.then_some(EtagMatch::Any),
        if_version: None,
    }
}
