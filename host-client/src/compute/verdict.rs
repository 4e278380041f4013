//! What became of a call: by itself, by a limit, by somebody's wish.

use gridmart_schemas::{
    problem::Code,
    wire::record::{CallEnd, CallState},
};

use super::{
    cgroup::CgroupHits,
    limits::Limits,
    room,
    runner::protocol::{EndCause, EndedBy, ProcessEnd, ProcessLimit},
};

/// Signals by which the kernel names a limit, as Linux numbers them.
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

/// Why the Host ended a call before it ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Somebody wanted it, or its caller is gone: why, in words.
    Terminated(String),
    /// It went over a limit that the Host watches: its name.
    Limit(&'static str),
    /// Bytes of it could not be kept: the Host's disk refuses.
    BytesLost,
    /// The Host goes down.
    HostDown,
}

/// What is told of a call whose input or output could not be kept.
pub(crate) const BYTES_LOST: &str =
    "the Host's disk has no room for what goes through the call, or fails; see the Host's log";

/// What became of a call, from what the runner and the groups have seen.
/// `hits` counts what was hit while this call ran.
pub(crate) fn judge(
    end: &ProcessEnd,
    cut: Option<&Cut>,
    hits: CgroupHits,
    limits: &Limits,
) -> CallEnd {
    let mut judged = CallEnd {
        state: CallState::Finished,
        exit_code: (end.cause == EndCause::Exited).then_some(end.value),
        signal: (end.cause == EndCause::Signalled).then_some(end.value),
        code: None,
        reason: None,
        wall_us: end.wall_us,
        cpu_us: end.cpu_us,
        max_resident_bytes: end.max_resident_bytes,
        stdout_bytes: 0,
        stderr_bytes: 0,
        staged_in_bytes: 0,
        staged_out_bytes: 0,
    };
    if cut == Some(&Cut::BytesLost) {
        // However it ended: what it has read or said is not whole.
        judged.state = CallState::Failed;
        judged.code = Some(Code::StorageFailed);
        judged.reason = Some(BYTES_LOST.to_owned());
    } else if end.by == EndedBy::Host
        && let Some(Cut::Terminated(reason)) = cut
    {
        judged.state = CallState::Terminated;
        judged.code = Some(Code::Terminated);
        judged.reason = Some(reason.clone());
    } else if end.by == EndedBy::Host && cut == Some(&Cut::HostDown) {
        judged.state = CallState::Failed;
        judged.code = Some(Code::HostDown);
        judged.reason = Some("the Host went down".to_owned());
    } else if let Some(limit) = limit_hit(end, cut, hits, limits) {
        judged.state = CallState::Failed;
        judged.code = Some(Code::LimitExceeded);
        judged.reason = Some(format!("the call went over its {limit}"));
    } else if end.cause == EndCause::NotStarted {
        judged.state = CallState::Failed;
        judged.code = Some(Code::StartFailed);
        judged.reason = Some(format!("the program could not be started: {}", end.message));
    }
    judged
}

