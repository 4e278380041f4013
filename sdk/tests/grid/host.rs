//! A Host: holds calls and runs "programs". It keeps to the windows, and
//! panics when the SDK does not.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{Request, Response, Service, problem_response, upgrade},
    frames::{FrameLimits, FrameSink, FrameSource, split},
    identity::{EphemeralKey, PeerIdentity},
    socket::SocketLimits,
};
use gridmart_sdk::schemas::{
    id::{CallId, Incarnation, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::{
        MAJOR, MINOR,
        call::{Attached, CallOpen, CallStarted, Step},
        frame::{DATA_BYTES_MAX, Frame, Frames, Kind, WINDOW_BYTES, push, push_json},
        record::{CallEnd, CallState},
        staging::{AccessAnswer, AccessQuestion},
    },
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::nodes::Site;

pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) slots: u32,
    incarnation: Mutex<Incarnation>,
    address: Mutex<Option<SocketAddr>>,
    calls: Mutex<HashMap<CallId, Arc<Call>>>,
    streams: Mutex<CancellationToken>,
    door: Mutex<CancellationToken>,
    up: AtomicBool,
    /// Runs no part until it is opened.
    pub(crate) gate: Arc<Gate>,
    pub(crate) cancels: AtomicU32,
    pub(crate) attaches: AtomicU32,
    pub(crate) closes: AtomicU32,
    pub(crate) parts_run: AtomicU32,
    /// Parts after which the Host dies by itself.
    pub(crate) dies_after: AtomicUsize,
    /// Parts whose input contains `bad` fail while this is set.
    pub(crate) picky: AtomicBool,
    /// So many attaches are refused, as if their leases were of another start.
    pub(crate) foreign: AtomicU32,
    /// The minor version that it says.
    pub(crate) minor: AtomicU16,
    /// What the SDK has said about buckets.
    answers: Mutex<HashMap<u64, AccessAnswer>>,
    answered: Notify,
    asked: AtomicU64,
    /// Keys of the outputs of the calls that it was given.
    pub(crate) keys: Mutex<Vec<String>>,
}

#[derive(Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    opened: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    pub(crate) async fn pass(&self) {
        loop {
            let opened = self.opened.notified();
            if !self.closed.load(Ordering::SeqCst) {
                return;
            }
            opened.await;
        }
    }
}

/// The way out of one stream, in order.
#[derive(Clone)]
struct Line {
    id: u32,
    out: mpsc::UnboundedSender<Vec<u8>>,
}

impl Line {
    fn send(&self, message: Vec<u8>) {
        let _ = self.out.send(message);
    }

    fn send_json(&self, kind: Kind, channel: u32, payload: &impl serde::Serialize) {
        let mut message = Vec::new();
        push_json(&mut message, kind, channel, payload).unwrap();
        self.send(message);
    }
}

/// A call, apart from any stream.
struct Call {
    open: CallOpen,
    state: Mutex<CallData>,
    moved: Notify,
    cancelled: CancellationToken,
    stdin: mpsc::UnboundedSender<Option<Bytes>>,
}

#[derive(Default)]
struct CallData {
    line: Option<(Line, u32)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    sent: [usize; 2],
    credited: [usize; 2],
    stdin_received: u64,
    stdin_uncredited: usize,
    end: Option<CallEnd>,
    end_sent: bool,
}

impl Call {
    /// Sends what the windows allow.
    fn pump(&self) {
        let mut data = self.state.lock();
        let data = &mut *data;
        let Some((sink, channel)) = data.line.clone() else {
            return;
        };
        let mut message = Vec::new();
        let outputs = [(Kind::Stdout, &data.stdout), (Kind::Stderr, &data.stderr)];
        for (index, (kind, output)) in outputs.into_iter().enumerate() {
            let until = output.len().min(data.credited[index] + WINDOW_BYTES);
            for piece in output[data.sent[index].min(until)..until].chunks(DATA_BYTES_MAX) {
                push(&mut message, kind, channel, piece);
            }
            data.sent[index] = until.max(data.sent[index]);
        }
        let all_sent = data.sent == [data.stdout.len(), data.stderr.len()];
        if let Some(end) = data.end.as_ref().filter(|_| all_sent && !data.end_sent) {
            push_json(&mut message, Kind::Ended, channel, end).unwrap();
            data.end_sent = true;
        }
        if !message.is_empty() {
            sink.send(message);
        }
    }

    async fn print(&self, index: usize, bytes: &[u8]) {
        loop {
            let moved = self.moved.notified();
            {
                let mut data = self.state.lock();
                let output = if index == 0 {
                    &data.stdout
                } else {
                    &data.stderr
                };
                // Parts are spooled whole; others wait for their reader.
                if self.open.part_of.is_some()
                    || output.len() < data.credited[index] + 2 * WINDOW_BYTES
                {
                    if index == 0 {
                        data.stdout.extend_from_slice(bytes);
                    } else {
                        data.stderr.extend_from_slice(bytes);
                    }
                    break;
                }
            }
            moved.await;
        }
        if self.open.part_of.is_none() {
            self.pump();
        }
    }

