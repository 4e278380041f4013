//! The Element's one door: Hosts join and dial in here, clients queue here.
//!
//! | path | for | what |
//! | --- | --- | --- |
//! | `POST /v1/enrol` | who shows a join token | the first certificate |
//! | `GET /v1/control` | the Element's Hosts | control stream |
//! | `GET /v1/queue` | any TLS key; tickets say who | queue stream |
//! | `GET /v1/relay/{host}` | who shows a lease ticket | tunnel to a Host that cannot be dialled |
//! | `GET /v1/data/{nonce}` | the Host that was told it | its end of that tunnel |
//! | `GET /v1/packages/{hex}` | the Element's Hosts | a package |
//! | `GET /healthz` | everybody | is it there |
//! | `GET /metrics` | nodes | metrics |

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gridmart_fabric::{
    door::{
        Origin, Request, Response, Service, empty_response, file_response, json_body,
        json_response, problem_response, text_response, upgrade,
    },
    identity::PeerIdentity,
    join::JoinToken,
    socket::SocketLimits,
    stream::{Handler, StreamLimits, run_stream},
    telemetry::METRICS_CONTENT_TYPE,
    throttle::Guesser,
};
use gridmart_schemas::{
    id::{Digest, NodeId},
    problem::{Code, Problem},
    resource::ce_doc::{CeDocument, JoinTokenEntry},
    role::NodeKind,
    scalar::UtcTime,
    wire::enrol::{Certificate, EnrolRequest, HostVouch},
};
use http::{Method, StatusCode};

use super::{
    comm::{client::ClientStream, host::HostStream},
    element::Ce,
};

/// The most bytes of an enrolment request.
const ENROL_BYTES_MAX: usize = 32 * 1024;
/// The longest name of a node.
const NAME_CHARACTERS_MAX: usize = 255;
/// Where programs ask for Hosts that cannot be dialled; the Host's id follows.
const RELAY_PATH: &str = "/v1/relay/";
/// Where these Hosts dial; the nonce that they were told follows.
const DATA_PATH: &str = "/v1/data/";
/// How long the controller may take to sign.
const VOUCH_TIMEOUT: Duration = Duration::from_secs(20);

/// What is behind the door.
pub(crate) struct ElementDoor {
    pub(crate) ce: Arc<Ce>,
}

impl Service for ElementDoor {
    fn handle(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> BoxFuture<'_, Response> {
        async move {
            self.answer(peer, remote, request)
                .await
                .unwrap_or_else(|problem| problem_response(&problem))
        }
        .boxed()
    }
}

impl ElementDoor {
    async fn answer(
        &self,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::POST, "/v1/enrol") => {
                let enrol = json_body(request, ENROL_BYTES_MAX).await?;
                Ok(json_response(
                    StatusCode::OK,
                    &self.ce.host_enrol(remote.ip().into(), enrol).await?,
                ))
            }
            (&Method::GET, "/v1/control") => {
                let node = peer.require_node(NodeKind::ComputeHost)?.clone();
                let handler = Arc::new(HostStream::new(Arc::clone(&self.ce), node));
                self.begin_stream(request, peer, handler, StreamLimits::default())
            }
            (&Method::GET, "/v1/queue") => {
                let presenter = peer.require_key()?.clone();
                let handler = Arc::new(ClientStream::new(Arc::clone(&self.ce), presenter));
                self.begin_stream(request, peer, handler, StreamLimits::programs())
            }
            (&Method::GET, path) if path.starts_with(RELAY_PATH) => {
                let host = path.trim_start_matches(RELAY_PATH);
                self.ce.relay(&peer, remote, host, request).await
            }
            (&Method::GET, path) if path.starts_with(DATA_PATH) => {
                let node = peer.require_node(NodeKind::ComputeHost)?;
                let nonce = path.trim_start_matches(DATA_PATH);
                self.ce.data(node.id, nonce, request)
            }
            (&Method::GET, "/healthz") => Ok(empty_response(StatusCode::OK)),
            (&Method::GET, "/metrics") => {
                peer.require_any_node()?;
                Ok(text_response(
                    StatusCode::OK,
                    METRICS_CONTENT_TYPE,
                    self.ce.registry.encode(),
                ))
            }
            (&Method::GET, path) if path.starts_with("/v1/packages/") => {
                peer.require_node(NodeKind::ComputeHost)?;
                self.package(path.trim_start_matches("/v1/packages/")).await
            }
            (method, path) => {
                let shown: String = path.chars().take(80).collect();
                Err(Problem::new(
                    Code::NotFound,
                    format!("There is no {method} {shown} at this door."),
                ))
            }
        }
    }

    fn begin_stream(
        &self,
        mut request: Request,
        peer: PeerIdentity,
        handler: Arc<dyn Handler>,
        limits: StreamLimits,
    ) -> Result<Response, Problem> {
        let (response, pending) = upgrade(&mut request, SocketLimits::ENVELOPES)?;
        self.ce.tasks.spawn(async move {
            match pending.socket().await {
                Ok(socket) => drop(run_stream(socket, peer, handler, limits)),
                Err(problem) => tracing::debug!(%problem, "a stream did not begin"),
            }
        });
        Ok(response)
    }

    async fn package(&self, hex: &str) -> Result<Response, Problem> {
        let digest: Digest =
            format!("blake3:{hex}")
                .parse()
                .map_err(|error: gridmart_schemas::id::IdError| {
                    Problem::new(Code::InvalidRequest, error.to_string())
                })?;
        let offered = self
            .ce
            .standing
            .lock()
            .get()
            .desired
            .applications
            .iter()
            .any(|wish| wish.digest == digest);
        if !offered {
            return Err(Problem::new(
                Code::UnknownApplication,
                format!("This Element does not offer {digest}."),
            ));
        }
        self.ce.pull(&digest).await?;
        file_response(&self.ce.shelf.path(&digest)).await
    }
}

