//! The first admin's hand: join tokens for the roles that have not joined yet,
//! and for machines to come.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use gridmart_schemas::{
    api::{
        access_key::{AccessKeyCreate, AccessKeyMade},
        join_token::{JoinTokenRequest, JoinTokenView},
    },
    id::NodeId,
    role::NodeKind,
};
use gridmart_sdk::{Client, Error, Settings};
use serde::Deserialize;
use tokio::time::Instant;

use crate::failure::Failure;

/// File of the controller with the first admin's secrets.
pub(crate) const FIRST_ADMIN_FILE: &str = "first-admin.json";
/// How long a role that has just started may take to be reached by another.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Pause between two looks.
const CONNECT_POLL: Duration = Duration::from_millis(20);
/// Seconds that a token for a role of our own serves.
const OWN_TOKEN_SECONDS: u64 = 600;
/// Seconds that the token of the printed line serves.
const PRINTED_TOKEN_SECONDS: u64 = 24 * 3600;
/// Machines that the printed line joins.
const PRINTED_TOKEN_USES: u32 = 100;

/// What the controller wrote for its first admin.
#[derive(Deserialize)]
pub(crate) struct FirstAdmin {
    /// The people's door.
    pub(crate) url: String,
    /// An API token.
    pub(crate) token: String,
}

impl FirstAdmin {
    /// Reads it from the controller's data folder.
    pub(crate) fn read(control_folder: &Path) -> Result<Self, Failure> {
        let path = control_folder.join(FIRST_ADMIN_FILE);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("the first admin's file {} cannot be read", path.display()))?;
        Ok(serde_json::from_str(&text)
            .with_context(|| format!("the first admin's file {} is damaged", path.display()))?)
    }
}

/// The API as the first admin uses it.
#[derive(Debug)]
pub(crate) struct Admin {
    /// The people's door.
    pub(crate) url: String,
    /// The client.
    pub(crate) client: Client,
}

impl Admin {
    /// Speaks to the controller whose data folder this is.
    pub(crate) fn new(control_folder: &Path) -> Result<Self, Failure> {
        let FirstAdmin { url, token } = FirstAdmin::read(control_folder)?;
        Ok(Self {
            client: Client::connect(Settings::new(&url, token))?,
            url,
        })
    }

    /// Makes the token with which an Element joins.
    pub(crate) async fn element_token(
        &self,
        kind: NodeKind,
        domain: &str,
    ) -> Result<String, Failure> {
        let request = JoinTokenRequest {
            kind,
            domain: Some(domain.to_owned()),
            element: None,
            uses: 1,
            expires_in: OWN_TOKEN_SECONDS,
            label: "gridmart up".to_owned(),
        };
        Ok(self.token(&request).await?.token)
    }

    /// Makes one token with which our own new Hosts join.
    pub(crate) async fn own_hosts_token(
        &self,
        kind: NodeKind,
        element: NodeId,
        uses: u32,
    ) -> Result<String, Failure> {
        Ok(self
            .token(&host_request(
                kind,
                element,
                uses,
                OWN_TOKEN_SECONDS,
                "gridmart up",
            ))
            .await?
            .token)
    }

    /// Makes the token of the line that joins other machines.
    pub(crate) async fn printed_token(&self, element: NodeId) -> Result<String, Failure> {
        let request = host_request(
            NodeKind::ComputeHost,
            element,
            PRINTED_TOKEN_USES,
            PRINTED_TOKEN_SECONDS,
            "printed by gridmart up",
        );
        Ok(self.token(&request).await?.token)
    }

    /// Makes an access key for S3 or PostgreSQL's protocol; an Element that has just
    /// started may not serve yet.
    pub(crate) async fn access_key(&self, element: &str) -> Result<AccessKeyMade, Failure> {
        let wanted = AccessKeyCreate {
            label: "gridmart up".to_owned(),
        };
        let keys = self.client.access_keys();
        let deadline = Instant::now() + CONNECT_MAX;
        loop {
            match keys.create(Some(element), &wanted).await {
                Err(error) if error.retryable() && Instant::now() < deadline => {
                    tokio::time::sleep(CONNECT_POLL).await;
                }
                result => return Ok(result?),
            }
        }
    }

    /// Waits until these Hosts and Elements are connected; gives what is missing.
    pub(crate) async fn connected(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        let deadline = Instant::now() + CONNECT_MAX;
        loop {
            let rows = self.client.resources().list(None).await?;
            let missing: Vec<String> = names
                .iter()
                .filter(|name| !rows.iter().any(|row| row.name == **name && row.connected))
                .cloned()
                .collect();
            if missing.is_empty() || Instant::now() >= deadline {
                return Ok(missing);
            }
            tokio::time::sleep(CONNECT_POLL).await;
        }
    }

    /// An Element that has just joined may not be connected yet, so what may
    /// succeed later is tried again.
    async fn token(&self, request: &JoinTokenRequest) -> Result<JoinTokenView, Error> {
        let deadline = Instant::now() + CONNECT_MAX;
        loop {
            match self.client.join_tokens().create(request).await {
                Err(error) if error.retryable() && Instant::now() < deadline => {
                    tokio::time::sleep(CONNECT_POLL).await;
                }
                result => return result,
            }
        }
    }
}

fn host_request(
    kind: NodeKind,
    element: NodeId,
    uses: u32,
    expires_in: u64,
    label: &str,
) -> JoinTokenRequest {
    JoinTokenRequest {
        kind,
        domain: None,
        element: Some(element.to_string()),
        uses,
        expires_in,
        label: label.to_owned(),
    }
}
