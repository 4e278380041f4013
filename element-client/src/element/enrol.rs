//! How Hosts are let in: they show a join token, the Element vouches for them,
//! the controller signs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::{door::Origin, join::JoinToken, throttle::Guesser};
use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::enrol::{Certificate, EnrolRequest, HostVouch},
};

use super::{
    Element,
    goods::Goods,
    token::{count_use, use_check},
};

/// The longest name of a node.
const NAME_CHARACTERS_MAX: usize = 255;
/// How long the controller may take to sign.
const VOUCH_TIMEOUT: Duration = Duration::from_secs(20);

impl<G: Goods> Element<G> {
    /// Lets a Host in that shows a join token, unless there were too many wrong
    /// ones from where it is.
    pub(super) async fn host_enrol(
        self: &Arc<Self>,
        from: Origin,
        enrol: EnrolRequest,
    ) -> Result<Certificate, Problem> {
        let guessers = [Guesser::Address(from)];
        self.throttle.admit(&guessers, Instant::now())?;
        let enrolled = self.enrol_host(enrol).await;
        if let Err(problem) = &enrolled
            && problem.code == Code::JoinTokenInvalid
        {
            self.throttle.on_failure(&guessers, Instant::now());
        }
        enrolled
    }

    /// A Host shows a join token: its use is counted durably, then the
    /// controller is asked to sign.
    async fn enrol_host(self: &Arc<Self>, enrol: EnrolRequest) -> Result<Certificate, Problem> {
        let invalid = |detail: &str| Problem::new(Code::JoinTokenInvalid, detail);
        let token: JoinToken = enrol
            .token
            .parse()
            .map_err(|_| invalid("The join token cannot be read."))?;
        if enrol.kind != G::HOST_KIND || token.kind != G::HOST_KIND {
            return Err(invalid(&format!(
                "Only {} join a {}.",
                G::HOSTS,
                G::ELEMENT
            )));
        }
        if token.parent != self.id {
            return Err(invalid("The join token is for another Element."));
        }
        if enrol.name.trim().is_empty() || enrol.name.chars().count() > NAME_CHARACTERS_MAX {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("A name of 1 to {NAME_CHARACTERS_MAX} characters is needed."),
            ));
        }
        // A guess costs a shared read; only who knows a token makes the Element write.
        use_check(&*self.base.read(), &token)?;
        // Before a use is counted, so that it is not lost for nothing.
        let controller = self.links.require_controller()?;
        let shown = token.clone();
        let counted = self
            .blocking(move |element| {
                element
                    .base
                    .update_together(move |document| count_use(document, &shown, -1))
            })
            .await?;
        counted.map_err(|error| error.to_problem())?;
        let vouch = HostVouch {
            name: enrol.name,
            csr_pem: enrol.csr_pem,
        };
        match controller.ask(&vouch, VOUCH_TIMEOUT).await {
            Ok(certificate) => {
                let node = certificate.node;
                let noted = self.blocking(move |element| element.note_vouched(node));
                noted.await?.map_err(|error| {
                    tracing::error!(error, "a Host that was vouched for cannot be noted");
                    Problem::new(
                        Code::StorageFailed,
                        "The Element cannot keep who has joined.",
                    )
                })?;
                tracing::info!(node.id = %node, name = vouch.name, "a Host has joined");
                Ok(Certificate {
                    parent: self.id,
                    ..certificate
                })
            }
            Err(problem) => {
                let given_back = self
                    .blocking(move |element| {
                        element
                            .base
                            .update_together(move |document| count_use(document, &token, 1))
                    })
                    .await?;
                if let Err(error) = given_back {
                    tracing::warn!(%error, "the use of a join token that came to nothing cannot be given back");
                }
                Err(problem)
            }
        }
    }

    /// Notes durably that a Host was vouched for, together with others; the
    /// error in words, since all of them get it.
    fn note_vouched(&self, node: NodeId) -> Result<(), String> {
        let noted = self.vouching.join(node, |nodes| {
            let noted = self.standing.lock().update(|standing| {
                standing.vouched.extend(nodes.iter().copied());
            });
            let noted = noted.map_err(|error| error.to_string());
            nodes.iter().map(|_| noted.clone()).collect()
        });
        noted.unwrap_or_else(|| Err("who wrote it has failed".to_owned()))
    }
}
