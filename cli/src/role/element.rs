//! `gridmart element compute`, `storage` and `data`: an Element.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use gridmart_element::{
    Config, DataLimits,
    storage::{self, RebuildFailure},
};
use gridmart_schemas::role::NodeKind;

use super::{
    Arguments, Frame, JoinToken, LogFormat, data_home, join_token, required, settings::settings,
};
use crate::{failure::Failure, output::Output, period::Period, size::Size};

settings! {
    /// Settings of an Element, whatever its kind.
    Settings {
        /// Folder for everything it keeps [default: the folder `ce`, `se` or `de` in $XDG_DATA_HOME/gridmart]
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The controller's nodes' door
        #[arg(long, value_name = "HOST:PORT")]
        controller: String,
        /// Join token, for the first start only
        #[arg(long, value_name = "TOKEN", env = "GRIDMART_JOIN_TOKEN", hide_env_values = true, value_parser = JoinToken::read)]
        join_token: JoinToken,
        /// File with the join token
        #[arg(long, value_name = "FILE")]
        join_token_file: PathBuf,
        /// Its name, for people [default: the machine's name]
        #[arg(long)]
        name: String,
        /// Address of its door, for programs and its Hosts [default: 0.0.0.0:0]
        #[arg(long, value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Host name or address that programs and Hosts reach it by
        #[arg(long, value_name = "HOST[:PORT]")]
        advertise: String,
        /// Address of a Storage Element's S3 door [default: 127.0.0.1:0]; without TLS on this machine's own addresses
        #[arg(long, value_name = "ADDR:PORT")]
        s3_listen: SocketAddr,
        /// Address of a Data Element's PostgreSQL door [default: 127.0.0.1:0]; without TLS on this machine's own addresses
        #[arg(long, value_name = "ADDR:PORT")]
        postgres_listen: SocketAddr,
        /// Put the previous generation in the place of a damaged CEDoc.xml, SEDoc.xml or DEDoc.xml
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
        restore_lib: bool,
        /// Form of its log [default: text]
        #[arg(long, value_name = "FORM")]
        log_format: LogFormat,
        /// What goes into its log, as in `info` or `gridmart_element=debug` [default: info]
        #[arg(long, value_name = "FILTER")]
        log_level: String,
    }
}

/// Which kind of Element.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Kind {
    /// Run a Computing Element: the queue of a pool of compute Hosts
    Compute(Arguments<Settings>),
    /// Run a Storage Element: a pool of storage Hosts
    Storage(StorageArguments),
    /// Run a Data Element: a pool of data Hosts
    Data(DataArguments),
}

/// What a Data Element may be started for, beside its settings.
#[derive(Debug, clap::Args)]
pub(crate) struct DataArguments {
    #[command(flatten)]
    arguments: Arguments<Settings>,
    /// In which time every shadow is compared with its core once [default: as in DEDoc.xml, at first 1d]
    #[arg(long, value_name = "PERIOD")]
    check_time: Option<Period>,
    #[command(flatten)]
    limits: DataLimitsArguments,
}

/// How much of a Data Element may be used; each is noted in DEDoc.xml, and counts until
/// another is given.
#[derive(Debug, clap::Args)]
struct DataLimitsArguments {
    /// SQL sessions at a time
    #[arg(long = "max-sessions", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    sessions: Option<u32>,
    /// Statements that run at a time
    #[arg(long = "max-running", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    running: Option<u32>,
    /// Statements that wait for those; more are refused
    #[arg(long = "max-waiting", value_name = "COUNT")]
    waiting: Option<u32>,
    /// Time that a statement may take
    #[arg(long = "max-time", value_name = "PERIOD")]
    time: Option<Period>,
    /// Bytes that a result may have
    #[arg(long = "max-result", value_name = "SIZE")]
    result: Option<Size>,
    /// Rows that a result may have
    #[arg(long = "max-rows", value_name = "COUNT")]
    rows: Option<u64>,
}

impl DataLimitsArguments {
    fn read(&self) -> DataLimits {
        let time = self.time.as_ref();
        DataLimits {
            sessions: self.sessions,
            running: self.running,
            waiting: self.waiting,
            time: time.map(|time| Duration::from_secs(time.seconds().max(1))),
            result_bytes: self.result.map(Size::bytes),
            result_rows: self.rows,
        }
    }
}

