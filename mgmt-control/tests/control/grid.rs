//! A controller for one test, and people who use it.

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use gridmart_control::{Config, ControlError};
use gridmart_fabric::{package::PackageLimits, ready};
use gridmart_schemas::{id::NodeId, problem::Code};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A controller that serves.
pub(crate) struct Grid {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: Config,
    pub(crate) node: NodeId,
    pub(crate) people: String,
    pub(crate) nodes: String,
    pub(crate) admin: Person,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ControlError>>,
}

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct Person {
    client: reqwest::Client,
    base: String,
    pub(crate) token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// Waits for a condition, with a deadline that tells its last state.
pub(crate) async fn wait_for<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    look: impl Fn() -> F,
) -> T {
    let start = Instant::now();
    loop {
        let last = match look().await {
            Ok(value) => return value,
            Err(last) => last,
        };
        assert!(
            start.elapsed() < DEADLINE,
            "{what} did not happen; last: {last}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Grid {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path().join("control"));
        config.people_listen = "127.0.0.1:0".parse().unwrap();
        config.nodes_listen = "127.0.0.1:0".parse().unwrap();
        config.heartbeat_interval = 1;
        change(&mut config);
        Self::open(folder, config).await
    }

    async fn open(folder: tempfile::TempDir, config: Config) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(gridmart_control::run(config.clone(), shutdown.clone()));
        let data = config.data_dir.clone();
        let told = wait_for("ready.json", || async {
            ready::read(&data).unwrap().ok_or("not there".to_owned())
        })
        .await;
        let people = format!("http://{}", told.addresses["people"]);
        let first: Value = read_json(&data.join("first-admin.json"));
        let admin = Person::new(&people, first["token"].as_str());
        let (node, nodes) = (told.node.unwrap(), told.addresses["nodes"].clone());
        Self {
            folder,
            config,
            node,
            people,
            nodes,
            admin,
            shutdown,
            task,
        }
    }

    /// Ends the controller, and says how long that took.
    pub(crate) async fn stop(self) -> (tempfile::TempDir, Config, Duration) {
        let begun = Instant::now();
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        assert!(ready::read(&self.config.data_dir).unwrap().is_none());
        (self.folder, self.config, begun.elapsed())
    }

    pub(crate) async fn restart(self) -> Self {
        let (folder, config, _) = self.stop().await;
        Self::open(folder, config).await
    }

    /// Adds a person with this role, and signs in as them.
    pub(crate) async fn person(&self, name: &str, role: &str) -> Person {
        let body = json!({"name": name, "role": role, "password": "a long password"});
        self.admin
            .post("/api/v1/people", &body)
            .await
            .ok(StatusCode::CREATED);
        let made = self
            .admin
            .post("/api/v1/api-tokens", &json!({"person": name}))
            .await
            .ok(StatusCode::CREATED);
        Person::new(&self.people, made["token"].as_str())
    }

    pub(crate) fn nobody(&self) -> Person {
        Person::new(&self.people, None)
    }

    /// Makes a join token for an Element.
    pub(crate) async fn join_token(
        &self,
        uses: u32,
        expires_in: u64,
    ) -> gridmart_fabric::join::JoinToken {
        let body = json!({"kind": "ce", "domain": "lab", "uses": uses, "expires_in": expires_in});
        let made = self
            .admin
            .post("/api/v1/join-tokens", &body)
            .await
            .ok(StatusCode::CREATED);
        made["token"].as_str().unwrap().parse().unwrap()
    }
}

impl Person {
    pub(crate) fn new(base: &str, token: Option<&str>) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            client,
            base: base.to_owned(),
            token: token.map(str::to_owned),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        kind: &str,
    ) -> Reply {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .timeout(DEADLINE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", kind).body(body);
        }
        let response = request.send().await.unwrap();
        let kind = response
            .headers()
            .get("content-type")
            .map_or("", |kind| kind.to_str().unwrap())
            .to_owned();
        Reply {
            status: response.status(),
            kind,
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Reply {
        self.send(
            method,
            path,
            Some(body.to_string().into_bytes()),
            "application/json",
        )
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::POST, path, body).await
    }

    pub(crate) async fn upload(&self, package: Vec<u8>) -> Reply {
        self.send(
            Method::POST,
            "/api/v1/applications",
            Some(package),
            "application/zstd",
        )
        .await
    }
}

impl Reply {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub(crate) fn ok(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.value()
    }

    /// Asserts a refusal with its code, in the one form that refusals have.
    #[track_caller]
    pub(crate) fn refused(&self, code: Code) -> Value {
        let problem = self.value();
        assert_eq!(
            problem["code"],
            code.as_str(),
            "{} {}",
            self.status,
            self.text
        );
        assert_eq!(self.status.as_u16(), code.status(), "{}", self.text);
        assert_eq!(self.kind, "application/problem+json");
        assert_eq!(problem["type"], format!("urn:gridmart:problem:{code}"));
        assert!(problem["request_id"].is_string(), "{}", self.text);
        assert!(!problem["hint"].as_str().unwrap().is_empty());
        problem
    }
}

/// Gives a command that is not refused.
pub(crate) async fn command(person: &Person, path: &str) -> Value {
    person.post(path, &json!(null)).await.ok(StatusCode::OK)
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A good manifest; `access` goes into its rules, `needs` into its needs.
pub(crate) fn manifest(name: &str, version: &str, needs: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<AEDoc xmlns="urn:gridmart:rdm:1" Version="1">
  <Info><AppName>{name}</AppName><AppVersion>{version}</AppVersion><Kind>task</Kind><Description>A test</Description>
    <Capability><Name>spf</Name><Version>2.1</Version></Capability></Info>
  <Policy/>
  <AccessControlBase><Rule>ALL</Rule></AccessControlBase>
  <Command><Executable>bin/run</Executable></Command>
  <Needs>{needs}</Needs>
</AEDoc>
"#
    )
}

/// A good package.
pub(crate) fn package(name: &str, version: &str, content: &str) -> Vec<u8> {
    package_of(&manifest(name, version, ""), content)
}

pub(crate) fn package_of(manifest: &str, content: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("AEDoc.xml"), manifest).unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(folder.path().join("bin/run"), content).unwrap();
    let mut bytes = Vec::new();
    gridmart_fabric::package::pack(folder.path(), &mut bytes, &PackageLimits::default()).unwrap();
    bytes
}
