//! Finding resources among many: searched, sorted and cut here, so that a page
//! of ten thousand costs the caller a page.
//!
//! Only the rows of the page are made; whoever is not on it costs its key.

use std::cmp::{Ordering, Reverse};

use gridmart_schemas::{
    api::resource::{Condition, ResourceSort, ResourcesPage},
    id::NodeId,
    problem::{Code, Problem},
    role::NodeKind,
};

use super::resource::{Present, row};
use crate::catalogue::{View, node::Node};

/// The longest text that is searched for.
const SEARCH_CHARACTERS_MAX: usize = 200;

/// Which resources, in which order, and where the page begins.
#[derive(Clone, Debug, Default)]
pub struct ResourceSearch {
    /// Part of a name, of a domain, or the beginning of an id.
    pub search: Option<String>,
    /// Only these kinds; empty: all.
    pub kinds: Vec<NodeKind>,
    /// Only these conditions; empty: all.
    pub conditions: Vec<Condition>,
    /// Only this Element and its Hosts, by id or name.
    pub element: Option<String>,
    /// Only this domain.
    pub domain: Option<String>,
    /// In which order; nothing: that of the ids.
    pub sort: Option<ResourceSort>,
    /// The other way round.
    pub descending: bool,
    /// The page begins behind this one.
    pub after: Option<String>,
    /// Or behind so many.
    pub offset: Option<u64>,
    /// Rows at most.
    pub limit: u32,
}

/// Lists Elements and Hosts that are not revoked.
pub fn resource_page(view: &View, search: &ResourceSearch) -> Result<ResourcesPage, Problem> {
    let mut found = find(view, search)?;
    if let Some(sort) = search.sort {
        order(view, &mut found, sort, search.descending);
    } else if search.descending {
        found.reverse();
    }
    let start = match (&search.after, search.offset) {
        (Some(_), Some(_)) => {
            let detail = "A page begins at `offset` or behind `after`, not both.";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        (Some(after), None) => position_after(&found, after)?,
        (None, offset) => usize::try_from(offset.unwrap_or(0)).unwrap_or(usize::MAX),
    };
    let total = found.len();
    let page = found.iter().skip(start).take(search.limit as usize);
    let items: Vec<_> = page.map(|node| row(view, node)).collect();
    let more = start.saturating_add(items.len()) < total;
    Ok(ResourcesPage {
        next: items
            .last()
            .filter(|_| more)
            .map(|last| last.id.to_string()),
        items,
        total: total as u64,
        offset: start.min(total) as u64,
    })
}

fn position_after(found: &[&Node], after: &str) -> Result<usize, Problem> {
    let id: Option<NodeId> = after.parse().ok();
    let place = id.and_then(|id| found.iter().position(|node| node.id == id));
    place.map(|place| place + 1).ok_or_else(|| {
        Problem::new(
            Code::InvalidRequest,
            "`after` names no row of this listing (any more): begin again.",
        )
    })
}

fn find<'a>(view: &'a View, search: &ResourceSearch) -> Result<Vec<&'a Node>, Problem> {
    let element = match &search.element {
        Some(text) => Some(view.resource(text)?.id),
        None => None,
    };
    let wanted = search.search.as_deref().map(str::trim).unwrap_or_default();
    if wanted.chars().count() > SEARCH_CHARACTERS_MAX {
        let detail = format!("A search has {SEARCH_CHARACTERS_MAX} characters at most.");
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let wanted = wanted.to_lowercase();
    let domain = search.domain.as_deref();
    let found = view
        .catalogue
        .nodes
        .values()
        .map(AsRef::as_ref)
        .filter(|node: &&Node| {
            !node.revoked
                && node.kind != NodeKind::Control
                && (search.kinds.is_empty() || search.kinds.contains(&node.kind))
                && domain.is_none_or(|domain| node.domain == domain)
                && element.is_none_or(|element| node.id == element || node.parent == element)
                && is_met(node, &wanted)
        })
        .filter(|node| {
            search.conditions.is_empty()
                || search
                    .conditions
                    .contains(&Present::of(view, node).condition())
        });
    Ok(found.collect())
}

