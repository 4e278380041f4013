//! Putting the door together.

use std::sync::Arc;

use gridmart_schemas::storage::Redundancy;
use s3s::{
    config::{S3Config, StaticConfigProvider},
    service::S3ServiceBuilder,
};
use tokio::sync::Semaphore;

use super::{
    authentication::Authentication,
    door::{Answering, S3Limits},
    gate::{ElementRules, Gate},
    operations::Operations,
    store::Store,
};
use crate::{
    public::people::People,
    storage::{keys::SealingKey, transfers::Transfers},
};

/// The most bytes of XML in a request: the list of 10,000 parts with their
/// checksums.
const XML_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most bytes of a file in a form of a web page, which the S3 library holds
/// whole.
const FORM_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most bytes of another field of a form: a policy.
const FORM_FIELD_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of all of them.
const FORM_FIELDS_BYTES_MAX: usize = 256 * 1024;
/// Fields of a form.
const FORM_FIELDS_MAX: usize = 100;
/// How far clocks may be apart.
const CLOCK_SKEW_SECONDS_MAX: u32 = 15 * 60;

/// What the door is made of.
pub(in super::super) struct Parts {
    pub(in super::super) store: Store,
    pub(in super::super) sealing: Arc<SealingKey>,
    pub(in super::super) people: Arc<People>,
    /// The Element's own rules, as they are now.
    pub(in super::super) rules: ElementRules,
    /// What is under way.
    pub(in super::super) transfers: Arc<Transfers>,
    /// How the stripes of a bucket are kept that nobody said it of.
    pub(in super::super) redundancy: Arc<dyn Fn() -> Redundancy + Send + Sync>,
}

/// What answers requests.
pub(in super::super) fn answering(parts: Parts, limits: S3Limits) -> Answering {
    let authentication = Authentication {
        store: parts.store.clone(),
        sealing: parts.sealing,
        people: parts.people,
        known: Arc::default(),
    };
    let transfers = Arc::clone(&parts.transfers);
    let gate = Gate {
        authentication: authentication.clone(),
        buckets: Arc::default(),
        rules: parts.rules,
        is_stopped: Arc::new(move || transfers.is_stopped()),
    };
    let operations = Operations {
        transfers: parts.transfers,
        store: parts.store.clone(),
        gate: gate.clone(),
        redundancy: parts.redundancy,
    };
    let mut config = S3Config::default();
    config.xml_max_body_size = XML_BYTES_MAX;
    config.post_object_max_file_size = FORM_FILE_BYTES_MAX;
    config.form_max_field_size = FORM_FIELD_BYTES_MAX;
    config.form_max_fields_size = FORM_FIELDS_BYTES_MAX;
    config.form_max_parts = FORM_FIELDS_MAX;
    config.presigned_url_max_skew_time_secs = CLOCK_SKEW_SECONDS_MAX;
    let mut builder = S3ServiceBuilder::new(operations);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(authentication.clone());
    builder.set_access(gate);
    Answering {
        service: builder.build(),
        store: parts.store,
        authentication,
        limits,
        requests: Arc::new(Semaphore::new(limits.requests)),
        forms: Arc::new(Semaphore::new(limits.forms)),
    }
}
