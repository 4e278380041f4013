//! Which Hosts keep blocks, and how that is changed: staged, looked at, applied
//! or taken back. The settings are in the log, so that they outlive the Element;
//! `care/carry` does what is applied.

mod plan;

use std::sync::Arc;

use gridmart_fabric::{
    block::PREFIX_BYTES_MAX,
    stream::{Incoming, reply},
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::{
        Request as _,
        layout::{
            DRAINED_MAX, Layout, LayoutApply, LayoutHost, LayoutPlace, LayoutProgress,
            LayoutRevert, LayoutShow, LayoutStage, LayoutTold,
        },
    },
};
use rusqlite::Connection;
use serde_json::value::RawValue;

pub(super) use self::plan::stored_on;
use super::{
    Se,
    metadata::{Change, HostRow, StoreError, query},
    placement::Candidate,
    service::Service,
};

/// The settings' names.
const STAGED: &str = "layout.staged";
const APPLIED: &str = "layout.applied";

/// What is being done.
pub(super) fn applied(connection: &Connection) -> Result<Layout, StoreError> {
    read(connection, APPLIED)
}

/// Notes what is left to be done.
pub(super) async fn set_applied(service: &Service, layout: &Layout) -> Result<(), Problem> {
    write(service, APPLIED, layout).await
}

/// One that cannot be read changes nothing.
fn read(connection: &Connection, name: &str) -> Result<Layout, StoreError> {
    let Some(text) = query::setting(connection, name)? else {
        return Ok(Layout::default());
    };
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::error!(name, %error, "a layout cannot be read");
        Layout::default()
    }))
}

async fn write(service: &Service, name: &str, layout: &Layout) -> Result<(), Problem> {
    let text = serde_json::to_string(layout)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let change = Change::Setting {
        name: name.to_owned(),
        value: (!layout.is_empty()).then_some(text),
    };
    service.commit(change).await?;
    Ok(())
}

/// What the metadata know of the layout.
struct Known {
    staged: Layout,
    applied: Layout,
    rows: Vec<HostRow>,
    /// Blocks on each, and bytes of their payloads.
    loads: Vec<(u64, u64)>,
}

impl Known {
    fn read(connection: &Connection) -> Result<Self, StoreError> {
        let rows = query::hosts(connection)?;
        let loads = rows.iter().map(|row| query::load_of(connection, row.host));
        Ok(Self {
            staged: read(connection, STAGED)?,
            applied: applied(connection)?,
            loads: loads.collect::<Result<_, _>>()?,
            rows,
        })
    }

    /// Blocks and bytes on some Hosts.
    fn load(&self, hosts: &[NodeId]) -> (u64, u64) {
        let rows = self.rows.iter().zip(&self.loads);
        let chosen = rows.filter(|(row, _)| hosts.contains(&row.host));
        chosen.fold((0, 0), |sum, (_, load)| (sum.0 + load.0, sum.1 + load.1))
    }
}

/// Hosts by what the metadata say that they are to hold.
pub(super) fn settled(
    connection: &Connection,
    candidates: Vec<Candidate>,
) -> Result<Vec<Candidate>, StoreError> {
    let settled = candidates.into_iter().map(|candidate| {
        let (blocks, payloads) = query::load_of(connection, candidate.host)?;
        Ok(candidate.settled(payloads + blocks * PREFIX_BYTES_MAX as u64))
    });
    settled.collect()
}

impl Se {
    /// What the controller asks of the layout; `None`: it is about something
    /// else.
    pub(super) async fn on_layout_request(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        let done = match incoming.kind.as_str() {
            LayoutShow::KIND => Ok(()),
            LayoutStage::KIND => self.layout_stage(incoming).await,
            LayoutApply::KIND => self.layout_apply().await,
            LayoutRevert::KIND => self.layout_revert().await,
            _ => return None,
        };
        Some(match done {
            Ok(()) => self.layout_told().await.and_then(|told| reply(&told)),
            Err(problem) => Err(problem),
        })
    }

    async fn layout_stage(&self, incoming: &Incoming) -> Result<(), Problem> {
        let LayoutStage { mut layout } = incoming.read()?;
        layout.drain.sort_unstable();
        layout.drain.dedup();
        if layout.drain.len() > DRAINED_MAX {
            let detail = format!("A layout drains {DRAINED_MAX} Hosts at most.");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let service = self.goods.service()?;
        let drain = layout.drain.clone();
        service
            .read(move |connection| plan::check(connection, &drain))
            .await??;
        write(&service, STAGED, &layout).await
    }

    async fn layout_apply(&self) -> Result<(), Problem> {
        let service = self.goods.service()?;
        let staged = service.read(|connection| read(connection, STAGED)).await?;
        if staged.is_empty() {
            return Err(nothing("apply"));
        }
        let drain = staged.drain.clone();
        service
            .read(move |connection| plan::check(connection, &drain))
            .await??;
        set_applied(&service, &staged).await?;
        write(&service, STAGED, &Layout::default()).await
    }

    async fn layout_revert(&self) -> Result<(), Problem> {
        let service = self.goods.service()?;
        let read = service.read(|connection| Ok((read(connection, STAGED)?, applied(connection)?)));
        let (staged, applied) = read.await?;
        match (staged.is_empty(), applied.is_empty()) {
            (false, _) => write(&service, STAGED, &Layout::default()).await,
            (true, false) => set_applied(&service, &Layout::default()).await,
            (true, true) => Err(nothing("revert")),
        }
    }

    async fn layout_told(&self) -> Result<LayoutTold, Problem> {
        let service = self.goods.service()?;
        let candidates = service.data().hosts.candidates();
        let read = move |connection: &Connection| {
            let candidates = settled(connection, candidates)?;
            Ok((Known::read(connection)?, candidates))
        };
        let (known, candidates) = service.read(read).await?;
        let hosts = self.layout_hosts(&known);
        let staged = if known.staged.is_empty() {
            None
        } else {
            let rate = self.base.read().configuration.repair_rate;
            Some(plan::plan(&service, &known, candidates.clone(), rate).await?)
        };
        let applied = (!known.applied.is_empty()).then(|| {
            let (blocks_left, bytes) = known.load(&known.applied.drain);
            LayoutProgress {
                bytes_left: bytes + plan::imbalance(&known.applied, &candidates),
                blocks_left,
                waits: self.goods.carrying.lock().clone(),
                layout: known.applied.clone(),
            }
        });
        Ok(LayoutTold {
            hosts,
            staged,
            applied,
        })
    }

    fn layout_hosts(&self, known: &Known) -> Vec<LayoutHost> {
        let pool = self.goods.pool.lock();
        let candidates = pool.candidates();
        let rows = known.rows.iter().zip(&known.loads);
        rows.map(|(row, (blocks, _))| {
            let candidate = candidates.iter().find(|one| one.host == row.host);
            let name = pool.host(row.host).map(|host| host.name().to_owned());
            LayoutHost {
                host: row.host,
                name: name.unwrap_or_default(),
                place: match row.removed {
                    Some(_) => LayoutPlace::Removed,
                    None if known.applied.drain.contains(&row.host) => LayoutPlace::Draining,
                    None => LayoutPlace::Kept,
                },
                blocks: *blocks,
                used: candidate.map_or(0, |one| one.used),
                free: candidate.map_or(0, |one| one.free),
            }
        })
        .collect()
    }
}

fn nothing(verb: &str) -> Problem {
    Problem::new(
        Code::InvalidRequest,
        format!("There is nothing to {verb}: stage a layout first."),
    )
}
