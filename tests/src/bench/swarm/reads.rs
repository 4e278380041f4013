//! An information base by itself: how fast it is opened, and how often it is
//! read while it is written.

use std::{
    fs,
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gridmart_element::info_base::InfoBase;
use gridmart_fabric::disk::RealDisk;
use gridmart_schemas::resource::ce_doc::CeDocument;

use super::super::sample::rate;

/// Threads that read.
const READERS: usize = 2;
/// Reads between two looks at the clock.
const READS_AT_A_TIME: usize = 1_000;

/// What was found.
pub(super) struct Reads {
    /// Until a document is read from the disk, checked and shown.
    pub(super) opened: Duration,
    /// Per second, of all readers together.
    pub(super) alone: f64,
    /// The same while it is written all the time.
    pub(super) beside_writes: f64,
}

/// Reads a copy of a Computing Element's document.
pub(super) fn measure(document: &Path, lasting: Duration) -> anyhow::Result<Reads> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("CEDoc.xml");
    fs::copy(document, &copy)?;
    let began = Instant::now();
    let base = InfoBase::<CeDocument>::open(Arc::new(RealDisk), &copy)?;
    let (base, opened) = (base.context("there is no document")?, began.elapsed());
    let alone = read(&base, lasting);
    let ended = AtomicBool::new(false);
    let beside_writes = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                base.update(|_| Ok(()))?;
            }
            anyhow::Ok(())
        });
        let reads = read(&base, lasting);
        ended.store(true, Ordering::Relaxed);
        let written = writing.join();
        written.map_err(|_| anyhow::anyhow!("a thread failed"))??;
        anyhow::Ok(reads)
    })?;
    Ok(Reads {
        opened,
        alone,
        beside_writes,
    })
}

fn read(base: &InfoBase<CeDocument>, lasting: Duration) -> f64 {
    let began = Instant::now();
    let reader = || {
        let mut count = 0;
        while began.elapsed() < lasting {
            for _ in 0..READS_AT_A_TIME {
                black_box(base.read().host_table.hosts.len());
            }
            count += READS_AT_A_TIME;
        }
        count
    };
    let count: usize = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(reader)).collect();
        let counts = readers.into_iter().map(|reader| reader.join().unwrap_or(0));
        counts.sum()
    });
    rate(count, began.elapsed())
}
