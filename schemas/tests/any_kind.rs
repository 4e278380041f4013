//! Elements and Hosts of any kind: what JSON they make, and what they read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed test panics"
)]

mod sample;

use std::fmt::Debug;

use gridmart_schemas::{
    resource::{AnyElement, AnyElementState, AnyHost, AnyHostState, Document, OtherKind},
    role::NodeKind,
    scalar::Uri,
};
use proptest::{collection::vec, prelude::*};
use sample::{Dice, data_element, data_host, element, host, storage_element, storage_host};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Bytes of which a sample says most that it can.
fn many_bytes() -> Vec<u8> {
    vec![1; 3000]
}

fn element_id() -> Uri {
    Uri::new("urn:uuid:0190d3c4-0000-7000-8000-000000000001").unwrap()
}

fn elements(bytes: &[u8]) -> [AnyElement; 3] {
    let dice = || Dice::new(bytes);
    [
        element(&mut dice()).into(),
        storage_element(&mut dice()).into(),
        data_element(&mut dice()).into(),
    ]
}

fn hosts(bytes: &[u8]) -> [AnyHost; 3] {
    let (dice, id) = (|| Dice::new(bytes), element_id());
    [
        host(&mut dice(), &id, 1).into(),
        storage_host(&mut dice(), &id, 1).into(),
        data_host(&mut dice(), &id, 1).into(),
    ]
}

/// The JSON of a whole stays when it is read again; that of the variant within
/// is the same but for the mark of its kind.
fn reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    any: &T,
    kind: NodeKind,
    within: &impl Serialize,
) {
    let json = serde_json::to_string(any).unwrap();
    let read: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}\n{json}"));
    assert_eq!(&read, any, "{json}");
    let unmarked = serde_json::to_string(within).unwrap();
    match kind {
        NodeKind::ComputingElement | NodeKind::ComputeHost => assert_eq!(json, unmarked),
        _ => assert_eq!(
            json,
            unmarked.replacen('{', &format!("{{\"kind\":\"{kind}\","), 1)
        ),
    }
    let read: T = serde_json::from_value(serde_json::to_value(any).unwrap()).unwrap();
    assert_eq!(&read, any, "{json}");
}

proptest! {
    #[test]
    fn elements_of_any_kind_read_back(bytes in vec(any::<u8>(), 0..3000)) {
        for element in elements(&bytes) {
            match &element {
                AnyElement::Computing(one) => reads_back(&element, element.kind(), one),
                AnyElement::Storage(one) => reads_back(&element, element.kind(), one),
                AnyElement::Data(one) => reads_back(&element, element.kind(), one),
            }
            match element.state() {
                Some(AnyElementState::Computing(state)) => {
                    reads_back(&AnyElementState::from(state.clone()), element.kind(), &state);
                }
                Some(AnyElementState::Storage(state)) => {
                    reads_back(&AnyElementState::from(state.clone()), element.kind(), &state);
                }
                Some(AnyElementState::Data(state)) => {
                    reads_back(&AnyElementState::from(state.clone()), element.kind(), &state);
                }
                None => {}
            }
        }
    }

    #[test]
    fn hosts_of_any_kind_read_back(bytes in vec(any::<u8>(), 0..3000)) {
        for host in hosts(&bytes) {
            match &host {
                AnyHost::Compute(one) => reads_back(&host, host.kind(), one),
                AnyHost::Storage(one) => reads_back(&host, host.kind(), one),
                AnyHost::Data(one) => reads_back(&host, host.kind(), one),
            }
            match host.state() {
                Some(AnyHostState::Compute(state)) => {
                    reads_back(&AnyHostState::from(state.clone()), host.kind(), &state);
                }
                Some(AnyHostState::Storage(state)) => {
                    reads_back(&AnyHostState::from(state.clone()), host.kind(), &state);
                }
                Some(AnyHostState::Data(state)) => {
                    reads_back(&AnyHostState::from(state.clone()), host.kind(), &state);
                }
                None => {}
            }
        }
    }
}

/// As version 0.1.0 wrote it.
const OLD_ELEMENT: &str = r#"{"id":"urn:uuid:0190d3c4-0000-7000-8000-000000000001","info":{"name":"lab","domain":"lab","quality_level":"production","lrms_type":"fork","host_name":"ce.example.org"},"state":{"creation_time":"2026-11-05T10:20:30Z","validity":15.0,"serving_state":"production","health_state":"ok","total_instances":1,"used_instances":0,"unavailable_instances":0,"total_slots":2,"used_slots":1,"free_job_slots":1,"running_jobs":1,"waiting_jobs":0,"staging_jobs":0,"suspended_jobs":0,"total_jobs":1},"policy":{},"access":{"rules":[{"who":"ALL"}]}}"#;