    fn end(&self, state: CallState, exit_code: Option<i32>, code: Option<Code>, wall: Duration) {
        {
            let mut data = self.state.lock();
            data.end = Some(CallEnd {
                state,
                exit_code,
                signal: None,
                code,
                reason: code.map(|code| format!("ended: {code}")),
                wall_us: wall.as_micros() as u64,
                cpu_us: 0,
                max_resident_bytes: 0,
                stdout_bytes: data.stdout.len() as u64,
                stderr_bytes: data.stderr.len() as u64,
                staged_in_bytes: 0,
                staged_out_bytes: 0,
            });
        }
        self.pump();
    }

    fn credit_input(&self, count: usize) {
        let mut data = self.state.lock();
        data.stdin_uncredited = data.stdin_uncredited.saturating_sub(count);
        if let Some((sink, channel)) = data.line.clone() {
            let mut message = Vec::new();
            push(
                &mut message,
                Kind::StdinCredit,
                channel,
                &(count as u32).to_le_bytes(),
            );
            sink.send(message);
        }
    }
}

impl Host {
    pub(crate) async fn start(site: &Site, name: &str, slots: u32) -> Arc<Self> {
        let host = Arc::new(Self {
            id: NodeId::generate(),
            name: name.to_owned(),
            slots,
            incarnation: Mutex::new(Incarnation::generate()),
            address: Mutex::default(),
            calls: Mutex::default(),
            streams: Mutex::default(),
            door: Mutex::default(),
            up: AtomicBool::new(true),
            gate: Arc::default(),
            cancels: AtomicU32::new(0),
            attaches: AtomicU32::new(0),
            closes: AtomicU32::new(0),
            parts_run: AtomicU32::new(0),
            dies_after: AtomicUsize::new(usize::MAX),
            picky: AtomicBool::new(false),
            foreign: AtomicU32::new(0),
            minor: AtomicU16::new(MINOR),
            answers: Mutex::default(),
            answered: Notify::new(),
            asked: AtomicU64::new(0),
            keys: Mutex::default(),
        });
        let stop = host.door.lock().clone();
        let service = Arc::new(Door(Arc::clone(&host)));
        let address = site
            .door(host.id, NodeKind::ComputeHost, "127.0.0.1:0", service, stop)
            .await;
        *host.address.lock() = Some(address);
        host
    }

