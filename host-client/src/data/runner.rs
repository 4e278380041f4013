//! Starts a data Host, runs it until it is told to stop, and ends it.

use std::sync::Arc;

use gridmart_fabric::node_lock::NodeLock;
use tokio_util::sync::CancellationToken;

use super::{
    config::Config,
    copies::Copies,
    description::Description,
    door::Databases,
    goods::{Data, SHAPE},
    log::LogBounds,
    server::Servers,
};
use crate::member::{HostError, Joined, Member};

/// Runs a data Host until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), HostError> {
    let joined = Box::pin(Joined::open(config.member.clone(), SHAPE, &stop)).await?;
    let Some((joined, lock)) = joined else {
        return Ok(());
    };
    let member = Arc::clone(&joined.member);
    let servers = Servers::connect(&config.servers).await?;
    let opened = tokio::task::spawn_blocking(move || open(member, config, servers)).await;
    let data = opened.map_err(std::io::Error::other);
    let data = data.map_err(HostError::system("opening", &"the Host's databases"))??;
    let served = joined.serve(Arc::new(data), stop).await;
    drop(lock);
    served
}

/// Opens what lies in the folder of the databases; blocks for the disk.
fn open(member: Arc<Member>, config: Config, servers: Servers) -> Result<Data, HostError> {
    let Config {
        database_dir,
        policy,
        log_bytes_max,
        servers: _,
        member: _,
    } = config;
    let mut bounds = LogBounds::default();
    if let Some(bytes) = log_bytes_max {
        bounds.bytes_max = bytes;
    }
    // Another folder than its own, which is locked, has to be locked as well.
    let lock = database_dir.as_deref().map(NodeLock::acquire).transpose()?;
    let folder = database_dir.unwrap_or_else(|| member.folder("databases"));
    let copies = Copies::open(&folder, bounds, servers).map_err(HostError::system(
        "opening the databases in",
        &folder.display(),
    ))?;
    let databases = Arc::new(Databases::new(member, Arc::new(copies)));
    let description = Description::new(Arc::clone(&databases), &folder, policy)?;
    Ok(Data {
        _lock: lock,
        databases,
        description,
    })
}
