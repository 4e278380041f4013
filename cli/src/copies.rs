//! Copies of databases in words, for `gridmart db show`.

use gridmart_schemas::{
    api::database::DatabaseView,
    resource::{
        database::{Replica, ShadowRule},
        enumeration::{ReplicaRole, SyncState},
        host::ReplicaState,
    },
};

use crate::{output::Page, size::Size};

/// The Host of a copy as people know it.
pub(crate) fn host_name(view: &DatabaseView, replica: &Replica) -> String {
    let Some(host) = replica.node() else {
        return "-".to_owned();
    };
    let id = host.to_string();
    view.host_names.get(&id).cloned().unwrap_or(id)
}

/// All copies, each with what is to be known of it.
pub(crate) fn copies(page: &mut Page, view: &DatabaseView) {
    for replica in &view.database.replicas.replicas {
        let role = match replica.role {
            ReplicaRole::Core => "core on",
            ReplicaRole::Shadow => "shadow on",
        };
        let host = host_name(view, replica);
        page.field(role, format!("{host}: {}", words(replica)));
        if let Some(filter) = &replica.filter {
            page.field("holds", part_words(filter.confirmed));
            for rule in &filter.rules {
                page.field("", rule_words(rule));
            }
        }
        if let Some(room) = log_words(view, replica) {
            page.field("log", room);
        }
        for aside in replica.state.iter().flat_map(aside_words) {
            page.field("set aside", aside);
        }
    }
}

/// A copy on one line.
pub(crate) fn words(replica: &Replica) -> String {
    let Some(state) = &replica.state else {
        return "has told nothing yet, or its Host is away".to_owned();
    };
    if replica.role != state.role {
        return format!("was the {} when it told last", state.role);
    }
    let words = match replica.role {
        ReplicaRole::Core => format!("position {}", state.log_position),
        ReplicaRole::Shadow => {
            format!("{}, position {}", state.sync_state, state.log_position)
        }
    };
    match &state.check {
        None => words,
        Some(check) if check.difference_count == 0 => {
            format!("{words}, compared equal at {}", check.log_position)
        }
        Some(check) => format!(
            "{words}, differed in {} ranges at {}",
            check.difference_count, check.log_position
        ),
    }
}

/// How long a core's log tells a shadow that is away what it misses.
fn log_words(view: &DatabaseView, core: &Replica) -> Option<String> {
    let room = core.state.as_ref()?.log_room?;
    let mut shadows = view.database.replicas.replicas.iter();
    let is_behind = shadows.any(|replica| {
        let state = replica.state.as_ref().map(|state| state.sync_state);
        replica.role == ReplicaRole::Shadow && state != Some(SyncState::Synchronised)
    });
    is_behind.then(|| {
        format!(
            "room for {} more until a shadow that is behind begins with a snapshot",
            Size::from_bytes(room)
        )
    })
}

/// Whether a partial shadow is known to hold nothing else.
fn part_words(confirmed: Option<bool>) -> &'static str {
    match confirmed {
        Some(true) => "a part, and nothing else",
        Some(false) | None => {
            "a part; unconfirmed: its Host has not told yet that it holds nothing else"
        }
    }
}

/// What a partial shadow holds of a table.
pub(crate) fn rule_words(rule: &ShadowRule) -> String {
    let mut words = rule.table.as_str().to_owned();
    if !rule.columns.is_empty() {
        let hidden = rule.columns.iter().map(|column| column.name.as_str());
        words.push_str(" without ");
        words.push_str(&hidden.collect::<Vec<_>>().join(", "));
    }
    if let Some(rows) = &rule.rows {
        words.push_str(" where ");
        words.push_str(rows.as_str());
    }
    words
}

/// What a Host has set aside, one line for each file.
fn aside_words(state: &ReplicaState) -> impl Iterator<Item = String> {
    state.set_aside.iter().map(|aside| {
        let words = format!(
            "positions {} to {} were committed there alone: {}",
            aside.first_position,
            aside.last_position,
            aside.file.as_str()
        );
        match aside.missing_count {
            0 => words,
            missing => format!("{words} ({missing} of them only in the database beside it)"),
        }
    })
}
