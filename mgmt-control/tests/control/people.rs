//! People, passwords, tokens, the audit log, start and end.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use gridmart_control::{Config, ControlError};
use gridmart_schemas::problem::Code;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::grid::{Grid, Person, read_json};

#[tokio::test]
async fn the_first_admin_signs_in_with_what_the_file_says() {
    let grid = Grid::start().await;
    let path = grid.config.data_dir.join("first-admin.json");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let first = read_json(&path);
    assert_eq!(first["url"], grid.people);
    let whoami = grid.admin.get("/api/v1/whoami").await.ok(StatusCode::OK);
    assert_eq!(
        (whoami["name"].as_str(), whoami["role"].as_str()),
        (Some("admin"), Some("admin"))
    );
    let body = json!({"name": "admin", "password": first["password"]});
    let made = grid
        .nobody()
        .post("/api/v1/login", &body)
        .await
        .ok(StatusCode::OK);
    let signed_in = Person::new(&grid.people, made["token"].as_str());
    signed_in.get("/api/v1/people").await.ok(StatusCode::OK);
    grid.stop().await;
}

#[tokio::test]
async fn guessing_is_refused_and_slowed_down() {
    let grid = Grid::start().await;
    let nobody = grid.nobody();
    let wrong = json!({"name": "admin", "password": "not the password"});
    for _ in 0..5 {
        nobody
            .post("/api/v1/login", &wrong)
            .await
            .refused(Code::CredentialsRefused);
    }
    nobody
        .post("/api/v1/login", &wrong)
        .await
        .refused(Code::RateLimited);
    let unknown = json!({"name": "nobody", "password": "not the password"});
    let unknown = nobody
        .post("/api/v1/login", &unknown)
        .await
        .refused(Code::CredentialsRefused);
    // It is not told which of the two was wrong.
    assert_eq!(unknown["detail"], "Name or password is wrong.");
    grid.stop().await;
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once() {
    let grid = Grid::start().await;
    let uma = grid.person("uma", "user").await;
    uma.get("/api/v1/whoami").await.ok(StatusCode::OK);
    let admin = &grid.admin;
    let change = |body| async move { admin.json(Method::PATCH, "/api/v1/people/uma", &body).await };
    change(json!({"enabled": false})).await.ok(StatusCode::OK);
    uma.get("/api/v1/whoami")
        .await
        .refused(Code::CredentialsRefused);
    let login = json!({"name": "uma", "password": "a long password"});
    grid.nobody()
        .post("/api/v1/login", &login)
        .await
        .refused(Code::CredentialsRefused);
    change(json!({"enabled": true, "role": "viewer"}))
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        uma.get("/api/v1/whoami").await.ok(StatusCode::OK)["role"],
        "viewer"
    );
    // A new password ends what the old one opened.
    change(json!({"password": "another long one"}))
        .await
        .ok(StatusCode::OK);
    uma.get("/api/v1/whoami")
        .await
        .refused(Code::CredentialsRefused);
    grid.stop().await;
}

#[tokio::test]
async fn people_are_made_once_and_an_admin_stays() {
    let grid = Grid::start().await;
    let admin = &grid.admin;
    grid.person("uma", "user").await;
    let again = json!({"name": "uma", "role": "user", "password": "a long password"});
    admin
        .post("/api/v1/people", &again)
        .await
        .refused(Code::AlreadyExists);
    let short = json!({"name": "shorty", "role": "user", "password": "short"});
    admin
        .post("/api/v1/people", &short)
        .await
        .refused(Code::InvalidRequest);
    for change in [json!({"role": "user"}), json!({"enabled": false})] {
        admin
            .json(Method::PATCH, "/api/v1/people/admin", &change)
            .await
            .refused(Code::InvalidRequest);
    }
    admin
        .json(Method::PATCH, "/api/v1/people/nobody", &json!({}))
        .await
        .refused(Code::NotFound);
    let listed = admin.get("/api/v1/people?limit=1").await.ok(StatusCode::OK);
    assert_eq!(
        (
            listed["items"].as_array().unwrap().len(),
            listed["next"].as_str()
        ),
        (1, Some("admin"))
    );
    let rest = admin
        .get("/api/v1/people?after=admin")
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (rest["items"][0]["name"].as_str(), rest.get("next")),
        (Some("uma"), None)
    );
    assert!(!admin.get("/api/v1/people").await.text.contains("argon2"));
    grid.stop().await;
}

#[tokio::test]
async fn tokens_are_ones_own() {
    let grid = Grid::start().await;
    let (uma, udo) = (
        grid.person("uma", "user").await,
        grid.person("udo", "user").await,
    );
    let made = uma
        .post(
            "/api/v1/api-tokens",
            &json!({"label": "ci", "expires_in": 60}),
        )
        .await
        .ok(StatusCode::CREATED);
    let second = Person::new(&grid.people, made["token"].as_str());
    second.get("/api/v1/whoami").await.ok(StatusCode::OK);
    let rows = uma.get("/api/v1/api-tokens").await.ok(StatusCode::OK);
    assert_eq!(rows["items"].as_array().unwrap().len(), 2);
    let path = format!("/api/v1/api-tokens/{}", made["id"].as_str().unwrap());
    udo.send(Method::DELETE, &path, None, "")
        .await
        .refused(Code::NotFound);
    second.get("/api/v1/whoami").await.ok(StatusCode::OK);
    assert_eq!(
        uma.send(Method::DELETE, &path, None, "").await.status,
        StatusCode::NO_CONTENT
    );
    second
        .get("/api/v1/whoami")
        .await
        .refused(Code::CredentialsRefused);
    udo.post("/api/v1/api-tokens", &json!({"person": "uma"}))
        .await
        .refused(Code::NotAuthorized);
    for life in [0, 400 * 24 * 3600] {
        uma.post("/api/v1/api-tokens", &json!({"expires_in": life}))
            .await
            .refused(Code::InvalidRequest);
    }
    // A changed secret is no secret.
    let forged = Person::new(
        &grid.people,
        Some(&format!("{}x", uma.token.as_ref().unwrap())),
    );
    forged
        .get("/api/v1/whoami")
        .await
        .refused(Code::CredentialsRefused);
    grid.stop().await;
}

