//! A program with a lease: speaks the frames of a calls stream by hand.

use std::collections::{BTreeMap, VecDeque};

use gridmart_fabric::{
    frames::{FrameSink, FrameSource, dial_frames},
    identity::EphemeralKey,
    ticket::LeaseClaims,
    tls::ClientTls,
};
use gridmart_schemas::{
    id::{CallId, JobId},
    problem::Problem,
    role::NodeKind,
    wire::{
        self,
        call::{Attach, Attached, CallCancel, CallOpen, CallStarted, PartOf},
        desired::ApplicationWish,
        frame::{DATA_BYTES_MAX, Frames, Kind, push, push_json},
        record::CallEnd,
        staging::{AccessAnswer, AccessQuestion, Staged},
    },
};

use super::{Host, element::Element, within};

/// What came on one channel.
#[derive(Default)]
pub(crate) struct Channel {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub started: Option<CallStarted>,
    pub end: Option<CallEnd>,
    pub refused: Option<Problem>,
    pub stdin_credit: u64,
    /// Of the stream itself: what the Host asks.
    pub questions: Vec<AccessQuestion>,
}

impl Channel {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap().trim_end()
    }

    pub(crate) fn end(&self) -> &CallEnd {
        self.end.as_ref().unwrap()
    }
}

pub(crate) struct Program {
    pub key: EphemeralKey,
    pub claims: LeaseClaims,
    pub attached: Attached,
    sink: FrameSink,
    source: FrameSource,
    next_channel: u32,
    pub channels: BTreeMap<u32, Channel>,
    /// Whether output is credited as it comes.
    pub credits: bool,
    inbox: VecDeque<(Kind, u32, Vec<u8>)>,
}

pub(crate) fn open(call: CallId, arguments: &[&str]) -> CallOpen {
    CallOpen {
        call,
        arguments: arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect(),
        environment: BTreeMap::new(),
        step: wire::call::Step::Run,
        part_of: None,
        request: None,
        wall_seconds_max: None,
        staged: Staged::default(),
        resume: None,
    }
}

pub(crate) fn part(job: JobId, part: u64, arguments: &[&str]) -> CallOpen {
    CallOpen {
        part_of: Some(PartOf {
            job,
            part: Some(part),
            attempt: 1,
        }),
        ..open(CallId::generate(), arguments)
    }
}

impl Program {
    /// Gets a lease and attaches to it.
    pub(crate) async fn attach(
        element: &Element,
        host: &Host,
        wish: &ApplicationWish,
        slots: u32,
    ) -> Self {
        let key = EphemeralKey::generate().unwrap();
        let claims = element.claims(host.id, key.key_hash(), wish, slots);
        Self::attach_with(element, host, key, claims)
            .await
            .map_err(|problem| problem.to_string())
            .unwrap()
    }

    /// Attaches with what it has.
    pub(crate) async fn attach_with(
        element: &Element,
        host: &Host,
        key: EphemeralKey,
        claims: LeaseClaims,
    ) -> Result<Self, Problem> {
        let tls = ClientTls::ephemeral(&element.root_pem(), &key).unwrap();
        let expected = (host.id, NodeKind::ComputeHost);
        let (sink, mut source) = dial_frames(
            std::slice::from_ref(&host.door),
            expected,
            &tls,
            "/v1/calls",
        )
        .await?;
        let mut message = Vec::new();
        let attach = Attach {
            ticket: element.sign(&claims),
            v: [wire::MAJOR, wire::MINOR],
        };
        push_json(&mut message, Kind::Attach, 0, &attach).unwrap();
        sink.send(message).await?;
        let answer = within("the answer to the attach", source.next())
            .await
            .unwrap()?;
        let first = Frames::of(&answer).next().unwrap().unwrap();
        if first.kind == Kind::Refused {
            return Err(first.json().unwrap());
        }
        assert_eq!(first.kind, Kind::Attached);
        let attached = first.json().unwrap();
        Ok(Self {
            key,
            claims,
            attached,
            sink,
            source,
            next_channel: 1,
            channels: BTreeMap::new(),
            credits: true,
            inbox: VecDeque::new(),
        })
    }

    /// Loses its connection and comes back with the same lease.
    pub(crate) async fn reattach(self, element: &Element, host: &Host) -> Self {
        let Self {
            key,
            claims,
            sink,
            source,
            ..
        } = self;
        sink.close();
        drop((sink, source));
        Self::attach_with(element, host, key, claims)
            .await
            .map_err(|problem| problem.to_string())
            .unwrap()
    }

    /// Opens a call without stdin; gives its channel.
    pub(crate) async fn start(&mut self, open: &CallOpen) -> u32 {
        let channel = self.open(open).await;
        self.send(Kind::StdinEnd, channel, &[]).await;
        channel
    }

    /// Opens a call whose stdin follows.
    pub(crate) async fn open(&mut self, open: &CallOpen) -> u32 {
        let mut message = Vec::new();
        let channel = self.next_channel;
        self.next_channel += 1;
        push_json(&mut message, Kind::Open, channel, open).unwrap();
        self.sink.send(message).await.unwrap();
        self.channels.insert(channel, Channel::default());
        channel
    }

