//! The steps of a map that are calls of their own: split before, merge after.
//!
//! Both read from disk and write to disk, so that either can be run again when
//! its Host is lost.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use gridmart_schemas::wire::{
    call::{PartOf, Step},
    record::CallEnd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    attempt::STDERR_KEPT_BYTES,
    job::{Job, JobFolder},
    output::{Cursor, OutputReader},
    parts::PartsWriter,
    results::ResultsFile,
};
use crate::{
    call::{CallBuilder, OutputStream, RunningCall, Stdin, StdinSink},
    client::Client,
    error::Error,
};

/// A step is run so often when its Host is lost.
const STEP_ATTEMPTS_MAX: u32 = 3;

fn step_call(client: &Client, job: &Job, step: Step, attempt: u32) -> CallBuilder {
    let arguments = match step {
        Step::Split => &job.plan.split_arguments,
        Step::Merge => &job.plan.merge_arguments,
        Step::Run => &job.plan.arguments,
    };
    let mut call = CallBuilder::new(client.clone(), job.application_spec())
        .args(arguments.clone())
        .needs(job.plan.needs.clone())
        .priority(job.plan.priority)
        .step(
            step,
            PartOf {
                job: job.id,
                part: None,
                attempt,
            },
        );
    for (name, value) in &job.plan.environment {
        call = call.env(name, value);
    }
    call
}

/// Has the application split the input; gives the number of parts.
pub(crate) async fn split(
    client: &Client,
    job: &Job,
    folder: &JobFolder,
    input: &Path,
) -> Result<u64, Error> {
    let mut attempt = 1;
    loop {
        match split_once(client, job, folder, input, attempt).await {
            Err(error) if error.retryable() && attempt < STEP_ATTEMPTS_MAX => attempt += 1,
            other => return other,
        }
    }
}

async fn split_once(
    client: &Client,
    job: &Job,
    folder: &JobFolder,
    input: &Path,
    attempt: u32,
) -> Result<u64, Error> {
    let parts = folder.file("parts");
    let failed = |e| Error::local("write the parts to", &parts, e);
    let file = tokio::fs::File::open(input)
        .await
        .map_err(|e| Error::local("read the input", input, e))?;
    let mut writer = PartsWriter::create(&parts, &folder.file("ends")).map_err(failed)?;
    let mut call = step_call(client, job, Step::Split, attempt)
        .stdin(Stdin::reader(file))
        .start()
        .await?;
    let (mut stdout, stderr) = (call.stdout(), call.stderr());
    let collect = async {
        while let Some(data) = stdout.chunk().await? {
            // The writer buffers a quarter of a megabyte; so much to the page
            // cache at a time is short.
            writer.lines(&data).map_err(failed)?;
        }
        writer.lines_end().map_err(failed)?;
        Ok::<_, Error>(writer)
    };
    let (writer, tail) = tokio::join!(collect, tail_of(stderr));
    let end = call.wait().await?;
    let writer = writer?;
    succeeded(job, "split", end, tail)?;
    let count = blocking(move || writer.seal()).await.map_err(failed)?;
    Ok(count as u64)
}

/// Makes the result: what merge prints, or all outputs in part order.
pub(crate) async fn merge(
    client: &Client,
    job: &Job,
    folder: &JobFolder,
    results: Arc<ResultsFile>,
    parts: u64,
) -> Result<u64, Error> {
    let has_merge = job
        .application
        .as_ref()
        .is_some_and(|application| application.has_merge);
    if !has_merge {
        return concatenate(folder, results, parts).await;
    }
    let mut attempt = 1;
    loop {
        match merge_once(client, job, folder, &results, parts, attempt).await {
            Err(error) if error.retryable() && attempt < STEP_ATTEMPTS_MAX => attempt += 1,
            other => return other,
        }
    }
}

