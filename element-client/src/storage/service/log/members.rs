//! The members of the log as they are, and how they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    scalar::FailureLabel,
};

use super::{
    hosts::LogHosts,
    measure::LogFacts,
    plan::{Prospect, plan},
};
use crate::storage::metadata::{
    Change, Committed, FanOut, Following, MemberSet, Membership, Readers, WriteError, Writer, query,
};

/// See the module.
pub(crate) struct Members {
    hosts: LogHosts,
    readers: Readers,
    fan_out: Arc<FanOut>,
    writer: Writer,
    /// How long a member may be away before another one takes its place.
    patience: Duration,
    state: tokio::sync::Mutex<State>,
}

struct State {
    membership: Membership,
    /// Since when a Host is away, or does not follow.
    missed: BTreeMap<NodeId, Instant>,
}

/// How long a change may wait until records are on as many Hosts as it asks for,
/// and how often it looks.
const BEARING_MAX: Duration = Duration::from_secs(20);
/// How long it may wait for more Hosts that are there to become members: with them
/// the log can still be written when so many are lost.
const SETTLING_MAX: Duration = Duration::from_secs(5);
const BEARING_PAUSE: Duration = Duration::from_millis(50);

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// The members are those that there should be.
    Settled,
    /// Others are on their way to be members.
    Moving {
        /// Records are on as many Hosts as they should be.
        bears: bool,
    },
}

impl Followed {
    /// Whether a change that asks for more members has waited long enough for them.
    fn suffices(self, waited: Duration) -> bool {
        match self {
            Self::Settled => true,
            Self::Moving { bears } => bears && waited >= SETTLING_MAX,
        }
    }
}

impl Members {
    pub(super) fn new(
        hosts: LogHosts,
        readers: Readers,
        fan_out: Arc<FanOut>,
        writer: Writer,
        membership: Membership,
        patience: Duration,
    ) -> Self {
        let state = State {
            membership,
            missed: BTreeMap::new(),
        };
        Self {
            hosts,
            readers,
            fan_out,
            writer,
            patience,
            state: tokio::sync::Mutex::new(state),
        }
    }

    /// The members at the very beginning, before there is a record.
    pub(super) async fn begin(&self, first: MemberSet) -> Result<(), WriteError> {
        let mut state = self.state.lock().await;
        let membership = Membership::of(first);
        self.ask(&membership, &BTreeSet::new()).await;
        self.say(&membership).await?;
        state.membership = membership;
        Ok(())
    }

    /// Who they are.
    pub(super) async fn membership(&self) -> Membership {
        self.state.lock().await.membership.clone()
    }

    /// How far the log is, and its members.
    pub(super) fn facts(&self) -> LogFacts {
        let progress = self.writer.progress();
        let sequence = progress.sequence();
        let membership = self.fan_out.membership();
        let hosts = membership.hosts();
        let following = self.fan_out.following();
        let follows = |one: &&Following| {
            let has_all = one.trouble.is_none() && one.taken.sequence >= sequence;
            hosts.contains(&one.host) && has_all
        };
        LogFacts {
            epoch: progress.epoch().count(),
            sequence,
            bytes: progress.log_bytes(),
            members: hosts.len(),
            wanted: membership.target().map_or(0, |set| set.wanted),
            behind: hosts.len() - following.iter().filter(follows).count(),
        }
    }

    /// Brings the members one step nearer to what they should be.
    pub(super) async fn follow(&self) -> Result<Followed, Problem> {
        let mut state = self.state.lock().await;
        self.step(&mut state, 0).await
    }

    /// Makes a change that a bucket asks for which bears so many losses: the
    /// records are on enough Hosts for that before it is acknowledged, and all that
    /// should hold them do so unless they take too long.
    pub(crate) async fn commit_bearing(
        &self,
        losses: usize,
        change: Change,
    ) -> Result<Committed, Problem> {
        // Held until it is committed: nobody wants fewer meanwhile.
        let mut state = self.state.lock().await;
        let began = Instant::now();
        while !self
            .step(&mut state, losses)
            .await?
            .suffices(began.elapsed())
        {
            if began.elapsed() > BEARING_MAX {
                let detail = format!(
                    "The metadata are not on enough Hosts yet to bear the loss of {losses}: those \
                     that shall hold them as well did not follow in {} s.",
                    BEARING_MAX.as_secs()
                );
                return Err(Problem::new(Code::StorageDegraded, detail));
            }
            tokio::time::sleep(BEARING_PAUSE).await;
        }
        Ok(self.writer.commit(change).await?)
    }

