//! The nodes' door: joining, hello, renewal, revocation, and who is kept out.

use std::sync::Arc;

use gridmart_fabric::{
    door,
    identity::{EphemeralKey, NewKey},
    join::{self, JoinToken},
    stream::{StreamLimits, dial},
    tls::ClientTls,
};
use gridmart_schemas::{
    id::NodeId,
    problem::Code,
    role::NodeKind,
    wire::{
        Request as _,
        control_element::{ElementHello, HostsChanged},
        element_host::Probe,
        enrol::{CertificateRenew, EnrolRequest},
    },
};
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    element::{SimElement, description, host},
    grid::{DEADLINE, Grid, wait_for},
};

const SHORT: std::time::Duration = std::time::Duration::from_secs(5);

async fn enrol(grid: &Grid, token: &JoinToken) -> Result<(), Code> {
    let joined = join::enrol(std::slice::from_ref(&grid.nodes), token, "ce").await;
    joined.map(drop).map_err(|problem| problem.code)
}

#[tokio::test]
async fn a_token_serves_as_often_as_it_says() {
    let grid = Grid::start().await;
    let token = grid.join_token(2, 600).await;
    assert_eq!(enrol(&grid, &token).await, Ok(()));
    let listed = grid
        .admin
        .get("/api/v1/join-tokens")
        .await
        .ok(StatusCode::OK);
    assert_eq!(listed["items"][0]["uses_left"], 1);
    assert_eq!(enrol(&grid, &token).await, Ok(()));
    assert_eq!(enrol(&grid, &token).await, Err(Code::JoinTokenSpent));
    let nodes = grid.admin.get("/api/v1/nodes").await.ok(StatusCode::OK);
    assert_eq!(nodes["items"].as_array().unwrap().len(), 2);
    let log = grid
        .admin
        .get("/api/v1/audit?limit=1")
        .await
        .ok(StatusCode::OK);
    assert_eq!(log["items"][0]["result"], "join-token-spent");
    // The secret is nowhere in the data folder.
    let text = token.to_string();
    for entry in std::fs::read_dir(&grid.config.data_dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes
                    .windows(40)
                    .any(|window| text.as_bytes().windows(40).next() == Some(window)),
                "{path:?}"
            );
        }
    }
    grid.stop().await;
}

