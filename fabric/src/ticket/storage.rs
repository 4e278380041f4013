//! What tickets and receipts say of blocks.

use std::{fmt, time::Duration};

use gridmart_schemas::{
    id::{BlockId, Incarnation, KeyHash, NodeId, PersonName, TransferId, VersionId},
    problem::{Code, Problem},
    storage::BlockRoot,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    BLOCK_TYPE, LIFE_MAX, RECEIPT_BYTES_MAX, RECEIPT_LIFE, RECEIPT_TYPE, TICKET_BYTES_MAX, Times,
    claims::{Claims, claims},
    verifying::judge,
};

/// What a block ticket permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockOperation {
    /// To write new blocks.
    Put,
    /// To read blocks.
    Get,
}

impl fmt::Display for BlockOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Put => "put",
            Self::Get => "get",
        })
    }
}

/// Cut epochs under which a block ticket was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCut {
    /// Of the Element.
    pub element: u64,
    /// Of the Host.
    pub host: u64,
}

/// A block ticket: an Element permits to write or read blocks of one object
/// version on one Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockClaims {
    /// The Element.
    pub iss: NodeId,
    /// The person.
    pub sub: PersonName,
    /// The Host.
    pub aud: NodeId,
    /// The TLS key of who may present it.
    pub presenter: KeyHash,
    /// The object version whose blocks these are, as their headers name it.
    pub version: VersionId,
    /// The transfer that it is for, with which it ends; an older Element does not
    /// say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferId>,
    /// What may be done.
    pub operation: BlockOperation,
    /// The most bytes of payload, over all requests with this ticket.
    pub bytes: u64,
    /// Epochs under which it was made.
    pub cut: BlockCut,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
    /// Its own number, by which its bytes are counted.
    pub jti: Uuid,
}

impl BlockClaims {
    /// Whether it permits this with any block.
    pub fn permit_operation(&self, operation: BlockOperation) -> Result<(), Problem> {
        if self.operation == operation {
            return Ok(());
        }
        let detail = format!(
            "The ticket permits to {} blocks, not to {operation} them.",
            self.operation
        );
        Err(Problem::new(Code::NotAuthorized, detail))
    }

    /// Whether it permits this with the block, whose header names `version`.
    pub fn permit(
        &self,
        operation: BlockOperation,
        block: BlockId,
        version: VersionId,
    ) -> Result<(), Problem> {
        self.permit_operation(operation)?;
        if self.version != version {
            let detail = format!("The ticket is not for the object version of block {block}.");
            return Err(Problem::new(Code::TicketForeign, detail));
        }
        Ok(())
    }
}

/// A block that a Host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBlock {
    /// The block.
    pub id: BlockId,
    /// Its root.
    pub root: BlockRoot,
}

/// A receipt: a Host tells its Element, by way of the program that wrote them,
/// that blocks are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptClaims {
    /// The Host.
    pub iss: NodeId,
    /// The Element.
    pub aud: NodeId,
    /// The TLS key of who wrote them, and who alone may show it.
    pub presenter: KeyHash,
    /// The Host's start.
    pub incarnation: Incarnation,
    /// The object version whose blocks these are.
    pub version: VersionId,
    /// The epochs of the ticket under which they were written; an older Host
    /// does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<BlockCut>,
    /// The blocks.
    pub blocks: Vec<ReceiptBlock>,
    /// Not before, seconds since 1970.
    pub nbf: i64,
    /// Made at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970: from then on the Element may have had
    /// the blocks deleted as nobody's.
    pub exp: i64,
}

claims!(BlockClaims, BLOCK_TYPE, LIFE_MAX, TICKET_BYTES_MAX, "Host");
claims!(
    ReceiptClaims,
    RECEIPT_TYPE,
    RECEIPT_LIFE,
    RECEIPT_BYTES_MAX,
    "Element"
);
