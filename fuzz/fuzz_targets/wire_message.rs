//! Any bytes are read as an envelope and as its kind's message or refused,
//! without a panic; what is read is written so that it reads back the same.
#![no_main]

use gridmart_schemas::wire::{
    Envelope, Notice, Request, call, control_element as control, desired, element_host as host,
    enrol, queue, record, transfer,
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

/// Reads a message and, if it is one, demands that writing loses nothing.
fn read<T: Serialize + DeserializeOwned>(text: &str) {
    let Ok(message) = serde_json::from_str::<T>(text) else {
        return;
    };
    let written = serde_json::to_string(&message).expect("what was read can be written");
    let again: T = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("{error} in what was written: {written}"));
    assert_eq!(
        serde_json::to_string(&again).expect("what was read can be written"),
        written
    );
}

fn notice<N: Notice>(kind: &str, body: &str) {
    if kind == N::KIND {
        read::<N>(body);
    }
}

fn request<R: Request>(kind: &str, body: &str) {
    if kind == R::KIND {
        read::<R>(body);
    }
    // Answers carry no kind: whoever asked knows what it is.
    if kind.is_empty() {
        read::<R::Answer>(body);
    }
}

macro_rules! each {
    ($read:ident, $kind:expr, $body:expr, $($message:ty),+ $(,)?) => {
        $($read::<$message>($kind, $body);)+
    };
}

fn message(kind: &str, body: &str) {
    each!(
        notice,
        kind,
        body,
        queue::QueueLeave,
        queue::QueuePosition,
        queue::QueueRefused,
        queue::LeaseGranted,
        queue::LeaseRecalled,
        queue::LeaseOver,
        queue::LeaseRelease,
        control::ElementHeartbeat,
        control::HostsChanged,
        control::ElementChanged,
        host::HostHeartbeat,
        host::HostChanged,
        host::LeasesEnded,
        transfer::TransferOver,
    );
    each!(
        request,
        kind,
        body,
        queue::SessionOpen,
        queue::QueueEnter,
        queue::LeaseRenew,
        queue::CallOverdue,
        control::ElementHello,
        control::ElementDesire,
        control::JoinTokenCreate,
        control::CallTerminate,
        control::JobTerminate,
        control::Explain,
        control::ActivityList,
        control::LogRead,
        host::HostHello,
        host::HostDesire,
        host::Probe,
        host::ApplicationEnsure,
        host::LeaseEnd,
        host::HostCallTerminate,
        host::HostJobTerminate,
        host::HostLogRead,
        enrol::HostVouch,
        enrol::CertificateRenew,
        record::CallRecords,
        transfer::TransferList,
        transfer::TransferTerminate,
        transfer::TransfersEnd,
    );
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    read::<Envelope>(text);
    read::<enrol::EnrolRequest>(text);
    read::<desired::Wish>(text);
    read::<call::CallOpen>(text);
    if let Ok(envelope) = serde_json::from_str::<Envelope>(text)
        && let Some(body) = &envelope.body
    {
        message(&envelope.kind, body.get());
    }
});
