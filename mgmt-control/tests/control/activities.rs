//! What ran and runs: records, calls that are ended, logs.

use gridmart_schemas::{
    id::{CallId, Digest, JobId, NodeId, ReportId},
    problem::Code,
    wire::{
        control_element::Activity,
        record::{CallEnd, CallRecord, CallRecords, CallState, JobProgress},
    },
};
use reqwest::StatusCode;
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    element::SimElement,
    grid::{Grid, command, package},
};

const SHORT: std::time::Duration = std::time::Duration::from_secs(5);

fn record(call: CallId, host: NodeId) -> CallRecord {
    let now = OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap();
    CallRecord {
        call,
        job: None,
        part: None,
        owner: "uma".parse().unwrap(),
        application: "spf".to_owned(),
        version: "1.0".to_owned(),
        digest: Digest::from_blake3([7; 32]),
        host,
        lease: None,
        request: None,
        submitted: now,
        ended: now,
        end: CallEnd {
            state: CallState::Finished,
            exit_code: Some(0),
            signal: None,
            code: None,
            reason: None,
            wall_us: 5,
            cpu_us: 4,
            max_resident_bytes: 3,
            stdout_bytes: 2,
            stderr_bytes: 1,
            staged_in_bytes: 0,
            staged_out_bytes: 0,
        },
    }
}

#[tokio::test]
async fn records_count_once_and_are_kept() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let (host, job, call) = (element.hosts[0], JobId::generate(), CallId::generate());
    let mut batch = CallRecords {
        sequence: 1,
        told: None,
        records: vec![record(call, host)],
        jobs: vec![JobProgress {
            report: Some(ReportId::generate()),
            lease: None,
            ended: None,
            job,
            owner: "uma".parse().unwrap(),
            application: "spf".to_owned(),
            version: "1.0".to_owned(),
            host,
            finished: 7,
            failed: 0,
            wall_us: 1,
            cpu_us: 1,
        }],
        ..CallRecords::default()
    };
    // The first acknowledgement was lost, say: it is sent again.
    for _ in 0..2 {
        element.peer().ask(&batch, SHORT).await.unwrap();
    }
    // Or it comes in another batch, from an Element that has started again.
    batch.sequence = 2;
    element.peer().ask(&batch, SHORT).await.unwrap();
    let grid = grid.restart().await;
    let calls = grid
        .admin
        .get("/api/v1/calls?application=spf")
        .await
        .ok(StatusCode::OK);
    assert_eq!(calls["items"].as_array().unwrap().len(), 1);
    assert_eq!(calls["items"][0]["call"], call.to_string());
    let view = grid
        .admin
        .get(&format!("/api/v1/jobs/{job}"))
        .await
        .ok(StatusCode::OK);
    assert_eq!(view["hosts"][0]["finished"], 7);
    // A call that has ended is killed without complaint, and without effect.
    let killed = command(&grid.admin, &format!("/api/v1/calls/{call}/kill")).await;
    assert_eq!(
        (killed["ended"].as_u64(), killed.get("wish")),
        (Some(0), None)
    );
    grid.stop().await;
}

#[tokio::test]
async fn people_end_their_own_calls() {
    let grid = Grid::start().await;
    let element = SimElement::join(&grid, "ce").await;
    let call = CallId::generate();
    let activity = Activity {
        id: call.to_string(),
        job: None,
        owner: "uma".to_owned(),
        application: "spf".to_owned(),
        state: "Running:Executing".to_owned(),
        host: Some(element.hosts[0]),
        position: None,
        age_ms: 5,
    };
    element.mind.running.lock().push(activity);
    let (uma, udo) = (
        grid.person("uma", "user").await,
        grid.person("udo", "user").await,
    );
    let listed = udo
        .get("/api/v1/activities?application=spf")
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (listed["activities"][0]["owner"].as_str(), &listed["silent"]),
        (Some("uma"), &json!([]))
    );
    let path = format!("/api/v1/calls/{call}/kill");
    udo.post(&path, &json!(null))
        .await
        .refused(Code::UnknownCall);
    assert_eq!(command(&uma, &path).await["ended"], 1);
    // Ended twice is ended once; what nobody has heard of is not ended.
    assert_eq!(command(&uma, &path).await["ended"], 0);
    let unknown = format!("/api/v1/jobs/{}/kill", JobId::generate());
    grid.admin
        .post(&unknown, &json!(null))
        .await
        .refused(Code::UnknownCall);
    // What only the Element knows is asked of it.
    let lease = format!("/api/v1/explanations/{call}");
    assert_eq!(
        uma.get(&lease).await.ok(StatusCode::OK)["outcome"],
        "because"
    );
    uma.get("/api/v1/explanations/nonsense")
        .await
        .refused(Code::NotFound);
    grid.stop().await;
}

#[tokio::test]
async fn logs_are_read_on_and_are_ones_own() {
    let grid = Grid::start().await;
    let _element = SimElement::join(&grid, "ce").await;
    grid.admin
        .upload(package("spf", "1.0", "one"))
        .await
        .ok(StatusCode::CREATED);
    let uma = grid.person("uma", "user").await;
    let first = uma
        .get("/api/v1/applications/spf/logs?version=1.0")
        .await
        .ok(StatusCode::OK);
    let (host, log) = first["hosts"].as_object().unwrap().iter().next().unwrap();
    // The simulated Element sets `gap` when it was asked for one person's lines.
    assert_eq!(
        (log["cursor"].as_u64(), log["gap"].as_bool()),
        (Some(1), Some(true))
    );
    let cursors = format!("%7B%22{host}%22:1%7D");
    let on = grid
        .admin
        .get(&format!("/api/v1/applications/spf/logs?cursors={cursors}"))
        .await
        .ok(StatusCode::OK);
    assert_eq!(
        (
            on["hosts"][host]["cursor"].as_u64(),
            on["hosts"][host]["gap"].as_bool()
        ),
        (Some(2), Some(false))
    );
    uma.get("/api/v1/applications/spf/logs?cursors=nonsense")
        .await
        .refused(Code::InvalidRequest);
    grid.stop().await;
}