/// `wanted` is in lower case.
fn is_met(node: &Node, wanted: &str) -> bool {
    let has = |text: &str| {
        if text.is_ascii() && wanted.is_ascii() {
            let mut windows = text.as_bytes().windows(wanted.len());
            windows.any(|part| part.eq_ignore_ascii_case(wanted.as_bytes()))
        } else {
            text.to_lowercase().contains(wanted)
        }
    };
    wanted.is_empty()
        || has(&node.name)
        || has(&node.domain)
        || node.id.to_string().starts_with(wanted)
}

/// What a node is sorted by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(u64),
    Text(Vec<u8>),
}

/// Who has no value stands at the end either way; who has the same one is
/// sorted by name.
fn order(view: &View, found: &mut Vec<&Node>, sort: ResourceSort, descending: bool) {
    let mut keyed: Vec<(Option<Key>, Vec<u8>, &Node)> = found
        .iter()
        .map(|node| (key(view, node, sort), natural(&node.name), *node))
        .collect();
    keyed.sort_unstable_by(|(one, name, node), (other, other_name, other_node)| {
        let by_key = match (one, other) {
            (Some(one), Some(other)) if descending => Reverse(one).cmp(&Reverse(other)),
            (Some(one), Some(other)) => one.cmp(other),
            (None, None) => Ordering::Equal,
            (one, other) => one.is_none().cmp(&other.is_none()),
        };
        by_key
            .then_with(|| name.cmp(other_name))
            .then_with(|| node.id.cmp(&other_node.id))
    });
    *found = keyed.into_iter().map(|(_, _, node)| node).collect();
}

fn key(view: &View, node: &Node, sort: ResourceSort) -> Option<Key> {
    let text = |text: &str| Some(Key::Text(natural(text)));
    let number = |number: Option<u64>| number.map(Key::Number);
    let present = || Present::of(view, node);
    match sort {
        ResourceSort::Kind => number(Some(node.kind as u64)),
        ResourceSort::Domain => text(&node.domain),
        ResourceSort::Element if node.kind.is_host() => text(&view.name_of(node.parent)),
        ResourceSort::Name | ResourceSort::Element => text(&node.name),
        ResourceSort::Condition => number(Some(urgency(present().condition()))),
        ResourceSort::AgeSeconds => number(present().age_seconds),
        ResourceSort::TotalSlots => number(present().total_slots.map(u64::from)),
        ResourceSort::FreeSlots => number(present().free_slots.map(u64::from)),
        ResourceSort::RunningJobs => number(present().running_jobs.map(u64::from)),
        ResourceSort::TotalBytes => number(present().total_bytes),
        ResourceSort::FreeBytes => number(present().free_bytes),
    }
}

/// What needs a look first.
const fn urgency(condition: Condition) -> u64 {
    match condition {
        Condition::Critical => 0,
        Condition::Away => 1,
        Condition::Warning => 2,
        Condition::Unknown => 3,
        Condition::Draining => 4,
        Condition::Closed => 5,
        Condition::Ok => 6,
    }
}

