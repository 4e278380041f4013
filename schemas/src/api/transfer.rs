//! Transfers, as people see them. People see their own, operators all: unlike
//! the name of an application, a key may say what its bucket's rules hide.

use serde::{Deserialize, Serialize};

use crate::wire::transfer::{TransferRecord, TransferView};

/// `GET /api/v1/transfers` (`?bucket=`, `?owner=`, `?limit=`): under way now.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransfersView {
    /// Of all Storage Elements that answered, the oldest first.
    pub transfers: Vec<TransferView>,
    /// Storage Elements that did not answer.
    pub silent: Vec<String>,
}

/// `GET /api/v1/transfer-records` (`?bucket=`, `?owner=`, `?after=`, `?limit=`):
/// ended ones, newest first; bounded by the controller's retention.
pub type TransferRecordsPage = super::Page<TransferRecord>;

/// `GET /api/v1/transfers/{id}`: under way, or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum TransferShown {
    /// It has ended.
    Ended(TransferRecord),
    /// It is under way.
    Running(TransferView),
}
