//! Connections: how one comes to be, what its session is, and how one is given back.

use std::{
    fmt,
    future::Future,
    time::{Duration, Instant},
};

use gridmart_schemas::data::{Row, SqlType};
use mysql_async::{
    Conn, Opts, OptsBuilder, Params, Pool, PoolConstraints, PoolOpts, SslOpts,
    prelude::Queryable as _,
};

use super::{
    failure::{Failure as _, Phase, warned},
    gtid::Gtids,
    value,
};
use crate::data::{
    engine::{EngineError, Limits, Statement, Written},
    server::{certificates_read, without_tls},
};

/// What the judge puts behind an INSERT that passes over keys that are there.
const SKIPPED: &str = "/* skipped */";
/// A connection is waited for so long.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A connection that nobody uses is closed.
const IDLE_MAX: Duration = Duration::from_mins(5);
/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;
/// What the server logs at a time, at most.
const LOGGED_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The server ends what this Host forgot.
const STATEMENT_SECONDS_MAX: u64 = 600;
/// A change waits so long for a row, or a table, of another one.
const LOCK_SECONDS_MAX: u64 = 10;

/// How a session is set, once: what the judge's texts count on.
const SETUP: &[&str] = &[
    "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin",
    "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE,\
     STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,\
     NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION,SIMULTANEOUS_ASSIGNMENT'",
    "SET SESSION time_zone = '+00:00', sql_notes = 0, max_error_count = 64, \
     group_concat_max_len = 16777217, foreign_key_checks = 1, unique_checks = 1, \
     check_constraint_checks = 1, div_precision_increment = 30, autocommit = 1, \
     sql_auto_is_null = 0, in_predicate_conversion_threshold = 0, sql_safe_updates = 0, low_priority_updates = 0",
];

/// Where a server is, and as whom to come.
#[derive(Clone)]
pub struct Access {
    opts: Opts,
}

