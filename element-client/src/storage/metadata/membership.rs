//! Which Hosts hold the log, and on how many of them a record has to be.
//!
//! A set of `n` members of which `wanted` must have each record before it is
//! acknowledged; so any `n - wanted + 1` of them have, together, all of it.
//! One set follows another as Raft's joint consensus does it:
//!
//! 1. A record says *old and new*, and it and all after it are acknowledged
//!    only when enough of both have them.
//! 2. When that is committed, a record says *new*, still under both; when that
//!    is committed, the new ones alone are asked.
//!
//! Whoever rebuilds takes the log that ends last, and believes it if of each set
//! that it names enough have answered. Nothing acknowledged is missing then. For
//! say that a record R is. All acknowledged before R is in that log, and so the
//! membership under which R was acknowledged; what the log may name instead is
//! only the next step, which was not committed: *old and new* for *old*, or *new*
//! for *old and new*. Either names a set of which enough had R; so one that has
//! answered has R; and as the log of a newer epoch, and the longer one of the same
//! epoch, has all that another has of what was acknowledged, so has the last one.
//! A step that was taken back does no harm: it is one of those two.
//!
//! A Host that is never asked again (revoked, removed) cannot be one of those
//! that answer a rebuild. So for the change that replaces it, it counts as one
//! that has agreed ([`Membership::without`]): what is left of the old set needs
//! that many fewer, and bears a rebuild with as many answers as before.

use std::collections::BTreeSet;

use gridmart_schemas::id::NodeId;
use rusqlite::{Connection, types::Type};
use serde::{Deserialize, Serialize};

use super::{
    record::Change,
    store::{During as _, StoreError, query, to_json},
};

/// The setting that names the members.
const SETTING: &str = "log-members";

/// Hosts of which so many must have each record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSet {
    /// Which ones.
    pub hosts: BTreeSet<NodeId>,
    /// On how many a record is before it is acknowledged; at least 1, at most
    /// all.
    pub wanted: usize,
}

impl MemberSet {
    /// How many have to answer, so that each acknowledged record is on one.
    pub fn needed(&self) -> usize {
        (self.hosts.len() + 1).saturating_sub(self.wanted)
    }

    /// How many of these are members.
    pub fn count<'a>(&self, hosts: impl IntoIterator<Item = &'a NodeId>) -> usize {
        let hosts = hosts.into_iter();
        hosts.filter(|host| self.hosts.contains(host)).count()
    }
}

/// The sets that count: one; while it changes, the old one and the new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Membership {
    sets: Vec<MemberSet>,
}

impl Membership {
    /// One set.
    pub fn of(set: MemberSet) -> Self {
        Self { sets: vec![set] }
    }

    /// The step on the way to another set: all that counts now, and that one.
    #[must_use]
    pub fn and(&self, next: &MemberSet) -> Self {
        let others = self.sets.iter().filter(|set| *set != next).cloned();
        let sets = others.chain([next.clone()]).collect();
        Self { sets }
    }

    /// The sets; empty before the first one.
    pub fn sets(&self) -> &[MemberSet] {
        &self.sets
    }

    /// The set that is to stay.
    pub fn target(&self) -> Option<&MemberSet> {
        self.sets.last()
    }

    /// Whether it is on the way from one set to another.
    pub const fn is_joint(&self) -> bool {
        self.sets.len() > 1
    }

    /// All members of all sets.
    pub fn hosts(&self) -> BTreeSet<NodeId> {
        let hosts = self.sets.iter().flat_map(|set| &set.hosts);
        hosts.copied().collect()
    }

    /// What is left when these Hosts are never asked again: each counts as one
    /// that has all. A set of which nothing more is needed is gone.
    #[must_use]
    pub fn without(&self, gone: &BTreeSet<NodeId>) -> Self {
        let left = |set: &MemberSet| {
            let wanted = set.wanted.saturating_sub(set.count(gone));
            (wanted > 0).then(|| MemberSet {
                hosts: set.hosts.difference(gone).copied().collect(),
                wanted,
            })
        };
        Self {
            sets: self.sets.iter().filter_map(left).collect(),
        }
    }

    /// The first set of which too few have it, if there is one.
    pub fn missing<'a>(
        &'a self,
        have: &BTreeSet<NodeId>,
        enough: impl Fn(&MemberSet) -> usize,
    ) -> Option<&'a MemberSet> {
        let mut sets = self.sets.iter();
        sets.find(|set| set.count(have) < enough(set))
    }

    /// The change of the store that says so.
    pub fn to_change(&self) -> Result<Change, StoreError> {
        Ok(Change::Setting {
            name: SETTING.to_owned(),
            value: Some(to_json(self).during("writing which Hosts hold the log")?),
        })
    }

    /// What the store says; empty, if nothing yet.
    pub fn read(connection: &Connection) -> Result<Self, StoreError> {
        let text = query::setting(connection, SETTING)?;
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let unreadable =
            |error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error));
        serde_json::from_str(&text)
            .map_err(unreadable)
            .during("reading which Hosts hold the log")
    }
}
