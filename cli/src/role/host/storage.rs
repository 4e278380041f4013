//! `gridmart host storage`.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use gridmart_host::storage::bucket::{BucketSettings, Credentials};
use gridmart_schemas::{resource::host::StorageHostPolicy, scalar::FailureLabel};

use super::{
    super::{Arguments, JoinToken, LogFormat, settings::settings},
    Told,
};
use crate::{failure::Failure, period::Period, size::Size};

settings! {
    /// Settings of a storage Host.
    Settings {
        /// Folder for everything it keeps, blocks included [default: $XDG_DATA_HOME/gridmart/shost]
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// The Element's door
        #[arg(long, value_name = "HOST:PORT")]
        element: String,
        /// Join token, for the first start only
        #[arg(long, value_name = "TOKEN", env = "GRIDMART_JOIN_TOKEN", hide_env_values = true, value_parser = JoinToken::read)]
        join_token: JoinToken,
        /// File with the join token
        #[arg(long, value_name = "FILE")]
        join_token_file: PathBuf,
        /// Its name, for people [default: the machine's name]
        #[arg(long)]
        name: String,
        /// Address of its door, for programs [default: 0.0.0.0:0]
        #[arg(long, value_name = "ADDR:PORT")]
        listen: SocketAddr,
        /// Host name or address that programs reach it by
        #[arg(long, value_name = "HOST[:PORT]")]
        advertise: String,
        /// How much blocks may take [default: what the disk has, less a reserve]
        #[arg(long, value_name = "SIZE")]
        max_used_space: Size,
        /// Requests of one program at a time [default: 16]
        #[arg(long, value_name = "N")]
        max_streams: u32,
        /// What it shares with others when it fails, as in rack=r1; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        failure_label: Vec<FailureLabel>,
        /// Keep blocks in a bucket of another object store, s3://BUCKET[/PREFIX], which is this Host's alone; needs --max-used-space
        #[arg(long, value_name = "URL")]
        volume_url: String,
        /// Where that store is, as in http://127.0.0.1:9000 [default: $AWS_ENDPOINT_URL, else Amazon S3]
        #[arg(long, value_name = "URL")]
        volume_endpoint: String,
        /// Region of the bucket [default: $AWS_REGION, else us-east-1]
        #[arg(long, value_name = "REGION")]
        volume_region: String,
        /// File with AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=… [default: from the environment]
        #[arg(long, value_name = "FILE")]
        volume_credentials: PathBuf,
        /// In which time every block is read again; for tests
        #[arg(long, hide = true, value_name = "PERIOD")]
        scrub_time: Period,
        /// Form of its log [default: text]
        #[arg(long, value_name = "FORM")]
        log_format: LogFormat,
        /// What goes into its log, as in `info` or `gridmart_host=debug` [default: info]
        #[arg(long, value_name = "FILTER")]
        log_level: String,
    }
}

/// Runs the Host until it is told to end.
pub(super) fn run(arguments: Arguments<Settings>) -> Result<(), Failure> {
    let (frame, settings) = arguments.settled()?;
    let bucket = bucket(&settings)?;
    let failure_labels = settings.failure_label.unwrap_or_default();
    let mut keys = BTreeSet::new();
    if let Some(again) = failure_labels
        .iter()
        .find(|label| !keys.insert(label.key()))
    {
        return Err(Failure::Usage(format!(
            "--failure-label names {} twice: a machine has one of each",
            again.key()
        )));
    }
    let told = Told {
        data_dir: settings.data_dir,
        element: settings.element,
        join_token: settings.join_token,
        join_token_file: settings.join_token_file,
        name: settings.name,
        listen: settings.listen,
        advertise: settings.advertise,
        relayed: None,
    };
    let config = gridmart_host::storage::Config {
        member: told.settled("shost")?,
        policy: StorageHostPolicy {
            max_used_space: settings.max_used_space.map(Size::bytes),
            max_streams: settings.max_streams,
            ..StorageHostPolicy::default()
        },
        failure_labels,
        bucket,
        scrub_time: settings
            .scrub_time
            .map(|time| Duration::from_secs(time.seconds())),
    };
    frame.serve(|shutdown| gridmart_host::storage::run(config, shutdown))
}

/// The bucket that keeps blocks, if one is to.
fn bucket(settings: &Settings) -> Result<Option<BucketSettings>, Failure> {
    let Some(url) = &settings.volume_url else {
        return Ok(None);
    };
    if settings.max_used_space.is_none() {
        return Err(Failure::Usage(
            "--volume-url needs --max-used-space: nobody else can tell how much room there is"
                .to_owned(),
        ));
    }
    let variable = |name: &str| std::env::var(name).ok();
    let endpoint = settings.volume_endpoint.clone();
    let region = settings.volume_region.clone();
    let made = match &settings.volume_credentials {
        Some(path) => Credentials::of_file(path),
        None => Credentials::read(variable),
    };
    let made = made.and_then(|credentials| {
        BucketSettings::new(
            url,
            endpoint.or_else(|| variable("AWS_ENDPOINT_URL")),
            region.or_else(|| variable("AWS_REGION")),
            credentials,
        )
    });
    made.map(Some)
        .map_err(|error| Failure::Usage(error.to_string()))
}