/// Why a URL of a server cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It is no such URL.
    #[error("its URL is not mariadb://ACCOUNT:PASSWORD@HOST[:PORT][?socket=PATH] ({0})")]
    Malformed(String),
    /// It has a parameter that is none.
    #[error("its URL has a parameter that is not known: socket=PATH and sslrootcert=FILE are")]
    Parameter,
    /// It is on another machine.
    #[error(
        "its URL names another machine: a server elsewhere is reached over TLS alone, with the \
         certificates that vouch for it (?sslrootcert=/PATH/ca.pem)"
    )]
    Elsewhere,
    /// How it is to be known.
    #[error("{0}")]
    Tls(String),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("server", &self.name())
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Reads `mariadb://ACCOUNT:PASSWORD@HOST[:PORT][/][?socket=PATH][?sslrootcert=FILE]`.
    /// Without a file with certificates, what travels to a server travels in the clear: it
    /// has to be on this machine. Blocks to read that file.
    ///
    /// # Errors
    /// Text that is not of that form; it is not in the message, since it holds a password.
    pub fn of_url(url: &str) -> Result<Self, AccessError> {
        let malformed = |why: &str| AccessError::Malformed(why.to_owned());
        let (url, roots) = without_tls(url).map_err(AccessError::Tls)?;
        let rest = url
            .strip_prefix("mariadb://")
            .or_else(|| url.strip_prefix("mysql://"))
            .ok_or_else(|| malformed("another scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let opts = Opts::from_url(&format!("mysql://{}", rest.trim_end_matches('/')))
            .map_err(|_| malformed("not a URL"))?;
        if opts.user().is_none_or(str::is_empty) {
            return Err(malformed("no account"));
        }
        if opts.db_name().is_some() {
            return Err(malformed("it names a database; the Host makes its own"));
        }
        let socket = match query.split_once('=') {
            None if query.is_empty() => None,
            Some(("socket", path)) if !path.contains('&') => Some(path.to_owned()),
            _ => return Err(AccessError::Parameter),
        };
        let tls = roots.map(|path| certificates_read(&path));
        let tls = tls.transpose().map_err(AccessError::Tls)?.map(tls_of);
        if tls.is_some() && socket.is_some() {
            return Err(malformed("a socket needs no sslrootcert"));
        }
        if tls.is_none() && socket.is_none() && !is_local(&opts) {
            return Err(AccessError::Elsewhere);
        }
        let opts = OptsBuilder::from_opts(opts)
            .ssl_opts(tls)
            .socket(socket)
            .prefer_socket(false)
            .client_found_rows(true)
            .stmt_cache_size(PREPARED)
            .tcp_nodelay(true)
            .setup(
                SETUP
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>(),
            );
        Ok(Self { opts: opts.into() })
    }

    /// How the server is named where people read it: without the password.
    pub fn name(&self) -> String {
        match self.opts.socket() {
            Some(socket) => format!("mariadb:{socket}"),
            None => format!(
                "mariadb://{}:{}",
                self.opts.ip_or_hostname(),
                self.opts.tcp_port()
            ),
        }
    }

    pub(super) fn of_database(&self, database: &str) -> Self {
        let opts = OptsBuilder::from_opts(self.opts.clone()).db_name(Some(database));
        Self { opts: opts.into() }
    }

    pub(super) fn pool(&self, connections: usize, reads: bool) -> Pool {
        let mut setup = self.opts.setup().to_vec();
        setup.push(format!(
            "SET SESSION max_statement_time = {STATEMENT_SECONDS_MAX}, \
             innodb_lock_wait_timeout = {LOCK_SECONDS_MAX}, lock_wait_timeout = {LOCK_SECONDS_MAX}"
        ));
        let rights = if reads { "READ ONLY" } else { "READ WRITE" };
        setup.push(format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, {rights}"
        ));
        let constraints = PoolConstraints::new(0, connections).unwrap_or_default();
        let pool = PoolOpts::new()
            .with_constraints(constraints)
            .with_inactive_connection_ttl(IDLE_MAX)
            // What a session sets it sets back; each reset would cost two more round trips.
            .with_reset_connection(false);
        let opts = OptsBuilder::from_opts(self.opts.clone())
            .setup(setup)
            .pool_opts(pool);
        Pool::new(opts)
    }

    /// A connection of its own.
    pub(super) async fn connect(&self) -> Result<Conn, EngineError> {
        let connecting = tokio::time::timeout(CONNECT_MAX, Conn::new(self.opts.clone()));
        let connected = connecting.await.map_err(|_| EngineError::Unreachable {
            why: format!("{} does not answer within {CONNECT_MAX:?}", self.name()),
        })?;
        connected.during(Phase::Begin)
    }

    /// A connection that reads the binary log: of no database, for values of any size.
    pub(super) async fn replica(&self) -> Result<Conn, EngineError> {
        let opts = OptsBuilder::from_opts(self.opts.clone())
            .db_name(None::<String>)
            .max_allowed_packet(Some(LOGGED_BYTES_MAX));
        let access = Self { opts: opts.into() };
        access.connect().await
    }

    /// Whether the server and its account are what a Host needs.
    ///
    /// # Errors
    /// What is wrong, and what an administrator has to do.
    pub async fn check(&self) -> Result<(), EngineError> {
        let mut conn = self.connect().await?;
        let checked = super::describe::server_check(&mut conn).await;
        let _ = conn.disconnect().await;
        checked
    }

    /// Makes a database, if it is not there.
    pub async fn create(&self, database: &str) -> Result<(), EngineError> {
        let text = format!(
            "CREATE DATABASE IF NOT EXISTS \"{database}\" CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        );
        self.command(&text).await
    }

    /// Removes a database, if it is there.
    pub async fn remove(&self, database: &str) -> Result<(), EngineError> {
        self.command(&format!("DROP DATABASE IF EXISTS \"{database}\""))
            .await
    }

    async fn command(&self, text: &str) -> Result<(), EngineError> {
        let mut conn = self.connect().await?;
        let done = conn.query_drop(text).await.during(Phase::Statement);
        let _ = conn.disconnect().await;
        done
    }
}

/// A server is known by these certificates, and by no others.
fn tls_of(certificates: Vec<u8>) -> SslOpts {
    SslOpts::default()
        .with_root_certs(vec![certificates.into()])
        .with_disable_built_in_roots(true)
}

/// Whether a server is on this machine.
fn is_local(opts: &Opts) -> bool {
    let host = opts.ip_or_hostname();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A connection that is used. Dropped in the middle of something it is thrown away.
pub(super) struct Session {
    conn: Option<Conn>,
    access: Access,
    /// Whether it may go back to its pool.
    whole: bool,
}

/// Ends a statement at the server.
pub(super) struct Watch {
    access: Access,
    connection: u32,
}

impl Session {
    /// One of the pool; waits for it.
    pub(super) async fn taken(
        pool: &Pool,
        access: &Access,
        until: Instant,
    ) -> Result<Self, EngineError> {
        let wait = until
            .saturating_duration_since(Instant::now())
            .min(CONNECT_MAX);
        let conn = tokio::time::timeout(wait, pool.get_conn())
            .await
            .map_err(|_| EngineError::Busy)?
            .during(Phase::Begin)?;
        Ok(Self {
            conn: Some(conn),
            access: access.clone(),
            whole: true,
        })
    }

    pub(super) fn connection(&mut self) -> Result<&mut Conn, EngineError> {
        self.conn.as_mut().ok_or(EngineError::Stopping)
    }

    pub(super) fn watch(&self) -> Watch {
        Watch {
            access: self.access.clone(),
            connection: self.conn.as_ref().map_or(0, Conn::id),
        }
    }

    /// It is not used again.
    pub(super) fn spoil(&mut self) {
        self.whole = false;
    }

    /// The server is done: it may go back to its pool.
    pub(super) fn restore(&mut self) {
        self.whole = true;
    }

    /// Keeps what a statement came to, and throws the connection away where it is open
    /// what the server still does for it.
    pub(super) fn ended<T>(&mut self, result: Result<T, EngineError>) -> Result<T, EngineError> {
        if matches!(
            result,
            Err(EngineError::TimedOut(_)
                | EngineError::Cancelled
                | EngineError::Unreachable { .. }
                | EngineError::Uncertain { .. })
        ) {
            self.spoil();
        }
        result
    }

    /// One of our own statements, which is quick.
    pub(super) async fn control(&mut self, text: &str) -> Result<(), EngineError> {
        let until = Instant::now() + CONNECT_MAX;
        let watch = self.watch();
        let asked = self.connection()?.query_drop(text);
        let asked = watch.within(asked, until, CONNECT_MAX).await;
        let asked = asked.and_then(|asked| asked.during(Phase::Statement));
        self.ended(asked)
    }

    /// Commits; a server that is lost meanwhile leaves it open whether it did.
    pub(super) async fn commit(&mut self) -> Result<(), EngineError> {
        let until = Instant::now() + CONNECT_MAX;
        let watch = self.watch();
        let asked = self.connection()?.query_drop("COMMIT");
        let asked = match watch.within(asked, until, CONNECT_MAX).await {
            Ok(asked) => asked.during(Phase::Commit),
            Err(_) => Err(EngineError::Uncertain {
                why: format!("{} did not answer", self.access.name()),
            }),
        };
        self.ended(asked)
    }

    /// Where its last commit, or a change of the schema, is in the binary log, if that can be
    /// told.
    pub(super) async fn logged(&mut self) -> Option<Gtids> {
        self.place("SELECT @@last_gtid").await
    }

    /// Up to where the binary log is.
    pub(super) async fn logged_by_all(&mut self) -> Option<Gtids> {
        self.place("SELECT @@gtid_binlog_pos").await
    }

    async fn place(&mut self, text: &str) -> Option<Gtids> {
        let until = Instant::now() + CONNECT_MAX;
        let watch = self.watch();
        let asked = self.connection().ok()?.query_first::<String, _>(text);
        let asked = watch.within(asked, until, CONNECT_MAX).await;
        let asked = asked.and_then(|asked| asked.during(Phase::Statement));
        self.ended(asked).ok()??.parse().ok()
    }

    /// Takes back what is not committed.
    pub(super) async fn take_back(&mut self) {
        if self.whole && self.control("ROLLBACK").await.is_err() {
            self.spoil();
        }
    }

    /// Runs a statement of rows inside of a transaction.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        limits: Limits,
        until: Instant,
    ) -> Result<Written, EngineError> {
        let (text, params) = value::bound(statement)?;
        let watch = self.watch();
        let types = statement.columns.clone().unwrap_or_default();
        let conn = self.connection()?;
        let running = rows_of(conn, &text, params, &types, limits);
        let run = tokio::select! {
            run = watch.within(running, until, limits.time) => run,
            () = statement.cancel.cancelled() => Err(EngineError::Cancelled),
        };
        self.ended(run.and_then(|run| run))
    }
}

async fn rows_of(
    conn: &mut Conn,
    text: &str,
    params: Params,
    types: &[SqlType],
    limits: Limits,
) -> Result<Written, EngineError> {
    let mut result = conn
        .exec_iter(text, params)
        .await
        .during(Phase::Statement)?;
    let columns = result.columns_ref().iter();
    let columns: Vec<String> = columns
        .map(|column| column.name_str().into_owned())
        .collect();
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes = 0_u64;
    while let Some(row) = result.next().await.during(Phase::Statement)? {
        let row = value::row(row, types)?;
        let size: usize = row.iter().map(gridmart_schemas::data::Value::bytes).sum();
        bytes = bytes.saturating_add(size as u64);
        limits_kept(limits, rows.len() as u64 + 1, bytes)?;
        rows.push(row);
    }
    let changed = changed(&result.info(), text).unwrap_or_else(|| result.affected_rows());
    result.drop_result().await.during(Phase::Statement)?;
    if conn.get_warnings() > 0 {
        return Err(warned(conn).await);
    }
    let rows_changed = if columns.is_empty() {
        changed
    } else {
        rows.len() as u64
    };
    Ok(Written {
        rows_changed,
        columns,
        rows,
        ..Written::default()
    })
}

/// How many rows an INSERT changed, where the server counts in another way: it tells
/// `Records: 3  Duplicates: 1  Warnings: 0`.
fn changed(info: &str, text: &str) -> Option<u64> {
    let mut numbers = info.split_whitespace().filter_map(|word| word.parse().ok());
    let (records, duplicates): (u64, u64) = (numbers.next()?, numbers.next()?);
    if !info.starts_with("Records: ") {
        return None;
    }
    let skips = text.ends_with(SKIPPED);
    Some(records.saturating_sub(if skips { duplicates } else { 0 }))
}

pub(super) fn limits_kept(limits: Limits, rows: u64, bytes: u64) -> Result<(), EngineError> {
    let (of, limit) = if rows > limits.rows {
        ("rows", limits.rows)
    } else if bytes > limits.bytes {
        ("bytes", limits.bytes)
    } else {
        return Ok(());
    };
    Err(EngineError::LimitExceeded { of, limit })
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        if self.whole {
            // The pool takes it back.
            return drop(conn);
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let watch = Watch {
                access: self.access.clone(),
                connection: conn.id(),
            };
            runtime.spawn(async move {
                watch.end().await;
                let _ = conn.disconnect().await;
            });
        }
    }
}

impl Watch {
    /// Waits for a statement until its time is over; then it is ended at the server.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = T>,
        until: Instant,
        time: Duration,
    ) -> Result<T, EngineError> {
        let done = tokio::time::timeout_at(until.into(), work).await;
        done.map_err(|_| EngineError::TimedOut(time))
    }

    /// Ends the connection and what it does. An account may do so with its own.
    pub(super) async fn end(&self) {
        let Ok(mut second) = self.access.connect().await else {
            return;
        };
        // It may be gone already.
        let _ = second
            .query_drop(format!("KILL CONNECTION {}", self.connection))
            .await;
        let _ = second.disconnect().await;
    }
}
