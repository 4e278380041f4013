//! Asks Elements what runs and waits, while anybody watches, and tells what is
//! otherwise than before.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gridmart_schemas::{
    api::live::{LiveCalls, Topic},
    wire::control_element::{Activities, Activity, ActivityList},
};

use crate::{
    app::{Control, ELEMENT_ANSWER_MAX},
    feed::ring::Audience,
};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Rows that each Element tells of.
const ROWS_MAX: u32 = 1000;
/// Rows that are told of in all.
const ALL_ROWS_MAX: usize = 2000;

/// Runs until the controller goes down.
pub(crate) async fn run(control: Arc<Control>) {
    let mut known = None;
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while control
        .shutdown
        .run_until_cancelled(tick.tick())
        .await
        .is_some()
    {
        if !control.feed.seats.reads(Topic::Calls) {
            if known.take().is_some() {
                control.feed.ring.skip(Topic::Calls);
            }
            continue;
        }
        let look = control.shutdown.run_until_cancelled(look(&control));
        let Some(now) = look.await else { return };
        let delta = differing(known.as_ref(), &now);
        if delta.whole || !delta.changed.is_empty() || !delta.gone.is_empty() {
            control.feed.tell(Topic::Calls, Audience::All, &delta);
        }
        known = Some(now);
    }
}

async fn look(control: &Control) -> HashMap<String, Activity> {
    let request = ActivityList { limit: ROWS_MAX };
    let answers = control.streams.ask_all(&request, None, ELEMENT_ANSWER_MAX);
    let told = answers
        .await
        .into_iter()
        .filter_map(|(_, answer)| answer.ok());
    told.flat_map(|Activities { activities }| activities)
        .take(ALL_ROWS_MAX)
        .map(|activity| (activity.id.clone(), activity))
        .collect()
}

fn differing(
    before: Option<&HashMap<String, Activity>>,
    now: &HashMap<String, Activity>,
) -> LiveCalls {
    let Some(before) = before else {
        return LiveCalls {
            whole: true,
            changed: now.values().cloned().collect(),
            ..LiveCalls::default()
        };
    };
    // Getting older is no change.
    let same = |one: &Activity, other: &Activity| {
        *one == Activity {
            age_ms: one.age_ms,
            ..other.clone()
        }
    };
    LiveCalls {
        whole: false,
        changed: now
            .values()
            .filter(|row| !before.get(&row.id).is_some_and(|was| same(was, row)))
            .cloned()
            .collect(),
        gone: before
            .keys()
            .filter(|id| !now.contains_key(*id))
            .cloned()
            .collect(),
        ended: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn getting_older_is_no_change() {
        let row = |id: &str, state: &str, age_ms| Activity {
            id: id.to_owned(),
            job: None,
            owner: "uma".to_owned(),
            application: "hello".to_owned(),
            state: state.to_owned(),
            host: None,
            position: None,
            age_ms,
        };
        let map = |rows: Vec<Activity>| -> HashMap<String, Activity> {
            rows.into_iter().map(|row| (row.id.clone(), row)).collect()
        };
        let first = map(vec![
            row("a", "Pending:Queued", 0),
            row("b", "Pending:Queued", 0),
        ]);
        assert!(differing(None, &first).whole);
        let older = map(vec![
            row("a", "Pending:Queued", 5),
            row("b", "Running:Executing", 5),
        ]);
        let delta = differing(Some(&first), &older);
        assert_eq!(
            (delta.changed.len(), delta.gone.len(), delta.whole),
            (1, 0, false)
        );
        assert_eq!(delta.changed[0].id, "b");
        let delta = differing(Some(&older), &map(vec![row("b", "Running:Executing", 9)]));
        assert_eq!((delta.changed.len(), delta.gone), (0, vec!["a".to_owned()]));
    }
}
