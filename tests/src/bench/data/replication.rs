//! How PostgreSQL's own streaming replication follows, measured as shadows are.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use gridmart_fabric::test_server::PostgresServer;
use tokio::time::Instant;
use tokio_postgres::{Client, Config, NoTls};

use super::{
    super::{Bench, Figure, sample::milliseconds},
    LARGE_MAX, LEDGER,
    sync::{COMMITS_PER_SECOND, Delays, Look, at_a_rate},
};

/// Connections that write.
const WRITERS: usize = 16;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let primary = PostgresServer::start();
    primary.script("postgres", LEDGER);
    let standby = primary.standby();
    let count = bench.count(10_000, 500);
    let (written, seen) = bench.wait_within(LARGE_MAX, async {
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            writers.push(connect(&primary).await?);
        }
        let looking = connect(&standby).await?;
        // Both are warm before anything is measured.
        looking.query_one("SELECT max(id) FROM ledger", &[]).await?;
        let (told, heard) = tokio::sync::watch::channel(());
        let writing = async {
            let text = "INSERT INTO ledger VALUES ($1, 'a word')";
            let written = at_a_rate(count).map(|number| {
                let writer = writers.get(number % WRITERS);
                async move {
                    let writer = writer.context("there is no writer")?;
                    let id = i64::try_from(number)?;
                    writer.execute(text, &[&id]).await?;
                    anyhow::Ok((id, Instant::now()))
                }
            });
            let written: Vec<_> = written.buffered(WRITERS).try_collect().await?;
            let _ = told.send(());
            anyhow::Ok(written)
        };
        let watching = async {
            let mut seen = Vec::new();
            let text = looking
                .prepare("SELECT coalesce(max(id), -1) FROM ledger")
                .await?;
            loop {
                let is_over = heard.has_changed().unwrap_or(true);
                let began = Instant::now();
                let last: i64 = looking.query_one(&text, &[]).await?.get(0);
                seen.push(Look::ended(began, last));
                if is_over && last >= i64::try_from(count)? - 1 {
                    return anyhow::Ok(seen);
                }
            }
        };
        tokio::try_join!(writing, watching)
    })?;
    let delays = Delays::of(&written, &seen);
    let name = "the same of PostgreSQL's own streaming replication, p99";
    let p99 = milliseconds(delays.most.quantile(0.99));
    Ok(Figure::new(name, p99, "ms").note(format!(
        "{}; {COMMITS_PER_SECOND} commits/s, {} looks; its server syncs nothing to the disk",
        delays.note(),
        seen.len()
    )))
}

async fn connect(server: &PostgresServer) -> anyhow::Result<Client> {
    let mut config = Config::new();
    config.user("ada").dbname("postgres");
    config.host_path(server.folder());
    config.connect_timeout(Duration::from_secs(10));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
