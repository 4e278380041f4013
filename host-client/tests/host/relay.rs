//! A Host that cannot be dialled, and an Element that does not know how to relay.

use gridmart_schemas::resource::{
    enumeration::{HealthState, ServingState},
    host::ComputeHost,
};

use super::simulation::{Host, element::Element};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_host_under_an_older_element_says_why_it_is_closed() {
    let place = tempfile::tempdir().unwrap();
    let element = Element::open(&place.path().join("element")).await;
    let mut config = Host::config(&place.path().join("host"), &element.address());
    config.member.relayed = true;
    let host = Host::start_with(config, &element).await;
    assert_eq!(host.door, "", "it listens nowhere");
    let hello = element.told.lock().hellos.last().cloned().unwrap();
    assert!(hello.relayed && hello.endpoints.is_empty());
    let told = ComputeHost::try_from(hello.host).unwrap();
    let state = told.state.unwrap();
    assert_eq!(state.free_job_slots, 0);
    assert_eq!(
        (state.common.serving_state, state.common.health_state),
        (ServingState::Closed, HealthState::Critical)
    );
    let info = state.common.health_state_info.unwrap();
    assert!(info.as_str().contains("update the Element"), "{info}");
    host.stop().await;
}
