//! Cluster histories under seeds: the same ones each time, or those asked for.
//!
//! `SEED` and `HISTORIES` choose others; `EVENTS` says how many of the last
//! events of a failing one are shown.

use std::time::Instant;

use gridmart_tests::simulation::play;

/// The seeds of the continuous integration begin here.
const SEED: u64 = 20_000;
/// So many histories by default, over all tests: some seconds.
const HISTORIES: u64 = 240;
/// The histories are played side by side.
const SHARES: u64 = 4;

fn asked(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() {
        return otherwise;
    }
    text.parse()
        .unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}"))
}

/// Plays one share of the histories that are asked for.
fn play_share(share: u64) {
    let (first, histories) = (asked("SEED", SEED), asked("HISTORIES", HISTORIES));
    let began = Instant::now();
    let (mut played, mut steps, mut seconds, mut calls, mut maps) = (0, 0, 0, 0, 0);
    for seed in (first..first + histories).filter(|seed| seed % SHARES == share) {
        match play(seed) {
            Ok(history) => {
                played += 1;
                steps += history.steps;
                seconds += history.seconds;
                calls += history.sizes.0;
                maps += history.sizes.1;
            }
            Err(failure) => {
                eprintln!("{failure}");
                panic!(
                    "the history of seed {} is not as it has to be",
                    failure.seed
                );
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "{played} histories from seed {first} on: {steps} events, {calls} calls and parts, {maps} maps, {seconds} simulated seconds in {took:.1} s"
    );
}

#[test]
fn whatever_happens_everything_comes_to_its_end_once_0() {
    play_share(0);
}

#[test]
fn whatever_happens_everything_comes_to_its_end_once_1() {
    play_share(1);
}

#[test]
fn whatever_happens_everything_comes_to_its_end_once_2() {
    play_share(2);
}

#[test]
fn whatever_happens_everything_comes_to_its_end_once_3() {
    play_share(3);
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let seed = asked("SEED", SEED);
    for seed in seed..seed + 3 {
        assert_eq!(play(seed), play(seed), "seed {seed}");
    }
}
