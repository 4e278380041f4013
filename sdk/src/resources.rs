//! Resources, commands on them, and what runs: thin typed calls to the
//! people's API.

pub use gridmart_schemas::api::command::Command;
use gridmart_schemas::{
    api::{
        activity::{ActivitiesView, CallView, CallsPage, JobView},
        command::CommandView,
        explain::Explanation,
        join_token::{JoinTokenRequest, JoinTokenRow, JoinTokenView},
        layout::LayoutRequest,
        resource::{ResourceRow, ResourceView},
        sql_session::{SqlSessionRecordsPage, SqlSessionShown, SqlSessionsView},
        transfer::{TransferRecordsPage, TransferShown, TransfersView},
    },
    id::{CallId, JobId, SqlSessionId, TransferId},
    problem::Code,
    role::NodeKind,
    wire::{bucket::HealsTold, layout::LayoutTold},
};

use reqwest::Method;

use crate::{client::Client, error::Error, people::all_pages};

/// `client.resources()`.
#[derive(Clone, Debug)]
pub struct Resources(pub(crate) Client);

impl Resources {
    /// Lists Elements and Hosts, or one kind of them.
    pub async fn list(&self, kind: Option<NodeKind>) -> Result<Vec<ResourceRow>, Error> {
        all_pages(
            &self.0,
            "resources",
            &[("kind", kind.map(|k| k.to_string()))],
            None,
        )
        .await
    }

    /// Shows one, by id or name.
    pub async fn get(&self, id: &str) -> Result<ResourceView, Error> {
        self.0.get(&format!("resources/{id}"), &[]).await
    }

    /// Tells what is lost on a Storage Element, by id or name, and what was
    /// repaired lately.
    pub async fn heals(&self, id: &str) -> Result<HealsTold, Error> {
        self.0.get(&format!("resources/{id}/heals"), &[]).await
    }

    /// Tells which Hosts of a Storage Element, by id or name, keep blocks, and
    /// what is being changed.
    pub async fn layout(&self, id: &str) -> Result<LayoutTold, Error> {
        self.0.get(&format!("resources/{id}/layout"), &[]).await
    }

    /// Stages a change of it, in place of what was staged; tells what it would do.
    pub async fn layout_stage(
        &self,
        id: &str,
        wanted: &LayoutRequest,
    ) -> Result<LayoutTold, Error> {
        let path = format!("resources/{id}/layout");
        let http = self.0.http();
        http.request(Method::PUT, &path, &[], Some(wanted)).await
    }

    /// Begins with what is staged.
    pub async fn layout_apply(&self, id: &str) -> Result<LayoutTold, Error> {
        let path = format!("resources/{id}/layout/apply");
        self.0.post(&path, &[], &()).await
    }

    /// Takes back what is staged; if nothing is, what is being done.
    pub async fn layout_revert(&self, id: &str) -> Result<LayoutTold, Error> {
        let path = format!("resources/{id}/layout/revert");
        self.0.post(&path, &[], &()).await
    }
}

/// On what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An Element or Host, by id or name.
    Resource(String),
    /// An application: everywhere, or one version, or on one Host.
    Application {
        /// `AppName`.
        name: String,
        /// `AppVersion`; absent: all versions.
        version: Option<String>,
        /// Host, by id or name; absent: everywhere.
        host: Option<String>,
    },
    /// One call (kill only).
    Call(CallId),
    /// One map (kill only).
    Job(JobId),
    /// One transfer (kill only).
    Transfer(TransferId),
    /// One SQL session (kill only).
    SqlSession(SqlSessionId),
}

/// `client.commands()`.
#[derive(Clone, Debug)]
pub struct Commands(pub(crate) Client);

impl Commands {
    /// Gives a command.
    pub async fn give(&self, command: Command, target: &Target) -> Result<CommandView, Error> {
        let only_kill = |noun: &str| match command {
            Command::Kill => Ok(()),
            other => Err(Error::Invalid(format!(
                "a {noun} can be killed, but there is no {other}"
            ))),
        };
        match target {
            Target::Resource(id) => {
                self.0
                    .post(&format!("resources/{id}/{command}"), &[], &())
                    .await
            }
            Target::Application {
                name,
                version,
                host,
            } => {
                let query = [("version", version.clone()), ("host", host.clone())];
                self.0
                    .post(&format!("applications/{name}/{command}"), &query, &())
                    .await
            }
            Target::Call(id) => {
                only_kill("call")?;
                self.0.post(&format!("calls/{id}/kill"), &[], &()).await
            }
            Target::Job(id) => {
                only_kill("map")?;
                self.0.post(&format!("jobs/{id}/kill"), &[], &()).await
            }
            Target::Transfer(id) => {
                only_kill("transfer")?;
                let path = format!("transfers/{id}/kill");
                self.0.post(&path, &[], &()).await
            }
            Target::SqlSession(id) => {
                only_kill("SQL session")?;
                let path = format!("sql-sessions/{id}/kill");
                self.0.post(&path, &[], &()).await
            }
        }
    }

