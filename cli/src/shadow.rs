//! `gridmart shadow`: copies that follow a database's core: one more, one less, one that
//! becomes the core, and whether they are what the core is.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use gridmart_schemas::{
    api::database::{
        DatabaseView, ShadowAddRequest, ShadowChangeRequest, ShadowPromoteRequest, ShadowRequest,
    },
    id::NodeId,
    resource::{
        database::{Replica, ShadowRule},
        enumeration::{DataEngine, SyncState},
    },
    wire::database::{ShadowCheckTold, ShadowChecks},
};
use gridmart_sdk::Client;

use crate::{
    copies::{host_name, rule_words, words},
    db,
    failure::{EXIT_FAILED, Failure},
    output::{Output, Page},
    progress::Progress,
    remote,
};

/// Between two looks at how far a new shadow is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A new shadow that does not change for so long is not waited for any more.
const STUCK_MAX: Duration = Duration::from_mins(5);

/// What to do with shadows.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Add a shadow, and wait until it has all that the core has, or a part
    #[command(after_help = RULES_HELP)]
    Add {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Host that gets it [default: one without a copy, with the fewest copies and the most room]
        #[arg(long, value_name = "HOST")]
        on: Option<String>,
        /// What keeps it: sqlite, or the server that keeps the database [default: that, if there is
        /// a Host for it, else sqlite]
        #[arg(long, value_name = "ENGINE")]
        engine: Option<DataEngine>,
        /// It holds what these rules leave, and nothing else: a JSON file, as below
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
        /// Do not wait: it is loaded, and follows, by itself
        #[arg(long)]
        no_wait: bool,
    },
    /// Say what a shadow holds of its database, or show it; it is made anew
    #[command(after_help = RULES_HELP)]
    Rules {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Host that has it
        #[arg(value_name = "HOST")]
        host: String,
        /// JSON list of rules, as below
        #[arg(long, value_name = "FILE", conflicts_with = "whole")]
        file: Option<PathBuf>,
        /// It holds all, from here on
        #[arg(long)]
        whole: bool,
    },
    /// Take a shadow away; a Host that is away removes its copy when it comes back
    Remove {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Host that has it
        #[arg(value_name = "HOST")]
        host: String,
    },
    /// Make a shadow the core: a core that is there hands over, and nothing is lost
    #[command(after_help = PROMOTE_HELP)]
    Promote {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Host of the shadow [default: the one that has most of the log]
        #[arg(value_name = "HOST")]
        host: Option<String>,
        /// Although it lacks what the lost core, or another shadow, is known to have
        #[arg(long)]
        allow_loss: bool,
    },
    /// Compare shadows with their core; one that differs is made anew
    Check {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Host of the shadow [default: all of them]
        #[arg(value_name = "HOST")]
        host: Option<String>,
    },
}

/// What a change of core does.
const PROMOTE_HELP: &str = "\
A core whose Host is there ends its writes, the shadow gets the last of them, then the roles are
changed; writers wait meanwhile. A core whose Host is away is taken for lost: the shadow goes on from
what it has got. If the old core comes back, it takes no writes; what it alone had committed is set
aside in a file on its Host, which `gridmart db show` names, and it becomes a shadow.";

/// How the rules of partial shadows are written.
const RULES_HELP: &str = r#"A file of rules for a shadow that holds a part:
  [{"table": "people", "columns": [{"name": "diary"}], "rows": "branch = 'Graz'"},
   {"table": "branches"}]

It holds the tables that are named, without the columns that are named, of the rows for which the
condition holds; a row that comes under it enters, one that does not any more leaves. It is chosen
where the core is: nothing else travels to the Host. Such a shadow answers those statements alone
that a whole copy would answer as well, and never becomes the core. With new rules its copy is made
anew; until its Host has told that it is, `gridmart db show` calls it unconfirmed."#;

