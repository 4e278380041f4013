//! The Host table: which Hosts enter it, and what it shows of them.

use std::sync::Arc;

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    resource::{
        any::{AnyHost, OtherKind},
        element_doc::HostEntry,
    },
    scalar::UtcTime,
    wire::desired::ElementDesired,
};

use super::{
    Element,
    goods::{ElementDocument as _, Goods, HostOf, TableHost as _},
};
use crate::info_base::LibError;

pub(super) fn other_kind(host: NodeId, error: OtherKind) -> Problem {
    Problem::new(
        Code::InvalidDocument,
        format!("The Host {host} describes something else: {error}."),
    )
}

impl<G: Goods> Element<G> {
    /// Checks that a Host describes itself, as one of this Element's. When it
    /// was heard is by the Element's clock.
    pub(super) fn checked_host(&self, id: NodeId, host: AnyHost) -> Result<HostOf<G>, Problem> {
        let refusal = |detail: String| Err(Problem::new(Code::InvalidDocument, detail));
        if host.kind() != G::HOST_KIND {
            let error = OtherKind {
                expected: G::HOST_KIND,
                found: host.kind(),
            };
            return Err(other_kind(id, error));
        }
        if host.id().as_str() != id.to_urn() {
            return refusal(format!("The Host {id} describes itself as {}.", host.id()));
        }
        if host.element().as_str() != self.id.to_urn() {
            return refusal(format!(
                "The Host {id} says that its Element is {}, not {}.",
                host.element(),
                self.id.to_urn()
            ));
        }
        if let Err(violations) = host.validate() {
            return refusal(format!(
                "The Host {id} describes itself wrongly: {violations}."
            ));
        }
        let mut host = host;
        host.set_last_heartbeat(UtcTime::now());
        HostOf::<G>::try_from(host).map_err(|error| other_kind(id, error))
    }

    /// A Host that this Element has vouched for enters the Host table at its
    /// first hello; one that nobody vouched for is refused.
    pub(super) async fn enter_host_table(
        self: &Arc<Self>,
        id: NodeId,
        host: &HostOf<G>,
    ) -> Result<(), Problem> {
        if self.base.read().host(host.id()).is_some() {
            self.observe_host(host);
            return Ok(());
        }
        if !self.standing.lock().get().vouched.contains(&id) {
            return Err(Problem::new(
                Code::NotAuthorized,
                format!("The Host {id} has not joined through this Element; join it again."),
            ));
        }
        let entry = HostEntry::new(host.without_state(), UtcTime::now());
        let entered = self.blocking(move |element| {
            element.base.update_together(move |document| {
                if document.host(entry.host.id()).is_none() {
                    document.hosts_mut().push(entry.clone());
                    document.hosts_changed();
                }
                Ok(())
            })?;
            element.standing.lock().forget_vouched(id);
            Ok(())
        });
        entered.await?.map_err(|error: LibError| {
            tracing::error!(%error, node.id = %id, "a Host cannot enter the Host table");
            error.to_problem()
        })
    }

    /// What should be, if that says anything of this Host in particular: only
    /// then has a Host that is new to the pool to be told apart.
    pub(crate) fn desired_apart(&self, host: NodeId) -> Option<ElementDesired> {
        let standing = self.standing.lock();
        let desired = &standing.get().desired;
        let named = desired.hosts.iter().any(|wish| wish.host == host);
        (named || desired.revoked.contains(&host)).then(|| desired.clone())
    }

    /// Shows a Host's present description in the information base.
    pub(super) fn observe_host(&self, host: &HostOf<G>) {
        let told = host.without_state();
        let document = self.base.read();
        let known = document.host(told.id());
        let is_new = known.is_some_and(|entry| entry.host != told);
        // Whoever holds the document while it is changed has it copied, whole.
        drop(document);
        if is_new {
            self.base.observe(move |document| {
                let mut entries = document.hosts_mut().iter_mut();
                if let Some(entry) = entries.find(|entry| entry.host.id() == told.id()) {
                    entry.host = told.clone();
                }
                document.hosts_changed();
            });
        }
    }
}
