//! What a Host should be, without I/O: nothing older undoes what was heard,
//! and work that a kill has passed is to be ended.

use gridmart_fabric::ticket::LeaseCut;
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    role::Desired,
    wire::desired::{HostDesired, Wish},
};

/// Tells whether work of epochs `work` is to be ended under epochs `now`.
pub const fn is_cut(work: LeaseCut, now: LeaseCut) -> bool {
    work.element < now.element || work.host < now.host || work.application < now.application
}

/// What should be with an application; absent: nothing was said.
pub fn application(desired: &HostDesired, digest: &Digest) -> Option<Wish> {
    desired
        .applications
        .iter()
        .find(|wish| wish.digest == *digest)
        .map(|wish| wish.wish)
}

/// The epochs in force for an application.
pub fn cut(desired: &HostDesired, digest: &Digest) -> LeaseCut {
    LeaseCut {
        element: desired.element_cut_epoch,
        host: desired.wish.cut_epoch,
        application: application(desired, digest).map_or(0, |wish| wish.cut_epoch),
    }
}

/// Refuses what is stopped: the Host or the application.
pub fn require_serving(desired: &HostDesired, digest: &Digest) -> Result<(), Problem> {
    if desired.wish.desired == Desired::Closed {
        return Err(Problem::new(Code::NotAccepting, "The Host is stopped."));
    }
    match application(desired, digest) {
        Some(Wish {
            desired: Desired::Closed,
            ..
        }) => Err(Problem::new(
            Code::NotAccepting,
            "The application is stopped on this Host.",
        )),
        _ => Ok(()),
    }
}

/// What holds after `told`: nothing older than what holds now.
pub fn merge(now: &HostDesired, mut told: HostDesired) -> Result<HostDesired, Problem> {
    if told.wish.generation < now.wish.generation || told.element_cut_epoch < now.element_cut_epoch
    {
        let detail = format!(
            "The Host has generation {} and refuses the older {}.",
            now.wish.generation, told.wish.generation
        );
        return Err(Problem::new(Code::GenerationConflict, detail));
    }
    told.wish.cut_epoch = told.wish.cut_epoch.max(now.wish.cut_epoch);
    for wish in &mut told.applications {
        if let Some(known) = application(now, &wish.digest) {
            if known.generation > wish.wish.generation {
                wish.wish = known;
            }
            wish.wish.cut_epoch = wish.wish.cut_epoch.max(known.cut_epoch);
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_heard_after_a_later_start() {
        let work = LeaseCut {
            element: 1,
            host: 1,
            application: 1,
        };
        assert!(!is_cut(work, work));
        assert!(is_cut(work, LeaseCut { host: 2, ..work }));
        assert!(is_cut(work, LeaseCut { element: 2, ..work }));
        assert!(is_cut(
            work,
            LeaseCut {
                application: 2,
                ..work
            }
        ));
        // The Element may know of a kill that the Host has not heard of yet.
        assert!(!is_cut(LeaseCut { host: 5, ..work }, work));
    }
}
