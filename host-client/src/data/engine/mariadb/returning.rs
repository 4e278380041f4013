//! A core that was replaced: what it had committed and its log does not have yet is brought
//! there, so that nothing of it is lost without a word.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mysql_async::prelude::Queryable as _;

use super::{
    Access,
    failure::{Failure as _, Phase},
    gtid::Gtids,
    log::MariaSource,
};
use crate::data::engine::{EngineError, mirror::finish};

/// Whoever is at work in a database has so long to end when it is told to.
const END_MAX: Duration = Duration::from_secs(20);
/// It is looked again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Whether there is a database of that name.
pub(super) async fn has(access: &Access, name: &str) -> Result<bool, EngineError> {
    let mut conn = access.connect().await?;
    let text = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ?";
    let found: Option<u64> = conn
        .exec_first(text, (name,))
        .await
        .during(Phase::Statement)?;
    let _ = conn.disconnect().await;
    Ok(found.is_some_and(|found| found > 0))
}

/// Ends what is done in a database, but for one connection. What they were committing is
/// committed or not when this returns.
pub(super) async fn end_sessions(
    access: &Access,
    name: &str,
    spared: Option<u32>,
) -> Result<(), EngineError> {
    let mut conn = access.connect().await?;
    let until = Instant::now() + END_MAX;
    let text = "SELECT id FROM information_schema.processlist WHERE db = ? AND id <> ? \
        AND id <> CONNECTION_ID()";
    loop {
        let found: Vec<u64> = conn
            .exec(text, (name, spared.unwrap_or_default()))
            .await
            .during(Phase::Statement)?;
        if found.is_empty() {
            break;
        }
        if Instant::now() >= until {
            return Err(EngineError::Unreachable {
                why: format!("what is done in the database {name} does not end"),
            });
        }
        for id in found {
            // It may be gone already.
            let _ = conn.query_drop(format!("KILL CONNECTION {id}")).await;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let _ = conn.disconnect().await;
    Ok(())
}

/// Ends what is done there, and brings all that was committed into the log of that file.
pub(super) async fn finish_log(
    access: &Access,
    name: &str,
    file: &Path,
) -> Result<(), EngineError> {
    if !has(access, name).await? {
        return Err(EngineError::Damaged {
            why: format!("the database {name} is not at the server"),
        });
    }
    end_sessions(access, name, None).await?;
    let mut conn = access.connect().await?;
    let told: Option<String> = conn
        .query_first("SELECT @@gtid_binlog_pos")
        .await
        .during(Phase::Statement)?;
    let _ = conn.disconnect().await;
    let place = told.and_then(|told| told.parse::<Gtids>().ok());
    let place = place.ok_or_else(|| EngineError::Damaged {
        why: "the server does not tell how far its binary log is".to_owned(),
    })?;
    let source = Arc::new(MariaSource::new(access, name));
    finish(file, &source, &place).await
}
