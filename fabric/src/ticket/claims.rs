//! What tickets say.

use std::time::Duration;

use gridmart_schemas::{
    id::{
        BucketId, DatabaseId, Digest, Incarnation, JobId, KeyHash, LeaseId, NodeId, PersonName,
        RequestId,
    },
    problem::Problem,
    role::{Operation, Role},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ACCESS_TYPE, LEASE_TYPE, LIFE_MAX, TICKET_BYTES_MAX, verifying::judge};

/// The application version that a ticket permits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketApplication {
    /// Content hash of the package.
    pub digest: Digest,
    /// `AppName`.
    pub name: String,
    /// `AppVersion`.
    pub version: String,
}

/// Cut epochs under which an access ticket was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessCut {
    /// Of the Element.
    pub element: u64,
    /// Of the application.
    pub application: u64,
}

/// Cut epochs under which a lease was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseCut {
    /// Of the Element.
    pub element: u64,
    /// Of the Host.
    pub host: u64,
    /// Of the application.
    pub application: u64,
}

/// An access ticket: the controller permits a person to use an Element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The controller.
    pub iss: NodeId,
    /// The person.
    pub sub: PersonName,
    /// The person's role.
    pub role: Role,
    /// The person's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The Element.
    pub aud: NodeId,
    /// The TLS key of who may present it.
    pub presenter: KeyHash,
    /// What may be called; absent: whatever the rules allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<TicketApplication>,
    /// Which bucket of a Storage Element may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketId>,
    /// Which database of a Data Element may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseId>,
    /// What may be done.
    pub operations: Vec<Operation>,
    /// What the Host has to be, over and above what the application needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Epochs under which it was made.
    pub cut: AccessCut,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
    /// The request that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Its own number.
    pub jti: Uuid,
}

/// A lease ticket: an Element permits the use of slots of one Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseClaims {
    /// The Element.
    pub iss: NodeId,
    /// The person.
    pub sub: PersonName,
    /// The Host.
    pub aud: NodeId,
    /// The TLS key of who may present it.
    pub presenter: KeyHash,
    /// The lease.
    pub lease: LeaseId,
    /// How many calls may run at a time.
    pub slots: u32,
    /// What may be called.
    pub application: TicketApplication,
    /// Epochs under which it was made.
    pub cut: LeaseCut,
    /// The Host's start under which it was granted; absent: an older Element
    /// does not say, or does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// The map that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
}

/// The three times of a ticket, seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Not before.
    pub nbf: i64,
    /// Made at.
    pub iat: i64,
    /// Expires at.
    pub exp: i64,
}

impl Times {
    /// From now on for this long, but no longer than a ticket may live.
    pub fn starting(now: OffsetDateTime, life: Duration) -> Self {
        Self::within(now, life.min(LIFE_MAX))
    }

    /// From now on for as long as a receipt is good.
    pub fn of_receipt(now: OffsetDateTime) -> Self {
        Self::within(now, super::RECEIPT_LIFE)
    }

    fn within(now: OffsetDateTime, life: Duration) -> Self {
        let now = now.unix_timestamp();
        Self {
            nbf: now,
            iat: now,
            exp: now.saturating_add_unsigned(life.as_secs()),
        }
    }
}

/// What verification needs of any kind.
pub(super) trait Claims: serde::de::DeserializeOwned + Serialize {
    const TYPE: &'static str;
    const LIFE_MAX: Duration;
    const BYTES_MAX: usize;
    fn issuer(&self) -> NodeId;
    fn audience(&self) -> NodeId;
    fn presenter(&self) -> &KeyHash;
    fn times(&self) -> Times;
}

/// Claims that name their fields as the others do.
macro_rules! claims {
    ($name:ident, $kind:expr, $life:expr, $bytes:expr, $audience:literal) => {
        impl Claims for $name {
            const TYPE: &'static str = $kind;
            const LIFE_MAX: Duration = $life;
            const BYTES_MAX: usize = $bytes;

            fn issuer(&self) -> NodeId {
                self.iss
            }

            fn audience(&self) -> NodeId {
                self.aud
            }

            fn presenter(&self) -> &KeyHash {
                &self.presenter
            }

            fn times(&self) -> Times {
                Times {
                    nbf: self.nbf,
                    iat: self.iat,
                    exp: self.exp,
                }
            }
        }

        impl $name {
            #[doc = concat!("Judges claims that are known to be authentic, as the ", $audience, " `audience`")]
            /// does when the holder of the TLS key `presenter` shows them.
            pub fn judge(
                &self,
                audience: NodeId,
                presenter: &KeyHash,
                now: OffsetDateTime,
            ) -> Result<(), Problem> {
                judge(self, audience, presenter, now)
            }
        }
    };
}

pub(super) use claims;

claims!(
    AccessClaims,
    ACCESS_TYPE,
    LIFE_MAX,
    TICKET_BYTES_MAX,
    "Element"
);
claims!(LeaseClaims, LEASE_TYPE, LIFE_MAX, TICKET_BYTES_MAX, "Host");
