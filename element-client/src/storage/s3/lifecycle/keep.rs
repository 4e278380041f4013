//! Carrying out what owners say of old objects, again and again.

use std::time::Duration;

use gridmart_schemas::{
    id::BucketId,
    problem::{Code, Problem},
};
use s3s::dto::BucketLifecycleConfiguration;
use time::OffsetDateTime;

use super::{
    rule::{Clock, Rule, When},
    walk::Walk,
};
use crate::storage::{
    metadata::{Change, DocumentKind, ListingRequest, Page, query},
    s3::{settings, store::Store},
};

/// Pause between two rounds: what is over is over at a midnight.
const PAUSE: Duration = Duration::from_hours(1);
/// Pause before the first round, and after one that failed.
const RETRY_PAUSE: Duration = Duration::from_mins(1);
/// How often it goes round in a day that is shorter.
const ROUNDS_OF_SHORT_DAY: u32 = 4;
/// Versions that are looked at as one.
const PAGE: usize = 1000;

/// Goes round until it is dropped. A day may be shorter, for tests.
pub(in super::super) async fn keep(store: Store, day: Option<Duration>) {
    let (whole, retry) = match day {
        None => (PAUSE, RETRY_PAUSE),
        Some(day) => (day / ROUNDS_OF_SHORT_DAY, day / ROUNDS_OF_SHORT_DAY),
    };
    let day = day.and_then(|day| day.try_into().ok());
    let mut pause = retry;
    loop {
        tokio::time::sleep(pause).await;
        let now = OffsetDateTime::now_utc();
        pause = match round(&store, Clock { now, day }).await {
            Ok(()) => whole,
            Err(problem) => {
                tracing::debug!(%problem, "what is over in buckets is looked at again soon");
                retry
            }
        };
    }
}

/// Looks at all buckets once.
pub(super) async fn round(store: &Store, clock: Clock) -> Result<(), Problem> {
    let documents = store.read(|connection| {
        let mut found = Vec::new();
        for bucket in query::buckets(connection)? {
            let document = query::bucket_document(connection, bucket.id, DocumentKind::Lifecycle)?;
            found.extend(document.map(|document| (bucket.id, document)));
        }
        Ok(found)
    });
    for (bucket, document) in documents.await? {
        let Ok(configuration) = settings::read::<BucketLifecycleConfiguration>(&document) else {
            continue;
        };
        let rules: Vec<Rule> = configuration
            .rules
            .into_iter()
            .filter_map(Rule::of)
            .collect();
        versions(store, bucket, &rules, clock).await?;
        uploads(store, bucket, &rules, clock).await?;
    }
    Ok(())
}

async fn versions(
    store: &Store,
    bucket: BucketId,
    rules: &[Rule],
    clock: Clock,
) -> Result<(), Problem> {
    let mut walk = Walk::new(bucket, rules, clock);
    let mut page = Some(Page::Start);
    while let Some(begin) = page.take() {
        let request = listing(bucket, begin);
        let read = store.read(move |connection| query::version_list(connection, &request));
        let listed = read.await?;
        for version in &listed.items {
            for change in walk.visit(version) {
                make(store, change).await?;
            }
        }
        page = listed.next;
    }
    match walk.end() {
        Some(change) => make(store, change).await,
        None => Ok(()),
    }
}

async fn uploads(
    store: &Store,
    bucket: BucketId,
    rules: &[Rule],
    clock: Clock,
) -> Result<(), Problem> {
    let mut page = Some(Page::Start);
    while let Some(begin) = page.take() {
        let request = listing(bucket, begin);
        let read = store.read(move |connection| query::upload_list(connection, &request));
        let listed = read.await?;
        for upload in listed.items {
            let since = upload.created.to_offset_date_time();
            let is_over = rules.iter().any(|rule| {
                upload.key.as_str().starts_with(&rule.prefix)
                    && rule
                        .uploads
                        .is_some_and(|days| When::Days(days).is_over(since, clock))
            });
            if is_over {
                make(store, Change::UploadAbort { upload: upload.id }).await?;
            }
        }
        page = listed.next;
    }
    Ok(())
}

fn listing(bucket: BucketId, page: Page) -> ListingRequest {
    ListingRequest {
        bucket,
        prefix: String::new(),
        delimiter: None,
        page,
        limit: PAGE,
    }
}

/// What has changed meanwhile, or is protected, stays.
async fn make(store: &Store, change: Change) -> Result<(), Problem> {
    match store.commit(change).await {
        Ok(_) => Ok(()),
        Err(problem)
            if matches!(
                problem.code,
                Code::NotFound | Code::PreconditionFailed | Code::Retained
            ) =>
        {
            Ok(())
        }
        Err(problem) => Err(problem),
    }
}
