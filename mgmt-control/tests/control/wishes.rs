//! What should be: commands, deployment, access; across Elements that
//! come and go.

use gridmart_fabric::{door, ticket::VerifyingKeys};
use gridmart_schemas::{
    id::{Digest, KeyHash},
    problem::Code,
    role::{Desired, NodeKind},
    wire::{control_element::Deployment, desired::ElementDesired},
};
use reqwest::StatusCode;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    element::{SimElement, host},
    grid::{Grid, Person, command, manifest, package, package_of, wait_for},
};

fn presenter() -> KeyHash {
    "ab".repeat(32).parse().unwrap()
}

async fn access(person: &Person, application: &str, needs: &[&str]) -> crate::grid::Reply {
    let body = json!({"application": application, "needs": needs, "presenter": presenter()});
    person.post("/api/v1/access/applications", &body).await
}

#[tokio::test]
async fn commands_are_applied_once() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let stopped = command(&grid.admin, "/api/v1/resources/ce/stop").await;
    assert_eq!(
        (
            stopped["status"].as_str(),
            stopped["wish"]["desired"].as_str()
        ),
        (Some("applied"), Some("closed"))
    );
    assert_eq!(
        command(&grid.admin, "/api/v1/resources/ce/stop").await,
        stopped
    );
    let killed = command(&grid.admin, "/api/v1/resources/ce/kill").await;
    assert!(killed["wish"]["cut_epoch"].as_u64() > stopped["wish"]["cut_epoch"].as_u64());
    assert_eq!(
        command(&grid.admin, "/api/v1/resources/ce/kill").await,
        killed
    );
    let id = element.id().to_string();
    let started = command(&grid.admin, &format!("/api/v1/resources/{id}/start")).await;
    assert_eq!(started["wish"]["cut_epoch"], killed["wish"]["cut_epoch"]);
    assert_eq!(
        command(
            &grid.admin,
            &format!("/api/v1/resources/{}/start", &id[..23])
        )
        .await,
        started
    );
    let told = element.mind.desires.lock().last().unwrap().wish;
    assert_eq!(
        (told.desired, Some(told.generation)),
        (Desired::Production, started["wish"]["generation"].as_u64())
    );
    grid.stop().await;
}

#[tokio::test]
async fn what_is_given_while_a_node_is_away_is_applied_when_it_returns() {
    let grid = Grid::start().await;
    let mut element = SimElement::join(&grid, "ce").await;
    element.peer().close();
    element.closed().await;
    wait_for("the end of the stream", || async {
        let row = grid
            .admin
            .get("/api/v1/resources/ce")
            .await
            .ok(StatusCode::OK)["row"]
            .clone();
        if row["connected"] == false {
            Ok(())
        } else {
            Err(row.to_string())
        }
    })
    .await;
    let killed = command(&grid.admin, "/api/v1/resources/ce/kill").await;
    assert_eq!(
        (killed["status"].as_str(), &killed["waiting_for"]),
        (Some("pending"), &json!(["ce"]))
    );
    let started = command(&grid.admin, "/api/v1/resources/ce/start").await;
    assert_eq!(started["status"], "pending");
    let row = grid
        .admin
        .get("/api/v1/resources/ce")
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (
            row["row"]["pending"].as_bool(),
            row["row"].get("free_slots")
        ),
        (Some(true), None)
    );
    // Over a restart of the controller as well.
    let grid = grid.restart().await;
    element.dial(&grid, "ce").await.unwrap();
    let wish = element.welcome.as_ref().unwrap().desired.wish;
    assert_eq!(wish.desired, Desired::Production);
    assert_eq!(
        Some(wish.cut_epoch),
        killed["wish"]["cut_epoch"].as_u64(),
        "the kill was forgotten"
    );
    element
        .told("the wish", |desired| desired.wish == wish)
        .await;
    wait_for("applied", || async {
        let row = grid
            .admin
            .get("/api/v1/resources/ce")
            .await
            .ok(StatusCode::OK)["row"]
            .clone();
        if row["pending"] == false {
            Ok(())
        } else {
            Err(row.to_string())
        }
    })
    .await;
    grid.stop().await;
}