/// What a Storage Element may be started for, beside its settings.
#[derive(Debug, clap::Args)]
pub(crate) struct StorageArguments {
    #[command(flatten)]
    arguments: Arguments<Settings>,
    /// How long a Host may be silent before what is on it is made anew on others [default: as in SEDoc.xml, at first 10m]
    #[arg(long, value_name = "PERIOD")]
    repair_delay: Option<Period>,
    /// Bytes that repair, drain and rebalance read and write in a second [default: as in SEDoc.xml, at first 32MiB]
    #[arg(long, value_name = "SIZE", value_parser = Size::above_zero)]
    repair_rate: Option<Size>,
    /// How long blocks that nothing names stay; for tests
    #[arg(long, hide = true, value_name = "PERIOD")]
    collect_after: Option<Period>,
    /// How long a day is in rules on how long objects live; for tests
    #[arg(long, hide = true, value_name = "PERIOD")]
    lifecycle_day: Option<Period>,
    /// Make its lost metadata.sqlite anew from its Hosts, tell what was made, and end
    #[arg(long)]
    rebuild: bool,
    /// Rebuild from the Hosts that answer, although others may have had more
    #[arg(long, requires = "rebuild")]
    accept_loss: bool,
}

/// Runs the Element until it is told to end.
pub(crate) fn run(kind: Kind, output: Output) -> Result<(), Failure> {
    super::open_files_raise();
    match kind {
        Kind::Compute(arguments) => {
            let (frame, config) = settled(NodeKind::ComputingElement, arguments)?;
            frame.serve(|shutdown| gridmart_element::compute::run(config, shutdown))
        }
        Kind::Storage(storage) => {
            let (frame, mut config) = settled(NodeKind::StorageElement, storage.arguments)?;
            config.repair_delay = storage
                .repair_delay
                .map(|delay| Duration::from_secs(delay.seconds()));
            config.repair_rate = storage.repair_rate.map(Size::bytes);
            config.collect_after = storage
                .collect_after
                .map(|period| Duration::from_secs(period.seconds()));
            config.lifecycle_day = storage
                .lifecycle_day
                .map(|day| Duration::from_secs(day.seconds()));
            if storage.rebuild {
                return rebuild(&frame, config, storage.accept_loss, output);
            }
            frame.serve(|shutdown| gridmart_element::storage::run(config, shutdown))
        }
        Kind::Data(data) => {
            let (frame, mut config) = settled(NodeKind::DataElement, data.arguments)?;
            config.check_interval = data
                .check_time
                .map(|time| Duration::from_secs(time.seconds().max(1)));
            config.data_limits = data.limits.read();
            frame.serve(|shutdown| gridmart_element::data::run(config, shutdown))
        }
    }
}

/// Has the store made anew, and tells of what.
fn rebuild(
    frame: &Frame,
    config: Config,
    accept_loss: bool,
    output: Output,
) -> Result<(), Failure> {
    let mut report = None;
    frame.serve(|shutdown| async {
        report = storage::rebuild(config, accept_loss, shutdown).await?;
        Ok::<_, RebuildFailure>(())
    })?;
    let report = report.ok_or(Failure::Interrupted)?;
    output.print(&report, |page| {
        page.line(format!(
            "{} is made anew: {} records, {} buckets, {} objects",
            report.store, report.records, report.buckets, report.objects
        ));
        page.line(if report.whole {
            "all that was acknowledged is there"
        } else {
            "some of what was acknowledged may be missing: too few Hosts have answered"
        });
        page.field("hosts", format!("{} have answered", report.answered));
        for away in &report.away {
            page.field("away", format!("{}: {}", away.host, away.why));
        }
    })?;
    output.note("next: start the Element again without --rebuild");
    Ok(())
}

fn settled(role: NodeKind, arguments: Arguments<Settings>) -> Result<(Frame, Config), Failure> {
    let (frame, settings) = arguments.settled()?;
    let config = Config {
        data_dir: settings
            .data_dir
            .unwrap_or_else(|| data_home().join(role.as_str())),
        controller: required(settings.controller, "controller")?,
        join_token: join_token(settings.join_token, settings.join_token_file.as_deref())?,
        name: settings.name.unwrap_or_else(machine_name),
        listen: settings
            .listen
            .unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
        advertise: settings.advertise,
        s3_listen: settings
            .s3_listen
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
        postgres_listen: settings
            .postgres_listen
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
        restore_lib: settings.restore_lib.unwrap_or(false),
        repair_delay: None,
        repair_rate: None,
        collect_after: None,
        lifecycle_day: None,
        check_interval: None,
        data_limits: DataLimits::default(),
    };
    Ok((frame, config))
}

/// Gives the machine's name, as far as it is fit for a resource's.
pub(super) fn machine_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unnamed".to_owned())
}
