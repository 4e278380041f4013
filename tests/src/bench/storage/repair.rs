//! A Host dies; its blocks are made anew on the others.

use std::time::Duration;

use anyhow::Context as _;

use super::{
    super::{Figure, sample::rate},
    MIB,
};
use crate::{
    Supermarket,
    wait::{LONG, wait_for},
};

/// The Element's `RepairRate` in this run; 32 MiB/s where nobody has said another.
const REPAIR_RATE_MIB: f64 = 1024.0;

/// Waits until what `storage-7` had, which is dead, is there again.
pub(super) fn measure(market: &Supermarket) -> anyhow::Result<Figure> {
    let certificate = wait_for(LONG * 10, "all that was lost is made anew", || {
        let run = market.cli(&["--json", "show", "se-1"]);
        if run.code != 0 {
            return Err(run.stderr);
        }
        let shown: serde_json::Value = run.json();
        let heal = shown["heals"]["heals"][0]["certificate"].clone();
        if shown["heals"]["blocks_lost"] == 0 && heal.is_object() {
            Ok(heal)
        } else {
            Err(shown["heals"]["blocks_lost"].to_string())
        }
    });
    let number = |name: &str| certificate[name].as_u64().context("a certificate's number");
    let moment = |name: &str| -> anyhow::Result<time::OffsetDateTime> {
        Ok(
            serde_json::from_value(certificate[name].clone()).or_else(|_| {
                let text = certificate[name].as_str().unwrap_or_default();
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
            })?,
        )
    };
    let took = Duration::try_from(moment("ended")? - moment("began")?)?;
    let mebibytes = number("bytes")? / MIB as u64;
    let value = rate(usize::try_from(mebibytes)?, took);
    Ok(Figure::new("repair of a dead Host", value, "MiB/s")
        .beside("RepairRate, sources included", REPAIR_RATE_MIB)
        .note(format!(
            "{} blocks, {mebibytes} MiB in {:.0} s; bytes that were made anew and read back",
            number("blocks_rebuilt")?,
            took.as_secs_f64()
        )))
}
