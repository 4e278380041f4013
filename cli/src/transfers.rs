//! `gridmart transfers`: object bytes that are under way, or were.

use gridmart_schemas::{
    api::transfer::{TransferRecordsPage, TransferShown, TransfersView},
    wire::transfer::{TransferEnd, TransferRecord, TransferSubject, TransferView},
};
use gridmart_sdk::TransferFilter;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Output, Page, moment, or_dash},
    remote,
    size::Size,
};

/// Rows if nobody says otherwise.
const ROWS_DEFAULT: u32 = 100;

/// List transfers of object bytes: those under way, or those that have ended.
///
/// People see their own, operators all. BYTES are those so far: through S3, those that went through the
/// Element; of a program that reads and writes on the Hosts itself, those for which the Element has given
/// out the places, of which the last ones may still be on their way.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Those that have ended, newest first
    #[arg(long)]
    ended: bool,
    /// Only of the bucket of this name
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    /// Only of this person
    #[arg(long, value_name = "PERSON")]
    owner: Option<String>,
    /// At most so many
    #[arg(long, value_name = "ROWS", default_value_t = ROWS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// With --ended: read on from an earlier answer's `next`
    #[arg(long, value_name = "NEXT", requires = "ended")]
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Running(TransfersView),
    Ended(TransferRecordsPage),
}

/// Lists them.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let Arguments {
        ended,
        bucket,
        owner,
        limit,
        after,
    } = arguments;
    let filter = TransferFilter {
        bucket: bucket.clone(),
        owner: owner.clone(),
        limit: Some(*limit),
    };
    let listed = remote::ask(async |client| {
        let transfers = client.transfers();
        Ok(if *ended {
            Listed::Ended(transfers.records(&filter, after.clone()).await?)
        } else {
            Listed::Running(transfers.list(&filter).await?)
        })
    })?;
    output.print(&listed, |page| match &listed {
        Listed::Running(view) => running(page, view),
        Listed::Ended(records) => ended_table(page, records),
    })
}

fn running(page: &mut Page, view: &TransfersView) {
    let rows = view.transfers.iter().map(|row| {
        let TransferView {
            subject,
            state,
            bytes,
            bytes_total,
        } = row;
        let total = bytes_total.map_or_else(String::new, |total| {
            format!(" of {}", Size::from_bytes(total))
        });
        [
            subject.transfer.to_string(),
            or_dash(subject.owner.as_ref()),
            what(subject),
            subject.direction.to_string(),
            subject.door.to_string(),
            format!("{}{total}", Size::from_bytes(*bytes)),
            moment(subject.started),
            state.clone(),
        ]
    });
    let columns = [
        "TRANSFER", "OWNER", "OBJECT", "WAY", "DOOR", "BYTES", "STARTED", "STATE",
    ];
    page.table(columns, rows.collect(), "Nothing is under way.");
    for silent in &view.silent {
        page.line(format!("{silent} did not answer."));
    }
}

fn ended_table(page: &mut Page, records: &TransferRecordsPage) {
    let rows = records.items.iter().map(|record| {
        let TransferRecord {
            subject,
            bytes,
            ended,
            end,
        } = record;
        [
            subject.transfer.to_string(),
            or_dash(subject.owner.as_ref()),
            what(subject),
            subject.direction.to_string(),
            subject.door.to_string(),
            Size::from_bytes(*bytes).to_string(),
            moment(*ended),
            how(end),
        ]
    });
    let columns = [
        "TRANSFER", "OWNER", "OBJECT", "WAY", "DOOR", "BYTES", "ENDED", "HOW",
    ];
    page.table(columns, rows.collect(), "None.");
    if let Some(next) = &records.next {
        page.line(format!("More: --after {next}"));
    }
}

/// Which object.
fn what(subject: &TransferSubject) -> String {
    let key = subject.key.as_deref().unwrap_or("?");
    // A name is one line.
    format!("{}/{key}", subject.bucket_name).replace(['\n', '\t'], "\u{fffd}")
}

fn how(end: &TransferEnd) -> String {
    match &end.reason {
        Some(reason) => format!("{:?} ({reason})", end.state),
        None => format!("{:?}", end.state),
    }
}

/// Shows one.
pub(crate) fn details(page: &mut Page, shown: &TransferShown) {
    let subject = match shown {
        TransferShown::Running(view) => &view.subject,
        TransferShown::Ended(record) => &record.subject,
    };
    page.field("transfer", subject.transfer.to_string());
    page.field("owner", or_dash(subject.owner.as_ref()));
    page.field("element", subject.element.to_string());
    page.field("object", what(subject));
    page.field("way", subject.direction.to_string());
    page.field("door", subject.door.to_string());
    page.field("started", moment(subject.started));
    match shown {
        TransferShown::Running(view) => {
            page.field("state", &view.state);
            page.field("bytes", Size::from_bytes(view.bytes).to_string());
            if let Some(total) = view.bytes_total {
                page.field("of", Size::from_bytes(total).to_string());
            }
        }
        TransferShown::Ended(record) => {
            page.field("ended", moment(record.ended));
            page.field("state", how(&record.end));
            page.field("bytes", Size::from_bytes(record.bytes).to_string());
        }
    }
}
