//! A calls stream to a Host: dialled and attached under a lease; dialled again
//! after a cut, as long as the Host's grace and the Element's probe allow.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gridmart_fabric::{
    frames::{FrameSink, FrameSource, dial_frames, dial_frames_over},
    tls::{ClientTls, Expected},
    tunnel::Tunnel,
};
use gridmart_schemas::{
    id::{CallId, Incarnation},
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        MAJOR, MINOR,
        call::{Attach, Attached},
        frame::{Frames, Kind, push_json},
        queue::Lease,
    },
};
use rand::RngExt as _;

use super::{
    presence::{Dialled, Finding, REATTACH_GRACE, judge_dial, judge_probe},
    session::LeaseHold,
};

/// The Host's door for calls.
const CALLS_PATH: &str = "/v1/calls";
/// The Element's door to Hosts that cannot be dialled; the Host's id follows.
const RELAY_PATH: &str = "/v1/relay/";
/// Time for one dial and its attach.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(10);
/// The same by way of the Element, which gives the Host ten seconds to dial and
/// then says what is wrong.
const RELAYED_ATTACH_TIMEOUT: Duration = Duration::from_secs(20);
/// Wait before the second dial; grows to the other bound.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// An attached stream.
pub(crate) struct CallsStream {
    pub(crate) sink: FrameSink,
    pub(crate) source: FrameSource,
    pub(crate) attached: Attached,
}

/// Makes the frame that opens a stream, or renews its ticket.
pub(crate) fn attach_frame(ticket: &str) -> Result<Vec<u8>, Problem> {
    let mut message = Vec::new();
    let attach = Attach {
        ticket: ticket.to_owned(),
        v: [MAJOR, MINOR],
    };
    push_json(&mut message, Kind::Attach, 0, &attach)
        .map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
    Ok(message)
}

/// Dials the lease's Host and attaches.
pub(crate) async fn attach(tls: &ClientTls, lease: &Lease) -> Result<CallsStream, Problem> {
    let attaching = async {
        let expected = (lease.host, NodeKind::ComputeHost);
        let (sink, mut source) = Box::pin(dial_host(tls, lease, expected)).await?;
        sink.send(attach_frame(&lease.ticket)?).await?;
        let message = source
            .next()
            .await
            .unwrap_or_else(|| Err(closed_early(lease)))?;
        Ok(CallsStream {
            sink,
            source,
            attached: read_attached(&message, lease)?,
        })
    };
    let (endpoints, patience) = match &lease.relay {
        Some(relay) => (&relay.endpoints, RELAYED_ATTACH_TIMEOUT),
        None => (&lease.endpoints, ATTACH_TIMEOUT),
    };
    let late = || {
        Problem::new(
            Code::TimedOut,
            format!(
                "Host {} does not answer at {}",
                lease.host_name,
                endpoints.join(", ")
            ),
        )
    };
    tokio::time::timeout(patience, attaching)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// Dials the Host, or, where it cannot be dialled, its Element, which joins the
/// two; what answers is the Host itself either way.
async fn dial_host(
    tls: &ClientTls,
    lease: &Lease,
    expected: Expected,
) -> Result<(FrameSink, FrameSource), Problem> {
    let Some(relay) = &lease.relay else {
        return dial_frames(&lease.endpoints, expected, tls, CALLS_PATH).await;
    };
    let element = (relay.element, NodeKind::ComputingElement);
    let path = format!("{RELAY_PATH}{}", lease.host);
    let ticket = Some(lease.ticket.as_str());
    let tunnel = Tunnel::dial(&relay.endpoints, element, tls, &path, ticket).await?;
    dial_frames_over(tunnel, expected, tls, CALLS_PATH).await
}

fn closed_early(lease: &Lease) -> Problem {
    Problem::new(
        Code::HostDown,
        format!(
            "Host {} closed the stream before it took it",
            lease.host_name
        ),
    )
}

fn read_attached(message: &Bytes, lease: &Lease) -> Result<Attached, Problem> {
    let frame = Frames::of(message)
        .next()
        .ok_or_else(|| closed_early(lease))??;
    match frame.kind {
        Kind::Attached => Ok(frame.json()?),
        Kind::Refused => Err(frame.json::<Problem>()?),
        other => Err(Problem::new(
            Code::InvalidRequest,
            format!("Host {} answered an attach with {other:?}", lease.host_name),
        )),
    }
}

/// Dials again after a cut: until the grace is over, the lease is over, the
/// Element's probe finds the Host down, or another start of it answers.
pub(crate) async fn reattach(
    tls: &ClientTls,
    hold: &LeaseHold,
    was: Incarnation,
    call: CallId,
) -> Result<CallsStream, Problem> {
    let mut over = hold.watch();
    let ended = async move {
        match over.wait_for(|state| state.over.is_some()).await {
            Ok(state) => state.over.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| Problem::new(Code::LeaseEnded, "the lease was given back"))
    };
    let reattached = tokio::select! {
        stream = dial_until_grace(tls, hold, was) => stream,
        problem = ended => Err(problem),
        problem = probe_until_down(hold, was, call) => Err(problem),
    };
    reattached.map_err(|problem| while_lost(hold, problem))
}

/// The Host may be the first to give up: the same end of the same story.
fn while_lost(hold: &LeaseHold, problem: Problem) -> Problem {
    if problem.code != Code::LeaseEnded {
        return problem;
    }
    let detail = format!(
        "the stream to Host {} is lost, and it does not wait any longer: {}",
        hold.lease().host_name,
        problem.detail
    );
    Problem::new(Code::HostDown, detail)
}

async fn dial_until_grace(
    tls: &ClientTls,
    hold: &LeaseHold,
    was: Incarnation,
) -> Result<CallsStream, Problem> {
    let deadline = Instant::now() + REATTACH_GRACE;
    let mut backoff = BACKOFF_MIN;
    loop {
        let lease = hold.lease();
        let dialled = attach(tls, &lease).await;
        let answer = dialled.as_ref().map(|stream| stream.attached.incarnation);
        let next = Instant::now() + backoff;
        match judge_dial(answer, was, &lease.host_name, next, deadline) {
            Dialled::Attached => return dialled,
            Dialled::Lost(problem) => return Err(problem),
            Dialled::Again => {}
        }
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(backoff.mul_f64(jitter)).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

async fn probe_until_down(hold: &LeaseHold, was: Incarnation, call: CallId) -> Problem {
    loop {
        let answer = hold.overdue(call).await.ok();
        let name = hold.lease().host_name;
        if let Finding::Lost(problem) = judge_probe(answer.as_ref(), was, &name) {
            return problem;
        }
        tokio::time::sleep(BACKOFF_MAX).await;
    }
}
