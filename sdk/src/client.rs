//! The client: one door to the people's API, and one way into the grid.

use std::{fmt, path::PathBuf, sync::Arc};

use gridmart_schemas::api::person::PersonView;
use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use crate::{
    apps::{Apps, Compute},
    data::Data,
    error::Error,
    grid::Grid,
    http::{Http, Query},
    people::{AccessKeys, ApiTokens, Audit, Nodes, People},
    resources::{
        Activities, Calls, Commands, Explanations, JoinTokens, Resources, SqlSessions, Transfers,
    },
    settings::Settings,
    storage::Storage,
};

/// A client of one controller; clones share connections, tickets and leases.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    http: Http,
    /// Made on the first call: it needs the CA's root, perhaps from the door.
    grid: OnceCell<Arc<Grid>>,
}

impl Client {
    /// Takes the settings from the environment, else from the login file.
    pub fn from_env() -> Result<Self, Error> {
        Self::connect(Settings::from_env()?)
    }

    /// Makes a client; nothing is dialled before it is needed.
    pub fn connect(settings: Settings) -> Result<Self, Error> {
        let http = Http::new(&settings)?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                http,
                grid: OnceCell::new(),
            }),
        })
    }

    /// Tells who asks.
    pub async fn whoami(&self) -> Result<PersonView, Error> {
        self.get("whoami", &[]).await
    }

    /// Gives the CA's root, PEM.
    pub async fn authority(&self) -> Result<String, Error> {
        self.inner.http.authority().await
    }

    /// Gives kept leases back and ends what still runs, within two seconds.
    /// Without it, Elements and Hosts wait out their grace for this client.
    pub async fn close(&self) {
        if let Some(grid) = self.inner.grid.get() {
            grid.close().await;
        }
    }

    /// People and roles.
    pub fn people(&self) -> People {
        People(self.clone())
    }

    /// API tokens.
    pub fn tokens(&self) -> ApiTokens {
        ApiTokens(self.clone())
    }

    /// Access keys for S3.
    pub fn access_keys(&self) -> AccessKeys {
        AccessKeys(self.clone())
    }

    /// Join tokens for nodes.
    pub fn join_tokens(&self) -> JoinTokens {
        JoinTokens(self.clone())
    }

    /// Nodes and their certificates.
    pub fn nodes(&self) -> Nodes {
        Nodes(self.clone())
    }

    /// Elements and Hosts.
    pub fn resources(&self) -> Resources {
        Resources(self.clone())
    }

    /// `start`, `stop`, `kill`.
    pub fn commands(&self) -> Commands {
        Commands(self.clone())
    }

    /// Why?
    pub fn explanations(&self) -> Explanations {
        Explanations(self.clone())
    }

    /// Who did what.
    pub fn audit(&self) -> Audit {
        Audit(self.clone())
    }

    /// Ended calls.
    pub fn calls(&self) -> Calls {
        Calls(self.clone())
    }

    /// What runs and waits now.
    pub fn activities(&self) -> Activities {
        Activities(self.clone())
    }

    /// Who runs SQL statements, or did.
    pub fn sql_sessions(&self) -> SqlSessions {
        SqlSessions(self.clone())
    }

    /// Object bytes that are under way, or were.
    pub fn transfers(&self) -> Transfers {
        Transfers(self.clone())
    }

    /// Applications: list, upload, call, map, logs.
    pub fn apps(&self) -> Apps {
        Apps(self.clone())
    }

    /// Buckets and objects.
    pub fn storage(&self) -> Storage {
        Storage::new(self.clone())
    }

    /// Databases and statements.
    pub fn data(&self) -> Data {
        Data::new(self.clone())
    }

    /// Compute: upload.
    pub fn compute(&self) -> Compute {
        Compute(self.clone())
    }

    pub(crate) fn http(&self) -> &Http {
        &self.inner.http
    }

    pub(crate) async fn get<A: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<A, Error> {
        self.inner
            .http
            .request(Method::GET, path, query, None::<&()>)
            .await
    }

    pub(crate) async fn post<B, A>(
        &self,
        path: &str,
        query: Query<'_>,
        body: &B,
    ) -> Result<A, Error>
    where
        B: Serialize + Sync + ?Sized,
        A: DeserializeOwned,
    {
        // Commands have no body: `()` is sent as none.
        let body = (size_of_val(body) > 0).then_some(body);
        self.inner
            .http
            .request(Method::POST, path, query, body)
            .await
    }

    pub(crate) async fn grid(&self) -> Result<&Arc<Grid>, Error> {
        self.inner
            .grid
            .get_or_try_init(|| async {
                let root = match &self.inner.settings.ca {
                    Some(pem) => pem.clone(),
                    None => self.inner.http.authority().await?,
                };
                Grid::new(self.inner.http.clone(), &root).map(Arc::new)
            })
            .await
    }

    pub(crate) fn uploads_folder(&self) -> Option<PathBuf> {
        self.inner.settings.uploads.clone()
    }

    pub(crate) fn jobs_folder(&self) -> Option<PathBuf> {
        self.inner.settings.jobs.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}
