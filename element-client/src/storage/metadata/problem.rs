//! What people are told of a refusal or of a failed write.

use gridmart_schemas::problem::{Code, Problem};

use super::{refusal::Refusal, writer::WriteError};

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        let mut detail = refusal.to_string();
        if let Some(first) = detail.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(code_of(refusal), format!("{detail}."))
    }
}

const fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::BucketUnknown(_)
        | Refusal::KeyUnknown(_)
        | Refusal::VersionUnknown(_)
        | Refusal::UploadUnknown(_)
        | Refusal::AccessKeyUnknown(_)
        | Refusal::HostUnknown(_) => Code::NotFound,
        Refusal::BucketExists(_)
        | Refusal::VersionExists(_)
        | Refusal::UploadExists(_)
        | Refusal::AccessKeyExists(_) => Code::AlreadyExists,
        Refusal::BucketNotEmpty { .. } => Code::NotEmpty,
        Refusal::QuotaReached { .. } => Code::LimitExceeded,
        Refusal::ConditionNotMet(_) => Code::PreconditionFailed,
        Refusal::Retained { .. } => Code::Retained,
        Refusal::BlockElsewhere(_) | Refusal::HostTwice { .. } | Refusal::StripeInUse(_) => {
            Code::GenerationConflict
        }
        Refusal::VersioningFixed(_)
        | Refusal::NotLockable(_)
        | Refusal::IsMarker(_)
        | Refusal::PartUnknown { .. }
        | Refusal::PartsOutOfOrder
        | Refusal::Malformed(_) => Code::InvalidRequest,
    }
}

impl From<&WriteError> for Problem {
    fn from(error: &WriteError) -> Self {
        let code = match error {
            WriteError::Refused(refusal) => return refusal.into(),
            WriteError::TooLarge(_) => Code::TooLarge,
            WriteError::Degraded { .. } => Code::StorageDegraded,
            WriteError::Superseded { .. } => Code::NotAccepting,
            WriteError::Storage { .. } => Code::StorageFailed,
            WriteError::Busy => Code::Busy,
            WriteError::Stopping => Code::Unavailable,
            WriteError::Internal(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}