#[tokio::test]
async fn the_audit_log_tells_acts_and_no_secrets() {
    let grid = Grid::start().await;
    grid.person("uma", "user").await;
    let again = json!({"name": "uma", "role": "user", "password": "a long password"});
    let refused = grid
        .admin
        .post("/api/v1/people", &again)
        .await
        .refused(Code::AlreadyExists);
    let log = grid.admin.get("/api/v1/audit").await.ok(StatusCode::OK);
    let rows = log["items"].as_array().unwrap();
    assert_eq!(rows[0]["result"], "already-exists");
    assert_eq!(rows[0]["request_id"], refused["request_id"]);
    assert_eq!(
        (rows[1]["action"].as_str(), rows[1]["result"].as_str()),
        (Some("api-token.create"), Some("done"))
    );
    assert_eq!(
        (rows[2]["action"].as_str(), rows[2]["actor"].as_str()),
        (Some("person.create"), Some("admin"))
    );
    let numbers: Vec<u64> = rows
        .iter()
        .map(|row| row["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=rows.len() as u64).rev().collect::<Vec<_>>());
    assert!(!log.to_string().contains("a long password") && !log.to_string().contains("gmt1."));
    let page = grid
        .admin
        .get("/api/v1/audit?limit=1")
        .await
        .ok(StatusCode::OK);
    let next = page["next"].as_str().unwrap();
    let older = grid
        .admin
        .get(&format!("/api/v1/audit?limit=1&after={next}"))
        .await
        .ok(StatusCode::OK);
    assert_eq!(older["items"][0], rows[1]);
    grid.stop().await;
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with() {
    let grid = Grid::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let id = "0192f0c1-2345-7890-abcd-ef0123456789";
    for (sent, kept) in [(id, true), ("not a uuid", false)] {
        let request = client
            .get(format!("{}/api/v1/whoami", grid.people))
            .header("x-request-id", sent);
        let response = request.send().await.unwrap();
        let echoed = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(echoed == sent, kept);
        let problem: serde_json::Value =
            serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(problem["request_id"], echoed);
    }
    grid.stop().await;
}

#[tokio::test]
async fn everything_is_found_again_after_a_restart() {
    let grid = Grid::start().await;
    let uma = grid.person("uma", "user").await;
    let (node, root) = (grid.node, grid.admin.get("/api/v1/authority").await.text);
    let grid = grid.restart().await;
    assert_eq!(
        (grid.node, grid.admin.get("/api/v1/authority").await.text),
        (node, root)
    );
    // The port is another one; the file says so.
    assert_eq!(
        read_json(&grid.config.data_dir.join("first-admin.json"))["url"],
        grid.people
    );
    let uma = Person::new(&grid.people, uma.token.as_deref());
    assert_eq!(
        uma.get("/api/v1/whoami").await.ok(StatusCode::OK)["name"],
        "uma"
    );
    let (_folder, _, took) = grid.stop().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn one_data_folder_serves_one_process() {
    let grid = Grid::start().await;
    let second = gridmart_control::run(grid.config.clone(), CancellationToken::new()).await;
    assert!(matches!(second, Err(ControlError::Lock(_))), "{second:?}");
    grid.admin.get("/api/v1/whoami").await.ok(StatusCode::OK);
    grid.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let grid = Grid::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.people_listen = grid.people.trim_start_matches("http://").parse().unwrap();
    let error = gridmart_control::run(config, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is it taken"), "{error}");
    grid.stop().await;
}

#[tokio::test]
async fn with_tls_people_pin_the_root() {
    let grid =
        Grid::start_with(|config| config.people_tls = gridmart_control::PeopleTls::Always).await;
    let url = grid.people.replace("http://", "https://");
    let nodes_root =
        std::fs::read_to_string(grid.config.data_dir.join("authority/root.pem")).unwrap();
    let root = reqwest::Certificate::from_pem(nodes_root.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let response = client
        .get(format!("{url}/api/v1/whoami"))
        .bearer_auth(grid.admin.token.as_ref().unwrap());
    assert_eq!(response.send().await.unwrap().status(), StatusCode::OK);
    let session = client
        .post(format!("{url}/api/v1/session"))
        .json(&json!({"token": grid.admin.token}));
    let session = session.send().await.unwrap();
    let cookie = session.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-gridmart_session=gms1.") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(stranger.get(format!("{url}/healthz")).send().await.is_err());
    assert!(
        stranger
            .get(format!("{}/healthz", grid.people))
            .send()
            .await
            .is_err()
    );
    assert!(
        read_json(&grid.config.data_dir.join("first-admin.json"))["url"]
            .as_str()
            .unwrap()
            .starts_with("https://")
    );
    grid.stop().await;
}
