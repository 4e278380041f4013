//! The PostgreSQL door of a Data Element, as public clients use it, unchanged.

mod bounds;
mod drivers;
mod psql;
mod sessions;

use std::{net::Ipv4Addr, process::Command};

use gridmart_tests::{LONG, Run, Running, Supermarket, wait_for};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_postgres::{Client, NoTls, error::SqlState};

/// An access key, as `gridmart key create --json` gives it.
pub(crate) struct Key(Value);

impl Key {
    /// A new one of whoever has that API token.
    #[track_caller]
    fn create(market: &Supermarket, token: &str, element: &str) -> Self {
        let made = wait_for(LONG, "the Element gives out keys", || {
            let words = ["key", "create", "--element", element, "--json"];
            let run = market.cli_as(token, &words);
            (run.code == 0).then(|| run.json()).ok_or(run.stderr)
        });
        Self(made)
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().expect("a key has this field")
    }

    /// `HOST` and `PORT` of the door.
    fn door(&self) -> (&str, &str) {
        let door = self.text("endpoint").strip_prefix("postgresql://");
        door.and_then(|door| door.rsplit_once(':'))
            .expect("it tells where its door is")
    }

    /// The variables by which every client takes it.
    fn variables(&self) -> [(&str, &str); 5] {
        let (host, port) = self.door();
        [
            ("PGHOST", host),
            ("PGPORT", port),
            ("PGUSER", self.text("id")),
            ("PGPASSWORD", self.text("secret")),
            ("PSQLRC", "/dev/null"),
        ]
    }

    /// A program that comes with this key.
    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).envs(self.variables());
        command
    }

    /// Runs statements with psql, which gives bare rows and the codes of errors.
    pub(crate) fn psql(&self, database: &str, text: &str) -> Run {
        let bare = [
            "--no-align",
            "--tuples-only",
            "--set=VERBOSITY=verbose",
            "--dbname",
            database,
        ];
        Running::start(self.command("psql", &bare), Some(text.into())).wait()
    }
}

impl Key {
    /// A connection to the database `shop`, of a program of that name.
    pub(crate) async fn connect(&self, application: &str) -> Client {
        let config = self.config(application);
        let (client, connection) = config.connect(NoTls).await.expect("it may come in");
        tokio::spawn(connection);
        client
    }

    /// The same, from that address of this machine.
    async fn connect_from(&self, address: Ipv4Addr) -> Client {
        let stream = self.knock_from(address).await;
        let config = self.config("one of many");
        let (client, connection) = config
            .connect_raw(stream, NoTls)
            .await
            .expect("it may come in");
        tokio::spawn(connection);
        client
    }

    /// Tries a password that is wrong; what is said to that.
    async fn guess_from(&self, address: Ipv4Addr, password: &str) -> SqlState {
        let stream = self.knock_from(address).await;
        let mut config = self.config("a guesser");
        config.password(password);
        let refused = config.connect_raw(stream, NoTls).await;
        let refused = refused.err().expect("it may not come in");
        let state = refused.code().cloned();
        state.unwrap_or_else(|| panic!("it is told why not: {refused}"))
    }

    async fn knock_from(&self, address: Ipv4Addr) -> TcpStream {
        let (host, port) = self.door();
        let door = format!("{host}:{port}").parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("there is a socket");
        socket.bind((address, 0).into()).expect("it can be bound");
        socket.connect(door).await.expect("the door is open")
    }

    fn config(&self, application: &str) -> tokio_postgres::Config {
        let (host, port) = self.door();
        let mut config = tokio_postgres::Config::new();
        config
            .host(host)
            .port(port.parse().expect("a port"))
            .user(self.text("id"))
            .password(self.text("secret"))
            .dbname("shop")
            .application_name(application);
        config
    }
}

/// A supermarket with a database `shop` that has a shadow.
pub(crate) fn with_shop() -> Supermarket {
    let market = Supermarket::builder().hosts(0).data_hosts(2).start();
    wait_for(LONG, "a database is made", || {
        let run = market.cli(&["db", "create", "shop", "--shadows", "1"]);
        (run.code == 0).then_some(()).ok_or(run.stderr)
    });
    market
}

/// A key of the first admin, as `gridmart env` gives it.
pub(crate) fn first_key(market: &Supermarket) -> Key {
    let folder = market.folder().display().to_string();
    let run = market.cli(&["env", "--json", "--data-dir", &folder]).ok();
    let told: Value = run.json();
    let of = |name: &str| told[name].as_str().unwrap_or("").to_owned();
    Key(serde_json::json!({
        "id": of("PGUSER"),
        "secret": of("PGPASSWORD"),
        "endpoint": format!("postgresql://{}:{}", of("PGHOST"), of("PGPORT")),
    }))
}