    async fn step(&self, state: &mut State, losses: usize) -> Result<Followed, Problem> {
        let borne = self.readers.read(query::losses_borne).await?;
        let borne = borne.into_iter().map(usize::from).max().unwrap_or(0);
        let losses = losses.max(borne);
        let following: BTreeMap<NodeId, Following> = self
            .fan_out
            .following()
            .into_iter()
            .map(|one| (one.host, one))
            .collect();
        let (mut hosts, gone) = self.look(state, &following);
        let now = state.membership.target().cloned();
        let wished = plan(now.as_ref(), &hosts, losses);
        let learners: BTreeSet<NodeId> = wished
            .iter()
            .flat_map(|set| set.hosts.iter().copied())
            .collect();
        let last = self.writer.progress().sequence();
        for host in &mut hosts {
            // Only who has the whole log becomes a member.
            let followed = following.get(&host.host);
            host.is_fit &= followed.is_some_and(|one| {
                one.trouble.is_none() && one.taken.sequence > 0 && one.taken.sequence >= last
            });
        }
        let target = plan(now.as_ref(), &hosts, losses);
        let settled = wished == now && !state.membership.is_joint();
        if settled {
            return Ok(Followed::Settled);
        }
        self.ask(&state.membership, &learners).await;
        match target {
            Some(target) if Some(&target) != now.as_ref() || state.membership.is_joint() => {
                self.change(state, &gone, target, &learners).await?;
            }
            // Those that are to come need a word, to begin to catch up.
            _ => self.writer.assure().await?,
        }
        let wanted = |set: Option<&MemberSet>| set.map_or(0, |set| set.wanted);
        let bears = wanted(state.membership.target()) >= wanted(wished.as_ref());
        Ok(Followed::Moving { bears })
    }

    /// What of the pool may hold the log, and which members never will again.
    fn look(
        &self,
        state: &mut State,
        following: &BTreeMap<NodeId, Following>,
    ) -> (Vec<Prospect>, BTreeSet<NodeId>) {
        let pool = self.hosts.pool.lock();
        let (mut prospects, now) = (Vec::new(), Instant::now());
        for (id, host) in pool.hosts().filter(|(_, host)| !host.revoked) {
            let is_well = host.readable().is_some()
                && following.get(&id).is_none_or(|one| one.trouble.is_none());
            if is_well {
                state.missed.remove(&id);
            } else {
                state.missed.entry(id).or_insert(now);
            }
            let missed = state
                .missed
                .get(&id)
                .map(|since| now.duration_since(*since));
            prospects.push(Prospect {
                host: id,
                is_fit: host.writable().is_some(),
                is_overdue: missed.is_some_and(|missed| missed >= self.patience),
                labels: labels_of(host),
            });
        }
        let there: BTreeSet<NodeId> = prospects.iter().map(|one| one.host).collect();
        state.missed.retain(|id, _| there.contains(id));
        let gone = state.membership.hosts();
        let gone = gone.difference(&there).copied().collect();
        (prospects, gone)
    }

    /// From the members that are to these, in two steps; see [`Membership`].
    async fn change(
        &self,
        state: &mut State,
        gone: &BTreeSet<NodeId>,
        target: MemberSet,
        learners: &BTreeSet<NodeId>,
    ) -> Result<(), Problem> {
        let joint = state.membership.without(gone).and(&target);
        if joint != state.membership {
            self.ask(&joint, learners).await;
            if let Err(error) = self.say(&joint).await {
                self.ask(&state.membership, learners).await;
                return Err(error.into());
            }
            state.membership = joint;
        }
        let alone = Membership::of(target);
        if alone != state.membership {
            self.say(&alone).await?;
            state.membership = alone;
        }
        self.ask(&state.membership, &BTreeSet::new()).await;
        let names = state.membership.hosts();
        tracing::info!(members = ?names, "other Hosts hold the log of the metadata");
        Ok(())
    }

    /// Enough of these must have each record from now on; learners only follow.
    async fn ask(&self, membership: &Membership, learners: &BTreeSet<NodeId>) {
        let hosts: BTreeSet<NodeId> = membership.hosts().union(learners).copied().collect();
        let replicas = self.hosts.replicas(&hosts);
        let (fan_out, membership) = (Arc::clone(&self.fan_out), membership.clone());
        let set = tokio::task::spawn_blocking(move || fan_out.members_set(replicas, membership));
        if let Err(error) = set.await {
            tracing::error!(%error, "the Hosts of the log could not be told apart");
        }
    }

    async fn say(&self, membership: &Membership) -> Result<(), WriteError> {
        let change = membership.to_change();
        let change = change.map_err(|error| WriteError::Internal(error.to_string()))?;
        self.writer.commit(change).await.map(drop)
    }
}

fn labels_of(host: &crate::storage::pool::PoolHost) -> Vec<FailureLabel> {
    host.description.info.failure_labels.clone()
}

/// The Hosts that the log begins on.
pub(super) fn first_members(hosts: &LogHosts) -> Result<MemberSet, Problem> {
    let pool = hosts.pool.lock();
    let prospects: Vec<Prospect> = pool
        .hosts()
        .filter(|(_, host)| !host.revoked)
        .map(|(id, host)| Prospect {
            host: id,
            is_fit: host.writable().is_some(),
            is_overdue: false,
            labels: labels_of(host),
        })
        .collect();
    plan(None, &prospects, 0).ok_or_else(|| {
        Problem::new(
            Code::NotAccepting,
            "No storage Host has come yet to hold the log of the metadata.",
        )
    })
}