#[tokio::test]
async fn a_host_is_commanded_through_its_element() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let id = element.hosts[0];
    let waiting = command(&grid.admin, "/api/v1/resources/h1/stop").await;
    assert_eq!(
        (waiting["status"].as_str(), &waiting["waiting_for"]),
        (Some("pending"), &json!(["h1"]))
    );
    let generation = waiting["wish"]["generation"].as_u64().unwrap();
    let told = element
        .told("the Host's wish", |desired| !desired.hosts.is_empty())
        .await;
    assert_eq!(
        (told.hosts[0].host, told.hosts[0].wish.desired),
        (id, Desired::Closed)
    );
    element
        .tell_host(host(id, element.id(), "h1", generation))
        .await;
    wait_for("applied", || async {
        let again = command(&grid.admin, "/api/v1/resources/h1/stop").await;
        if again["status"] == "applied" {
            Ok(())
        } else {
            Err(again.to_string())
        }
    })
    .await;
    let view = grid
        .admin
        .get("/api/v1/resources/h1")
        .await
        .ok(StatusCode::OK);
    assert_eq!(view["applied_generation"], generation);
    assert_eq!(view["description"]["compute_host"]["info"]["name"], "h1");
    let xml = grid.admin.get("/api/v1/resources/h1/xml").await;
    assert!(
        xml.text.contains("<ComputeHost") && xml.text.contains("<Name>h1</Name>"),
        "{}",
        xml.text
    );
    let rows = grid
        .admin
        .get("/api/v1/resources?kind=chost")
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (
            rows["items"][0]["free_slots"].as_u64(),
            &rows["items"][0]["desired"]
        ),
        (Some(2), &json!("closed"))
    );
    grid.stop().await;
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_blake3(*blake3::hash(bytes).as_bytes())
}

fn holds(digest: &Digest) -> impl Fn(&ElementDesired) -> bool {
    move |desired| {
        desired
            .applications
            .iter()
            .any(|wish| wish.digest == *digest)
    }
}

#[tokio::test]
async fn an_application_reaches_the_elements_that_fit_and_is_called_there() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let bytes = package("spf", "1.0", "one");
    grid.admin
        .upload(bytes.clone())
        .await
        .ok(StatusCode::CREATED);
    let big = package_of(
        &manifest(
            "big",
            "1.0",
            "<IndividualPhysicalMemory><LowerBoundedRange>99999999999999</LowerBoundedRange></IndividualPhysicalMemory>",
        ),
        "x",
    );
    grid.admin.upload(big.clone()).await.ok(StatusCode::CREATED);
    let digest = digest_of(&bytes);
    let told = element.told("the application", holds(&digest)).await;
    assert!(!holds(&digest_of(&big))(&told));
    // The Element pulls the package, byte for byte.
    let (endpoints, expected) = ([grid.nodes.clone()], (grid.node, NodeKind::Control));
    let path = format!("/v1/packages/{}", digest.hex());
    let mut fetched = door::fetch(&endpoints, expected, &element.tls(), &path)
        .await
        .unwrap();
    let mut pulled = Vec::new();
    while let Some(chunk) = fetched.chunk().await.unwrap() {
        pulled.extend_from_slice(&chunk);
    }
    assert_eq!(pulled, bytes);
    // A user is sent there, with a ticket that the Element can verify offline.
    let uma = grid.person("uma", "user").await;
    let decision = access(&uma, "spf", &["memory>=1GiB"])
        .await
        .ok(StatusCode::OK);
    assert_eq!(decision["elements"][0]["element"], element.id().to_string());
    assert_eq!(decision["application"]["digest"], digest.to_string());
    let mut keys = VerifyingKeys::default();
    for pem in element.welcome.as_ref().unwrap().ticket_keys.values() {
        keys.insert(grid.node, pem).unwrap();
    }
    let ticket = decision["elements"][0]["ticket"].as_str().unwrap();
    let now = OffsetDateTime::now_utc();
    let claims = keys
        .verify_access(ticket, element.id(), &presenter(), now)
        .unwrap();
    assert_eq!(
        (claims.sub.as_str(), claims.application.unwrap().digest),
        ("uma", digest)
    );
    let other = "cd".repeat(32).parse().unwrap();
    assert_eq!(
        keys.verify_access(ticket, element.id(), &other, now)
            .unwrap_err()
            .code,
        Code::TicketKeyMismatch
    );
    // Why here? The very reasons, for the asker and for operators.
    let request = decision["request_id"].as_str().unwrap();
    let why = uma
        .get(&format!("/api/v1/explanations/{request}"))
        .await
        .ok(StatusCode::OK);
    assert_eq!(why, decision["explanation"]);
    grid.person("udo", "user")
        .await
        .get(&format!("/api/v1/explanations/{request}"))
        .await
        .refused(Code::NotFound);
    assert_eq!(
        grid.admin
            .get(&format!("/api/v1/explanations/{request}"))
            .await
            .ok(StatusCode::OK),
        why
    );
    // Why not? Named, and kept as well.
    let refusal = access(&uma, "big", &[]).await.refused(Code::NeedUnmet);
    assert!(
        refusal["detail"]
            .as_str()
            .unwrap()
            .contains("memory: needed at least 90"),
        "{refusal}"
    );
    let request = refusal["request_id"].as_str().unwrap();
    assert_eq!(
        uma.get(&format!("/api/v1/explanations/{request}"))
            .await
            .ok(StatusCode::OK),
        refusal["explanation"]
    );
    access(&uma, "spf", &["color=red"])
        .await
        .refused(Code::InvalidRequest);
    let compute = json!({"needs": ["cpus>=2"], "presenter": presenter()});
    uma.post("/api/v1/access/compute", &compute)
        .await
        .ok(StatusCode::OK);
    grid.stop().await;
}

