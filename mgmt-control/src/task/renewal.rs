//! Renews the controller's own certificate before half its life.

use std::{path::PathBuf, sync::Arc};

use gridmart_fabric::authority::NodeSubject;
use time::OffsetDateTime;

use crate::{
    app::Control,
    identity::{self, IdentityFault},
};

/// Name on the task board.
const NAME: &str = "certificate_renewal";
/// Runs until the controller goes down.
pub(crate) async fn run(control: Arc<Control>, folder: PathBuf, subject: NodeSubject) {
    loop {
        let result = renew(&control, &folder, &subject);
        if let Err(error) = &result {
            tracing::error!(error = %error, "the controller's certificate could not be renewed");
        }
        control.tasks.on_run(NAME, &result);
        let pause = control
            .identity
            .current()
            .renewal_pause(OffsetDateTime::now_utc());
        let pause = control
            .shutdown
            .run_until_cancelled(tokio::time::sleep(pause));
        if pause.await.is_none() {
            return;
        }
    }
}

fn renew(
    control: &Control,
    folder: &std::path::Path,
    subject: &NodeSubject,
) -> Result<String, IdentityFault> {
    let present = control.identity.current();
    if !present.needs_renewal(OffsetDateTime::now_utc()) {
        return Ok(format!("good until {}", present.not_after()));
    }
    let renewed = identity::renew(
        &control.authority,
        &present,
        subject,
        control.certificate_lifetime,
    )?;
    renewed.save(folder)?;
    let until = renewed.not_after();
    control.identity.replace(renewed);
    Ok(format!("renewed until {until}"))
}
