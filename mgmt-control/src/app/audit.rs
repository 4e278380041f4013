//! The audit log, for people.

use gridmart_schemas::api::{Page, audit::AuditRow};

use super::{
    Control,
    activity::{ROWS_MAX, next_page},
};
use crate::{failure::Failure, store};

/// Lists what was done, newest first.
pub async fn audit_list(
    control: &Control,
    before: Option<u64>,
    limit: u32,
) -> Result<Page<AuditRow>, Failure> {
    let limit = limit.clamp(1, ROWS_MAX);
    let items = control
        .catalogue
        .read(move |connection| store::audit::audit_page(connection, before, limit))
        .await?;
    let next = next_page(&items, limit, |row| row.sequence);
    Ok(Page { items, next })
}
