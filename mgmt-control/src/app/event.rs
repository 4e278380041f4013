//! What happened, for people.

use gridmart_schemas::api::{Page, event::EventView};

use super::{
    Control,
    activity::{ROWS_MAX, next_page},
    context::Actor,
};
use crate::{
    failure::Failure,
    store::event::{EventFilter, event_page},
};

/// Lists what happened, newest first.
pub async fn event_list(
    control: &Control,
    actor: &Actor,
    subject: Option<String>,
    before: Option<u64>,
    limit: u32,
) -> Result<Page<EventView>, Failure> {
    let operator = actor.is_operator();
    // People name resources as they do everywhere.
    let subject = subject.map(|text| match control.catalogue.view().resource(&text) {
        Ok(node) => node.id.to_string(),
        Err(_) => text,
    });
    let filter = EventFilter {
        subject,
        before,
        since: 0,
        open_only: !operator,
        limit: limit.clamp(1, ROWS_MAX),
    };
    let limit = filter.limit;
    let rows = control
        .catalogue
        .read(move |store| event_page(store, &filter))
        .await?;
    let next = next_page(&rows, limit, |row| row.sequence);
    let items = rows.into_iter().map(|row| told(row, operator)).collect();
    Ok(Page { items, next })
}

/// Who did it is told to operators, as the audit log is.
pub(crate) fn told(event: EventView, operator: bool) -> EventView {
    EventView {
        actor: event.actor.filter(|_| operator),
        ..event
    }
}
