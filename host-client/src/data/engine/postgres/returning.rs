//! A core that was replaced: what it had committed and its log does not have yet is brought
//! there, so that nothing of it is lost without a word.

use std::{path::Path, sync::Arc, sync::atomic::AtomicU64};

use tokio_postgres::{Client, Error};

use super::{
    MAKERS, PgServer,
    connection::Purpose,
    failure::{When, failure},
    log::{PgSource, flushed},
    pool::Pool,
};
use crate::data::engine::{EngineError, mirror::finish};

/// Whoever is at work in a database has nothing to do there any more.
const TERMINATE: &str = "SELECT pg_catalog.pg_terminate_backend(pid)
    FROM pg_catalog.pg_stat_activity
    WHERE datname = $1 AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()";

/// Ends what is done there, and brings all that was committed into the log of that file.
pub(super) async fn finish_log(
    server: &PgServer,
    name: &str,
    file: &Path,
) -> Result<(), EngineError> {
    let failed = |error: Error| failure(&error, When::Undone, false);
    if !server.has(name).await? {
        return Err(EngineError::Damaged {
            why: format!("the database {name} is not at the server"),
        });
    }
    let client: Client = server.client(&server.maintenance).await?;
    client.execute(TERMINATE, &[&name]).await.map_err(failed)?;
    let generation = Arc::new(AtomicU64::new(0));
    let pool = Pool::new(
        server.access.clone(),
        name.to_owned(),
        Purpose::Write,
        MAKERS,
        generation,
    );
    let pool = Arc::new(pool);
    let source = Arc::new(PgSource::new(name, &pool));
    let place = flushed(&client).await.map_err(failed)?;
    let finished = finish(file, &source, &place).await;
    pool.close();
    finished
}
