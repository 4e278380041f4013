//! Slows down guessing: after some failures, each person and address waits
//! longer and longer before the next try.
//!
//! Whoever checks a secret asks [`Throttle::admit`] first, reads before it
//! writes, and tells [`Throttle::on_failure`].

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;

use crate::door::Origin;

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;
/// The first wait; doubled with each further failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Without a failure for so long, all is forgotten.
const FORGET_AFTER: Duration = Duration::from_mins(15);
/// Addresses and names remembered at a time; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 10_000;

/// What is counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// Tries for one person's name from one address.
    Person(String, Origin),
    /// Tries from one address, for whatever name or token.
    Address(Origin),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Remembers failures in memory; a restart forgives.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Guesser, Failures>>,
}

impl Throttle {
    /// Refuses a try that comes too soon after failures.
    pub fn admit(&self, guessers: &[Guesser], now: Instant) -> Result<(), Problem> {
        let failures = self.failures.lock();
        let wait = guessers
            .iter()
            .filter_map(|guesser| {
                let failures = failures.get(guesser)?;
                let passed = now.saturating_duration_since(failures.last);
                pause(guesser, failures.count).checked_sub(passed)
            })
            .max()
            .filter(|wait| !wait.is_zero());
        match wait {
            None => Ok(()),
            Some(wait) => Err(Problem::new(
                Code::RateLimited,
                format!(
                    "Too many failed tries; the next one counts in {} s.",
                    wait.as_millis().div_ceil(1000)
                ),
            )
            .with_retry_after(wait)),
        }
    }

    /// Counts a failed try.
    pub fn on_failure(&self, guessers: &[Guesser], now: Instant) {
        let mut failures = self.failures.lock();
        for guesser in guessers {
            let known = failures.entry(guesser.clone()).or_insert(Failures {
                count: 0,
                last: now,
            });
            if now.saturating_duration_since(known.last) > FORGET_AFTER {
                known.count = 0;
            }
            known.count = known.count.saturating_add(1);
            known.last = now;
        }
        if failures.len() > REMEMBERED_MAX {
            failures.retain(|_, known| now.saturating_duration_since(known.last) <= FORGET_AFTER);
            while failures.len() > REMEMBERED_MAX {
                let Some(oldest) = failures
                    .iter()
                    .min_by_key(|(_, known)| known.last)
                    .map(|(key, _)| key.clone())
                else {
                    break;
                };
                failures.remove(&oldest);
            }
        }
    }

    /// Forgets a person's failures from an address after a good try; the
    /// address' own count stands, or one good account would unlock it.
    pub fn on_success(&self, guesser: &Guesser) {
        self.failures.lock().remove(guesser);
    }
}

fn pause(guesser: &Guesser, count: u32) -> Duration {
    // Many people may sit behind one address.
    let free = match guesser {
        Guesser::Person(..) => FREE_FAILURES,
        Guesser::Address(_) => FREE_FAILURES * 10,
    };
    match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(over) => FIRST_WAIT
            .saturating_mul(1 << over.min(16))
            .min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn guesser(name: &str) -> Guesser {
        Guesser::Person(
            name.to_owned(),
            std::net::IpAddr::from([127, 0, 0, 1]).into(),
        )
    }

    #[test]
    fn waits_grow_and_are_apart_for_each_person() {
        let throttle = Throttle::default();
        let (now, alice, bob) = (Instant::now(), [guesser("alice")], [guesser("bob")]);
        for _ in 0..FREE_FAILURES - 1 {
            throttle.on_failure(&alice, now);
        }
        assert!(throttle.admit(&alice, now).is_ok());
        throttle.on_failure(&alice, now);
        let refusal = throttle.admit(&alice, now).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.retry_after),
            (Code::RateLimited, NonZeroU32::new(1))
        );
        assert!(throttle.admit(&bob, now).is_ok());
        assert!(
            throttle
                .admit(&alice, now + Duration::from_millis(1001))
                .is_ok()
        );
        throttle.on_failure(&alice, now);
        assert!(
            throttle
                .admit(&alice, now + Duration::from_millis(1001))
                .is_err()
        );
        throttle.on_success(&alice[0]);
        assert!(throttle.admit(&alice, now).is_ok());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for index in 0..REMEMBERED_MAX + 10 {
            throttle.on_failure(&[guesser(&index.to_string())], now);
        }
        assert!(throttle.failures.lock().len() <= REMEMBERED_MAX);
    }
}