/// A text to be sorted as people do: no case, and numbers by their value.
fn natural(text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len() + 4);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            let end = rest
                .find(|next: char| !next.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            let digits = digits.trim_start_matches('0');
            // Of two numbers, the one with more digits is larger.
            key.push(b'0');
            key.push(u8::try_from(digits.len()).unwrap_or(u8::MAX));
            key.extend_from_slice(digits.as_bytes());
            rest = after;
        } else {
            let mut buffer = [0; 4];
            for lower in first.to_lowercase() {
                key.extend_from_slice(lower.encode_utf8(&mut buffer).as_bytes());
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        time::{Duration, Instant},
    };

    use gridmart_schemas::resource::enumeration::HealthState;

    use super::*;
    use crate::catalogue::sample::{HostFacts, Sample, computing_state};

    fn search(change: impl FnOnce(&mut ResourceSearch)) -> ResourceSearch {
        let mut search = ResourceSearch {
            limit: 1000,
            ..ResourceSearch::default()
        };
        change(&mut search);
        search
    }

    fn names(view: &View, change: impl FnOnce(&mut ResourceSearch)) -> Vec<String> {
        let page = resource_page(view, &search(change)).unwrap();
        page.items.into_iter().map(|row| row.name).collect()
    }

    fn grid() -> View {
        let mut sample = Sample::default();
        let one = sample.element("ce-1", "lab", 4);
        let two = sample.element("ce-2", "office", 4);
        for (element, name, cpus) in [(one, "host-10", 8), (one, "host-9", 2), (two, "Höhle", 4)] {
            let facts = HostFacts {
                cpus,
                ..HostFacts::default()
            };
            sample.host(element, name, facts);
        }
        sample.hear_element(two, |heard| {
            computing_state(heard).common.health_state = HealthState::Critical;
        });
        sample.raw_view()
    }

    #[test]
    fn resources_are_searched_and_sorted_as_people_expect() {
        let view = grid();
        let by_name = |search: &mut ResourceSearch| search.sort = Some(ResourceSort::Name);
        assert_eq!(
            names(&view, by_name),
            ["ce-1", "ce-2", "host-9", "host-10", "Höhle"]
        );
        let found = names(&view, |search| {
            by_name(search);
            search.search = Some("HÖH".to_owned());
        });
        assert_eq!(found, ["Höhle"]);
        let in_domain = names(&view, |search| {
            by_name(search);
            search.search = Some("OFF".to_owned());
        });
        assert_eq!(in_domain, ["ce-2", "Höhle"]);
        let of_element = names(&view, |search| {
            by_name(search);
            search.element = Some("ce-1".to_owned());
            search.kinds = vec![NodeKind::ComputeHost];
        });
        assert_eq!(of_element, ["host-9", "host-10"]);
        let by_slots = names(&view, |search| {
            search.sort = Some(ResourceSort::TotalSlots);
            search.descending = true;
            search.kinds = vec![NodeKind::ComputeHost];
        });
        assert_eq!(by_slots, ["host-10", "Höhle", "host-9"]);
        let ill = |search: &mut ResourceSearch| search.conditions = vec![Condition::Critical];
        assert_eq!(names(&view, ill), ["ce-2"]);
        let worst = names(&view, |search| search.sort = Some(ResourceSort::Condition));
        assert_eq!(worst[0], "ce-2");
        let none = names(&view, |search| search.search = Some("<b>".to_owned()));
        assert!(none.is_empty());
        // Nobody has a value: the order is that of the names, either way.
        for descending in [false, true] {
            let order = names(&view, |search| {
                search.sort = Some(ResourceSort::FreeBytes);
                search.descending = descending;
            });
            assert_eq!(order[0], "ce-1");
        }
    }

    #[test]
    fn pages_of_ten_thousand_are_whole_and_quick() {
        let mut sample = Sample::default();
        let elements: Vec<_> = (0..100)
            .map(|n| sample.element(&format!("ce-{n}"), "lab", 100))
            .collect();
        for n in 0..9_900 {
            sample.host(
                elements[n % 100],
                &format!("host-{n}"),
                HostFacts::default(),
            );
        }
        let view = sample.raw_view();
        let begun = Instant::now();
        let mut met = BTreeSet::new();
        let mut wanted = search(|search| search.sort = Some(ResourceSort::Element));
        loop {
            let page = resource_page(&view, &wanted).unwrap();
            assert_eq!(page.total, 10_000);
            assert_eq!(page.offset, met.len() as u64);
            assert!(page.items.len() <= 1000);
            for row in &page.items {
                assert!(met.insert(row.id), "{} comes twice", row.name);
            }
            let Some(next) = page.next else { break };
            wanted.after = Some(next);
        }
        assert_eq!(met.len(), 10_000);
        wanted.after = None;
        wanted.offset = Some(9_990);
        assert_eq!(resource_page(&view, &wanted).unwrap().items.len(), 10);
        wanted.offset = Some(u64::MAX);
        assert_eq!(resource_page(&view, &wanted).unwrap().items.len(), 0);
        // Eleven sorted pages; unoptimised, on a machine that is busy.
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }

    #[test]
    fn a_page_begins_at_one_place() {
        let view = grid();
        for bad in [
            search(|search| {
                search.after = Some("x".to_owned());
                search.offset = Some(1);
            }),
            search(|search| search.after = Some(NodeId::generate().to_string())),
            search(|search| search.search = Some("x".repeat(SEARCH_CHARACTERS_MAX + 1))),
        ] {
            let refused = resource_page(&view, &bad).unwrap_err();
            assert_eq!(refused.code, Code::InvalidRequest);
        }
    }
}
