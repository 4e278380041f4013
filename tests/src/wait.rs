//! Waiting for conditions, with a deadline that tells what was seen last.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// For what takes a moment.
pub const SHORT: Duration = Duration::from_secs(40);
/// For what may take its time on a busy machine, or waits for a grace of the
/// system under test to be over.
pub const LONG: Duration = Duration::from_mins(3);

/// Pause between two looks: short, since conditions mostly come true within
/// milliseconds, and looks are cheap.
const POLL: Duration = Duration::from_millis(5);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Looks until a look gives a value. Panics after `deadline` with the last
/// status, which a look that is not satisfied gives as its error.
#[track_caller]
pub fn wait_for<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(status) => {
                assert!(
                    !is_interrupted(),
                    "interrupted while waiting for this: {what}; last seen: {status}"
                );
                let seconds = deadline.as_secs_f64();
                assert!(
                    began.elapsed() < deadline,
                    "not within {seconds:.1} s: {what}; last seen: {status}"
                );
            }
        }
        thread::sleep(POLL);
    }
}

/// Ends every wait of this program, now and from now on: it was told to end.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Whether this program was told to end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_gives_what_it_waited_for() {
        let mut looks = 0;
        let seen = wait_for(SHORT, "the third look", || {
            looks += 1;
            if looks == 3 {
                Ok(looks)
            } else {
                Err(format!("look {looks}"))
            }
        });
        assert_eq!(seen, 3);
    }

    #[test]
    #[should_panic(expected = "last seen: still nothing")]
    fn a_wait_tells_what_it_saw_last() {
        wait_for(Duration::ZERO, "something", || {
            Err::<(), _>("still nothing".to_owned())
        });
    }
}
