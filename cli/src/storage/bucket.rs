//! `gridmart bucket`: buckets and what their owners allow.

use std::{fmt::Write as _, str::FromStr};

use gridmart_schemas::{
    api::bucket::{BucketChangeRequest, BucketCreateRequest, BucketView, BucketsView},
    resource::common::{AccessRule, Who},
    role::Operation,
    scalar::{BucketName, Text},
    storage::Redundancy,
    wire::bucket::Limit,
};
use gridmart_sdk::Client;

use crate::{
    failure::Failure,
    output::{Output, Page, or_dash},
    remote,
    size::Size,
};

/// What to do with buckets.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a bucket; it is yours
    Create(Create),
    /// List the buckets that you may use
    List(List),
    /// Show a bucket
    Show(Named),
    /// Change how a bucket keeps new data, its limits, or who may use it
    Policy(Policy),
    /// Remove a bucket that is empty
    Delete(Named),
}

/// A new bucket.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Its name
    name: BucketName,
    /// Storage Element, by id or name; may be left out where there is one
    #[arg(long)]
    element: Option<String>,
    /// How data is kept: replica(N) or rs(K,M); absent: as fits the Element's Hosts
    #[arg(long, value_name = "CODE")]
    redundancy: Option<Redundancy>,
    /// Bytes that it may hold: 512, 64KiB, 4GiB
    #[arg(long, value_name = "SIZE")]
    quota: Option<Size>,
    /// Objects that it may hold
    #[arg(long, value_name = "N")]
    quota_objects: Option<u64>,
    /// Blocks of a stripe that may be missing when a put is acknowledged while Hosts are away, and are made anew then [default: 0]
    #[arg(long, value_name = "N")]
    allow_degraded: Option<u8>,
}

/// Which ones.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    at: super::Where,
}

/// One bucket.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Its name
    name: BucketName,
    #[command(flatten)]
    at: super::Where,
}

/// What its owner allows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Rules replace those that there are. WHO is ALL, user:NAME, role:NAME or domain:NAME; OPERATIONS are read, write; PREFIX is what keys begin with, up to a `/`. Examples: --allow user:ada --allow role:viewer=read --allow domain:lab=read,write@shared/"
)]
pub(crate) struct Policy {
    #[command(flatten)]
    bucket: Named,
    /// How data is kept that is written from now on: replica(N) or rs(K,M)
    #[arg(long, value_name = "CODE")]
    redundancy: Option<Redundancy>,
    /// Bytes that it may hold, or `none`
    #[arg(long, value_name = "SIZE", value_parser = limit::<Size>)]
    quota: Option<Limited<Size>>,
    /// Objects that it may hold, or `none`
    #[arg(long, value_name = "N", value_parser = limit::<u64>)]
    quota_objects: Option<Limited<u64>>,
    /// Blocks of a stripe that may be missing when a put is acknowledged while Hosts are away, and are made anew then; 0: none
    #[arg(long, value_name = "N")]
    allow_degraded: Option<u8>,
    /// Who may use it beside you
    #[arg(long, value_name = "WHO[=OPERATIONS][@PREFIX]", value_parser = rule)]
    allow: Vec<AccessRule>,
    /// Nobody may use it beside you
    #[arg(long, conflicts_with = "allow")]
    allow_nobody: bool,
}

/// A limit, or none.
#[derive(Clone, Copy, Debug)]
struct Limited<T>(Option<T>);

fn limit<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Limited<T>, String> {
    if text == "none" {
        return Ok(Limited(None));
    }
    let read = text.parse().map(|limit| Limited(Some(limit)));
    read.map_err(|error| format!("{error}, or `none`"))
}

fn wanted<T>(limit: Option<Limited<T>>, bytes: impl Fn(T) -> u64) -> Limit {
    match limit {
        None => Limit::Kept,
        Some(Limited(None)) => Limit::None,
        Some(Limited(Some(limit))) => Limit::Of(bytes(limit)),
    }
}

fn rule(text: &str) -> Result<AccessRule, String> {
    let (text, part) = match text.split_once('@') {
        Some((text, part)) => (text, Some(part)),
        None => (text, None),
    };
    let (who, operations) = match text.split_once('=') {
        Some((who, operations)) => (who, Some(operations)),
        None => (text, None),
    };
    let who: Who = who.parse().map_err(|error| format!("{error}"))?;
    let operations: Vec<Operation> = operations
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(|operation| {
            operation
                .parse::<Operation>()
                .map_err(|error| error.to_string())
        })
        .collect::<Result<_, _>>()?;
    let part = match part {
        None => None,
        Some(part) if part.ends_with('/') => {
            Some(Text::new(part).map_err(|error| error.to_string())?)
        }
        Some(part) => return Err(format!("a prefix of keys ends with `/`: {part}/")),
    };
    Ok(AccessRule {
        operations: (!operations.is_empty()).then_some(operations),
        part,
        ..AccessRule::new(who)
    })
}

/// Does it.
pub(crate) fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create(create) => {
            let request = BucketCreateRequest {
                name: create.name.clone(),
                element: create.element.clone(),
                redundancy: create.redundancy,
                quota_bytes: create.quota.map(Size::bytes),
                quota_objects: create.quota_objects,
                allow_degraded: create.allow_degraded,
            };
            show(output, async |client| {
                Ok(client.storage().bucket_create(&request).await?)
            })
        }
        Command::List(wanted) => list(wanted.at.element.as_deref(), output),
        Command::Show(named) => show(output, async |client| {
            Ok(client.storage().bucket_show(&named.bucket()).await?)
        }),
        Command::Policy(policy) => {
            let change = policy.change()?;
            show(output, async |client| {
                let bucket = policy.bucket.bucket();
                Ok(client.storage().bucket_change(&bucket, &change).await?)
            })
        }
        Command::Delete(named) => {
            let bucket = named.bucket();
            remote::ask(async |client| Ok(client.storage().bucket_delete(&bucket).await?))?;
            output.print(&serde_json::json!({ "deleted": bucket }), |page| {
                page.line(format!("The bucket {bucket} is gone."));
            })
        }
    }
}

