//! The API document is a file in the tree, and every endpoint stands in the
//! authorisation table.

use std::{collections::BTreeSet, path::Path};

use gridmart_control::edge::{
    self,
    authorization::{Access, TABLE},
};
use gridmart_schemas::{problem::Code, role::Role};
use reqwest::Method;
use serde_json::{Value, json};

use crate::grid::Grid;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn endpoints() -> BTreeSet<(String, String)> {
    let document: Value = serde_json::to_value(edge::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[test]
fn the_document_in_the_tree_is_the_one_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut text = edge::openapi().to_pretty_json().unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_CONTRACTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == text,
        "openapi.json is not what the code makes; UPDATE_CONTRACTS=1 writes it anew"
    );
}

#[test]
fn references_in_the_document_lead_somewhere() {
    let document: Value = serde_json::to_value(edge::openapi()).unwrap();
    let text = document.to_string();
    for reference in text
        .split("\"$ref\":\"#")
        .skip(1)
        .map(|rest| &rest[..rest.find('"').unwrap()])
    {
        assert!(
            document.pointer(reference).is_some(),
            "{reference} leads nowhere"
        );
    }
}

#[test]
fn the_document_names_values_as_they_travel() {
    let document: Value = serde_json::to_value(edge::openapi()).unwrap();
    let values = |name: &str| document["components"]["schemas"][name]["enum"].clone();
    let kinds = json!(["control", "ce", "chost", "se", "shost", "de", "dhost"]);
    assert_eq!(values("NodeKind"), kinds);
    for (name, value) in [
        ("Role", "admin"),
        ("Condition", "away"),
        ("Severity", "critical"),
    ] {
        let listed = values(name);
        let listed = listed.as_array().unwrap();
        assert!(listed.iter().any(|one| one == value), "{name}: {listed:?}");
    }
}

#[test]
fn every_endpoint_stands_in_the_table() {
    let table: BTreeSet<(String, String)> = TABLE
        .iter()
        .map(|row| (row.method.to_owned(), row.path.to_owned()))
        .collect();
    assert_eq!(table.len(), TABLE.len(), "a row stands twice");
    assert_eq!(endpoints(), table);
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_or_with_too_low_a_role() {
    let grid = Grid::start().await;
    let people = [
        (Role::Viewer, grid.person("vera", "viewer").await),
        (Role::User, grid.person("uma", "user").await),
        (Role::Developer, grid.person("dora", "developer").await),
        (Role::Operator, grid.person("otto", "operator").await),
    ];
    let nobody = grid.nobody();
    let mut stranger = grid.nobody();
    stranger.token = Some("gmt1.00000000-0000-0000-0000-000000000000.x".to_owned());
    for row in TABLE {
        let method = Method::from_bytes(row.method.as_bytes()).unwrap();
        let path = row
            .path
            .replace("{id}", "00000000-0000-0000-0000-000000000000")
            .replace("{name}", "nothing");
        let Access::From(least) = row.access else {
            continue;
        };
        nobody
            .json(method.clone(), &path, &json!({}))
            .await
            .refused(Code::Unauthenticated);
        stranger
            .json(method.clone(), &path, &json!({}))
            .await
            .refused(Code::CredentialsRefused);
        for (role, person) in &people {
            let reply = person.json(method.clone(), &path, &json!({})).await;
            if *role > least {
                reply.refused(Code::NotAuthorized);
            } else {
                assert!(
                    !matches!(reply.status.as_u16(), 401 | 403),
                    "{} as {role}: {}",
                    row.action,
                    reply.text
                );
            }
        }
    }
    grid.stop().await;
}

#[tokio::test]
async fn every_refusal_has_one_form() {
    let grid = Grid::start().await;
    let admin = &grid.admin;
    admin.get("/api/v1/nothing").await.refused(Code::NotFound);
    admin
        .send(Method::PUT, "/api/v1/people", None, "")
        .await
        .refused(Code::NotFound);
    admin
        .get("/api/v1/people?color=red")
        .await
        .refused(Code::InvalidRequest);
    admin
        .get("/api/v1/resources?kind=spoon")
        .await
        .refused(Code::InvalidRequest);
    admin
        .post("/api/v1/people", &json!({"name": "x", "role": "user"}))
        .await
        .refused(Code::InvalidRequest);
    let extra = json!({"name": "x", "role": "user", "password": "a long password", "admin": true});
    admin
        .post("/api/v1/people", &extra)
        .await
        .refused(Code::InvalidRequest);
    admin
        .send(
            Method::POST,
            "/api/v1/people",
            Some(b"{".to_vec()),
            "application/json",
        )
        .await
        .refused(Code::InvalidRequest);
    admin
        .send(
            Method::POST,
            "/api/v1/people",
            Some(b"{}".to_vec()),
            "text/plain",
        )
        .await
        .refused(Code::InvalidRequest);
    let endless = json!({"name": "x", "role": "user", "password": "x".repeat(100_000)});
    admin
        .post("/api/v1/people", &endless)
        .await
        .refused(Code::TooLarge);
    admin
        .json(Method::PATCH, "/api/v1/people/Not%20A%20Name", &json!({}))
        .await
        .refused(Code::InvalidRequest);
    admin
        .post("/api/v1/calls/nonsense/kill", &json!(null))
        .await
        .refused(Code::InvalidRequest);
    admin
        .get("/api/v1/audit?after=x")
        .await
        .refused(Code::InvalidRequest);
    grid.stop().await;
}

#[tokio::test]
async fn what_is_public_answers_everybody() {
    let grid = Grid::start().await;
    let nobody = grid.nobody();
    assert_eq!(nobody.get("/healthz").await.status, 204);
    assert_eq!(nobody.get("/readyz").await.status, 204);
    assert!(
        nobody
            .get("/api/v1/authority")
            .await
            .text
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    let document = nobody
        .get("/openapi.json")
        .await
        .ok(reqwest::StatusCode::OK);
    assert_eq!(document["info"]["title"], "gridmart");
    let metrics = grid.admin.get("/metrics").await;
    assert!(
        metrics.text.contains("gridmart_requests_total"),
        "{}",
        metrics.text
    );
    grid.stop().await;
}
