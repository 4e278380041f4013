//! From `gridmart up` to its ready line.

use super::{Bench, Figure, check_interrupted, machine::bare_starts, sample::Sample};
use crate::{Supermarket, gridmart};

const HOSTS: u32 = 3;
/// `up`, the controller, the Element and the Hosts start one after the other.
const STARTS_IN_A_ROW: f64 = 4.0;
const AIM_SECONDS: f64 = 3.0;

pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let rounds = bench.count(3, 1);
    let (mut first, mut again) = (Sample::default(), Sample::default());
    for _ in 0..rounds {
        check_interrupted()?;
        let folder = tempfile::tempdir()?;
        for sample in [&mut first, &mut again] {
            let market = Supermarket::builder()
                .hosts(HOSTS)
                .slots(None)
                .folder(folder.path())
                .start();
            sample.push(market.took);
            market.stop();
        }
    }
    let bare = bare_starts(&gridmart(), 20)?.median().as_secs_f64() * STARTS_IN_A_ROW;
    let figure = |name: &str, sample: &Sample| {
        let median = sample.median().as_secs_f64();
        Figure::new(format!("gridmart up, {HOSTS} Hosts, {name}"), median, "s")
            .beside("4 bare starts of the binary", bare)
            .aim(format!("under {AIM_SECONDS} s"), median < AIM_SECONDS)
            .note(format!(
                "median of {rounds}, least {:.2}",
                sample.least().as_secs_f64()
            ))
    };
    Ok(vec![
        figure("new folder", &first),
        figure("old folder", &again),
    ])
}