#[tokio::test]
async fn an_application_is_stopped_everywhere_or_on_one_host() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let id = element.hosts[0];
    let bytes = package("spf", "1.0", "one");
    grid.admin
        .upload(bytes.clone())
        .await
        .ok(StatusCode::CREATED);
    let digest = digest_of(&bytes);
    let on_host = command(&grid.admin, "/api/v1/applications/spf/kill?host=h1").await;
    let told = element
        .told("the Host's own wish", |desired| {
            desired
                .hosts
                .iter()
                .any(|host| !host.applications.is_empty())
        })
        .await;
    let apart = told.hosts[0].applications[0].wish;
    assert_eq!(
        (apart.desired, Some(apart.cut_epoch)),
        (Desired::Closed, on_host["wish"]["cut_epoch"].as_u64())
    );
    access(&grid.admin, "spf", &[])
        .await
        .refused(Code::NotAccepting);
    // Starting the whole application starts it there too, and the newest wish
    // still carries the cut.
    let started = command(&grid.admin, "/api/v1/applications/spf/start?version=1.0").await;
    assert_eq!(started["wish"]["desired"], "production");
    let told = element
        .told("the start", |desired| {
            desired.hosts[0].applications[0].wish.desired == Desired::Production
        })
        .await;
    let after = told.hosts[0].applications[0].wish;
    assert_eq!(after.cut_epoch, apart.cut_epoch);
    assert!(after.generation > told.applications[0].wish.generation);
    access(&grid.admin, "spf", &[]).await.ok(StatusCode::OK);
    // A Host that holds it has to say that it has applied the stop.
    let mut summary = host(id, element.id(), "h1", 0);
    summary.deployments.push(Deployment {
        digest: digest.clone(),
        state: "installedverified".to_owned(),
        generation: 0,
        serving: Desired::Production,
        reason: None,
    });
    element.tell_host(summary.clone()).await;
    let shown = || async {
        grid.admin
            .get("/api/v1/applications/spf")
            .await
            .ok(StatusCode::OK)["items"][0]
            .clone()
    };
    wait_for("the deployment", || async {
        let view = shown().await;
        if view["deployments"][0]["state"] == "installedverified" {
            Ok(())
        } else {
            Err(view.to_string())
        }
    })
    .await;
    let stopped = command(&grid.admin, "/api/v1/applications/spf/stop").await;
    assert_eq!(
        (stopped["status"].as_str(), &stopped["waiting_for"]),
        (Some("pending"), &json!(["h1"]))
    );
    summary.deployments[0].generation = u64::MAX >> 1;
    element.tell_host(summary).await;
    wait_for("applied", || async {
        let again = command(&grid.admin, "/api/v1/applications/spf/stop").await;
        if again["status"] == "applied" {
            Ok(())
        } else {
            Err(again.to_string())
        }
    })
    .await;
    access(&grid.admin, "spf", &[])
        .await
        .refused(Code::NotAccepting);
    grid.stop().await;
}

#[tokio::test]
async fn an_element_that_does_not_record_is_asked_again() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    *element.mind.mute.lock() = true;
    let waiting = command(&grid.admin, "/api/v1/resources/ce/stop").await;
    assert_eq!(waiting["status"], "pending");
    let tasks = grid.admin.get("/api/v1/tasks").await.ok(StatusCode::OK);
    let sync = tasks["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "element_sync")
        .unwrap();
    assert!(
        sync["last_error"].as_str().unwrap().contains("not now"),
        "{sync}"
    );
    *element.mind.mute.lock() = false;
    wait_for("applied", || async {
        let again = command(&grid.admin, "/api/v1/resources/ce/stop").await;
        if again["status"] == "applied" {
            Ok(())
        } else {
            Err(again.to_string())
        }
    })
    .await;
    grid.stop().await;
}
