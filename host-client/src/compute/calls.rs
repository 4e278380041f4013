//! The door's `/v1/calls`: one connection of an SDK, under one lease.
//!
//! The first frame attaches it with a lease ticket, which must have been made
//! by this Host's own Element, for this Host and for the TLS key that dials.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use gridmart_fabric::{
    frames::{self, FrameLimits, FrameSource},
    identity::PeerIdentity,
    socket::Socket,
    telemetry::LineGate,
};
use gridmart_schemas::{
    id::KeyHash,
    problem::{Code, Problem},
    wire::{
        self,
        call::{Attach, Attached, CallCancel, CallOpen},
        frame::{Frame, FrameError, Frames, Kind},
    },
};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    call::{Call, Outbound, Stream, push_json},
    invocation,
    lease::Lease,
    leases::Leases,
    verdict::Cut,
};

/// A dialler has so long to attach.
const ATTACH_TIME_MAX: Duration = Duration::from_secs(10);
/// When a lease is over its calls have so long to report their ends.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(3);
const FAREWELL_INTERVAL: Duration = Duration::from_millis(10);

/// Serves one connection until it ends, or its lease is over.
pub(crate) async fn serve(socket: Socket, peer: PeerIdentity, leases: Arc<Leases>) {
    let (sink, mut source) = frames::split(socket, FrameLimits::default());
    let outbound = Outbound::new(sink);
    let attached = async {
        let presenter = peer.require_key()?.clone();
        attach(&mut source, &leases, &presenter).await
    };
    match attached.await {
        Ok(attached) => {
            let writer = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&outbound).run()));
            let connection = Connection {
                lease: attached.lease,
                outbound,
                channels: HashMap::new(),
                leases,
                presenter: attached.presenter,
                has_spoken: false,
            };
            connection
                .run(source, attached.expires, attached.rest)
                .await;
            drop(writer);
        }
        Err(problem) => {
            log_refusal(&problem, &peer);
            refuse(&outbound, 0, &problem).await;
            outbound.sink.close();
        }
    }
}

/// Anybody with a key of their own may come as far as this: the log takes only
/// so many lines of it.
fn log_refusal(problem: &Problem, peer: &PeerIdentity) {
    static LINES: LineGate = LineGate::new();
    let Some(left_out) = LINES.admit() else {
        return;
    };
    let presenter = peer.key_hash.as_ref().map(tracing::field::display);
    tracing::info!(code = %problem.code, detail = problem.detail, presenter, left_out, "a calls stream is refused");
}

struct Attachment {
    lease: Arc<Lease>,
    /// When its ticket expires, seconds since 1970.
    expires: i64,
    presenter: KeyHash,
    /// Frames that came behind the attach, in the same message.
    rest: Bytes,
}

async fn attach(
    source: &mut FrameSource,
    leases: &Leases,
    presenter: &KeyHash,
) -> Result<Attachment, Problem> {
    let message = timeout(ATTACH_TIME_MAX, source.next())
        .await
        .map_err(|_| Problem::new(Code::TimedOut, "The attach did not come in time."))?
        .ok_or_else(|| Problem::new(Code::Unavailable, "The stream ended before its attach."))??;
    let mut frames = Frames::of(&message);
    let first = frames.next().ok_or(FrameError::Short(0))??;
    if first.kind != Kind::Attach || first.channel != 0 {
        return Err(Problem::new(
            Code::InvalidRequest,
            "The first frame of a calls stream is an attach.",
        ));
    }
    let (lease, expires) = check_attach(&first, leases, presenter)?;
    let used = gridmart_schemas::wire::frame::HEADER_BYTES + first.payload.len();
    Ok(Attachment {
        lease,
        expires,
        presenter: presenter.clone(),
        rest: message.slice(used..),
    })
}

fn check_attach(
    frame: &Frame<'_>,
    leases: &Leases,
    presenter: &KeyHash,
) -> Result<(Arc<Lease>, i64), Problem> {
    let attach: Attach = frame.json()?;
    if attach.v[0] != wire::MAJOR {
        let detail = format!(
            "The Host speaks version {}, the program {}.",
            wire::MAJOR,
            attach.v[0]
        );
        return Err(Problem::new(Code::VersionUnsupported, detail));
    }
    leases.attach(&attach.ticket, presenter)
}

async fn refuse(outbound: &Outbound, channel: u32, problem: &Problem) {
    let mut message = Vec::new();
    push_json(&mut message, Kind::Refused, channel, problem);
    // Who has gone already needs no answer.
    let _ = outbound.sink.send(message).await;
}

struct Connection {
    lease: Arc<Lease>,
    outbound: Arc<Outbound>,
    channels: HashMap<u32, Arc<Call>>,
    leases: Arc<Leases>,
    presenter: KeyHash,
    /// Questions that are open wait for that: what follows the answer to an
    /// attach in one message is not read by every program.
    has_spoken: bool,
}

