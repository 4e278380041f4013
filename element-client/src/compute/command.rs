//! Commands: what should be is recorded first, then made so. Applying the same
//! again changes nothing; what is older than what was seen is not taken over.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{
    identity::fingerprint, join::JoinToken, stream::Peer, ticket::VerifyingKeys,
};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    resource::ce_doc::{ApplicationEntry, CeDocument, JoinTokenEntry},
    role::NodeKind,
    scalar::UtcTime,
    wire::{
        control_element::{JoinTokenCreate, JoinTokenMade},
        desired::{ElementDesired, HostDesired, Wish},
        element_host::HostDesire,
    },
};

use super::{
    element::Ce,
    queue::{Settings, limit::Limits},
    standing::{HostWishes, host_desired, merge},
};

/// How long a Host may take to apply what it should be.
const DESIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest life of a join token: 30 days.
const TOKEN_SECONDS_MAX: u64 = 30 * 24 * 3600;
/// The most uses of a join token.
const TOKEN_USES_MAX: u32 = 10_000;
/// The most join tokens at a time.
const TOKENS_MAX: usize = 1_000;

/// Settings of the queue, as the information base says.
pub(crate) fn settings_of(document: &CeDocument) -> Settings {
    Settings {
        limits: Limits::of(&document.element.policy),
        reattach_grace: document.configuration.reattach_grace.to_duration(),
        response_time_floor: document
            .configuration
            .common
            .response_time_floor
            .to_duration(),
    }
}

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

impl Ce {
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
        let (before, desired) = self.blocking(move |ce| ce.record(told)).await??;
        self.revocations.replace(desired.revoked.iter().copied());
        self.decide(|queue, now| queue.on_desired(&desired, now));
        self.desired_changed.notify_waiters();
        self.news.notify_one();
        let offered: BTreeSet<_> = desired
            .applications
            .iter()
            .map(|wish| wish.digest.clone())
            .collect();
        self.blocking(move |ce| ce.shelf.keep_only(&offered))
            .await?;
        self.tell_hosts(&before, &desired);
        let generation = desired.wish.generation;
        // Last: what people cannot read yet holds all the same.
        self.blocking(move |ce| ce.show(&desired)).await??;
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
        let ce = Arc::clone(self);
        self.tasks.spawn(async move {
            match peer.ask(&desire, DESIRE_TIMEOUT).await {
                Ok(applied) => {
                    ce.monitor.on_applied(host, applied.generation);
                    ce.news.notify_one();
                }
                // A Host that comes back is told in its welcome.
                Err(problem) if peer.is_closed() => tracing::debug!(%problem, node.id = %host, "a Host went away while it was told what should be"),
                Err(problem) => {
                    ce.untold.lock().insert(host);
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
        let mut shown = CeDocument::clone(&self.base.read());
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

    /// Makes a token with which Hosts may join; only its hash is kept.
    pub(crate) async fn create_join_token(
        self: &Arc<Self>,
        create: JoinTokenCreate,
    ) -> Result<JoinTokenMade, Problem> {
        let refusal = |detail: String| Err(Problem::new(Code::InvalidRequest, detail));
        if create.kind != NodeKind::ComputeHost {
            return refusal(format!(
                "A Computing Element makes join tokens for Hosts of its pool, not for {}.",
                create.kind
            ));
        }
        if create.uses == 0 || create.uses > TOKEN_USES_MAX {
            return refusal(format!(
                "A join token may be used 1 to {TOKEN_USES_MAX} times."
            ));
        }
        if create.expires_in == 0 || create.expires_in > TOKEN_SECONDS_MAX {
            return refusal(format!(
                "A join token may be used for 1 to {TOKEN_SECONDS_MAX} seconds."
            ));
        }
        let identity = self.identity.current();
        let token = JoinToken::generate(
            NodeKind::ComputeHost,
            identity.domain(),
            self.id,
            &fingerprint(identity.root_der()),
        );
        let life = i64::try_from(create.expires_in).unwrap_or(i64::MAX);
        let invalid = |error: gridmart_schemas::scalar::ScalarError| {
            Problem::new(Code::InvalidRequest, error.to_string())
        };
        let entry = JoinTokenEntry {
            hash: token.secret_hash().parse().map_err(invalid)?,
            label: Some(create.label.as_str())
                .filter(|label| !label.trim().is_empty())
                .map(str::parse)
                .transpose()
                .map_err(invalid)?,
            expires: UtcTime::from_unix_seconds(UtcTime::now().unix_seconds().saturating_add(life))
                .map_err(invalid)?,
            remaining: create.uses,
        };
        let made = self.blocking(move |ce| {
            ce.base.update_together(move |document| {
                let now = UtcTime::now();
                let tokens = &mut document.join_tokens.tokens;
                tokens.retain(|token| token.expires > now);
                if tokens.len() >= TOKENS_MAX {
                    return Err(Problem::new(
                        Code::LimitExceeded,
                        format!(
                            "There are {TOKENS_MAX} join tokens already; wait until some expire."
                        ),
                    ));
                }
                tokens.push(entry.clone());
                Ok(())
            })
        });
        made.await?.map_err(|error| error.to_problem())?;
        Ok(JoinTokenMade {
            token: token.to_string(),
            endpoint: self.endpoints.first().cloned().unwrap_or_default(),
        })
    }
}

/// Brings wishes into the document.
fn show_wishes(document: &mut CeDocument, desired: &ElementDesired) {
    document.wish = desired.wish;
    let wishes: HashMap<String, Wish> = desired
        .hosts
        .iter()
        .map(|wish| (wish.host.to_urn(), wish.wish))
        .collect();
    let revoked: HashSet<String> = desired.revoked.iter().map(NodeId::to_urn).collect();
    for entry in &mut document.host_table.hosts {
        let id = entry.host.id.as_str();
        entry.wish = wishes.get(id).copied().unwrap_or_default();
        entry.revoked = revoked.contains(id).then_some(true);
    }
    let shown = desired.applications.iter().filter_map(|wish| {
        let (Ok(app_name), Ok(app_version)) = (wish.name.parse(), wish.version.parse()) else {
            tracing::warn!(
                name = wish.name,
                version = wish.version,
                "an application's name does not fit into the information base"
            );
            return None;
        };
        let known = document
            .applications
            .applications
            .iter()
            .find(|entry| entry.digest == wish.digest);
        Some(ApplicationEntry {
            digest: wish.digest.clone(),
            app_name,
            app_version,
            size: Some(wish.size),
            wish: wish.wish,
            extensions: known
                .map(|entry| entry.extensions.clone())
                .unwrap_or_default(),
        })
    });
    document.applications.applications = shown.collect();
}
