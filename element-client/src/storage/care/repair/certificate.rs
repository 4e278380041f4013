//! Heal certificates: what a run of repair has done, signed by the Element.
//!
//! One file for each run in the folder `heals`, with a compact JWS and the
//! certificate of its key, so that anybody with the authority's root can verify
//! it, also when the Element's certificate has been renewed.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use gridmart_fabric::disk::{RealDisk, Secrecy, durable_write};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    storage::heal::{HealCertificate, SignedHeal},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{heal::Healed, work::Work};
use crate::storage::Se;

const FOLDER: &str = "heals";
/// Certificates that are kept; older ones go.
const KEPT_MAX: usize = 1000;

/// What a run has done so far.
pub(super) struct Tally {
    began: OffsetDateTime,
    hosts: BTreeSet<NodeId>,
    /// Lost blocks that are left, by the last look.
    left: u64,
    rebuilt: u64,
    bytes: u64,
    failures: u64,
    digest: blake3::Hasher,
}

impl Tally {
    pub(super) fn begin() -> Self {
        Self {
            began: OffsetDateTime::now_utc(),
            hosts: BTreeSet::new(),
            left: 0,
            rebuilt: 0,
            bytes: 0,
            failures: 0,
            digest: blake3::Hasher::new(),
        }
    }

    pub(super) const fn rebuilt(&self) -> u64 {
        self.rebuilt
    }

    pub(super) fn on_found(&mut self, work: &Work) {
        if self.rebuilt == 0 && self.failures == 0 || work.left > self.left {
            tracing::warn!(
                blocks = work.left,
                hosts = work.hosts.len(),
                more = work.is_more_than_told(),
                "blocks are lost, and are made anew"
            );
        }
        self.hosts.extend(&work.hosts);
        self.left = work.left;
    }

    pub(super) fn on_healed(&mut self, blocks: &[Healed]) {
        for healed in blocks {
            self.rebuilt += 1;
            self.bytes += healed.bytes;
            self.digest.update(healed.block.to_string().as_bytes());
            self.digest.update(healed.host.as_uuid().as_bytes());
            self.digest.update(healed.root.as_bytes());
        }
    }

    pub(super) const fn on_failed(&mut self) {
        self.failures += 1;
    }

    /// What the certificate says. It is made when a look found nothing lost.
    fn stated(&self, element: NodeId) -> HealCertificate {
        HealCertificate {
            id: Uuid::now_v7(),
            element,
            began: self.began,
            ended: OffsetDateTime::now_utc(),
            hosts_lost: self.hosts.iter().copied().collect(),
            blocks_rebuilt: self.rebuilt,
            blocks_read_back: self.rebuilt,
            bytes: self.bytes,
            failures: self.failures,
            blocks_short: 0,
            digest: self.digest.finalize().to_hex().to_string(),
        }
    }
}

/// The folder of the certificates; made if it is not there.
fn open_folder(data_dir: &Path) -> std::io::Result<PathBuf> {
    let folder = data_dir.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Signs and keeps the certificate of a run that is over.
pub(super) async fn write(se: &Arc<Se>, tally: &Tally) -> Result<(), Problem> {
    let stated = tally.stated(se.id);
    let signed = se.identity.current().sign_heal(stated)?;
    let text = serde_json::to_vec_pretty(&signed)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let id = signed.certificate.id;
    let written = se.blocking(move |se| -> std::io::Result<()> {
        let folder = open_folder(&se.data_dir)?;
        let path = folder.join(format!("{id}.json"));
        durable_write(&RealDisk, &path, &text, Secrecy::Open)?;
        let names = names(&folder)?;
        for name in names.iter().rev().skip(KEPT_MAX) {
            std::fs::remove_file(folder.join(name))?;
        }
        Ok(())
    });
    written.await?.map_err(|error| {
        Problem::new(
            Code::StorageFailed,
            format!("The certificate of a repair cannot be kept: {error}."),
        )
    })?;
    let HealCertificate {
        blocks_rebuilt,
        bytes,
        failures,
        ..
    } = signed.certificate;
    tracing::info!(%id, blocks_rebuilt, bytes, failures, "all that was lost is made anew");
    Ok(())
}

/// Names of the certificates, oldest first: their ids grow with time.
fn names(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            names.extend(
                path.file_name()
                    .and_then(|name| name.to_str())
                    .map(str::to_owned),
            );
        }
    }
    Ok(names)
}

/// The newest certificates, newest first. Blocks.
pub(crate) fn certificates(data_dir: &Path, limit: usize) -> std::io::Result<Vec<SignedHeal>> {
    let folder = open_folder(data_dir)?;
    let mut found = Vec::new();
    for name in names(&folder)?.iter().rev().take(limit) {
        let text = std::fs::read(folder.join(name))?;
        match serde_json::from_slice(&text) {
            Ok(signed) => found.push(signed),
            Err(error) => tracing::error!(name, %error, "a heal certificate cannot be read"),
        }
    }
    Ok(found)
}
