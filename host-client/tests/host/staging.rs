//! Files of buckets: what the Host asks its caller, and what follows.

use gridmart_schemas::{
    id::CallId,
    problem::{Code, Problem},
    role::Operation,
    wire::{
        call::{CallOpen, Resume},
        frame::Kind,
        record::CallState,
        staging::StagedFile,
    },
};

use crate::{
    scene,
    simulation::program::{open, part},
};

fn with_input(script: &str) -> CallOpen {
    let mut call = open(CallId::generate(), &[script]);
    let input = StagedFile::parse_input("bucket/key").unwrap();
    call.staged.inputs.push(input);
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_caller_may_not_never_begins() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let call = program.start(&with_input("echo begun")).await;
    let question = program.asked().await;
    assert_eq!(question.bucket, "bucket");
    assert_eq!(question.operations, [Operation::Read]);
    let problem = Problem::new(Code::NotAuthorized, "bob may not read there.");
    program.refuse(&question, problem).await;
    let ended = program.finish(call).await;
    assert_eq!(
        (ended.end().state, ended.end().code, ended.text()),
        (CallState::Failed, Some(Code::NotAuthorized), "")
    );
    let reason = ended.end().reason.clone().unwrap();
    assert!(
        reason.contains("bucket/key") && reason.contains("bob"),
        "{reason}"
    );

    // An output is asked for before, a part of a map no less; inputs first need
    // what outputs may.
    let mut call = part(gridmart_schemas::id::JobId::generate(), 0, &["echo begun"]);
    let output = StagedFile::parse_output("y=other/key").unwrap();
    call.staged.outputs.push(output);
    let call = program.start(&call).await;
    for operations in [
        &[Operation::Read, Operation::Write][..],
        &[Operation::Write],
    ] {
        let question = program.asked().await;
        assert_eq!(
            (&question.bucket[..], &question.operations[..]),
            ("other", operations)
        );
        let problem = Problem::new(Code::NotAuthorized, "no");
        program.refuse(&question, problem).await;
    }
    let ended = program.finish(call).await;
    assert_eq!(ended.end().code, Some(Code::NotAuthorized));
    assert_eq!(ended.text(), "");
    assert_eq!(program.run("echo well").await.text(), "well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_again_on_the_next_stream() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let mut call = with_input("echo begun");
    program.start(&call).await;
    let first = program.asked().await;
    let mut program = program.reattach(&scene.element, &scene.host).await;
    call.resume = Some(Resume {
        stdout: 0,
        stderr: 0,
    });
    let channel = program.open(&call).await;
    let again = program.asked().await;
    assert_eq!(again, first);
    let problem = Problem::new(Code::NotFound, "no such bucket");
    program.refuse(&again, problem).await;
    let ended = program.finish(channel).await;
    assert_eq!(ended.end().code, Some(Code::NotFound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_does_not_wait_for_an_answer() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let call = program.start(&with_input("echo begun")).await;
    program.asked().await;
    program.cancel(call).await;
    let ended = program.finish(call).await;
    assert_eq!(
        (ended.end().state, ended.end().code),
        (CallState::Terminated, Some(Code::Terminated))
    );
    assert_eq!(program.run("ls -A | wc -l").await.text(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_are_refused_at_the_door() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let mut twice = with_input("true");
    twice.staged.inputs.push(twice.staged.inputs[0].clone());
    let channel = program.start(&twice).await;
    let refused = program.finish(channel).await.refused.unwrap();
    assert_eq!(refused.code, Code::InvalidRequest);
    // What no library of ours says.
    let text = serde_json::to_string(&with_input("true")).unwrap();
    let outside = text.replace(r#""path":"key""#, r#""path":"../key""#);
    assert_ne!(text, outside);
    program.send(Kind::Open, 9, outside.as_bytes()).await;
    assert_eq!(program.farewell().await.code, Code::InvalidRequest);
}
