//! What has to be carried and removed, so that one side is as the other. No I/O.

use std::collections::BTreeMap;

/// Times that differ by less are the same: not all file systems keep all digits.
const SAME_NANOSECONDS: u128 = 1_000_000;

/// When a file was changed, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// Its own time.
    At(i128),
    /// The time at which it was put into the bucket, since its own is not known.
    PutAt(i128),
}

/// A file on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) changed: Changed,
    /// Of its content, where it is known.
    pub(super) hash: Option<String>,
}

/// All files of one side, by name.
pub(super) type Side = BTreeMap<String, Entry>;

/// What makes two files the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    /// Size and time.
    Time,
    /// Size and content.
    Checksum,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Carried to the target, with the bytes of each.
    pub(super) carried: Vec<(String, u64)>,
    /// Removed from the target.
    pub(super) removed: Vec<String>,
    /// The same on both sides.
    pub(super) unchanged: u64,
}

/// Decides; `delete`: what the source does not have, the target shall not have.
pub(super) fn plan(source: &Side, target: &Side, compare: Compare, delete: bool) -> Plan {
    let mut plan = Plan::default();
    for (name, entry) in source {
        match target.get(name) {
            Some(there) if is_same(entry, there, compare) => plan.unchanged += 1,
            _ => plan.carried.push((name.clone(), entry.size)),
        }
    }
    if delete {
        let gone = target.keys().filter(|name| !source.contains_key(*name));
        plan.removed = gone.cloned().collect();
    }
    plan
}

fn is_same(source: &Entry, target: &Entry, compare: Compare) -> bool {
    source.size == target.size
        && match compare {
            Compare::Time => is_same_time(source.changed, target.changed),
            Compare::Checksum => source.hash.is_some() && source.hash == target.hash,
        }
}

fn is_same_time(source: Changed, target: Changed) -> bool {
    match (source, target) {
        // It was not changed since it was put.
        (Changed::At(file), Changed::PutAt(put)) => file <= put,
        (Changed::At(one) | Changed::PutAt(one), Changed::At(other) | Changed::PutAt(other)) => {
            one.abs_diff(other) < SAME_NANOSECONDS
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(size: u64, changed: Changed, hash: Option<&str>) -> Entry {
        Entry {
            size,
            changed,
            hash: hash.map(str::to_owned),
        }
    }

    #[test]
    fn what_differs_is_carried() {
        use Changed::{At, PutAt};
        let same = |one: (u64, Changed), other: (u64, Changed)| {
            is_same(
                &entry(one.0, one.1, None),
                &entry(other.0, other.1, None),
                Compare::Time,
            )
        };
        let second = 1_000_000_000;
        assert!(same((1, At(5)), (1, At(999))));
        assert!(!same((1, At(0)), (1, At(second))));
        assert!(!same((1, At(0)), (2, At(0))));
        // Put after it was changed.
        assert!(same((1, At(0)), (1, PutAt(second))));
        assert!(!same((1, At(second)), (1, PutAt(0))));
        // Back: the file has the time of the put.
        assert!(same((1, PutAt(second)), (1, At(second))));
        assert!(!same((1, PutAt(0)), (1, At(second))));
    }

    #[test]
    fn by_checksum_what_is_not_known_differs() {
        let at = Changed::At(0);
        let same = |one, other| {
            is_same(
                &entry(1, at, one),
                &entry(1, Changed::At(77 << 40), other),
                Compare::Checksum,
            )
        };
        assert!(same(Some("a"), Some("a")));
        assert!(!same(Some("a"), Some("b")) && !same(Some("a"), None) && !same(None, None));
    }

    prop_compose! {
        fn any_side()(files in prop::collection::btree_map("[ab/]{1,3}", (0u64..3, 0i128..3), 0..8)) -> Side {
            let file = |(name, (size, second)): (String, (u64, i128))| {
                (name, entry(size, Changed::At(second * 1_000_000_000), None))
            };
            files.into_iter().map(file).collect()
        }
    }

    proptest! {
        #[test]
        fn after_it_the_target_is_as_the_source(source in any_side(), target in any_side(), delete in any::<bool>()) {
            let planned = plan(&source, &target, Compare::Time, delete);
            let mut after = target.clone();
            for (name, _) in &planned.carried {
                after.insert(name.clone(), source[name].clone());
            }
            for name in &planned.removed {
                prop_assert!(after.remove(name).is_some());
            }
            for (name, entry) in &source {
                prop_assert_eq!(&after[name], entry);
            }
            if delete {
                prop_assert_eq!(&after, &source);
            } else {
                prop_assert!(target.keys().all(|name| after.contains_key(name)));
            }
            let again = plan(&source, &after, Compare::Time, delete);
            prop_assert_eq!(again, Plan { unchanged: source.len() as u64, ..Plan::default() });
        }
    }
}
