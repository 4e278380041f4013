//! `gridmart ls`.

use gridmart_schemas::wire::storage::ObjectView;
use gridmart_sdk::ObjectPages;
use serde::Serialize;

use super::{Place, Where, bucket};
use crate::{
    failure::Failure,
    output::{Output, Page, moment},
    remote,
    size::Size,
};

/// List buckets, or the objects of one.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A bucket, a folder in it (ends with `/`), or what keys begin with; absent: all buckets
    #[arg(value_name = "BUCKET[/PREFIX]")]
    place: Option<Place>,
    /// Show sizes and times
    #[arg(long, short)]
    long: bool,
    /// List what is in folders as well
    #[arg(long, short)]
    recursive: bool,
    #[command(flatten)]
    at: Where,
}

/// All of a listing.
#[derive(Default, Serialize)]
struct Listed {
    prefixes: Vec<String>,
    objects: Vec<ObjectView>,
}

/// Lists.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let Some(place) = &arguments.place else {
        return bucket::list(arguments.at.element.as_deref(), output);
    };
    let listed = remote::ask(async |client| {
        let mut pages = client.storage().list(arguments.at.bucket(&place.bucket));
        pages = pages.prefix(&place.key);
        if !arguments.recursive {
            pages = pages.delimiter("/");
        }
        told(pages, arguments.long, output).await
    })?;
    if output.json() {
        return output.print(&listed, |_| ());
    }
    Ok(())
}

/// People see each page as it comes, programs get one document.
async fn told(mut pages: ObjectPages, long: bool, output: Output) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    while let Some(told) = pages.next().await? {
        if output.json() {
            listed.objects.extend(told.objects);
            listed.prefixes.extend(told.prefixes);
            continue;
        }
        output.page(|page| lines(page, &told.prefixes, &told.objects, long))?;
    }
    Ok(listed)
}

/// Both are in the order of their names.
fn lines(page: &mut Page, prefixes: &[String], objects: &[ObjectView], long: bool) {
    let mut prefixes = prefixes.iter().peekable();
    for object in objects {
        while let Some(prefix) = prefixes.next_if(|prefix| **prefix < object.key) {
            page.line(line(long, "", "", prefix));
        }
        let (size, time) = (Size::from_bytes(object.size), moment(object.modified));
        page.line(line(long, &size.to_string(), &time, &object.key));
    }
    for prefix in prefixes {
        page.line(line(long, "", "", prefix));
    }
}

fn line(long: bool, size: &str, time: &str, name: &str) -> String {
    // A name is one line.
    let name = name.replace(['\n', '\t'], "\u{fffd}");
    if long {
        format!("{size:>12}  {time:>20}  {name}")
    } else {
        name
    }
}
