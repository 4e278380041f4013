//! `gridmart shadow`: copies that follow a database's core: one more, one less, one that
//! becomes the core, and whether they are what the core is.

use std::time::{Duration, Instant};

use gridmart_schemas::{
    api::database::{DatabaseView, ShadowPromoteRequest, ShadowRequest},
    id::NodeId,
    resource::{
        database::Replica,
        enumeration::{ReplicaRole, SyncState},
        host::ReplicaState,
    },
    wire::database::{ShadowCheckTold, ShadowChecks},
};
use gridmart_sdk::Client;

use crate::{
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
    /// Add a shadow, and wait until it has all that the core has
    Add {
        /// NAME or ELEMENT/NAME
        #[arg(value_name = "DATABASE")]
        database: String,
        /// Host that gets it [default: one without a copy, with the fewest copies and the most room]
        #[arg(long, value_name = "HOST")]
        on: Option<String>,
        /// Do not wait: it is loaded, and follows, by itself
        #[arg(long)]
        no_wait: bool,
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

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add {
            database,
            on,
            no_wait,
        } => add(database, on.as_deref(), *no_wait, output),
        Command::Remove { database, host } => remove(database, host, output),
        Command::Promote {
            database,
            host,
            allow_loss,
        } => promote(database, host.as_deref(), *allow_loss, output),
        Command::Check { database, host } => check(database, host.as_deref(), output),
    }
}

fn add(database: &str, on: Option<&str>, no_wait: bool, output: Output) -> Result<(), Failure> {
    let view = remote::ask(async |client| {
        let data = client.data();
        let before = hosts(&data.database_show(database).await?);
        let wanted = ShadowRequest {
            host: on.map(str::to_owned),
        };
        let mut view = data.shadow_add(database, &wanted).await?;
        let added = hosts(&view).into_iter().find(|host| !before.contains(host));
        let Some(added) = added.filter(|_| !no_wait) else {
            return Ok(view);
        };
        let progress = Progress::bytes(output, "loading");
        let mut seen = (None, Instant::now());
        loop {
            let Some(replica) = view.database.replica(added) else {
                return Err(Failure::Usage(format!(
                    "the shadow on {added} was taken away meanwhile"
                )));
            };
            let state = replica.state.as_ref();
            if state.is_some_and(|state| state.sync_state == SyncState::Synchronised) {
                progress.clear();
                return Ok(view);
            }
            if seen.0 != replica.state {
                seen = (replica.state.clone(), Instant::now());
            } else if seen.1.elapsed() > STUCK_MAX {
                progress.clear();
                let words = copy_words(replica);
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
    })?;
    output.print(&view, |page| db::details(page, &view))
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

/// A copy on one line of `gridmart db show`.
pub(crate) fn copy_words(replica: &Replica) -> String {
    let host = replica
        .node()
        .map_or_else(|| "-".to_owned(), |host| host.to_string());
    let Some(state) = &replica.state else {
        return format!("{host}: has told nothing yet, or its Host is away");
    };
    if replica.role != state.role {
        return format!("{host}: was the {} when it told last", state.role);
    }
    let words = match replica.role {
        ReplicaRole::Core => format!("{host}: position {}", state.log_position),
        ReplicaRole::Shadow => {
            format!(
                "{host}: {}, position {}",
                state.sync_state, state.log_position
            )
        }
    };
    match &state.check {
        None => words,
        Some(check) if check.difference_count == 0 => {
            format!("{words}, compared equal at {}", check.log_position)
        }
        Some(check) => format!(
            "{words}, differed in {} ranges at {}",
            check.difference_count, check.log_position
        ),
    }
}

/// What a Host has set aside, one line for each file.
pub(crate) fn aside_words(state: &ReplicaState) -> impl Iterator<Item = String> {
    state.set_aside.iter().map(|aside| {
        let words = format!(
            "positions {} to {} were committed there alone: {}",
            aside.first_position,
            aside.last_position,
            aside.file.as_str()
        );
        match aside.missing_count {
            0 => words,
            missing => format!("{words} ({missing} of them only in the database beside it)"),
        }
    })
}
