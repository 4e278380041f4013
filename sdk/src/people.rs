//! People, their API tokens, nodes' certificates and the audit log: thin typed
//! calls to the people's API.

use gridmart_schemas::{
    api::{
        Page,
        access_key::{AccessKeyCreate, AccessKeyMade, AccessKeysView},
        audit::AuditRow,
        join_token::NodeRow,
        person::{
            ApiTokenCreate, ApiTokenMade, ApiTokenRow, PersonChange, PersonCreate, PersonView,
        },
    },
    id::{NodeId, PersonName, TokenId},
};
use reqwest::Method;

use crate::{client::Client, error::Error, http::Query};

/// A listing is read to at most so many pages.
const PAGES_MAX: usize = 1000;

/// Reads all pages of a listing, `limit` rows at most.
pub(crate) async fn all_pages<T: serde::de::DeserializeOwned>(
    client: &Client,
    path: &str,
    query: Query<'_>,
    limit: Option<usize>,
) -> Result<Vec<T>, Error> {
    let mut rows: Vec<T> = Vec::new();
    let mut after = None;
    let limit = limit.unwrap_or(usize::MAX);
    for _ in 0..PAGES_MAX {
        let mut query = query.to_vec();
        query.push(("after", after));
        if limit < usize::MAX {
            query.push(("limit", Some((limit - rows.len()).to_string())));
        }
        let page: Page<T> = client.get(path, &query).await?;
        rows.extend(page.items);
        after = page.next;
        if after.is_none() || rows.len() >= limit {
            break;
        }
    }
    rows.truncate(limit);
    Ok(rows)
}

/// `client.people()`.
#[derive(Clone, Debug)]
pub struct People(pub(crate) Client);

impl People {
    /// Lists everybody.
    pub async fn list(&self) -> Result<Vec<PersonView>, Error> {
        all_pages(&self.0, "people", &[], None).await
    }

    /// Makes a person.
    pub async fn create(&self, person: &PersonCreate) -> Result<PersonView, Error> {
        self.0.post("people", &[], person).await
    }

    /// Changes role, password or whether they may sign in.
    pub async fn change(
        &self,
        name: &PersonName,
        change: &PersonChange,
    ) -> Result<PersonView, Error> {
        self.0
            .http()
            .request(Method::PATCH, &format!("people/{name}"), &[], Some(change))
            .await
    }
}

/// `client.tokens()`: API tokens.
#[derive(Clone, Debug)]
pub struct ApiTokens(pub(crate) Client);

impl ApiTokens {
    /// Makes a token; it is shown this once.
    pub async fn create(&self, wanted: &ApiTokenCreate) -> Result<ApiTokenMade, Error> {
        self.0.post("api-tokens", &[], wanted).await
    }

    /// Lists tokens, without their secrets.
    pub async fn list(&self) -> Result<Vec<ApiTokenRow>, Error> {
        all_pages(&self.0, "api-tokens", &[], None).await
    }

    /// Makes a token worthless at once.
    pub async fn delete(&self, id: TokenId) -> Result<(), Error> {
        let _: serde_json::Value = self
            .0
            .http()
            .request(
                Method::DELETE,
                &format!("api-tokens/{id}"),
                &[],
                None::<&()>,
            )
            .await?;
        Ok(())
    }
}

/// `client.access_keys()`: one's own keys for S3, at Storage Elements.
#[derive(Clone, Debug)]
pub struct AccessKeys(pub(crate) Client);

impl AccessKeys {
    /// Makes a key at an Element, or at the only one; its secret is shown this
    /// once.
    pub async fn create(
        &self,
        element: Option<&str>,
        wanted: &AccessKeyCreate,
    ) -> Result<AccessKeyMade, Error> {
        let query = [("element", element.map(str::to_owned))];
        self.0.post("access-keys", &query, wanted).await
    }

    /// Lists keys, without their secrets.
    pub async fn list(&self, element: Option<&str>) -> Result<AccessKeysView, Error> {
        let query = [("element", element.map(str::to_owned))];
        self.0.get("access-keys", &query).await
    }

    /// Makes a key worthless at once.
    pub async fn delete(&self, id: &str, element: Option<&str>) -> Result<(), Error> {
        let query = [("element", element.map(str::to_owned))];
        let path = format!("access-keys/{id}");
        let http = self.0.http();
        let _: serde_json::Value = http
            .request(Method::DELETE, &path, &query, None::<&()>)
            .await?;
        Ok(())
    }
}

/// `client.nodes()`: certificates.
#[derive(Clone, Debug)]
pub struct Nodes(pub(crate) Client);

impl Nodes {
    /// Lists all nodes that ever joined.
    pub async fn list(&self) -> Result<Vec<NodeRow>, Error> {
        all_pages(&self.0, "nodes", &[], None).await
    }

    /// Refuses a node's certificate everywhere.
    pub async fn revoke(&self, id: NodeId) -> Result<NodeRow, Error> {
        self.0.post(&format!("nodes/{id}/revoke"), &[], &()).await
    }
}

/// `client.audit()`.
#[derive(Clone, Debug)]
pub struct Audit(pub(crate) Client);

impl Audit {
    /// Reads one page; `after` is an earlier page's `next`.
    pub async fn page(
        &self,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<AuditRow>, Error> {
        self.0
            .get(
                "audit",
                &[("after", after), ("limit", limit.map(|l| l.to_string()))],
            )
            .await
    }
}
