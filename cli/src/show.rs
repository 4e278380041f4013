//! `gridmart show ID`: one resource, application, call, map or transfer.

use gridmart_fabric::ticket::verify_heal;
use gridmart_schemas::{
    api::{
        activity::{ActivitiesView, CallView, CallsPage, JobView},
        application::ApplicationView,
        explain::Explanation,
        resource::{Description, ResourceView},
        sql_session::SqlSessionShown,
        transfer::TransferShown,
    },
    problem::Code,
    role::NodeKind,
    storage::heal::SignedHeal,
    wire::{bucket::HealsTold, layout::LayoutTold, record::CallRecord},
};
use gridmart_sdk::{Client, Error};
use serde::Serialize;

use crate::{
    apps, explain,
    failure::Failure,
    layout,
    output::{Output, Page, moment, or_dash},
    remote,
    resources::{free, serving},
    sessions,
    size::Size,
    transfers,
};

/// Ended calls that are shown of an application.
const CALLS_SHOWN: u32 = 10;
/// Repairs that are shown of a Storage Element.
const HEALS_SHOWN: usize = 10;
/// Running and waiting calls that are shown of an application.
const ACTIVITIES_SHOWN: u32 = 50;

/// Show one Element, Host, application, call, map or transfer.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name or id (its beginning is enough) of an Element or Host, NAME[@VERSION] of an application, id of a call, map, transfer or SQL session
    #[arg(value_name = "ID")]
    id: String,
    /// Print the description as XML (Elements and Hosts)
    #[arg(long, conflicts_with = "json")]
    xml: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Resource(Box<ResourceShown>),
    Application(Box<ApplicationShown>),
    Job(JobView),
    Transfer(Box<TransferShown>),
    SqlSession(Box<SqlSessionShown>),
    Call(CallView),
    Explained(Explanation),
}

#[derive(Serialize)]
struct ResourceShown {
    #[serde(flatten)]
    view: ResourceView,
    /// Of a Storage Element that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    heals: Option<HealsShown>,
    /// Of a Storage Element that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<LayoutTold>,
}

#[derive(Serialize)]
struct HealsShown {
    blocks_lost: u64,
    heals: Vec<HealShown>,
}

/// A certificate, and whether its signature was found to hold here.
#[derive(Serialize)]
struct HealShown {
    #[serde(flatten)]
    signed: SignedHeal,
    verified: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

#[derive(Serialize)]
struct ApplicationShown {
    versions: Vec<ApplicationView>,
    activities: ActivitiesView,
    calls: CallsPage,
}

/// Shows it.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let shown = remote::ask(async |client| find(&client, &arguments.id).await)?;
    if arguments.xml {
        let Shown::Resource(view) = &shown else {
            return Err(Failure::Usage("--xml shows Elements and Hosts".to_owned()));
        };
        return output.write(view.view.description.to_xml().as_bytes());
    }
    output.print(&shown, |page| match &shown {
        Shown::Resource(view) => resource(page, view),
        Shown::Application(view) => application(page, view),
        Shown::Job(view) => job(page, view),
        Shown::Transfer(shown) => transfers::details(page, shown),
        Shown::SqlSession(shown) => sessions::details(page, shown),
        Shown::Call(view) => attempts(page, view),
        Shown::Explained(explanation) => explain::page(page, explanation),
    })
}

async fn find(client: &Client, text: &str) -> Result<Shown, Failure> {
    let id = remote::whole_id(client, text).await?;
    match client.resources().get(&id).await {
        Ok(view) => {
            let (heals, layout) = match view.row.kind {
                NodeKind::StorageElement => (
                    heals(client, &id).await.ok(),
                    client.resources().layout(&id).await.ok(),
                ),
                _ => (None, None),
            };
            let shown = ResourceShown {
                view,
                heals,
                layout,
            };
            return Ok(Shown::Resource(Box::new(shown)));
        }
        Err(error) if is_unknown(&error) => {}
        Err(error) => return Err(error.into()),
    }
    if let Ok(job) = id.parse() {
        match client.activities().job(job).await {
            Ok(view) if !view.hosts.is_empty() => return Ok(Shown::Job(view)),
            Err(error) if !is_unknown(&error) => return Err(error.into()),
            _ => {}
        }
        if let Some(shown) = transfer(client, &id).await? {
            return Ok(shown);
        }
        if let Some(shown) = sql_session(client, &id).await? {
            return Ok(shown);
        }
        if let Ok(call) = id.parse() {
            match client.calls().get(call).await {
                Ok(view) => return Ok(Shown::Call(view)),
                Err(error) if !is_unknown(&error) => return Err(error.into()),
                Err(_) => {}
            }
        }
        return Ok(Shown::Explained(client.explanations().get(&id).await?));
    }
    let (name, version) = id
        .split_once('@')
        .map_or((id.as_str(), None), |(name, version)| (name, Some(version)));
    let mut versions = client.apps().versions(name).await?;
    versions.retain(|view| version.is_none_or(|version| view.version == version));
    if versions.is_empty() {
        return Err(gridmart_schemas::problem::Problem::new(
            Code::NotFound,
            format!("nothing here is called {text:?}"),
        )
        .into());
    }
    let activities = client
        .activities()
        .list(Some(name.to_owned()), Some(ACTIVITIES_SHOWN))
        .await?;
    let calls = client
        .calls()
        .page(Some(name.to_owned()), None, Some(CALLS_SHOWN))
        .await?;
    Ok(Shown::Application(Box::new(ApplicationShown {
        versions,
        activities,
        calls,
    })))
}

