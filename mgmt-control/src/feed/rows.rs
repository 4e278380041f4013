//! Which rows are otherwise than before: looked for only where the maps of the
//! catalogue and of what was heard differ from those of the look before.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use gridmart_schemas::{
    api::resource::{Condition, ResourceRow},
    id::NodeId,
    role::NodeKind,
};
use imbl::{OrdMap, ordmap::DiffItem};

use crate::{
    app::resource::row,
    catalogue::{Snapshot, View, observed::Observed},
};

/// A resource whose condition has changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) id: NodeId,
    /// Before; nothing: it is new.
    pub(crate) from: Option<Condition>,
    pub(crate) row: ResourceRow,
}

/// What is otherwise than at the look before.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(crate) changed: Vec<ResourceRow>,
    pub(crate) gone: Vec<NodeId>,
    pub(crate) turns: Vec<Turn>,
}

/// The rows as they were last told.
#[derive(Default)]
pub(crate) struct RowBook {
    before: Option<(Arc<Snapshot>, Arc<Observed>)>,
    /// Without their age.
    rows: HashMap<NodeId, ResourceRow>,
    /// Elements whose State was a fact.
    fresh: HashSet<NodeId>,
}

impl RowBook {
    /// Looks again.
    pub(crate) fn look(&mut self, view: &View) -> Delta {
        let mut delta = Delta::default();
        for id in self.suspects(view) {
            let node = view.catalogue.nodes.get(&id);
            let Some(node) = node.filter(|node| !node.revoked && node.kind != NodeKind::Control)
            else {
                if self.rows.remove(&id).is_some() {
                    delta.gone.push(id);
                }
                continue;
            };
            let shown = row(view, node);
            let known = ResourceRow {
                age_seconds: None,
                ..shown.clone()
            };
            let before = self.rows.get(&id);
            if before == Some(&known) {
                continue;
            }
            let from = before.map(|before| before.condition);
            if from != Some(known.condition) {
                let row = known.clone();
                delta.turns.push(Turn { id, from, row });
            }
            self.rows.insert(id, known);
            delta.changed.push(shown);
        }
        delta
    }

    /// Who may be otherwise than before.
    fn suspects(&mut self, view: &View) -> BTreeSet<NodeId> {
        let mut suspects = BTreeSet::new();
        match &self.before {
            None => suspects.extend(view.catalogue.nodes.keys().copied()),
            Some((catalogue, observed)) => {
                differing(&catalogue.nodes, &view.catalogue.nodes, &mut suspects);
                differing(&observed.hosts, &view.observed.hosts, &mut suspects);
                differing(&observed.elements, &view.observed.elements, &mut suspects);
            }
        }
        self.before = Some((Arc::clone(&view.catalogue), Arc::clone(&view.observed)));
        // What an Element said grows old without a word, and its Hosts' with it.
        for (id, heard) in &view.observed.elements {
            let is_fresh = heard.fresh_state(view.now).is_some();
            let was_fresh = self.fresh.contains(id);
            if is_fresh == was_fresh {
                continue;
            }
            if is_fresh {
                self.fresh.insert(*id);
            } else {
                self.fresh.remove(id);
            }
            suspects.insert(*id);
            suspects.extend(view.catalogue.hosts_of.get(id).into_iter().flatten());
        }
        suspects
    }
}

fn differing<V: Clone + PartialEq>(
    before: &OrdMap<NodeId, V>,
    now: &OrdMap<NodeId, V>,
    into: &mut BTreeSet<NodeId>,
) {
    into.extend(before.diff(now).map(|item| match item {
        DiffItem::Add(id, _) | DiffItem::Remove(id, _) | DiffItem::Update { old: (id, _), .. } => {
            *id
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gridmart_schemas::resource::enumeration::HealthState;

    use super::*;
    use crate::catalogue::sample::{HostFacts, Sample, computing_state};

    #[test]
    fn only_what_changed_is_told() {
        let mut sample = Sample::default();
        let element = sample.element("ce-1", "lab", 4);
        let hosts: Vec<NodeId> = (0..5)
            .map(|n| sample.host(element, &format!("host-{n}"), HostFacts::default()))
            .collect();
        let mut book = RowBook::default();
        let first = book.look(&sample.raw_view());
        assert_eq!((first.changed.len(), first.turns.len()), (6, 6));
        assert!(book.look(&sample.raw_view()).changed.is_empty());
        // A heartbeat that says nothing new.
        sample.hear_element(element, |heard| heard.heard = Instant::now());
        assert!(book.look(&sample.raw_view()).changed.is_empty());
        sample.hear_host(hosts[1], |heard| heard.connected = false);
        let away = book.look(&sample.raw_view());
        let turn = &away.turns[0];
        assert_eq!(
            (turn.id, turn.from, turn.row.condition),
            (hosts[1], Some(Condition::Ok), Condition::Away)
        );
        assert_eq!((away.changed.len(), away.turns.len()), (1, 1));
        // What the Element says grows old, and what it says of its Hosts.
        let mut later = sample.raw_view();
        later.now += Duration::from_mins(1);
        let stale = book.look(&later);
        assert_eq!(stale.changed.len(), 5, "all but the one that was away");
        sample.hear_element(element, |heard| {
            computing_state(heard).common.health_state = HealthState::Warning;
        });
        sample.change_node(hosts[0], |node| node.revoked = true);
        let back = book.look(&sample.raw_view());
        assert_eq!(back.gone, [hosts[0]]);
        assert_eq!(back.changed.len(), 4);
    }

    #[test]
    fn a_look_at_ten_thousand_costs_what_has_changed() {
        let mut sample = Sample::default();
        let elements: Vec<NodeId> = (0..50)
            .map(|n| sample.element(&format!("ce-{n}"), "lab", 10))
            .collect();
        let hosts: Vec<NodeId> = (0..9_950)
            .map(|n| sample.host(elements[n % 50], &format!("host-{n}"), HostFacts::default()))
            .collect();
        let mut book = RowBook::default();
        let first = book.look(&sample.raw_view());
        assert_eq!(first.changed.len(), 10_000);
        let begun = Instant::now();
        for host in hosts.iter().take(100) {
            sample.hear_host(*host, |heard| heard.applied += 1);
            sample.hear_host(*host, |heard| heard.connected = false);
            let delta = book.look(&sample.raw_view());
            assert_eq!(delta.changed.len(), 1);
        }
        // A hundred looks; unoptimised, on a machine that is busy.
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(book.rows.len(), 10_000);
    }
}
