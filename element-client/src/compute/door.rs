//! What the Element's door has for clients, and for Hosts beyond their stream.
//!
//! | path | for | what |
//! | --- | --- | --- |
//! | `GET /v1/queue` | any TLS key; tickets say who | queue stream |
//! | `GET /v1/relay/{host}` | who shows a lease ticket | tunnel to a Host that cannot be dialled |
//! | `GET /v1/data/{nonce}` | the Host that was told it | its end of that tunnel |
//! | `GET /v1/packages/{hex}` | the Element's Hosts | a package |

use std::{net::SocketAddr, sync::Arc};

use gridmart_fabric::{
    door::{Request, Response, file_response},
    identity::PeerIdentity,
    stream::StreamLimits,
};
use gridmart_schemas::{
    id::Digest,
    problem::{Code, Problem},
    role::NodeKind,
};
use http::Method;

use super::{Ce, client::ClientStream};
use crate::element::unknown_path;

/// Where programs ask for Hosts that cannot be dialled; the Host's id follows.
const RELAY_PATH: &str = "/v1/relay/";
/// Where these Hosts dial; the nonce that they were told follows.
const DATA_PATH: &str = "/v1/data/";
/// Where Hosts get packages; the hash follows.
const PACKAGES_PATH: &str = "/v1/packages/";

impl Ce {
    /// Answers whoever comes with what only a Computing Element knows.
    pub(crate) async fn on_visit(
        self: &Arc<Self>,
        peer: PeerIdentity,
        remote: SocketAddr,
        request: Request,
    ) -> Result<Response, Problem> {
        if request.method() != Method::GET {
            return Err(unknown_path(&request));
        }
        let path = request.uri().path().to_owned();
        if path == "/v1/queue" {
            let presenter = peer.require_key()?.clone();
            let handler = Arc::new(ClientStream::new(Arc::clone(self), presenter));
            self.begin_stream(request, peer, handler, StreamLimits::programs())
        } else if let Some(host) = path.strip_prefix(RELAY_PATH) {
            self.relay(&peer, remote, host, request).await
        } else if let Some(nonce) = path.strip_prefix(DATA_PATH) {
            let node = peer.require_node(NodeKind::ComputeHost)?;
            self.data(node.id, nonce, request)
        } else if let Some(hex) = path.strip_prefix(PACKAGES_PATH) {
            peer.require_node(NodeKind::ComputeHost)?;
            self.package(hex).await
        } else {
            Err(unknown_path(&request))
        }
    }

    async fn package(self: &Arc<Self>, hex: &str) -> Result<Response, Problem> {
        let digest: Digest =
            format!("blake3:{hex}")
                .parse()
                .map_err(|error: gridmart_schemas::id::IdError| {
                    Problem::new(Code::InvalidRequest, error.to_string())
                })?;
        let offered = self
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
        self.pull(&digest).await?;
        file_response(&self.goods.shelf.path(&digest)).await
    }
}
