//! Databases and statements.
//!
//! ```no_run
//! # async fn demo() -> Result<(), gridmart_sdk::Error> {
//! use gridmart_sdk::schemas::data::Value;
//!
//! let client = gridmart_sdk::Client::from_env()?;
//! let data = client.data();
//! data.execute("shop", "INSERT INTO orders VALUES ($1, $2)", &[Value::Int8(7), Value::Int4(3)])
//!     .await?;
//! let mut rows = data.query("shop", "SELECT id FROM orders", &[]).await?;
//! while let Some(piece) = rows.next().await? {
//!     println!("{piece:?}");
//! }
//! # client.close().await;
//! # Ok(()) }
//! ```
//!
//! A database is named `NAME`, or `ELEMENT/NAME` where several Elements have one of
//! that name. Each statement is a transaction of its own. What a client has written it
//! reads: its reads go to copies that have come as far. What fails because somebody is
//! away is tried again for some twenty seconds, a write only where it was not begun; a
//! write of which it is not known whether it was committed fails with SQLSTATE 08007.

mod plane;
mod rows;

use gridmart_schemas::{
    api::database::{DatabaseChangeRequest, DatabaseCreateRequest, DatabaseView, DatabasesView},
    data::{Position, Value},
    wire::data::ReadFrom,
};
use reqwest::Method;

pub(crate) use self::plane::DataPlane;
pub use self::rows::{Executed, Rows};
use crate::{client::Client, error::Error};

/// `client.data()`.
#[derive(Clone, Debug)]
pub struct Data {
    client: Client,
    from: ReadFrom,
}

impl Data {
    pub(crate) const fn new(client: Client) -> Self {
        Self {
            client,
            from: ReadFrom::Fresh,
        }
    }

    /// The same, with reads answered by the core, or by shadows alone.
    #[must_use]
    pub const fn reading(mut self, from: ReadFrom) -> Self {
        self.from = from;
        self
    }

    /// Makes a database; it belongs to who asks.
    pub async fn database_create(
        &self,
        wanted: &DatabaseCreateRequest,
    ) -> Result<DatabaseView, Error> {
        self.client.post("databases", &[], wanted).await
    }

    /// Lists the databases that may be used; of one Element, if it is named.
    pub async fn database_list(&self, element: Option<&str>) -> Result<DatabasesView, Error> {
        let element = element.map(str::to_owned);
        self.client.get("databases", &[("element", element)]).await
    }

    /// Shows a database.
    pub async fn database_show(&self, database: &str) -> Result<DatabaseView, Error> {
        self.database(Method::GET, database, None::<&()>).await
    }

    /// Changes who may see what of it.
    pub async fn database_change(
        &self,
        database: &str,
        change: &DatabaseChangeRequest,
    ) -> Result<DatabaseView, Error> {
        self.database(Method::PATCH, database, Some(change)).await
    }

    /// Removes a database with all that is in it.
    pub async fn database_delete(&self, database: &str) -> Result<(), Error> {
        self.database(Method::DELETE, database, None::<&()>).await
    }

    async fn database<B, A>(
        &self,
        method: Method,
        database: &str,
        body: Option<&B>,
    ) -> Result<A, Error>
    where
        B: serde::Serialize + Sync,
        A: serde::de::DeserializeOwned,
    {
        let (element, name) = match database.split_once('/') {
            Some((element, name)) => (Some(element.to_owned()), name),
            None => (None, database),
        };
        let path = format!("databases/{name}");
        let http = self.client.http();
        http.request(method, &path, &[("element", element)], body)
            .await
    }

    /// Runs a statement and gives its rows, piece by piece.
    pub async fn query(
        &self,
        database: &str,
        text: &str,
        parameters: &[Value],
    ) -> Result<Rows, Error> {
        let plane = self.client.grid().await?.data();
        plane.run(database, text, parameters, self.from).await
    }

    /// Runs a statement to its end, and tells what it did.
    pub async fn execute(
        &self,
        database: &str,
        text: &str,
        parameters: &[Value],
    ) -> Result<Executed, Error> {
        let mut rows = self.query(database, text, parameters).await?;
        while rows.next().await?.is_some() {}
        Ok(rows.executed())
    }

    /// The position of the log at which this client has written last.
    pub async fn written(&self, database: &str) -> Result<Position, Error> {
        Ok(self.client.grid().await?.data().written(database))
    }
}