impl Named {
    fn bucket(&self) -> String {
        self.at.bucket(&self.name)
    }
}

impl Policy {
    fn change(&self) -> Result<BucketChangeRequest, Failure> {
        let rules = (self.allow_nobody || !self.allow.is_empty()).then(|| self.allow.clone());
        let change = BucketChangeRequest {
            redundancy: self.redundancy,
            quota_bytes: wanted(self.quota, Size::bytes),
            quota_objects: wanted(self.quota_objects, |objects| objects),
            allow_degraded: self.allow_degraded,
            rules,
        };
        let nothing = change.redundancy.is_none()
            && change.quota_bytes.is_kept()
            && change.quota_objects.is_kept()
            && change.allow_degraded.is_none()
            && change.rules.is_none();
        if nothing {
            return Err(Failure::Usage(
                "say what to change: --redundancy, --quota, --quota-objects, --allow-degraded, --allow or --allow-nobody"
                    .to_owned(),
            ));
        }
        Ok(change)
    }
}

fn show(
    output: Output,
    ask: impl AsyncFnOnce(Client) -> Result<BucketView, Failure>,
) -> Result<(), Failure> {
    let view = remote::ask(ask)?;
    output.print(&view, |page| details(page, &view))
}

/// Lists the buckets, of one Element or of all.
pub(super) fn list(element: Option<&str>, output: Output) -> Result<(), Failure> {
    let listed = remote::ask(async |client| Ok(client.storage().bucket_list(element).await?))?;
    output.print(&listed, |page| table(page, &listed))?;
    for silent in &listed.silent {
        output.note(&format!(
            "{silent} did not answer: its buckets are missing here"
        ));
    }
    Ok(())
}

fn table(page: &mut Page, listed: &BucketsView) {
    let cells = listed.buckets.iter().map(|bucket| {
        let area = &bucket.area;
        let state = area.state.as_ref();
        [
            area.name.to_string(),
            bucket.element_name.clone(),
            bucket.owner.to_string(),
            area.info.redundancy.to_string(),
            or_dash(state.map(|state| state.number_of_files)),
            or_dash(state.map(|state| Size::from_bytes(state.used_online_size))),
            or_dash(area.policy.quota.map(Size::from_bytes)),
        ]
    });
    let header = [
        "NAME",
        "ELEMENT",
        "OWNER",
        "REDUNDANCY",
        "OBJECTS",
        "USED",
        "QUOTA",
    ];
    let none = "No bucket yet: `gridmart bucket create NAME` makes one.";
    page.table(header, cells.collect(), none);
}

fn details(page: &mut Page, bucket: &BucketView) {
    let area = &bucket.area;
    page.heading(area.name.as_str());
    page.field("element", &bucket.element_name);
    page.field("owner", bucket.owner.as_str());
    page.field("redundancy", area.info.redundancy.to_string());
    if let Some(why) = &bucket.why {
        page.field("because", why);
    }
    page.field("puts may miss", degraded(area.policy.allow_degraded));
    if let Some(state) = &area.state {
        page.field("objects", state.number_of_files.to_string());
        if let Some(short) = state.number_of_short_files {
            page.field("short of blocks", format!("{short} versions of objects"));
        }
        page.field("used", Size::from_bytes(state.used_online_size).to_string());
        page.field("free", Size::from_bytes(state.free_online_size).to_string());
    }
    page.field("quota", or_dash(area.policy.quota.map(Size::from_bytes)));
    page.field("most objects", or_dash(area.policy.max_num_files));
    let rules = &area.access.rules;
    if rules.is_empty() {
        page.field("who may", "the owner alone");
    }
    for rule in rules {
        page.field("who may", shown(rule));
    }
}

fn degraded(losses: Option<u64>) -> String {
    match losses {
        None | Some(0) => "no block".to_owned(),
        Some(1) => "1 block of a stripe".to_owned(),
        Some(losses) => format!("{losses} blocks of a stripe"),
    }
}

fn shown(rule: &AccessRule) -> String {
    let mut text = rule.who.to_string();
    if let Some(operations) = &rule.operations {
        let words: Vec<String> = operations.iter().map(ToString::to_string).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "={}", words.join(","));
    }
    if let Some(part) = &rule.part {
        let _ = write!(text, "@{}", part.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_shown_as_they_are_typed() {
        for text in [
            "ALL",
            "user:ada=read",
            "domain:lab=read,write@shared/",
            "role:user@a/b/",
        ] {
            assert_eq!(shown(&rule(text).unwrap()), text);
        }
        for text in ["", "ada", "user:ada=fly", "user:ada@shared", "user:ada="] {
            assert!(rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_may_be_taken_away() {
        assert_eq!(wanted(None::<Limited<u64>>, |limit| limit), Limit::Kept);
        assert_eq!(wanted(limit::<Size>("none").ok(), Size::bytes), Limit::None);
        assert_eq!(
            wanted(limit::<Size>("1KiB").ok(), Size::bytes),
            Limit::Of(1024)
        );
        assert!(limit::<Size>("much").is_err());
    }
}