impl Ce {
    /// Lets a Host in that shows a join token, unless there were too many wrong
    /// ones from where it is.
    async fn host_enrol(
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
        if enrol.kind != NodeKind::ComputeHost || token.kind != NodeKind::ComputeHost {
            return Err(invalid("Only compute Hosts join a Computing Element."));
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
        use_check(&self.base.read(), &token)?;
        // Before a use is counted, so that it is not lost for nothing.
        let controller = self.links.require_controller()?;
        let shown = token.clone();
        let counted = self
            .blocking(move |ce| {
                ce.base
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
                let noted = self.blocking(move |ce| ce.note_vouched(node));
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
                    .blocking(move |ce| {
                        ce.base
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

/// Whether a join token may be used; the one place that says so.
fn use_check(document: &CeDocument, token: &JoinToken) -> Result<(), Problem> {
    let entry = document
        .join_tokens
        .tokens
        .iter()
        .find(|entry| token.secret_matches(entry.hash.as_str()))
        .ok_or_else(unknown)?;
    if entry.expires <= UtcTime::now() {
        return Err(Problem::new(
            Code::JoinTokenExpired,
            format!("The join token has expired at {}.", entry.expires),
        ));
    }
    if entry.remaining == 0 {
        return Err(spent());
    }
    Ok(())
}

/// Counts a use of a join token, or (`by` 1) gives it back.
fn count_use(document: &mut CeDocument, token: &JoinToken, by: i32) -> Result<(), Problem> {
    if by < 0 {
        use_check(document, token)?;
    }
    let matches = |entry: &&mut JoinTokenEntry| token.secret_matches(entry.hash.as_str());
    let mut entries = document.join_tokens.tokens.iter_mut();
    let entry = entries.find(matches).ok_or_else(unknown)?;
    entry.remaining = entry.remaining.checked_add_signed(by).ok_or_else(spent)?;
    Ok(())
}

fn unknown() -> Problem {
    Problem::new(
        Code::JoinTokenInvalid,
        "This Element knows no such join token.",
    )
}

fn spent() -> Problem {
    Problem::new(
        Code::JoinTokenSpent,
        "The uses of the join token are spent.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(remaining: u32, seconds: i64) -> (CeDocument, JoinToken) {
        let mut document = crate::info_base::tests::document();
        let token = JoinToken::generate(
            NodeKind::ComputeHost,
            "lab",
            NodeId::generate(),
            &"0".repeat(64),
        );
        document.join_tokens.tokens.push(JoinTokenEntry {
            hash: token.secret_hash().parse().unwrap(),
            label: None,
            expires: UtcTime::from_unix_seconds(UtcTime::now().unix_seconds() + seconds).unwrap(),
            remaining,
        });
        (document, token)
    }

    #[test]
    fn a_token_is_good_for_its_uses_and_its_time() {
        let (mut document, token) = shown(2, 60);
        count_use(&mut document, &token, -1).unwrap();
        count_use(&mut document, &token, -1).unwrap();
        assert_eq!(
            count_use(&mut document, &token, -1).unwrap_err().code,
            Code::JoinTokenSpent
        );
        assert_eq!(
            use_check(&document, &token).unwrap_err().code,
            Code::JoinTokenSpent
        );
        count_use(&mut document, &token, 1).unwrap();
        use_check(&document, &token).unwrap();
        count_use(&mut document, &token, -1).unwrap();
        let (mut document, token) = shown(1, -1);
        assert_eq!(
            count_use(&mut document, &token, -1).unwrap_err().code,
            Code::JoinTokenExpired
        );
        let (_, other) = shown(1, 60);
        assert_eq!(
            count_use(&mut document, &other, -1).unwrap_err().code,
            Code::JoinTokenInvalid
        );
    }
}