    pub(crate) fn address(&self) -> String {
        self.address
            .lock()
            .map(|address| address.to_string())
            .unwrap_or_default()
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        *self.incarnation.lock()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    /// Tells the Element's probe that it is down.
    pub(crate) fn pretend_down(&self) {
        self.up.store(false, Ordering::SeqCst);
    }

    pub(crate) fn running(&self) -> usize {
        self.calls
            .lock()
            .values()
            .filter(|call| call.state.lock().end.is_none())
            .count()
    }

    /// Cuts all calls streams; the calls go on.
    pub(crate) fn cut(&self) {
        let old = std::mem::take(&mut *self.streams.lock());
        for call in self.calls.lock().values() {
            call.state.lock().line = None;
        }
        old.cancel();
    }

    /// As kill -9: door, streams and calls are gone.
    pub(crate) fn die(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.door.lock().cancel();
        for (_, call) in self.calls.lock().drain() {
            call.state.lock().line = None;
            call.cancelled.cancel();
        }
        self.streams.lock().cancel();
    }

    /// Another process answers at the same door: it knows nothing.
    pub(crate) fn restart(&self) {
        *self.incarnation.lock() = Incarnation::generate();
        for (_, call) in self.calls.lock().drain() {
            call.state.lock().line = None;
            call.cancelled.cancel();
        }
        self.cut();
    }

    async fn serve(
        self: Arc<Self>,
        sink: FrameSink,
        mut source: FrameSource,
        cut: CancellationToken,
    ) {
        let (out, mut queue) = mpsc::unbounded_channel();
        let line = Line {
            id: self.attaches.fetch_add(1, Ordering::SeqCst),
            out,
        };
        let writer = sink.clone();
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if writer.send(message).await.is_err() {
                    return;
                }
            }
        });
        while let Some(Some(Ok(message))) = cut.run_until_cancelled(source.next()).await {
            for frame in Frames::of(&message) {
                let frame = frame.expect("the SDK sends whole frames");
                let payload = message.slice_ref(frame.payload);
                self.on_frame(frame, payload, &line);
            }
        }
        sink.close();
    }

    fn on_frame(self: &Arc<Self>, frame: Frame<'_>, payload: Bytes, sink: &Line) {
        let channel = frame.channel;
        match frame.kind {
            Kind::Attach if self.is_of_another_start() => {
                let problem = Problem::new(Code::HostRestarted, "of another start");
                sink.send_json(Kind::Refused, 0, &problem);
            }
            Kind::Attach => {
                let held = self.calls.lock().keys().copied().collect();
                let attached = Attached {
                    host: self.id,
                    incarnation: self.incarnation(),
                    held,
                    v: [MAJOR, self.minor.load(Ordering::SeqCst)],
                };
                sink.send_json(Kind::Attached, 0, &attached);
            }
            Kind::AccessAnswer => {
                let answer: AccessAnswer = frame.json().unwrap();
                self.answers.lock().insert(answer.question, answer);
                self.answered.notify_waiters();
            }
            Kind::Open => self.open(frame.json().unwrap(), channel, sink),
            Kind::Close => {
                self.closes.fetch_add(1, Ordering::SeqCst);
                if let Some(call) = self.on_channel(channel, sink) {
                    self.calls.lock().remove(&call.open.call);
                }
            }
            kind => {
                let Some(call) = self.on_channel(channel, sink) else {
                    return;
                };
                self.on_call_frame(&call, kind, frame, payload);
            }
        }
    }

    fn is_of_another_start(&self) -> bool {
        let order = Ordering::SeqCst;
        self.foreign
            .fetch_update(order, order, |left| left.checked_sub(1))
            .is_ok()
    }

    fn on_channel(&self, channel: u32, sink: &Line) -> Option<Arc<Call>> {
        let calls = self.calls.lock();
        calls
            .values()
            .find(|call| {
                let line = &call.state.lock().line;
                line.as_ref()
                    .is_some_and(|(own, number)| *number == channel && own.id == sink.id)
            })
            .cloned()
    }

    fn on_call_frame(&self, call: &Arc<Call>, kind: Kind, frame: Frame<'_>, payload: Bytes) {
        match kind {
            Kind::Stdin => {
                let mut data = call.state.lock();
                data.stdin_received += payload.len() as u64;
                data.stdin_uncredited += payload.len();
                assert!(
                    data.stdin_uncredited <= WINDOW_BYTES,
                    "the SDK overran the window"
                );
                assert!(payload.len() <= DATA_BYTES_MAX);
                let _ = call.stdin.send(Some(payload));
            }
            Kind::StdinEnd => {
                let _ = call.stdin.send(None);
            }
            Kind::StdoutCredit | Kind::StderrCredit => {
                let index = usize::from(kind == Kind::StderrCredit);
                let mut data = call.state.lock();
                data.credited[index] += frame.credit().unwrap() as usize;
                assert!(
                    data.credited[index] <= data.sent[index],
                    "the SDK credits what it has not got"
                );
                drop(data);
                call.moved.notify_waiters();
                call.pump();
            }
            Kind::Cancel => {
                self.cancels.fetch_add(1, Ordering::SeqCst);
                call.cancelled.cancel();
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn open(self: &Arc<Self>, open: CallOpen, channel: u32, sink: &Line) {
        let held = self.calls.lock().get(&open.call).cloned();
        match (held, open.resume) {
            (Some(call), Some(resume)) => {
                let (stdin, stdin_taken) = {
                    let mut data = call.state.lock();
                    data.line = Some((sink.clone(), channel));
                    data.sent = [resume.stdout as usize, resume.stderr as usize];
                    data.credited = data.sent;
                    data.end_sent = false;
                    let waiting = data.stdin_uncredited as u64;
                    (data.stdin_received, data.stdin_received - waiting)
                };
                let started = CallStarted {
                    incarnation: self.incarnation(),
                    stdin,
                    stdin_taken,
                };
                sink.send_json(Kind::Started, channel, &started);
                call.pump();
            }
            (None, Some(_)) => {
                sink.send_json(
                    Kind::Refused,
                    channel,
                    &Problem::new(Code::UnknownCall, "not held here"),
                );
            }
            (Some(_), None) => panic!("a call was opened twice without resume"),
            (None, None) => self.begin(open, channel, sink),
        }
    }

    fn begin(self: &Arc<Self>, open: CallOpen, channel: u32, sink: &Line) {
        let (stdin, input) = mpsc::unbounded_channel();
        let keys = open.staged.outputs.iter().map(|file| file.key.clone());
        self.keys.lock().extend(keys);
        let call = Arc::new(Call {
            state: Mutex::new(CallData {
                line: Some((sink.clone(), channel)),
                ..CallData::default()
            }),
            moved: Notify::new(),
            cancelled: CancellationToken::new(),
            stdin,
            open,
        });
        self.calls.lock().insert(call.open.call, Arc::clone(&call));
        if call.open.part_of.is_none() {
            sink.send_json(
                Kind::Started,
                channel,
                &CallStarted {
                    incarnation: self.incarnation(),
                    stdin: 0,
                    stdin_taken: 0,
                },
            );
        }
        let host = Arc::clone(self);
        tokio::spawn(async move {
            let began = std::time::Instant::now();
            let program = host.program(&call, input);
            match call.cancelled.run_until_cancelled(program).await {
                Some(exit) => call.end(CallState::Finished, Some(exit), None, began.elapsed()),
                None => call.end(
                    CallState::Terminated,
                    None,
                    Some(Code::Terminated),
                    began.elapsed(),
                ),
            }
        });
    }

    /// The programs: by step, then by first argument.
    async fn program(
        &self,
        call: &Arc<Call>,
        mut input: mpsc::UnboundedReceiver<Option<Bytes>>,
    ) -> i32 {
        let is_part = call.open.part_of.is_some_and(|part| part.part.is_some());
        match (
            call.open.step,
            call.open.arguments.first().map(String::as_str),
        ) {
            (Step::Run, Some("hang")) => std::future::pending().await,
            (Step::Run, Some("ask")) => {
                for wanted in &call.open.arguments[1..] {
                    let answer = self.ask(call, wanted).await;
                    call.print(0, format!("{wanted} {answer}\n").as_bytes())
                        .await;
                }
                0
            }
            (Step::Run, Some("echo")) => {
                while let Some(Some(data)) = input.recv().await {
                    call.print(0, &data).await;
                    call.credit_input(data.len());
                }
                call.print(1, b"echoed").await;
                0
            }
            _ => {
                let mut text = Vec::new();
                while let Some(Some(data)) = input.recv().await {
                    text.extend_from_slice(&data);
                    call.credit_input(data.len());
                }
                if is_part {
                    self.part(call, &text).await
                } else {
                    self.step(call, &text).await
                }
            }
        }
    }

    /// Asks for `BUCKET:OPERATION+OPERATION`; gives the ticket, or the code.
    async fn ask(&self, call: &Call, wanted: &str) -> String {
        let (bucket, operations) = wanted.split_once(':').unwrap();
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let key = EphemeralKey::generate().unwrap();
        let question = AccessQuestion {
            question: number,
            bucket: bucket.to_owned(),
            operations: operations
                .split('+')
                .map(|one| one.parse().unwrap())
                .collect(),
            presenter: key.key_hash().clone(),
            going_on: false,
        };
        let line = call.state.lock().line.clone();
        let (line, _) = line.expect("the call has a stream");
        line.send_json(Kind::AccessQuestion, 0, &question);
        loop {
            let answered = self.answered.notified();
            if let Some(answer) = self.answers.lock().remove(&number) {
                return match answer.into_result() {
                    Ok(grant) => grant.element.ticket,
                    Err(problem) => problem.code.to_string(),
                };
            }
            answered.await;
        }
    }

    async fn step(&self, call: &Call, text: &[u8]) -> i32 {
        match call.open.step {
            // Words become lines.
            Step::Split => {
                let lines: Vec<_> = text
                    .iter()
                    .map(|b| if *b == b' ' { b'\n' } else { *b })
                    .collect();
                call.print(0, &lines).await;
            }
            Step::Merge => {
                call.print(0, b"merged:").await;
                for piece in text.chunks(DATA_BYTES_MAX) {
                    call.print(0, piece).await;
                }
            }
            Step::Run => call.print(0, &text.to_ascii_uppercase()).await,
        }
        0
    }

    async fn part(&self, call: &Call, text: &[u8]) -> i32 {
        self.gate.pass().await;
        let run = self.parts_run.fetch_add(1, Ordering::SeqCst) + 1;
        if run as usize > self.dies_after.load(Ordering::SeqCst) {
            self.die();
        }
        if self.picky.load(Ordering::SeqCst) && text.windows(3).any(|w| w == b"bad") {
            call.print(1, b"this part is bad\n").await;
            return 3;
        }
        call.print(0, &text.to_ascii_uppercase()).await;
        call.print(0, b"\n").await;
        0
    }
}

struct Door(Arc<Host>);

impl Service for Door {
    fn handle(
        &self,
        _peer: PeerIdentity,
        _remote: SocketAddr,
        mut request: Request,
    ) -> BoxFuture<'_, Response> {
        let host = Arc::clone(&self.0);
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/v1/calls");
            match upgrade(&mut request, SocketLimits::FRAMES) {
                Ok((response, pending)) => {
                    let cut = host.streams.lock().clone();
                    tokio::spawn(async move {
                        let (sink, source) =
                            split(pending.socket().await.unwrap(), FrameLimits::default());
                        host.serve(sink, source, cut).await;
                    });
                    response
                }
                Err(problem) => problem_response(&problem),
            }
        })
    }
}