fn limit_hit(
    end: &ProcessEnd,
    cut: Option<&Cut>,
    hits: CgroupHits,
    limits: &Limits,
) -> Option<&'static str> {
    if end.by == EndedBy::WallTime {
        return Some("WallTimeLimit");
    }
    if let Some(Cut::Limit(name)) = cut
        && (end.by == EndedBy::Host || *name != room::LIMIT)
    {
        // Even if it ended by itself before it was: output over the limit is lost.
        return Some(name);
    }
    let succeeded = end.cause == EndCause::Exited && end.value == 0;
    if succeeded {
        return None;
    }
    // A shell that was told of its child's signal ends with 128 and its number.
    let own = |limit| limits.processes.iter().any(|(known, _)| *known == limit);
    let passed_on =
        |signal, limit| end.cause == EndCause::Exited && end.value == 128 + signal && own(limit);
    let signal = (end.cause == EndCause::Signalled).then_some(end.value);
    let cpu_spent = limits
        .cpu_seconds
        .is_some_and(|limit| end.cpu_us >= limit.saturating_mul(1_000_000));
    if signal == Some(SIGXCPU)
        || (signal == Some(SIGKILL) && cpu_spent)
        || passed_on(SIGXCPU, ProcessLimit::CpuSeconds)
    {
        Some("CPUTimeLimit")
    } else if signal == Some(SIGXFSZ) || passed_on(SIGXFSZ, ProcessLimit::FileSize) {
        Some("FileSizeLimit")
    } else if hits.memory > 0 {
        Some("MemoryLimit")
    } else if hits.tasks > 0 {
        Some("ProcessCountLimit")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(cause: EndCause, by: EndedBy, value: i32) -> ProcessEnd {
        ProcessEnd {
            cause,
            by,
            spoiled: false,
            value,
            wall_us: 5,
            cpu_us: 2_000_000,
            max_resident_bytes: 7,
            message: "no such file".into(),
        }
    }

    type Told = (CallState, Option<Code>, String);

    fn judged(end: &ProcessEnd, cut: Option<&Cut>, hits: CgroupHits, limits: &Limits) -> Told {
        let judged = judge(end, cut, hits, limits);
        (judged.state, judged.code, judged.reason.unwrap_or_default())
    }

    fn by_itself(cause: EndCause, value: i32) -> ProcessEnd {
        end(cause, EndedBy::Itself, value)
    }

    const NO_HITS: CgroupHits = CgroupHits {
        memory: 0,
        tasks: 0,
    };

    #[test]
    fn each_limit_is_named() {
        let plain = Limits::default();
        let cpu = Limits {
            cpu_seconds: Some(1),
            ..Limits::default()
        };
        let file = Limits {
            processes: vec![(ProcessLimit::FileSize, 5)],
            ..Limits::default()
        };
        let killed = by_itself(EndCause::Signalled, SIGKILL);
        let exited = by_itself(EndCause::Exited, 3);
        let out_of_cpu = by_itself(EndCause::Signalled, SIGXCPU);
        let too_large = by_itself(EndCause::Signalled, SIGXFSZ);
        let told_by_a_shell = by_itself(EndCause::Exited, 128 + SIGXFSZ);
        let late = end(EndCause::Signalled, EndedBy::WallTime, SIGKILL);
        let cut = end(EndCause::Signalled, EndedBy::Host, SIGKILL);
        let output = Cut::Limit("MaxOutputSize");
        let memory = CgroupHits {
            memory: 1,
            tasks: 0,
        };
        let tasks = CgroupHits {
            memory: 0,
            tasks: 1,
        };
        for (end, cut, hits, limits, name) in [
            (&killed, None, NO_HITS, &cpu, "CPUTimeLimit"),
            (&out_of_cpu, None, NO_HITS, &plain, "CPUTimeLimit"),
            (&too_large, None, NO_HITS, &plain, "FileSizeLimit"),
            (&told_by_a_shell, None, NO_HITS, &file, "FileSizeLimit"),
            (&killed, None, memory, &plain, "MemoryLimit"),
            (&exited, None, tasks, &plain, "ProcessCountLimit"),
            (&late, None, NO_HITS, &plain, "WallTimeLimit"),
            (&cut, Some(&output), NO_HITS, &plain, "MaxOutputSize"),
        ] {
            let (state, code, reason) = judged(end, cut, hits, limits);
            assert_eq!(
                (state, code),
                (CallState::Failed, Some(Code::LimitExceeded)),
                "{name}"
            );
            assert!(reason.contains(name), "{reason}");
        }
        assert_eq!(
            judged(&told_by_a_shell, None, NO_HITS, &plain).0,
            CallState::Finished
        );
    }

    #[test]
    fn an_end_by_itself_is_not_a_failure_of_the_system() {
        let plain = Limits::default();
        let exited = by_itself(EndCause::Exited, 3);
        assert_eq!(
            judged(&exited, None, NO_HITS, &plain),
            (CallState::Finished, None, String::new())
        );
        assert_eq!(judge(&exited, None, NO_HITS, &plain).exit_code, Some(3));
        let killed = by_itself(EndCause::Signalled, SIGKILL);
        assert_eq!(
            judged(&killed, None, NO_HITS, &plain).0,
            CallState::Finished
        );
        assert_eq!(judge(&killed, None, NO_HITS, &plain).signal, Some(SIGKILL));
        // It ended before it could be cut, or hit a limit and coped.
        let terminated = Cut::Terminated("killed by ada".into());
        assert_eq!(
            judged(&exited, Some(&terminated), NO_HITS, &plain).0,
            CallState::Finished
        );
        let fine = by_itself(EndCause::Exited, 0);
        let hits = CgroupHits {
            memory: 1,
            tasks: 1,
        };
        assert_eq!(judged(&fine, None, hits, &plain).0, CallState::Finished);
    }

    #[test]
    fn others_ends_say_whose_they_are() {
        let plain = Limits::default();
        let cut = end(EndCause::Signalled, EndedBy::Host, SIGKILL);
        let terminated = Cut::Terminated("killed by ada".into());
        let told = (
            CallState::Terminated,
            Some(Code::Terminated),
            "killed by ada".to_owned(),
        );
        assert_eq!(judged(&cut, Some(&terminated), NO_HITS, &plain), told);
        // What it has said is not whole, even if it has ended well.
        for end in [&cut, &by_itself(EndCause::Exited, 0)] {
            let (state, code, reason) = judged(end, Some(&Cut::BytesLost), NO_HITS, &plain);
            assert_eq!(
                (state, code),
                (CallState::Failed, Some(Code::StorageFailed))
            );
            assert!(reason.contains("room"), "{reason}");
        }
        let output = Cut::Limit("MaxOutputSize");
        let (state, code, _) = judged(
            &by_itself(EndCause::Exited, 0),
            Some(&output),
            NO_HITS,
            &plain,
        );
        assert_eq!(
            (state, code),
            (CallState::Failed, Some(Code::LimitExceeded))
        );
        let (state, code, _) = judged(&cut, Some(&Cut::HostDown), NO_HITS, &plain);
        assert_eq!((state, code), (CallState::Failed, Some(Code::HostDown)));
        let (state, code, reason) =
            judged(&by_itself(EndCause::NotStarted, 2), None, NO_HITS, &plain);
        assert_eq!((state, code), (CallState::Failed, Some(Code::StartFailed)));
        assert!(reason.contains("no such file"), "{reason}");
    }
}
