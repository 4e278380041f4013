//! Commands: what should be is recorded first, then made so. Applying the same
//! again changes nothing; what is older than what was seen is not taken over.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{stream::Peer, ticket::VerifyingKeys};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::{
        desired::{ElementDesired, HostDesired, Wish},
        element_host::HostDesire,
    },
};

use super::{
    Element,
    goods::{ElementDocument, Goods, TableHost as _},
    standing::{HostWishes, host_desired, merge},
};

/// How long a Host may take to apply what it should be.
const DESIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// The keys of the controller, as it has told them.
pub(crate) fn ticket_keys_of(controller: NodeId, keys: &BTreeMap<String, String>) -> VerifyingKeys {
    let mut verifying = VerifyingKeys::default();
    for pem in keys.values() {
        if let Err(problem) = verifying.insert(controller, pem) {
            tracing::error!(%problem, "a ticket key of the controller is left out");
        }
    }
    verifying
}

/// What the controller has said.
#[derive(Clone)]
pub(crate) struct Told {
    desired: ElementDesired,
    /// What signs access tickets; absent if nothing was said of that.
    ticket_keys: Option<BTreeMap<String, String>>,
}

impl<G: Goods> Element<G> {
    /// Records what should be, then applies it. Answers with the generation of
    /// the Element's own wish that is in force. What fails, because of a full
    /// disk for instance, is tried again with the next tick.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        desired: ElementDesired,
        ticket_keys: Option<BTreeMap<String, String>>,
    ) -> Result<u64, Problem> {
        let mut unapplied = self.applying.lock().await;
        let older_keys = unapplied.take().and_then(|told| told.ticket_keys);
        let told = Told {
            desired,
            ticket_keys: ticket_keys.or(older_keys),
        };
        // Kept before: who waits for this may go away.
        *unapplied = Some(told.clone());
        let generation = self.apply_told(told).await?;
        *unapplied = None;
        Ok(generation)
    }

    /// Applies what was told last, if that has failed.
    pub(crate) async fn apply_again(self: &Arc<Self>) {
        let Ok(mut unapplied) = self.applying.try_lock() else {
            return;
        };
        let Some(told) = unapplied.clone() else {
            return;
        };
        match self.apply_told(told).await {
            Ok(_) => {
                *unapplied = None;
                tracing::info!("what should be is applied now");
            }
            // It was said when it failed first.
            Err(problem) => tracing::debug!(%problem, "what should be is not applied yet"),
        }
    }

    async fn apply_told(self: &Arc<Self>, told: Told) -> Result<u64, Problem> {
        if let Some(keys) = &told.ticket_keys {
            *self.ticket_keys.write() = ticket_keys_of(self.controller, keys);
        }
        let (before, desired) = self.blocking(move |element| element.record(told)).await??;
        self.revocations.replace(desired.revoked.iter().copied());
        G::on_desired(self, &desired);
        self.desired_changed.notify_waiters();
        self.news.notify_one();
        let offered = desired.clone();
        self.blocking(move |element| element.goods.keep_only(&offered))
            .await?;
        self.tell_hosts(&before, &desired);
        let generation = desired.wish.generation;
        // Last: what people cannot read yet holds all the same.
        self.blocking(move |element| element.show(&desired))
            .await??;
        Ok(generation)
    }

    /// Tells those Hosts for which something else should be than before, and
    /// those that have not applied what they were told last.
    fn tell_hosts(self: &Arc<Self>, before: &ElementDesired, desired: &ElementDesired) {
        let (old, new) = (HostWishes::of(before), HostWishes::of(desired));
        let mut untold = self.untold.lock();
        for (host, peer) in self.links.hosts() {
            let told = new.host(host);
            if before.revoked == desired.revoked && old.host(host) == told && !untold.remove(&host)
            {
                continue;
            }
            self.tell_host(
                host,
                peer,
                HostDesire {
                    desired: told,
                    revoked: desired.revoked.clone(),
                },
            );
        }
    }

    /// Tells a Host again that has not applied what it was told last, because
    /// of its disk for instance.
    pub(crate) fn tell_again(self: &Arc<Self>, host: NodeId) {
        if !self.untold.lock().remove(&host) {
            return;
        }
        if let Some(peer) = self.links.host(host) {
            let (desired, revoked) = self.told_to_host(host);
            self.tell_host(host, peer, HostDesire { desired, revoked });
        }
    }

    fn tell_host(self: &Arc<Self>, host: NodeId, peer: Peer, desire: HostDesire) {
        let element = Arc::clone(self);
        self.tasks.spawn(async move {
            match peer.ask(&desire, DESIRE_TIMEOUT).await {
                Ok(applied) => {
                    element.monitor.on_applied(host, applied.generation);
                    element.news.notify_one();
                }
                // A Host that comes back is told in its welcome.
                Err(problem) if peer.is_closed() => tracing::debug!(%problem, node.id = %host, "a Host went away while it was told what should be"),
                Err(problem) => {
                    element.untold.lock().insert(host);
                    tracing::warn!(%problem, node.id = %host, "a Host has not applied what should be");
                }
            }
        });
    }

    /// Gives what should have been before, and what should be now.
    fn record(&self, told: Told) -> Result<(ElementDesired, ElementDesired), Problem> {
        let mut standing = self.standing.lock();
        let before = standing.get().desired.clone();
        let desired = merge(&before, told.desired);
        let recorded = standing.update(|standing| {
            standing.desired = desired.clone();
            if let Some(keys) = told.ticket_keys {
                standing.ticket_keys = keys;
            }
        });
        recorded.map_err(|error| {
            Problem::new(
                Code::StorageFailed,
                format!("The Element cannot record what should be: {error}."),
            )
        })?;
        Ok((before, desired))
    }

    /// Shows the wishes in the information base, where people read them.
    fn show(&self, desired: &ElementDesired) -> Result<(), Problem> {
        let mut shown = G::Document::clone(&self.base.read());
        show_wishes(&mut shown, desired);
        if shown == *self.base.read() {
            return Ok(());
        }
        let written = self.base.update(|document| {
            show_wishes(document, desired);
            Ok(())
        });
        written.map_err(|error| {
            tracing::error!(%error, "the information base cannot show what should be");
            error.to_problem()
        })
    }

    /// What a Host is told, in its welcome and after each change.
    pub(crate) fn told_to_host(&self, host: NodeId) -> (HostDesired, Vec<NodeId>) {
        let standing = self.standing.lock();
        let desired = &standing.get().desired;
        (host_desired(desired, host), desired.revoked.clone())
    }
}

/// Brings wishes into the document.
fn show_wishes<D: ElementDocument>(document: &mut D, desired: &ElementDesired) {
    document.set_wish(desired.wish);
    let wishes: HashMap<String, Wish> = desired
        .hosts
        .iter()
        .map(|wish| (wish.host.to_urn(), wish.wish))
        .collect();
    let revoked: HashSet<String> = desired.revoked.iter().map(NodeId::to_urn).collect();
    for entry in document.hosts_mut() {
        let id = entry.host.id().as_str();
        let (wish, is_revoked) = (wishes.get(id).copied(), revoked.contains(id));
        entry.wish = wish.unwrap_or_default();
        entry.revoked = is_revoked.then_some(true);
    }
    document.show_offers(desired);
}