async fn merge_once(
    client: &Client,
    job: &Job,
    folder: &JobFolder,
    results: &Arc<ResultsFile>,
    parts: u64,
    attempt: u32,
) -> Result<u64, Error> {
    let fresh = folder.file("output.new");
    let failed = |e| Error::local("write the result to", &fresh, e);
    let mut call = step_call(client, job, Step::Merge, attempt)
        .stdin(Stdin::Piped)
        .start()
        .await?;
    let (stdout, stderr) = (call.stdout(), call.stderr());
    let file = tokio::fs::File::create(&fresh).await.map_err(failed)?;
    let feeding = feed(&mut call, Arc::clone(results), parts);
    let ((), written, tail) = tokio::join!(feeding, save(stdout, file, &fresh), tail_of(stderr));
    let end = call.wait().await?;
    let bytes = written?;
    succeeded(job, "merge", end, tail)?;
    keep(folder, fresh).await?;
    Ok(bytes)
}

/// Feeds all outputs into merge. Its stdin closes early if it wants no more;
/// a disk that cannot be read leaves the input without its end, and cancels.
async fn feed(call: &mut RunningCall, results: Arc<ResultsFile>, parts: u64) {
    let Some(mut sink) = call.stdin() else { return };
    if let Err(error) = feed_all(&mut sink, results, parts).await {
        tracing::debug!(%error, "merge has not read all outputs");
        if matches!(error, Error::Local { .. }) {
            sink.abort();
        }
    }
}

async fn feed_all(
    sink: &mut StdinSink,
    results: Arc<ResultsFile>,
    parts: u64,
) -> Result<(), Error> {
    let mut reader = OutputReader::new(results, parts);
    while let Some(data) = reader.next().await? {
        sink.send(data).await?;
    }
    Ok(())
}

async fn save(
    mut stdout: OutputStream,
    mut file: tokio::fs::File,
    path: &Path,
) -> Result<u64, Error> {
    let failed = |e| Error::local("write the result to", path, e);
    let mut bytes = 0;
    while let Some(data) = stdout.chunk().await? {
        file.write_all(&data).await.map_err(failed)?;
        bytes += data.len() as u64;
    }
    file.sync_all().await.map_err(failed)?;
    Ok(bytes)
}

async fn concatenate(
    folder: &JobFolder,
    results: Arc<ResultsFile>,
    parts: u64,
) -> Result<u64, Error> {
    let fresh = folder.file("output.new");
    let path = fresh.clone();
    let written = blocking(move || {
        let mut file = File::create(&path)?;
        let mut cursor = Cursor::default();
        let mut bytes = 0;
        while let Some(data) = cursor.read(&results, parts)? {
            file.write_all(&data)?;
            bytes += data.len() as u64;
        }
        file.sync_all()?;
        Ok(bytes)
    });
    let bytes = written
        .await
        .map_err(|e| Error::local("write the result to", &fresh, e))?;
    keep(folder, fresh).await?;
    Ok(bytes)
}

async fn keep(folder: &JobFolder, fresh: std::path::PathBuf) -> Result<(), Error> {
    let output = folder.file("output");
    tokio::fs::rename(&fresh, &output)
        .await
        .map_err(|e| Error::local("write", &output, e))
}

fn succeeded(job: &Job, step: &'static str, end: CallEnd, stderr: String) -> Result<(), Error> {
    if end.succeeded() {
        Ok(())
    } else {
        Err(Error::Step {
            job: job.id,
            step,
            end: Box::new(end),
            stderr,
        })
    }
}

async fn tail_of(mut stderr: OutputStream) -> String {
    let mut tail: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        tail.extend_from_slice(&chunk[..count]);
        if tail.len() > 2 * STDERR_KEPT_BYTES {
            tail.drain(..tail.len() - STDERR_KEPT_BYTES);
        }
    }
    let start = tail.len().saturating_sub(STDERR_KEPT_BYTES);
    String::from_utf8_lossy(&tail[start..]).into_owned()
}

/// Does disk work on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
