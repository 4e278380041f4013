//! Which shadow becomes the core, and what would be lost with it, without I/O.

use gridmart_schemas::{
    data::{LogPoint, Position},
    id::NodeId,
    problem::{Code, Problem},
    resource::enumeration::SyncState,
};

/// A shadow as it stands, or as it was told last.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) host: NodeId,
    pub(super) name: String,
    pub(super) last: LogPoint,
    /// Why it cannot be the core.
    pub(super) unfit: Option<String>,
}

/// Why a copy in this state cannot be the core; one that hears nothing of its core can.
pub(super) fn unfit(sync_state: SyncState, is_partial: bool) -> Option<String> {
    if is_partial {
        return Some("it holds a part of the database only".to_owned());
    }
    match sync_state {
        SyncState::Initialising => Some("it is being loaded".to_owned()),
        SyncState::Diverged => Some("it has diverged and is being made anew".to_owned()),
        SyncState::CatchingUp | SyncState::Synchronised | SyncState::Detached => None,
    }
}

/// What counts first is whose log is the newer one, then how far it goes.
fn rank(last: LogPoint) -> (i64, i64) {
    (last.epoch.number(), last.position.number())
}

/// The one that is named, or else the one that has most of the log.
pub(super) fn choose(
    candidates: &[Candidate],
    named: Option<NodeId>,
) -> Result<&Candidate, Problem> {
    let Some(named) = named else {
        let fit = candidates.iter().filter(|one| one.unfit.is_none());
        return fit.max_by_key(|one| rank(one.last)).ok_or_else(|| {
            let why = candidates.iter().map(|one| {
                let why = one.unfit.as_deref().unwrap_or("");
                format!("{}: {why}", one.name)
            });
            let why = why.collect::<Vec<_>>().join("; ");
            let why = if why.is_empty() {
                "there is none".to_owned()
            } else {
                why
            };
            Problem::new(
                Code::PreconditionFailed,
                format!(
                    "No shadow can become the core ({why}). Add one with `gridmart shadow add`."
                ),
            )
        });
    };
    let found = candidates.iter().find(|one| one.host == named);
    let found = found.ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            "That Host has no shadow of the database: `gridmart db show` tells which have.",
        )
    })?;
    match &found.unfit {
        None => Ok(found),
        Some(why) => Err(Problem::new(
            Code::PreconditionFailed,
            format!("The copy on {} cannot become the core: {why}.", found.name),
        )),
    }
}

/// What is known to be lost if that one becomes the core: what others have, or the core
/// had told before it was lost.
pub(super) fn loss(
    chosen: &Candidate,
    candidates: &[Candidate],
    core: Option<(&str, Position)>,
) -> Option<String> {
    let mut words = Vec::new();
    let own = chosen.last;
    let more = candidates
        .iter()
        .filter(|one| rank(one.last) > rank(own))
        .max_by_key(|one| rank(one.last));
    if let Some(other) = more {
        words.push(beyond(&other.name, other.last.position, own.position));
    }
    if let Some((name, told)) = core.filter(|(_, told)| *told > own.position) {
        words.push(beyond(name, told, own.position));
    }
    (!words.is_empty()).then(|| {
        format!(
            "{} has the log up to position {}: {}",
            chosen.name,
            own.position,
            words.join("; ")
        )
    })
}

fn beyond(name: &str, has: Position, own: Position) -> String {
    let more = has.number().saturating_sub(own.number());
    format!("{name} had it up to {has}, and {more} entries more")
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::Epoch;

    use super::*;

    fn candidate(name: &str, epoch: i64, position: i64, unfit: Option<&str>) -> Candidate {
        Candidate {
            host: NodeId::generate(),
            name: name.to_owned(),
            last: LogPoint {
                position: Position::new(position),
                epoch: Epoch::new(epoch),
            },
            unfit: unfit.map(str::to_owned),
        }
    }

    #[test]
    fn the_freshest_that_is_whole_is_chosen_and_what_would_be_lost_is_named() {
        let all = [
            candidate("a", 1, 90, None),
            candidate("b", 2, 50, None),
            candidate("c", 2, 99, Some("it is being loaded")),
        ];
        let chosen = choose(&all, None).unwrap();
        assert_eq!(chosen.name, "b", "the log of a newer core counts more");
        assert_eq!(loss(chosen, &all[..2], None), None);
        let core = Some(("core", Position::new(50)));
        assert_eq!(loss(chosen, &all[..2], core), None);
        let core = Some(("core", Position::new(53)));
        let lost = loss(chosen, &all[..2], core).unwrap();
        assert!(lost.contains("3 entries more"), "{lost}");
        let older = choose(&all, Some(all[0].host)).unwrap();
        let lost = loss(older, &all[..2], None).unwrap();
        assert!(lost.contains("b had it up to 50"), "{lost}");
        let refused = choose(&all, Some(all[2].host)).unwrap_err();
        assert!(
            refused.detail.contains("being loaded"),
            "{}",
            refused.detail
        );
        let unknown = choose(&all, Some(NodeId::generate())).unwrap_err();
        assert_eq!(unknown.code, Code::NotFound);
        let none = choose(&all[2..], None).unwrap_err();
        assert!(
            none.detail.contains("c: it is being loaded"),
            "{}",
            none.detail
        );
        assert!(
            choose(&[], None)
                .unwrap_err()
                .detail
                .contains("there is none")
        );
        assert!(unfit(SyncState::Synchronised, true).is_some());
        assert!(unfit(SyncState::Detached, false).is_none());
    }
}
