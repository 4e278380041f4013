//! What shadows may read of a core's log, as the Element has told it since this Host's
//! start: not the shadow says what it may hold, nor its ticket alone.

use std::{collections::BTreeMap, sync::Arc};

use gridmart_schemas::{
    data::Filter,
    id::NodeId,
    problem::{Code, Problem},
    wire::replica::ReplicaPart,
};
use tokio::sync::watch;

use super::partial::{Mark, text_of};

/// What one shadow may read.
#[derive(Clone, Debug)]
pub(super) enum Share {
    /// All.
    Whole,
    /// What a filter shows.
    Part(Arc<Filter>, Mark),
}

impl Share {
    /// The filter, if it is not all.
    pub(super) fn filter(self) -> Option<Arc<Filter>> {
        match self {
            Self::Whole => None,
            Self::Part(filter, _) => Some(filter),
        }
    }

    /// What a copy tells that was made by it.
    pub(super) fn hash(&self) -> Option<&str> {
        match self {
            Self::Whole => None,
            Self::Part(_, mark) => Some(&mark.hash),
        }
    }
}

/// The partial shadows; `None`: the Element has told nothing yet.
type Told = Option<BTreeMap<NodeId, ReplicaPart>>;

/// See the module.
pub(super) struct Parts(watch::Sender<Told>);

impl Default for Parts {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Parts {
    /// Takes what the Element tells, whole.
    pub(super) fn tell(&self, parts: Vec<ReplicaPart>) {
        let parts = parts.into_iter().map(|part| (part.host, part));
        let told = Some(parts.collect());
        self.0.send_if_modified(|known| {
            *known != told && std::mem::replace(known, told.clone()) != told
        });
    }

    /// Tells of changes.
    pub(super) fn watch(&self) -> watch::Receiver<Told> {
        self.0.subscribe()
    }

    /// What a shadow may read whose ticket is for that version of its rules.
    pub(super) fn share(&self, shadow: NodeId, version: Option<u64>) -> Result<Share, Problem> {
        let told = self.0.borrow();
        let Some(parts) = &*told else {
            let detail = "The Element has not told this Host yet what shadows may hold: it does \
                          so as soon as it is there.";
            return Err(Problem::new(Code::Busy, detail));
        };
        let part = parts.get(&shadow);
        if part.map(|part| part.version) != version {
            let detail = "The ticket is for other rules of this shadow than the Element has told: \
                          the next one that it gives is for the newest.";
            return Err(Problem::new(Code::Busy, detail));
        }
        let Some(part) = part else {
            return Ok(Share::Whole);
        };
        let Some(filter) = &part.filter else {
            let detail = "The rules of this shadow do not fit the database's tables any more, and \
                          nothing is told to it: correct them (`gridmart shadow rules`).";
            return Err(Problem::new(Code::PreconditionFailed, detail));
        };
        let text = text_of(filter).map_err(|error| super::follower::failed(&error))?;
        Ok(Share::Part(Arc::new(filter.clone()), Mark::of(&text)))
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::TableFilter;

    use super::*;

    fn part(host: NodeId, version: u64, table: Option<&str>) -> ReplicaPart {
        let filter = table.map(|table| Filter {
            version,
            tables: [(table.to_owned(), TableFilter::default())].into(),
        });
        ReplicaPart {
            host,
            version,
            filter,
        }
    }

    #[test]
    fn nobody_reads_before_the_element_has_told_or_with_a_ticket_for_other_rules() {
        let (parts, branch, other) = (Parts::default(), NodeId::generate(), NodeId::generate());
        let refused = |version| parts.share(branch, version).map(drop).unwrap_err().code;
        assert_eq!(refused(None), Code::Busy);
        parts.tell(vec![part(branch, 3, Some("people"))]);
        assert!(matches!(parts.share(other, None), Ok(Share::Whole)));
        let Ok(Share::Part(filter, mark)) = parts.share(branch, Some(3)) else {
            panic!("its rules are known");
        };
        assert!(filter.tables.contains_key("people") && mark.version == 3);
        assert_eq!(refused(None), Code::Busy);
        assert_eq!(refused(Some(2)), Code::Busy);
        assert_eq!(
            parts.share(other, Some(3)).map(drop).unwrap_err().code,
            Code::Busy
        );
        let watched = parts.watch();
        parts.tell(vec![part(branch, 3, Some("people"))]);
        assert!(!watched.has_changed().unwrap(), "nothing is new");
        parts.tell(vec![part(branch, 4, None)]);
        assert!(watched.has_changed().unwrap());
        assert_eq!(refused(Some(4)), Code::PreconditionFailed);
    }

    #[test]
    fn the_same_rules_on_other_tables_are_another_mark() {
        let (parts, host) = (Parts::default(), NodeId::generate());
        let mut marks = ["one", "other"].map(|table| {
            parts.tell(vec![part(host, 1, Some(table))]);
            parts
                .share(host, Some(1))
                .unwrap()
                .hash()
                .map(str::to_owned)
        });
        marks.sort();
        assert!(marks[0].is_some() && marks[0] != marks[1]);
    }
}