#[tokio::test]
async fn a_token_of_the_wrong_time_kind_or_making_is_refused() {
    let grid = Grid::start().await;
    let token = grid.join_token(10_000, 1).await;
    wait_for("the token's end", || async {
        match enrol(&grid, &token).await {
            Err(Code::JoinTokenExpired) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let good = grid.join_token(1, 600).await;
    // A token of our own making, with the right fingerprint.
    let forged = JoinToken::generate(
        NodeKind::ComputingElement,
        "lab",
        grid.node,
        &good.fingerprint,
    );
    assert_eq!(enrol(&grid, &forged).await, Err(Code::JoinTokenInvalid));
    // A good token, with which something else wants in.
    let body = EnrolRequest {
        token: good.to_string(),
        kind: NodeKind::ComputeHost,
        name: "h".to_owned(),
        csr_pem: NewKey::generate().unwrap().csr_pem().unwrap(),
    };
    let root = grid.admin.get("/api/v1/authority").await.text;
    let reply = post_to_nodes(&grid, &root, &body).await;
    assert_eq!(reply["code"], "join-token-invalid", "{reply}");
    let unsigned = EnrolRequest {
        kind: NodeKind::ComputingElement,
        csr_pem: "nonsense".to_owned(),
        ..body
    };
    assert_eq!(
        post_to_nodes(&grid, &root, &unsigned).await["code"],
        "invalid-request"
    );
    // None of it has spent the token; taken back, it is unknown.
    let path = format!("/api/v1/join-tokens/{}", good.id);
    assert_eq!(
        grid.admin
            .send(reqwest::Method::DELETE, &path, None, "")
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(enrol(&grid, &good).await, Err(Code::JoinTokenInvalid));
    grid.stop().await;
}

/// Posts to the nodes' door as somebody without a certificate.
async fn post_to_nodes(grid: &Grid, root: &str, body: &EnrolRequest) -> serde_json::Value {
    let name = gridmart_fabric::identity::dns_name(grid.node, NodeKind::Control);
    let address = grid.nodes.parse().unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .resolve(&name, address)
        .tls_certs_only([reqwest::Certificate::from_pem(root.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://{name}:{}/v1/enrol", address.port());
    client
        .post(url)
        .json(body)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_foreign_controller_is_not_joined() {
    let (grid, other) = (Grid::start().await, Grid::start().await);
    let token = grid.join_token(1, 600).await;
    let joined = join::enrol(std::slice::from_ref(&other.nodes), &token, "ce").await;
    assert!(joined.is_err());
    assert_eq!(enrol(&grid, &token).await, Ok(()));
    grid.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn join_tokens_have_bounds_and_hosts_get_theirs_from_their_element() {
    let grid = Grid::start().await;
    let admin = &grid.admin;
    let ask = |body| async move { admin.post("/api/v1/join-tokens", &body).await };
    for bad in [
        json!({"kind": "ce"}),
        json!({"kind": "ce", "domain": "not a domain"}),
        json!({"kind": "ce", "domain": "lab", "uses": 0}),
        json!({"kind": "ce", "domain": "lab", "expires_in": 31 * 24 * 3600}),
        json!({"kind": "control", "domain": "lab"}),
        json!({"kind": "chost", "domain": "lab"}),
    ] {
        ask(bad).await.refused(Code::InvalidRequest);
    }
    ask(json!({"kind": "chost", "element": "nothing"}))
        .await
        .refused(Code::NotFound);
    let element = SimElement::join(&grid, "lab-ce").await;
    let made = ask(json!({"kind": "chost", "element": "lab-ce"}))
        .await
        .ok(StatusCode::CREATED);
    assert_eq!(made["token"], "gmj1.simulated");
    assert_eq!(
        made["command"],
        "gridmart host compute --element ce:1 --join-token gmj1.simulated"
    );
    element.peer().close();
    wait_for("the end of the stream", || async {
        let reply = ask(json!({"kind": "chost", "element": "lab-ce"})).await;
        if reply.value()["code"] == "element-down" {
            Ok(())
        } else {
            Err(reply.text)
        }
    })
    .await;
    grid.stop().await;
}

#[tokio::test]
async fn the_hello_comes_first_and_once() {
    let grid = Grid::start().await;
    let token = grid.join_token(1, 600).await;
    let element = SimElement::of(
        join::enrol(std::slice::from_ref(&grid.nodes), &token, "ce")
            .await
            .unwrap(),
    );
    let peer = element.open(&grid).await.unwrap();
    let renew = CertificateRenew {
        node: element.id(),
        csr_pem: String::new(),
        names: Vec::new(),
    };
    assert_eq!(
        peer.ask(&renew, SHORT).await.unwrap_err().code,
        Code::InvalidRequest
    );
    let hello = |id: NodeId| ElementHello {
        incarnation: gridmart_schemas::id::Incarnation::generate(),
        software: "x".to_owned(),
        element: description(id, "ce", 1).into(),
        endpoints: Vec::new(),
        hosts: Vec::new(),
        deployments: Vec::new(),
        generation: 0,
    };
    // Nobody speaks for another node.
    assert_eq!(
        peer.ask(&hello(NodeId::generate()), SHORT)
            .await
            .unwrap_err()
            .code,
        Code::InvalidDocument
    );
    let welcome = peer.ask(&hello(element.id()), SHORT).await.unwrap();
    assert_eq!(
        (welcome.heartbeat_interval, welcome.ticket_keys.len()),
        (1, 1)
    );
    assert_eq!(
        peer.ask(&hello(element.id()), SHORT)
            .await
            .unwrap_err()
            .code,
        Code::InvalidRequest
    );
    // A kind that is not known is refused, and the stream goes on.
    assert_eq!(
        peer.ask(&Probe {}, SHORT).await.unwrap_err().code,
        Code::UnknownMessage
    );
    assert_eq!(Probe::KIND, "probe");
    let row = &grid.admin.get("/api/v1/resources").await.ok(StatusCode::OK)["items"][0];
    assert_eq!(
        (row["name"].as_str(), row["connected"].as_bool()),
        (Some("ce"), Some(true))
    );
    grid.stop().await;
}

#[tokio::test]
async fn only_elements_of_this_authority_get_a_stream() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let root = grid.admin.get("/api/v1/authority").await.text;
    let stranger = ClientTls::ephemeral(&root, &EphemeralKey::generate().unwrap()).unwrap();
    let expected = (grid.node, NodeKind::Control);
    let endpoints = [grid.nodes.clone()];
    let handler = || Arc::clone(&element.mind) as _;
    let refused = dial(
        &endpoints,
        expected,
        &stranger,
        "/v1/control",
        handler(),
        StreamLimits::default(),
    )
    .await;
    assert!(refused.is_err());
    let package = format!("/v1/packages/{}", "0".repeat(64));
    assert!(
        door::fetch(&endpoints, expected, &stranger, &package)
            .await
            .is_err()
    );
    assert!(
        door::fetch(&endpoints, expected, &stranger, "/metrics")
            .await
            .is_err()
    );
    assert!(
        door::fetch(&endpoints, expected, &element.tls(), "/metrics")
            .await
            .is_ok()
    );
    let missing = door::fetch(&endpoints, expected, &element.tls(), &package).await;
    assert_eq!(missing.err().unwrap().code, Code::NotFound);
    // An Element of another controller has a certificate, but not from here.
    let other = Grid::start().await;
    let foreign = SimElement::join(&other, "ce").await;
    assert!(foreign.open(&grid).await.is_err());
    other.stop().await;
    // Plain HTTP is not spoken behind this door.
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = plain
        .get(format!("http://{}/healthz", grid.nodes))
        .send()
        .await;
    assert!(reply.is_err() || reply.unwrap().status() == StatusCode::BAD_REQUEST);
    grid.stop().await;
}

#[tokio::test]
async fn an_element_speaks_for_its_own_hosts_alone() {
    let grid = Grid::start().await;
    let (one, two) = (
        SimElement::join(&grid, "one").await,
        SimElement::join(&grid, "two").await,
    );
    let foreign = one.hosts[0];
    two.peer()
        .tell(&HostsChanged {
            hosts: vec![host(foreign, two.id(), "stolen", 0)],
            deployments: None,
        })
        .await
        .unwrap();
    let renew = CertificateRenew {
        node: foreign,
        csr_pem: NewKey::generate().unwrap().csr_pem().unwrap(),
        names: vec!["s3.lab".to_owned()],
    };
    assert_eq!(
        two.peer().ask(&renew, SHORT).await.unwrap_err().code,
        Code::NotFound
    );
    let renewed = one.peer().ask(&renew, SHORT).await.unwrap();
    assert_eq!((renewed.node, renewed.parent), (foreign, one.id()));
    let row = grid
        .admin
        .get(&format!("/api/v1/resources/{foreign}"))
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (row["row"]["name"].as_str(), row["row"]["element"].as_str()),
        (Some("h1"), Some(one.id().to_string().as_str()))
    );
    grid.stop().await;
}

#[tokio::test]
async fn who_is_revoked_is_cut_and_kept_out() {
    let grid = Grid::start().await;
    let (one, two) = (
        SimElement::join(&grid, "one").await,
        SimElement::join(&grid, "two").await,
    );
    let revoked = grid
        .admin
        .post("/api/v1/nodes/one/revoke", &json!(null))
        .await
        .ok(StatusCode::OK);
    assert_eq!(revoked["revoked"], true);
    one.closed().await;
    let refused = one.open(&grid).await.err().unwrap();
    assert_eq!(refused.code, Code::NodeRevoked, "{refused}");
    // Everybody else is told to refuse it as well.
    let told = two
        .told("the revocation", |desired| !desired.revoked.is_empty())
        .await;
    assert_eq!(told.revoked, [one.id()]);
    let listed = grid
        .admin
        .get("/api/v1/resources?kind=ce")
        .await
        .ok(StatusCode::OK);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    grid.admin
        .post("/api/v1/resources/one/start", &json!(null))
        .await
        .refused(Code::NodeRevoked);
    // It stays so after a restart.
    let grid = grid.restart().await;
    assert_eq!(one.open(&grid).await.err().unwrap().code, Code::NodeRevoked);
    grid.stop().await;
}

#[tokio::test]
async fn a_newer_stream_takes_the_place_of_the_old() {
    let grid = Grid::start().await;
    let mut element = SimElement::join(&grid, "ce").await;
    let old = element.peer().clone();
    element.dial(&grid, "ce").await.unwrap();
    tokio::time::timeout(DEADLINE, old.closed()).await.unwrap();
    let row = &grid
        .admin
        .get("/api/v1/resources/ce")
        .await
        .ok(StatusCode::OK)["row"];
    assert_eq!(row["connected"], true);
    grid.stop().await;
}
