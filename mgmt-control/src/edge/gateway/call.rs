//! A call that is made from a page: its input is the body, and what it prints comes as it
//! is printed.

use std::{io::SeekFrom, time::Duration};

use actix_web::{
    HttpResponse, post,
    web::{Data, Path, Payload, Query},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use gridmart_schemas::{
    api::call_event::CallEvent,
    problem::{Code, Problem},
};
use gridmart_sdk::{CallBuilder, Error, OutputStream, RunningCall, Stdin};
use serde::Deserialize;
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use utoipa::IntoParams;

use super::turn;
use crate::{
    app::Control,
    edge::{
        answer::{Refusal, Refusals, malformed},
        authorization::{self as allow, Allowed},
    },
    gateway::{Turn, pipe, problem_of},
};

/// Input that is kept in memory; what is more waits in a file until the call has a slot.
const INPUT_IN_MEMORY: usize = 64 * 1024;
/// The most bytes of input; more goes into a bucket, and from there to the call.
const INPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Arguments, and bytes of all of them.
const ARGUMENTS_MAX: (usize, usize) = (256, 64 * 1024);

/// How it is called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::edge) struct CallQuery {
    /// Its arguments: a JSON list of texts.
    #[serde(default)]
    arguments: Option<String>,
    /// Seconds after which it is ended.
    wall_seconds: Option<u64>,
}

impl CallQuery {
    fn arguments(&self) -> Result<Vec<String>, Problem> {
        let Some(text) = &self.arguments else {
            return Ok(Vec::new());
        };
        let told: Result<Vec<String>, _> = serde_json::from_str(text);
        let (count, bytes) = ARGUMENTS_MAX;
        told.ok()
            .filter(|told| told.len() <= count && text.len() <= bytes)
            .ok_or_else(|| {
                let detail = format!(
                    "`arguments` is a JSON list of texts: {count} at most, {bytes} bytes in all."
                );
                Problem::new(Code::InvalidRequest, detail)
            })
    }
}

/// Calls an application with the body as its input. What happens comes as lines of JSON;
/// whoever stops to read them ends the call.
#[utoipa::path(tag = "console", security(("session" = [])), params(("name" = String, Path), CallQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "A line for each event", body = CallEvent, content_type = "application/x-ndjson"), Refusals))]
#[post("/api/v1/console/applications/{name}/calls")]
pub(in crate::edge) async fn call_make(
    allowed: Allowed<allow::CallMake>,
    control: Data<Control>,
    name: Path<String>,
    query: Query<CallQuery>,
    body: Payload,
) -> Result<HttpResponse, Refusal> {
    let arguments = query.arguments()?;
    let turn = turn(&control, &allowed)?;
    let input = input(&control, body).await?;
    let mut call = turn.client.apps().call(name.into_inner());
    call = call.args(arguments).stdin(input);
    if let Some(seconds) = query.wall_seconds {
        call = call.wall_limit(Duration::from_secs(seconds));
    }
    let (send, lines) = pipe();
    control.gateway.runtime().spawn(follow(call, turn, send));
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(lines))
}

/// Takes the whole input before the call asks for a slot: a slot is not held for whoever
/// sends slowly, and a call's output does not wait for its input.
async fn input(control: &Data<Control>, mut body: Payload) -> Result<Stdin, Refusal> {
    let mut start = BytesMut::new();
    let mut rest: Option<(File, u64)> = None;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| malformed("body", &error))?;
        if rest.is_none() && start.len() + piece.len() <= INPUT_IN_MEMORY {
            start.extend_from_slice(&piece);
            continue;
        }
        let (mut file, mut length) = if let Some(rest) = rest.take() {
            rest
        } else {
            let mut file = control.gateway.file().await?;
            written(file.write_all(&start).await)?;
            (file, start.len() as u64)
        };
        length += piece.len() as u64;
        if length > INPUT_BYTES_MAX {
            let detail = format!(
                "A call from a page has {INPUT_BYTES_MAX} bytes of input at most: put it into a \
                 bucket, and have the call fetch it from there (`gridmart call --stage-in`)."
            );
            return Err(Problem::new(Code::TooLarge, detail).into());
        }
        written(file.write_all(&piece).await)?;
        rest = Some((file, length));
    }
    let Some((mut file, _)) = rest else {
        return Ok(Stdin::Bytes(start.freeze()));
    };
    written(file.flush().await)?;
    written(file.seek(SeekFrom::Start(0)).await)?;
    Ok(Stdin::reader(file))
}

fn written<T>(done: std::io::Result<T>) -> Result<T, Problem> {
    done.map_err(|error| {
        tracing::error!(%error, "the input of a call could not be kept");
        Problem::new(
            Code::StorageFailed,
            "The controller could not keep the input.",
        )
    })
}

type Lines = mpsc::Sender<std::io::Result<Bytes>>;

/// Runs a call, and tells of it; `turn`: the request's.
async fn follow(call: CallBuilder, turn: Turn, lines: Lines) {
    let told = tokio::select! {
        told = told(call, &lines) => told,
        // Nobody reads any more: what runs is ended.
        () = lines.closed() => return,
    };
    let last = told.unwrap_or_else(|error| CallEvent::Failed(problem_of(&error)));
    tell(&lines, &last).await;
    drop(turn);
}

async fn told(call: CallBuilder, lines: &Lines) -> Result<CallEvent, Error> {
    let mut running = call.start().await?;
    tell(lines, &CallEvent::Started { call: running.id() }).await;
    let (stdout, stderr) = (running.stdout(), running.stderr());
    let (out, err) = futures_util::future::join(
        printed(stdout, lines, CallEvent::Stdout),
        printed(stderr, lines, CallEvent::Stderr),
    )
    .await;
    out.and(err)?;
    ended(running).await
}

async fn ended(mut running: RunningCall) -> Result<CallEvent, Error> {
    Ok(CallEvent::Ended(running.wait().await?))
}

async fn printed(
    mut stream: OutputStream,
    lines: &Lines,
    event: fn(String) -> CallEvent,
) -> Result<(), Error> {
    while let Some(bytes) = stream.chunk().await? {
        tell(lines, &event(STANDARD.encode(bytes))).await;
    }
    Ok(())
}

async fn tell(lines: &Lines, event: &CallEvent) {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    // Whoever has gone is noticed beside this.
    let _ = lines.send(Ok(line.into())).await;
}
