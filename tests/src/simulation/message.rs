//! What travels: the real messages, without their envelopes.

use gridmart_schemas::{
    api::access::{AccessDecision, ApplicationAccessRequest},
    problem::Problem,
    wire::{
        call::{Attach, Attached, CallCancel, CallOpen, CallStarted},
        control_element::{
            CallTerminate, Deployment, ElementApplied, ElementDesire, ElementHeartbeat,
            ElementHello, ElementWelcome, HostsChanged, JobTerminate, Terminated,
        },
        element_host::{
            ApplicationEnsure, HostApplied, HostCallTerminate, HostChanged, HostDesire,
            HostHeartbeat, HostHello, HostJobTerminate, HostWelcome, LeaseEnd, LeasesEnded, Probe,
            ProbeAnswer,
        },
        queue::{
            CallOverdue, Lease, LeaseGranted, LeaseOver, LeaseRecalled, LeaseRelease, LeaseRenew,
            OverdueAnswer, QueueEnter, QueueEntered, QueueLeave, QueuePosition, QueueRefused,
            SessionOpen, SessionOpened,
        },
        record::{CallEnd, CallRecords},
    },
};

/// One message.
pub(crate) enum Message {
    /// Wants an answer.
    Ask(u64, Body),
    /// An answer.
    Answer(u64, Result<Body, Problem>),
    /// Wants none.
    Tell(Body),
}

macro_rules! bodies {
    ($($name:ident $(($($what:ty),+))?,)+) => {
        /// What a message says.
        #[expect(dead_code, reason = "some messages are told for their arrival alone")]
        pub(crate) enum Body {
            $($name $(($($what),+))?,)+
        }

        impl Body {
            /// Its name, for the log.
            pub(crate) const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)+
                }
            }
        }
    };
}

bodies! {
    Done,
    ElementHello(Box<ElementHello>),
    ElementWelcome(Box<ElementWelcome>),
    ElementHeartbeat(Box<ElementHeartbeat>),
    HostsChanged(Box<HostsChanged>),
    ElementDesire(Box<ElementDesire>),
    ElementApplied(ElementApplied),
    CallTerminate(CallTerminate),
    JobTerminate(JobTerminate),
    Terminated(Terminated),
    Records(Box<CallRecords>),
    HostHello(Box<HostHello>),
    HostWelcome(Box<HostWelcome>),
    HostHeartbeat(Box<HostHeartbeat>),
    HostChanged(Box<HostChanged>),
    LeasesEnded(LeasesEnded),
    HostDesire(Box<HostDesire>),
    HostApplied(HostApplied),
    Probe(Probe),
    ProbeAnswer(ProbeAnswer),
    Ensure(ApplicationEnsure),
    Deployment(Deployment),
    LeaseEnd(LeaseEnd),
    HostCallTerminate(HostCallTerminate),
    HostJobTerminate(HostJobTerminate),
    SessionOpen(SessionOpen),
    SessionOpened(SessionOpened),
    Enter(Box<QueueEnter>),
    Entered(QueueEntered),
    Leave(QueueLeave),
    Position(QueuePosition),
    Refused(QueueRefused),
    Granted(Box<LeaseGranted>),
    Recalled(LeaseRecalled),
    Over(LeaseOver),
    Release(LeaseRelease),
    Renew(LeaseRenew),
    Lease(Box<Lease>),
    Overdue(CallOverdue),
    OverdueAnswer(OverdueAnswer),
    Access(Box<ApplicationAccessRequest>),
    Decision(Box<AccessDecision>),
    Attach(Attach),
    Attached(Attached),
    StreamRefused(Problem),
    Open(u32, Box<CallOpen>),
    Cancel(u32, CallCancel),
    Close(u32),
    Started(u32, CallStarted),
    Ended(u32, Box<CallEnd>),
    CallRefused(u32, Problem),
}