    /// Gives a command to whatever `text` names: a resource, an application
    /// (`NAME` or `NAME@VERSION`, on `host` only if given), and for `kill` a
    /// call, a map, a transfer or an SQL session.
    pub async fn give_any(
        &self,
        command: Command,
        text: &str,
        host: Option<&str>,
    ) -> Result<CommandView, Error> {
        let mut refusal = None;
        for target in candidates(command, text, host) {
            match self.give(command, &target).await {
                Err(error) if is_unknown(&error) => refusal = refusal.or(Some(error)),
                // People end what is theirs, though no resource.
                Err(error) if may_be_work(command, text) && is_for_operators(&error) => {}
                other => return other,
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Error::refused(Code::NotFound, format!("nothing here is called {text:?}"))
        }))
    }
}

fn is_unknown(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(Code::NotFound | Code::UnknownApplication | Code::UnknownCall | Code::InvalidRequest)
    )
}

/// Whether it may be the id of a call, a map, a transfer or an SQL session.
fn may_be_work(command: Command, text: &str) -> bool {
    command == Command::Kill && text.parse::<CallId>().is_ok()
}

fn is_for_operators(error: &Error) -> bool {
    error.code() == Some(Code::NotAuthorized)
}

fn candidates(command: Command, text: &str, host: Option<&str>) -> Vec<Target> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (text, None),
    };
    let application = Target::Application {
        name: name.to_owned(),
        version,
        host: host.map(str::to_owned),
    };
    if host.is_some() || text.contains('@') {
        return vec![application];
    }
    let mut targets = vec![Target::Resource(text.to_owned())];
    if command == Command::Kill {
        targets.extend(text.parse().map(Target::Call));
        targets.extend(text.parse().map(Target::Job));
        targets.extend(text.parse().map(Target::Transfer));
        targets.extend(text.parse().map(Target::SqlSession));
    }
    if text.parse::<CallId>().is_err() {
        targets.push(application);
    }
    targets
}

/// `client.explanations()`.
#[derive(Clone, Debug)]
pub struct Explanations(pub(crate) Client);

impl Explanations {
    /// Tells why: of a request, a call, a map, a lease or a Host, by id.
    pub async fn get(&self, id: &str) -> Result<Explanation, Error> {
        self.0.get(&format!("explanations/{id}"), &[]).await
    }
}

/// `client.join_tokens()`.
#[derive(Clone, Debug)]
pub struct JoinTokens(pub(crate) Client);

impl JoinTokens {
    /// Makes a join token; it is shown this once.
    pub async fn create(&self, wanted: &JoinTokenRequest) -> Result<JoinTokenView, Error> {
        self.0.post("join-tokens", &[], wanted).await
    }

    /// Lists the controller's join tokens, without their secrets.
    pub async fn list(&self) -> Result<Vec<JoinTokenRow>, Error> {
        all_pages(&self.0, "join-tokens", &[], None).await
    }
}

/// `client.calls()`: ended calls.
#[derive(Clone, Debug)]
pub struct Calls(pub(crate) Client);

impl Calls {
    /// Reads one page, newest first; `after` is an earlier page's `next`.
    pub async fn page(
        &self,
        application: Option<String>,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<CallsPage, Error> {
        let query = [
            ("application", application),
            ("after", after),
            ("limit", limit.map(|l| l.to_string())),
        ];
        self.0.get("calls", &query).await
    }

    /// Shows one that has ended.
    pub async fn get(&self, id: CallId) -> Result<CallView, Error> {
        self.0.get(&format!("calls/{id}"), &[]).await
    }

    /// Ends one call.
    pub async fn kill(&self, id: CallId) -> Result<CommandView, Error> {
        self.0
            .commands()
            .give(Command::Kill, &Target::Call(id))
            .await
    }
}

/// `client.activities()`: running and waiting now, and maps.
#[derive(Clone, Debug)]
pub struct Activities(pub(crate) Client);

impl Activities {
    /// Lists what runs and waits now.
    pub async fn list(
        &self,
        application: Option<String>,
        limit: Option<u32>,
    ) -> Result<ActivitiesView, Error> {
        self.0
            .get(
                "activities",
                &[
                    ("application", application),
                    ("limit", limit.map(|l| l.to_string())),
                ],
            )
            .await
    }