    /// Opens many calls, each with its whole input, in one message.
    pub(crate) async fn start_all(&mut self, calls: &[(CallOpen, Vec<u8>)]) -> Vec<u32> {
        let mut message = Vec::new();
        let mut channels = Vec::new();
        for (open, stdin) in calls {
            let channel = self.next_channel;
            self.next_channel += 1;
            push_json(&mut message, Kind::Open, channel, open).unwrap();
            for piece in stdin.chunks(DATA_BYTES_MAX) {
                push(&mut message, Kind::Stdin, channel, piece);
            }
            push(&mut message, Kind::StdinEnd, channel, &[]);
            self.channels.insert(channel, Channel::default());
            channels.push(channel);
        }
        self.sink.send(message).await.unwrap();
        channels
    }

    pub(crate) async fn send(&self, kind: Kind, channel: u32, payload: &[u8]) {
        let mut message = Vec::new();
        push(&mut message, kind, channel, payload);
        self.sink.send(message).await.unwrap();
    }

    pub(crate) async fn cancel(&self, channel: u32) {
        let mut message = Vec::new();
        push_json(
            &mut message,
            Kind::Cancel,
            channel,
            &CallCancel {
                reason: "a test".into(),
            },
        )
        .unwrap();
        self.sink.send(message).await.unwrap();
    }

    /// Takes frames until `done` says so.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&BTreeMap<u32, Channel>) -> bool,
    ) {
        while !done(&self.channels) {
            let (kind, channel, payload) = within(what, self.frame()).await;
            self.take(kind, channel, &payload).await;
        }
    }

    /// Waits until a call has ended or is refused, and closes it.
    pub(crate) async fn finish(&mut self, channel: u32) -> Channel {
        self.until("the end of a call", |channels| {
            channels[&channel].end.is_some() || channels[&channel].refused.is_some()
        })
        .await;
        self.send(Kind::Close, channel, &[]).await;
        self.channels.remove(&channel).unwrap()
    }

    /// Calls with a script and waits for the end.
    pub(crate) async fn run(&mut self, script: &str) -> Channel {
        let channel = self.start(&open(CallId::generate(), &[script])).await;
        self.finish(channel).await
    }

    /// Waits for a question of the Host's.
    pub(crate) async fn asked(&mut self) -> AccessQuestion {
        let is_asked = |channels: &BTreeMap<u32, Channel>| {
            let stream = channels.get(&0);
            stream.is_some_and(|stream| !stream.questions.is_empty())
        };
        self.until("a question", is_asked).await;
        self.channels.remove(&0).unwrap().questions.remove(0)
    }

    /// Says that a bucket may not be used.
    pub(crate) async fn refuse(&self, question: &AccessQuestion, problem: Problem) {
        let answer = AccessAnswer::new(question.question, Err(problem));
        let payload = serde_json::to_vec(&answer).unwrap();
        self.send(Kind::AccessAnswer, 0, &payload).await;
    }

    /// The stream's own last word.
    pub(crate) async fn farewell(&mut self) -> Problem {
        self.until("the stream's last word", |channels| {
            channels.contains_key(&0)
        })
        .await;
        self.channels.remove(&0).unwrap().refused.unwrap()
    }

    async fn frame(&mut self) -> (Kind, u32, Vec<u8>) {
        while self.inbox.is_empty() {
            let message = self
                .source
                .next()
                .await
                .expect("the stream has ended")
                .unwrap();
            for frame in Frames::of(&message) {
                let frame = frame.unwrap();
                self.inbox
                    .push_back((frame.kind, frame.channel, frame.payload.to_vec()));
            }
        }
        self.inbox.pop_front().unwrap()
    }

    async fn take(&mut self, kind: Kind, number: u32, payload: &[u8]) {
        let mut credit = None;
        let channel = self.channels.entry(number).or_default();
        match kind {
            Kind::Started => channel.started = Some(serde_json::from_slice(payload).unwrap()),
            Kind::Ended => channel.end = Some(serde_json::from_slice(payload).unwrap()),
            Kind::Refused => channel.refused = Some(serde_json::from_slice(payload).unwrap()),
            Kind::StdinCredit => {
                channel.stdin_credit += u64::from(u32::from_le_bytes(payload.try_into().unwrap()));
            }
            Kind::Stdout => {
                channel.stdout.extend_from_slice(payload);
                credit = Some(Kind::StdoutCredit);
            }
            Kind::Stderr => {
                channel.stderr.extend_from_slice(payload);
                credit = Some(Kind::StderrCredit);
            }
            Kind::AccessQuestion => {
                let question = serde_json::from_slice(payload).unwrap();
                channel.questions.push(question);
            }
            kind => panic!("a Host does not send {kind:?}"),
        }
        if let Some(kind) = credit.filter(|_| self.credits) {
            let bytes = u32::try_from(payload.len()).unwrap();
            self.send(kind, number, &bytes.to_le_bytes()).await;
        }
    }
}
