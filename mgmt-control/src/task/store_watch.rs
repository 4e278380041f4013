//! Finds out that the store takes changes again, where nobody else makes one.

use std::{sync::Arc, time::Duration};

use gridmart_fabric::causes::with_causes;

use crate::app::Control;

/// Name on the task board.
const NAME: &str = "store_watch";
/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the controller goes down.
pub(crate) async fn run(control: Arc<Control>) {
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while control
        .shutdown
        .run_until_cancelled(tick.tick())
        .await
        .is_some()
    {
        if control.catalogue.may_recover() {
            let tried = control.catalogue.try_write().await;
            let result = tried
                .map(|()| "the database takes changes again".to_owned())
                .map_err(|error| with_causes(&error));
            control.tasks.on_run(NAME, &result);
        }
    }
}