/// A file of rules may have so many bytes.
const RULES_BYTES_MAX: u64 = 1024 * 1024;

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add {
            database,
            on,
            engine,
            rules,
            no_wait,
        } => {
            let wanted = ShadowAddRequest {
                host: on.clone(),
                engine: engine.clone(),
                rules: rules.as_deref().map(rules_of).transpose()?,
            };
            add(database, &wanted, *no_wait, output)
        }
        Command::Rules {
            database,
            host,
            file,
            whole,
        } => rules(database, host, file.as_deref(), *whole, output),
        Command::Remove { database, host } => remove(database, host, output),
        Command::Promote {
            database,
            host,
            allow_loss,
        } => promote(database, host.as_deref(), *allow_loss, output),
        Command::Check { database, host } => check(database, host.as_deref(), output),
    }
}

fn add(
    database: &str,
    wanted: &ShadowAddRequest,
    no_wait: bool,
    output: Output,
) -> Result<(), Failure> {
    let view = remote::ask(async |client| {
        let data = client.data();
        let before = hosts(&data.database_show(database).await?);
        let view = data.shadow_add(database, wanted).await?;
        let added = hosts(&view).into_iter().find(|host| !before.contains(host));
        match added.filter(|_| !no_wait) {
            Some(added) => loaded(&client, database, view, added, output).await,
            None => Ok(view),
        }
    })?;
    output.print(&view, |page| db::details(page, &view))
}

/// Waits until a shadow has all that it is to hold.
async fn loaded(
    client: &Client,
    database: &str,
    mut view: DatabaseView,
    added: NodeId,
    output: Output,
) -> Result<DatabaseView, Failure> {
    let progress = Progress::bytes(output, "loading");
    let mut seen = (None, Instant::now());
    loop {
        let Some(replica) = view.database.replica(added) else {
            return Err(Failure::Usage(format!(
                "the shadow on {added} was taken away meanwhile"
            )));
        };
        let state = replica.state.as_ref();
        let is_loaded = state.is_some_and(|state| state.sync_state == SyncState::Synchronised);
        if is_loaded && replica.is_confirmed_by(state) {
            progress.clear();
            return Ok(view);
        }
        if seen.0 != replica.state {
            seen = (replica.state.clone(), Instant::now());
        } else if seen.1.elapsed() > STUCK_MAX {
            progress.clear();
            let words = format!("{}: {}", host_name(&view, replica), words(replica));
            output.note(&format!(
                "nothing has changed for {} s, and it goes on by itself: {words}",
                STUCK_MAX.as_secs()
            ));
            return Err(Failure::Said(EXIT_FAILED));
        }
        let whole = view.database.state.as_ref().and_then(|core| core.used_size);
        let loaded = state.map_or(0, |state| state.used_size);
        progress.set(loaded, whole, String::new());
        tokio::time::sleep(LOOK_EVERY).await;
        view = client.data().database_show(database).await?;
    }
}

/// Reads a file of rules.
fn rules_of(path: &Path) -> Result<Vec<ShadowRule>, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(RULES_BYTES_MAX + 1).read_to_string(&mut text))
        .with_context(|| format!("{} cannot be read", path.display()))?;
    if text.len() as u64 > RULES_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "{} has more than 1 MiB, which no rules have",
            path.display()
        )));
    }
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage(format!(
            "{} holds no rules of a shadow: {error}; `gridmart shadow rules --help` shows some",
            path.display()
        ))
    })
}

fn rules(
    database: &str,
    host: &str,
    file: Option<&Path>,
    whole: bool,
    output: Output,
) -> Result<(), Failure> {
    let rules = file.map(rules_of).transpose()?;
    let is_change = whole || rules.is_some();
    let wanted = ShadowChangeRequest { rules };
    let view = remote::ask(async |client| {
        let data = client.data();
        Ok(if is_change {
            data.shadow_change(database, host, &wanted).await?
        } else {
            data.database_show(database).await?
        })
    })?;
    let is_meant = |replica: &&Replica| {
        let id = replica.node().map(|node| node.to_string());
        host_name(&view, replica) == host || id.as_deref() == Some(host)
    };
    let mut replicas = view.database.replicas.replicas.iter();
    let Some(replica) = replicas.find(is_meant) else {
        return Err(Failure::Usage(format!(
            "{host} has no copy of {database}: `gridmart db show` tells which have"
        )));
    };
    output.print(&replica.filter, |page| match &replica.filter {
        None => page.line("It holds all of the database."),
        Some(filter) => {
            for rule in &filter.rules {
                page.line(rule_words(rule));
            }
        }
    })?;
    let is_open = |confirmed: Option<bool>| confirmed != Some(true);
    if replica
        .filter
        .as_ref()
        .is_some_and(|filter| is_open(filter.confirmed))
    {
        output.note(
            "unconfirmed: what it held before is there until its Host has made it anew \
             (`gridmart db show`)",
        );
    }
    Ok(())
}