/// As version 0.1.0 wrote it.
const OLD_HOST: &str = r#"{"id":"urn:uuid:0190d3c4-0000-7000-8000-000000000002","info":{"name":"node","domain":"lab","quality_level":"production","element":"urn:uuid:0190d3c4-0000-7000-8000-000000000001","host_name":"127.0.0.1","architecture":{"platform_type":"amd64","smp_size":2},"main_memory":{"ram_size":1024},"operating_system":{"family":"linux","name":"debian"}},"policy":{},"access":{}}"#;

#[test]
fn what_older_nodes_say_is_read_and_written_as_they_do() {
    let element: AnyElement = serde_json::from_str(OLD_ELEMENT).unwrap();
    assert_eq!(element.kind(), NodeKind::ComputingElement);
    assert_eq!(serde_json::to_string(&element).unwrap(), OLD_ELEMENT);
    let host: AnyHost = serde_json::from_str(OLD_HOST).unwrap();
    assert_eq!(host.kind(), NodeKind::ComputeHost);
    assert_eq!(serde_json::to_string(&host).unwrap(), OLD_HOST);
}

#[test]
fn newer_members_are_overlooked_and_compute_may_name_its_kind() {
    let mut element: Value = serde_json::from_str(OLD_ELEMENT).unwrap();
    element["kind"] = json!("ce");
    element["colour"] = json!("blue");
    let element: AnyElement = serde_json::from_value(element).unwrap();
    assert_eq!(serde_json::to_string(&element).unwrap(), OLD_ELEMENT);
}

#[test]
fn refusals_name_the_kind_and_what_is_wrong() {
    let refused = |text: &str| {
        serde_json::from_str::<AnyElement>(text)
            .unwrap_err()
            .to_string()
    };
    for (text, message) in [
        (
            r#"{"kind":"xe"}"#,
            "kind \"xe\" is not known here: ce or se or de is expected",
        ),
        (
            r#"{"kind":"chost"}"#,
            "kind \"chost\" is not known here: ce or se or de is expected",
        ),
        (r#"{"kind":7}"#, "`kind` is not a text"),
        ("{}", "ce: missing field `id`"),
        (r#"{"kind":"se"}"#, "se: missing field `id`"),
        (
            &OLD_ELEMENT.replacen('{', r#"{"kind":"se","#, 1),
            "se: missing field `architecture`",
        ),
    ] {
        assert!(refused(text).contains(message), "{}", refused(text));
    }
    assert!(serde_json::from_str::<AnyElement>("[]").is_err());
}

#[test]
fn a_state_is_taken_and_given_to_its_own_kind_alone() {
    let mut elements = elements(&many_bytes());
    let states: Vec<AnyElementState> = elements
        .iter_mut()
        .map(|element| element.take_state().unwrap())
        .collect();
    for (index, element) in elements.iter_mut().enumerate() {
        assert!(element.common_state().is_none());
        assert!(element.creation_time().is_none());
        assert!(!element.to_xml().contains("<State"));
        let other = states[(index + 1) % states.len()].clone();
        let refusal = OtherKind {
            expected: element.kind(),
            found: other.kind(),
        };
        assert_eq!(element.set_state(other), Err(refusal));
        assert_eq!(element.state(), None);
        let own = states[index].clone();
        element.set_state(own.clone()).unwrap();
        assert_eq!(element.common_state(), Some(own.common()));
        assert_eq!(element.creation_time(), Some(own.creation_time()));
        assert_eq!(element.validity(), Some(own.validity()));
        assert_eq!(element.state(), Some(own));
    }
}

#[test]
fn what_all_have_is_that_of_the_variant() {
    for element in elements(&many_bytes()) {
        let (id, common, access, xml) = match &element {
            AnyElement::Computing(one) => (&one.id, &one.info.common, &one.access, one.to_xml()),
            AnyElement::Storage(one) => (&one.id, &one.info.common, &one.access, one.to_xml()),
            AnyElement::Data(one) => (&one.id, &one.info.common, &one.access, one.to_xml()),
        };
        assert_eq!((element.id(), element.common_info()), (id, common));
        assert_eq!((element.access(), element.to_xml()), (access, xml));
        assert_eq!(element.validate(), Ok(()));
        assert!(element.kind().is_element());
    }
    for host in hosts(&many_bytes()) {
        assert_eq!(host.element(), &element_id());
        assert_eq!(host.validate(), Ok(()));
        assert!(host.kind().is_host());
        let state = host.state().unwrap();
        assert_eq!(state.kind(), host.kind());
        assert_eq!(Some(state.common()), host.common_state());
    }
}
