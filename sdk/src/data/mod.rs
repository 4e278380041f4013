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
//! that name. Each statement is a transaction of its own, unless [`Data::begin`] has begun
//! one of several. What a client has written it
//! reads: its reads go to copies that have come as far. What fails because somebody is
//! away is tried again for some twenty seconds, a write only where it was not begun; a
//! write of which it is not known whether it was committed fails with SQLSTATE 08007.

mod plane;
mod rows;
mod transaction;

use gridmart_schemas::{
    api::database::{
        DatabaseChangeRequest, DatabaseCreateRequest, DatabaseView, DatabasesView,
        ShadowAddRequest, ShadowChangeRequest, ShadowPromoteRequest, ShadowRequest,
    },
    data::{Position, Value},
    wire::{data::ReadFrom, database::ShadowChecks},
};
use reqwest::Method;

pub(crate) use self::plane::DataPlane;
pub use self::{
    rows::{Executed, Rows},
    transaction::{Transaction, TransactionModes},
};
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

    /// Adds a shadow; it is loaded, and follows, by itself.
    pub async fn shadow_add(
        &self,
        database: &str,
        wanted: &ShadowAddRequest,
    ) -> Result<DatabaseView, Error> {
        self.below(Method::POST, database, "/shadows", &[], Some(wanted))
            .await
    }

    /// Changes what a shadow holds; its copy is made anew.
    pub async fn shadow_change(
        &self,
        database: &str,
        host: &str,
        wanted: &ShadowChangeRequest,
    ) -> Result<DatabaseView, Error> {
        let path = format!("/shadows/{host}");
        self.below(Method::PATCH, database, &path, &[], Some(wanted))
            .await
    }

    /// Takes a shadow away; a Host that is away removes its copy when it comes back.
    pub async fn shadow_remove(&self, database: &str, host: &str) -> Result<DatabaseView, Error> {
        let path = format!("/shadows/{host}");
        self.below(Method::DELETE, database, &path, &[], None::<&()>)
            .await
    }

    /// Makes a shadow the core.
    pub async fn shadow_promote(
        &self,
        database: &str,
        wanted: &ShadowPromoteRequest,
    ) -> Result<DatabaseView, Error> {
        self.below(
            Method::POST,
            database,
            "/shadows/promote",
            &[],
            Some(wanted),
        )
        .await
    }

    /// Begins to compare shadows with their core; what still runs after a while is told
    /// by [`Self::shadow_check_show`].
    pub async fn shadow_check(
        &self,
        database: &str,
        wanted: &ShadowRequest,
    ) -> Result<ShadowChecks, Error> {
        self.below(Method::POST, database, "/shadows/check", &[], Some(wanted))
            .await
    }

    /// Tells how comparisons come out; waits a while for those that run.
    pub async fn shadow_check_show(
        &self,
        database: &str,
        host: Option<&str>,
    ) -> Result<ShadowChecks, Error> {
        let host = ("host", host.map(str::to_owned));
        self.below(
            Method::GET,
            database,
            "/shadows/check",
            &[host],
            None::<&()>,
        )
        .await
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
        self.below(method, database, "", &[], body).await
    }

    async fn below<B, A>(
        &self,
        method: Method,
        database: &str,
        below: &str,
        query: &[(&str, Option<String>)],
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
        let path = format!("databases/{name}{below}");
        let query = [&[("element", element)], query].concat();
        let http = self.client.http();
        http.request(method, &path, &query, body).await
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

    /// Begins a transaction of several statements, which sees what others commit
    /// meanwhile (READ COMMITTED).
    pub async fn begin(&self, database: &str) -> Result<Transaction, Error> {
        self.begin_as(database, TransactionModes::default()).await
    }

    /// Begins a transaction that only reads, or that sees one state of the database all
    /// along.
    pub async fn begin_as(
        &self,
        database: &str,
        modes: TransactionModes,
    ) -> Result<Transaction, Error> {
        let grid = std::sync::Arc::clone(self.client.grid().await?);
        Transaction::begin(grid, database, modes, self.from).await
    }

    /// The position of the log at which this client has written last.
    pub async fn written(&self, database: &str) -> Result<Position, Error> {
        Ok(self.client.grid().await?.data().written(database))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs run statements in tasks of their own.
    #[test]
    fn what_takes_time_may_move_between_threads() {
        fn movable<T: Send>(_: impl FnOnce(Data) -> T) {}
        movable(|data| async move { data.query("shop", "SELECT 1", &[]).await });
        movable(|data| async move {
            let mut open = data.begin("shop").await?;
            open.execute("DELETE FROM a", &[]).await?;
            open.commit().await
        });
    }
}