fn hosts(view: &DatabaseView) -> Vec<NodeId> {
    let replicas = view.database.replicas.replicas.iter();
    replicas.filter_map(Replica::node).collect()
}

fn remove(database: &str, host: &str, output: Output) -> Result<(), Failure> {
    let view = remote::ask(async |client| Ok(client.data().shadow_remove(database, host).await?))?;
    output.print(&view, |page| {
        page.line(format!(
            "{host} is to have no shadow of {database} any more."
        ));
    })?;
    output.note("if the Host is away, it removes its copy when it comes back");
    Ok(())
}

fn promote(
    database: &str,
    host: Option<&str>,
    allow_loss: bool,
    output: Output,
) -> Result<(), Failure> {
    let wanted = ShadowPromoteRequest {
        host: host.map(str::to_owned),
        allow_loss,
    };
    let view =
        remote::ask(async |client| Ok(client.data().shadow_promote(database, &wanted).await?))?;
    output.print(&view, |page| db::details(page, &view))
}

fn check(database: &str, host: Option<&str>, output: Output) -> Result<(), Failure> {
    let told = remote::ask(async |client| checked(&client, database, host, output).await)?;
    output.print(&told, |page| {
        for one in &told.checks {
            outcome(page, one);
        }
    })?;
    let differ = |one: &ShadowCheckTold| {
        one.failure.is_some()
            || one
                .check
                .as_ref()
                .is_some_and(|found| found.difference_count > 0)
    };
    let count = told.checks.iter().filter(|one| differ(one)).count();
    if count == 0 {
        return Ok(());
    }
    output.note(&format!(
        "{count} of {} shadows differ, or could not be compared",
        told.checks.len()
    ));
    Err(Failure::Said(EXIT_FAILED))
}

async fn checked(
    client: &Client,
    database: &str,
    host: Option<&str>,
    output: Output,
) -> Result<ShadowChecks, Failure> {
    let wanted = ShadowRequest {
        host: host.map(str::to_owned),
    };
    let progress = Progress::count(output, "comparing");
    let mut told = client.data().shadow_check(database, &wanted).await?;
    loop {
        let all = told.checks.len() as u64;
        let running = told.checks.iter().filter(|one| one.running).count() as u64;
        if running == 0 {
            progress.clear();
            return Ok(told);
        }
        progress.set(all - running, Some(all), String::new());
        told = client.data().shadow_check_show(database, host).await?;
    }
}

fn outcome(page: &mut Page, told: &ShadowCheckTold) {
    let words = match (&told.failure, &told.check) {
        (Some(failure), _) => format!("could not be compared: {failure}"),
        (None, Some(check)) if check.difference_count == 0 => format!(
            "is what the core is, at position {} ({} rows)",
            check.log_position, check.row_count
        ),
        (None, Some(check)) => {
            let mut words = format!(
                "differs in {} ranges of keys at position {}, and is made anew",
                check.difference_count, check.log_position
            );
            for difference in &check.differences {
                words.push_str("\n  ");
                words.push_str(difference.as_str());
            }
            words
        }
        (None, None) => "was not compared".to_owned(),
    };
    for (index, line) in words.lines().enumerate() {
        if index == 0 {
            page.field(&told.name, line);
        } else {
            page.line(line);
        }
    }
}