    /// Shows a map's totals per Host, as the controller knows them.
    pub async fn job(&self, id: JobId) -> Result<JobView, Error> {
        self.0.get(&format!("jobs/{id}"), &[]).await
    }
}

/// `client.transfers()`: object bytes that are under way, or were. People see
/// their own, operators all.
#[derive(Clone, Debug)]
pub struct Transfers(pub(crate) Client);

/// Which transfers are meant; of each field, absent: all.
#[derive(Clone, Debug, Default)]
pub struct TransferFilter {
    /// Of the bucket of this name.
    pub bucket: Option<String>,
    /// Of this person.
    pub owner: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl TransferFilter {
    fn query(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("bucket", self.bucket.clone()),
            ("owner", self.owner.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ]
    }
}

impl Transfers {
    /// Lists what is under way, the oldest first.
    pub async fn list(&self, filter: &TransferFilter) -> Result<TransfersView, Error> {
        self.0.get("transfers", &filter.query()).await
    }

    /// Reads one page of those that have ended, newest first; `after` is an
    /// earlier page's `next`.
    pub async fn records(
        &self,
        filter: &TransferFilter,
        after: Option<String>,
    ) -> Result<TransferRecordsPage, Error> {
        let [bucket, owner, limit] = filter.query();
        let query = [bucket, owner, limit, ("after", after)];
        self.0.get("transfer-records", &query).await
    }

    /// Shows one.
    pub async fn get(&self, id: TransferId) -> Result<TransferShown, Error> {
        self.0.get(&format!("transfers/{id}"), &[]).await
    }

    /// Ends one: nothing of it becomes visible any more.
    pub async fn kill(&self, id: TransferId) -> Result<CommandView, Error> {
        let target = Target::Transfer(id);
        self.0.commands().give(Command::Kill, &target).await
    }
}

/// `client.sql_sessions()`: who runs SQL statements, or did. People see their own,
/// operators all.
#[derive(Clone, Debug)]
pub struct SqlSessions(pub(crate) Client);

/// Which SQL sessions are meant; of each field, absent: all.
#[derive(Clone, Debug, Default)]
pub struct SqlSessionFilter {
    /// On the database of this name.
    pub database: Option<String>,
    /// Of this person.
    pub person: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl SqlSessionFilter {
    fn query(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("database", self.database.clone()),
            ("person", self.person.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ]
    }
}

impl SqlSessions {
    /// Lists those that stand, the oldest first.
    pub async fn list(&self, filter: &SqlSessionFilter) -> Result<SqlSessionsView, Error> {
        self.0.get("sql-sessions", &filter.query()).await
    }

    /// Reads one page of those that have ended, newest first; `after` is an
    /// earlier page's `next`.
    pub async fn records(
        &self,
        filter: &SqlSessionFilter,
        after: Option<String>,
    ) -> Result<SqlSessionRecordsPage, Error> {
        let [database, person, limit] = filter.query();
        let query = [database, person, limit, ("after", after)];
        self.0.get("sql-session-records", &query).await
    }

    /// Shows one.
    pub async fn get(&self, id: SqlSessionId) -> Result<SqlSessionShown, Error> {
        self.0.get(&format!("sql-sessions/{id}"), &[]).await
    }

    /// Ends one: what it runs is ended, what it has not committed is taken back.
    pub async fn kill(&self, id: SqlSessionId) -> Result<CommandView, Error> {
        let target = Target::SqlSession(id);
        self.0.commands().give(Command::Kill, &target).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_whatever_bears_it() {
        assert_eq!(candidates(Command::Stop, "ce1", None).len(), 2);
        let id = CallId::generate().to_string();
        assert_eq!(candidates(Command::Stop, &id, None).len(), 1);
        assert_eq!(candidates(Command::Kill, &id, None).len(), 5);
        let on_host = candidates(Command::Stop, "app@1.0", Some("h1"));
        assert_eq!(
            on_host,
            [Target::Application {
                name: "app".into(),
                version: Some("1.0".into()),
                host: Some("h1".into())
            }]
        );
    }
}