/// What was repaired on a Storage Element, judged by the authority's root.
async fn heals(client: &Client, id: &str) -> Result<HealsShown, Error> {
    let HealsTold { blocks_lost, heals } = client.resources().heals(id).await?;
    let root = client.authority().await.map_err(|error| error.to_string());
    let judged = heals.into_iter().map(|signed| {
        let judged = root
            .clone()
            .and_then(|root| verify_heal(&signed, &root).map_err(|problem| problem.detail));
        HealShown {
            signed,
            verified: judged.is_ok(),
            fault: judged.err(),
        }
    });
    Ok(HealsShown {
        blocks_lost,
        heals: judged.collect(),
    })
}

/// The transfer of that id; nothing, if it may be of something else.
async fn transfer(client: &Client, id: &str) -> Result<Option<Shown>, Failure> {
    let Ok(id) = id.parse() else {
        return Ok(None);
    };
    match client.transfers().get(id).await {
        Ok(shown) => Ok(Some(Shown::Transfer(Box::new(shown)))),
        Err(error) if is_unknown(&error) || error.code() == Some(Code::ElementDown) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The SQL session of that id; nothing, if it may be of something else.
async fn sql_session(client: &Client, id: &str) -> Result<Option<Shown>, Failure> {
    let Ok(id) = id.parse() else {
        return Ok(None);
    };
    match client.sql_sessions().get(id).await {
        Ok(shown) => Ok(Some(Shown::SqlSession(Box::new(shown)))),
        Err(error) if is_unknown(&error) || error.code() == Some(Code::ElementDown) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_unknown(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(Code::NotFound | Code::UnknownApplication | Code::UnknownCall | Code::InvalidRequest)
    )
}

fn resource(page: &mut Page, shown: &ResourceShown) {
    let ResourceShown {
        view,
        heals,
        layout,
    } = shown;
    let row = &view.row;
    page.field("name", &row.name);
    page.field("id", row.id.to_string());
    page.field("kind", row.kind.as_str());
    page.field("domain", &row.domain);
    if let Some(element) = row.element {
        page.field("element", element.to_string());
    }
    page.field("serving", serving(row));
    page.field("health", &row.health_state);
    if let Description::ComputeHost(host) = &view.description {
        let relayed = host.info.relayed == Some(true);
        let way = if relayed {
            "through its Element (relayed)"
        } else {
            "directly"
        };
        page.field("reached", way);
    }
    if let Description::DataHost(host) = &view.description {
        let engines = host.info.engines.iter();
        let engines = engines.map(|engine| format!("{} {}", engine.name, engine.version));
        page.field("engines", engines.collect::<Vec<_>>().join(", "));
    }
    let state = view.description.common_state();
    if let Some(info) = state.and_then(|state| state.health_state_info.as_ref()) {
        page.field("complaint", info.as_str());
    }
    page.field("connected", if row.connected { "yes" } else { "no (away)" });
    page.field(
        "heard",
        row.age_seconds.map_or_else(
            || "not since the controller started".to_owned(),
            |age| format!("{age} s ago"),
        ),
    );
    page.field("free", free(row));
    let has_calls = matches!(
        view.description,
        Description::ComputingElement(_) | Description::ComputeHost(_)
    );
    if has_calls {
        page.field("running", or_dash(row.running_jobs));
    }
    page.field(
        "wish",
        format!(
            "{} (generation {}, applied {})",
            view.wish.desired, view.wish.generation, view.applied_generation
        ),
    );
    if has_calls {
        deployments(page, view);
    }
    if let Some(told) = heals {
        page.field("lost", format!("{} blocks", told.blocks_lost));
        heals_table(page, told);
    }
    if let Some(told) = layout
        && let Some(progress) = &told.applied
    {
        layout::applied(page, progress, told);
    }
}

fn heals_table(page: &mut Page, told: &HealsShown) {
    let rows = told
        .heals
        .iter()
        .take(HEALS_SHOWN)
        .map(|shown| {
            let heal = &shown.signed.certificate;
            [
                moment(heal.ended),
                heal.blocks_rebuilt.to_string(),
                heal.blocks_read_back.to_string(),
                Size::from_bytes(heal.bytes).to_string(),
                heal.hosts_lost.len().to_string(),
                or_dash(shown.verified.then_some("holds")),
                heal.id.to_string(),
            ]
        })
        .collect();
    page.heading("Repairs");
    let columns = [
        "ENDED",
        "REBUILT",
        "READ BACK",
        "BYTES",
        "HOSTS LOST",
        "SIGNATURE",
        "CERTIFICATE",
    ];
    page.table(columns, rows, "None yet.");
    for shown in told.heals.iter().take(HEALS_SHOWN) {
        if let Some(fault) = &shown.fault {
            page.line(format!("{}: {fault}", shown.signed.certificate.id));
        }
    }
}

fn deployments(page: &mut Page, view: &ResourceView) {
    let rows = view
        .deployments
        .iter()
        .map(|at| {
            [
                at.digest.to_string(),
                at.state.clone(),
                at.reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    page.heading("Applications");
    page.table(["DIGEST", "STATE", "REASON"], rows, "None yet.");
}

fn application(page: &mut Page, view: &ApplicationShown) {
    for version in &view.versions {
        apps::details(page, version);
    }
    page.heading("Running and waiting");
    let rows = view
        .activities
        .activities
        .iter()
        .map(|activity| {
            [
                activity.id.clone(),
                activity.state.clone(),
                activity.owner.clone(),
                or_dash(activity.position),
                or_dash(activity.host),
            ]
        })
        .collect();
    page.table(
        ["CALL", "STATE", "OWNER", "PLACE", "HOST"],
        rows,
        "Nothing.",
    );
    for silent in &view.activities.silent {
        page.line(format!("{silent} did not answer."));
    }
    page.heading("Last calls");
    page.table(
        ["CALL", "ENDED", "STATE", "EXIT", "SECONDS", "OWNER"],
        view.calls.items.iter().map(call).collect(),
        "None.",
    );
}

fn call(record: &CallRecord) -> [String; 6] {
    let end = &record.end;
    let micros = std::time::Duration::from_micros(end.wall_us);
    [
        record.call.to_string(),
        moment(record.ended),
        end.code.map_or_else(
            || format!("{:?}", end.state),
            |code| format!("{:?} ({code})", end.state),
        ),
        end.exit_code.map_or_else(
            || {
                end.signal
                    .map_or_else(|| "-".to_owned(), |signal| format!("signal {signal}"))
            },
            |code| code.to_string(),
        ),
        format!("{:.3}", micros.as_secs_f64()),
        record.owner.to_string(),
    ]
}

fn attempts(page: &mut Page, view: &CallView) {
    for record in &view.attempts {
        let end = &record.end;
        page.field("call", record.call.to_string());
        page.field(
            "application",
            format!("{} {}", record.application, record.version),
        );
        page.field("owner", record.owner.to_string());
        page.field("host", record.host.to_string());
        page.field("ended", moment(record.ended));
        let [_, _, state, exit, seconds, _] = call(record);
        page.field("state", state);
        if let Some(reason) = &end.reason {
            page.field("reason", reason);
        }
        page.field("exit", exit);
        page.field("seconds", seconds);
        let printed = (end.stdout_bytes, end.stderr_bytes);
        page.field(
            "printed",
            format!(
                "{} on stdout, {} on stderr",
                size(printed.0),
                size(printed.1)
            ),
        );
        if end.staged_in_bytes > 0 || end.staged_out_bytes > 0 {
            page.field("files in", size(end.staged_in_bytes));
            page.field("files out", size(end.staged_out_bytes));
        }
    }
}

fn size(bytes: u64) -> String {
    Size::from_bytes(bytes).to_string()
}

fn job(page: &mut Page, view: &JobView) {
    let rows = view
        .hosts
        .iter()
        .map(|host| {
            [
                host.host.to_string(),
                host.finished.to_string(),
                host.failed.to_string(),
                format!(
                    "{:.3}",
                    std::time::Duration::from_micros(host.wall_us).as_secs_f64()
                ),
                format!(
                    "{:.3}",
                    std::time::Duration::from_micros(host.cpu_us).as_secs_f64()
                ),
            ]
        })
        .collect();
    page.table(
        ["HOST", "FINISHED", "FAILED", "BUSY S", "CPU S"],
        rows,
        "Nothing has run yet.",
    );
}