impl Connection {
    async fn run(mut self, mut source: FrameSource, expires: i64, rest: Bytes) {
        let held = self.lease.on_attach(expires);
        self.attached(held).await;
        let ended = match self.on_message(&rest).await {
            Ok(()) => self.read(&mut source).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = ended {
            tracing::info!(lease.id = %self.lease.id(), %problem, "a calls stream ends");
            refuse(&self.outbound, 0, &problem).await;
        }
        self.outbound.sink.close();
        self.lease.staging.desk.detach(&self.outbound);
        for call in self.channels.values() {
            call.detach(&self.outbound);
        }
        self.lease.on_detach();
    }

    async fn attached(&self, held: Vec<gridmart_schemas::id::CallId>) {
        let services = &self.lease.services;
        let attached = Attached {
            host: services.member.node,
            incarnation: services.member.incarnation,
            held,
            v: [wire::MAJOR, wire::MINOR],
        };
        let mut message = Vec::new();
        push_json(&mut message, Kind::Attached, 0, &attached);
        let _ = self.outbound.sink.send(message).await;
    }

    async fn read(&mut self, source: &mut FrameSource) -> Result<(), Problem> {
        loop {
            let lease = Arc::clone(&self.lease);
            tokio::select! {
                message = source.next() => match message {
                    Some(message) => self.on_message(&message?).await?,
                    None => return Ok(()),
                },
                () = lease.over.cancelled() => return Err(self.farewell().await),
            }
        }
    }

    /// Lets the ends of its calls leave before the stream does.
    async fn farewell(&self) -> Problem {
        let until = Instant::now() + FAREWELL_TIME_MAX;
        while !self.lease.is_idle() && Instant::now() < until {
            tokio::time::sleep(FAREWELL_INTERVAL).await;
        }
        tokio::time::sleep(FAREWELL_INTERVAL).await;
        self.lease.closing_problem()
    }

    /// Takes all frames of a message, then begins the calls that came with it:
    /// by then their input is here as well.
    async fn on_message(&mut self, message: &[u8]) -> Result<(), Problem> {
        if !self.has_spoken && !message.is_empty() {
            self.has_spoken = true;
            let questions = self.lease.staging.desk.attach(&self.outbound);
            if !questions.is_empty() {
                let _ = self.outbound.sink.send(questions).await;
            }
        }
        let mut opened = Vec::new();
        let taken = Frames::of(message).try_for_each(|frame| self.on_frame(&frame?, &mut opened));
        let refused = self.begin(opened);
        for (channel, problem) in refused {
            refuse(&self.outbound, channel, &problem).await;
        }
        taken
    }

    fn begin(&self, opened: Vec<Opened>) -> Vec<(u32, Problem)> {
        let mut calls = Vec::with_capacity(opened.len());
        let mut refused = Vec::new();
        for opened in opened {
            match opened {
                Opened::Call(call) => calls.push(call),
                Opened::Refused(channel, problem) => refused.push((channel, problem)),
            }
        }
        if !calls.is_empty() {
            self.lease.enqueue(calls);
        }
        refused
    }

    fn on_frame(&mut self, frame: &Frame<'_>, opened: &mut Vec<Opened>) -> Result<(), Problem> {
        let channel = frame.channel;
        if frame.kind == Kind::Attach {
            return self.on_renewal(frame);
        }
        if frame.kind == Kind::AccessAnswer {
            self.lease.staging.desk.on_answer(frame.json()?);
            return Ok(());
        }
        if frame.kind == Kind::Open {
            let open: CallOpen = frame.json()?;
            match self.open(channel, open) {
                Ok(Some(call)) => opened.push(Opened::Call(call)),
                Ok(None) => {}
                Err(problem) => opened.push(Opened::Refused(channel, problem)),
            }
            return Ok(());
        }
        // Frames for a channel that was refused or closed may be on their way.
        let Some(call) = self.channels.get(&channel) else {
            return Ok(());
        };
        match frame.kind {
            Kind::Stdin => {
                if let Err(problem) = call.on_stdin(frame.payload) {
                    let cut = if problem.code == Code::StorageFailed {
                        Cut::BytesLost
                    } else {
                        Cut::Terminated(problem.detail)
                    };
                    self.lease.cut_call(call, cut);
                }
            }
            Kind::StdinEnd => call.on_stdin_end(),
            Kind::StdoutCredit => call.on_credit(Stream::Stdout, frame.credit()?),
            Kind::StderrCredit => call.on_credit(Stream::Stderr, frame.credit()?),
            Kind::Cancel => {
                let cancel: CallCancel = frame.json()?;
                let reason: String = cancel.reason.chars().take(200).collect();
                self.lease.cut_call(
                    call,
                    Cut::Terminated(format!("cancelled by its caller: {reason}")),
                );
            }
            Kind::Close => self.close(channel),
            kind => {
                return Err(Problem::new(
                    Code::InvalidRequest,
                    format!("Frames of kind {kind:?} go the other way."),
                ));
            }
        }
        Ok(())
    }

    fn on_renewal(&self, frame: &Frame<'_>) -> Result<(), Problem> {
        let (lease, expires) = check_attach(frame, &self.leases, &self.presenter)?;
        if lease.id() != self.lease.id() {
            return Err(Problem::new(
                Code::TicketForeign,
                "The stream is attached to another lease.",
            ));
        }
        lease.on_renewal(expires);
        Ok(())
    }

    /// Opens a channel; gives the call if it is new.
    fn open(&mut self, channel: u32, open: CallOpen) -> Result<Option<Arc<Call>>, Problem> {
        if channel == 0 || self.channels.contains_key(&channel) {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("Channel {channel} is taken."),
            ));
        }
        invocation::check(&self.lease.application.manifest.command, &open)?;
        let resume = open.resume;
        let (call, is_new) = self.lease.open(open)?;
        // A call that is held is gone on with, from the start if nothing is said.
        let resume = if is_new {
            None
        } else {
            Some(resume.unwrap_or(NOTHING_HAD))
        };
        call.attach(&self.outbound, channel, resume)?;
        self.channels.insert(channel, Arc::clone(&call));
        Ok(is_new.then_some(call))
    }

    fn close(&mut self, channel: u32) {
        if let Some(call) = self.channels.remove(&channel) {
            call.detach(&self.outbound);
            self.lease.close_call(&call);
        }
    }
}

const NOTHING_HAD: wire::call::Resume = wire::call::Resume {
    stdout: 0,
    stderr: 0,
};

enum Opened {
    Call(Arc<Call>),
    Refused(u32, Problem),
}
