//! Calls: bytes, ends, lost connections.

use gridmart_schemas::id::CallId;
use gridmart_schemas::problem::Code;
use gridmart_schemas::wire::call::Resume;
use gridmart_schemas::wire::call::Step;
use gridmart_schemas::wire::element_host::Probe;
use gridmart_schemas::wire::frame::Kind;
use gridmart_schemas::wire::frame::WINDOW_BYTES;
use gridmart_schemas::wire::record::CallState;

use crate::scene;
use crate::simulation::PATIENCE;
use crate::simulation::program::open;
use crate::simulation::wait_for;
use crate::simulation::within;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_gives_its_output_and_its_end() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let ended = program.run("echo out; echo err >&2; exit 3").await;
    assert_eq!((ended.text(), &ended.stderr[..]), ("out", &b"err\n"[..]));
    assert_eq!(
        (ended.end().state, ended.end().exit_code),
        (CallState::Finished, Some(3))
    );
    assert_eq!((ended.end().stdout_bytes, ended.end().stderr_bytes), (4, 4));
    assert!(ended.end().wall_us > 0 && ended.end().max_resident_bytes > 0);
    assert_eq!(
        ended.started.unwrap().incarnation,
        program.attached.incarnation
    );

    let killed = program.run("kill -SEGV $$").await;
    assert_eq!(
        (killed.end().exit_code, killed.end().signal),
        (None, Some(11))
    );

    let mut split = open(CallId::generate(), &["a b", ""]);
    split.step = Step::Split;
    let channel = program.start(&split).await;
    assert_eq!(program.finish(channel).await.text(), "hello split a b");
    let mut merge = open(CallId::generate(), &[]);
    merge.step = Step::Merge;
    let channel = program.start(&merge).await;
    assert_eq!(
        program.finish(channel).await.refused.unwrap().code,
        Code::InvalidRequest
    );

    let seen = program
        .run("pwd; echo $HOME $TMPDIR; env | grep -c GRIDMART_CALL_ID; /app/bin/hello x")
        .await;
    assert_eq!(seen.text(), "/work\n/work /tmp\n1\nhello x");
    let records = wait_for("the records", || {
        let told = scene.element.told.lock();
        if told.records.len() == 4 {
            Ok(told.records.clone())
        } else {
            Err(told.records.len())
        }
    })
    .await;
    assert_eq!(records[0].owner.as_str(), "ada");
    assert_eq!(records[0].host, scene.host.id);
    scene.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_hears_of_the_end_of_what_it_has_in_the_background() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    // Not through bash, which hears of it whatever its parent has blocked.
    let mut split = open(CallId::generate(), &[]);
    split.step = Step::Split;
    let channel = program.start(&split).await;
    let ended = within("the shell", program.finish(channel)).await;
    assert_eq!(ended.text(), "hello split");
    scene.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_through_unchanged_at_any_size() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let bytes: Vec<u8> = (0..3_000_000u32)
        .flat_map(u32::to_le_bytes)
        .take(3_000_000)
        .collect();
    let channel = program.open(&open(CallId::generate(), &["cat"])).await;
    let mut sent = 0;
    while sent < bytes.len() {
        let window =
            usize::try_from(program.channels[&channel].stdin_credit).unwrap() + WINDOW_BYTES - sent;
        if window == 0 {
            let before = program.channels[&channel].stdin_credit;
            program
                .until("credit for stdin", |channels| {
                    channels[&channel].stdin_credit > before
                })
                .await;
            continue;
        }
        let piece = (bytes.len() - sent).min(window).min(50_000);
        program
            .send(Kind::Stdin, channel, &bytes[sent..sent + piece])
            .await;
        sent += piece;
    }
    program.send(Kind::StdinEnd, channel, &[]).await;
    let ended = program.finish(channel).await;
    assert!(
        ended.stdout == bytes,
        "{} bytes came back",
        ended.stdout.len()
    );
    assert!(ended.end().succeeded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_stops_the_program_and_no_memory_is_spent() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    program.credits = false;
    let channel = program
        .start(&open(
            CallId::generate(),
            &["trap '' TERM INT HUP; yes; sleep 1000"],
        ))
        .await;
    program
        .until("a full window", |channels| {
            channels[&channel].stdout.len() == WINDOW_BYTES
        })
        .await;
    let probed = within("the probe", async {
        scene.element.host().await.ask(&Probe {}, PATIENCE).await
    })
    .await;
    assert_eq!(probed.unwrap().incarnation, program.attached.incarnation);
    program.cancel(channel).await;
    // The rest of the pipe is kept for the reader; it reads on now.
    program.credits = true;
    program
        .send(
            Kind::StdoutCredit,
            channel,
            &u32::try_from(WINDOW_BYTES).unwrap().to_le_bytes(),
        )
        .await;
    let ended = program.finish(channel).await;
    assert_eq!(
        (ended.end().state, ended.end().code),
        (CallState::Terminated, Some(Code::Terminated))
    );
    assert!(
        ended.stdout.len() < WINDOW_BYTES + 2 * 1024 * 1024,
        "{}",
        ended.stdout.len()
    );
    assert!(program.run("echo still here").await.end().succeeded());
}

#[tokio::test(flavor = "multi_thread")]
async fn stdin_that_nobody_reads_does_not_hang() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let channel = program
        .open(&open(
            CallId::generate(),
            &["exec <&-; read -t 0.2 <>/dev/zero; echo closed"],
        ))
        .await;
    program.send(Kind::Stdin, channel, &vec![7; 60_000]).await;
    program.send(Kind::Stdin, channel, &vec![7; 60_000]).await;
    let ended = program.finish(channel).await;
    assert_eq!(ended.text(), "closed");
    assert!(ended.end().succeeded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_taken_up_again() {
    let scene = scene().await;
    let mut program = scene.program(1).await;
    let call = CallId::generate();
    let script = "for i in $(seq 20000); do echo line $i; done; read x; echo got $x";
    let channel = program.open(&open(call, &[script])).await;
    program.credits = false;
    program
        .until("some output", |channels| {
            channels[&channel].stdout.len() > 20_000
        })
        .await;
    let mut had = std::mem::take(&mut program.channels.get_mut(&channel).unwrap().stdout);
    // Some of it is lost with the connection.
    had.truncate(had.len() - 5000.min(had.len() - 20_000));
    let mut program = program.reattach(&scene.element, &scene.host).await;
    assert_eq!(program.attached.held, [call]);
    let mut beyond = open(call, &[script]);
    beyond.resume = Some(Resume {
        stdout: 1 << 40,
        stderr: 0,
    });
    let channel = program.open(&beyond).await;
    let refused = program.finish(channel).await.refused.unwrap();
    assert_eq!(refused.code, Code::InvalidRequest);
    let mut resumed = open(call, &[script]);
    resumed.resume = Some(Resume {
        stdout: had.len() as u64,
        stderr: 0,
    });
    let channel = program.open(&resumed).await;
    program.send(Kind::Stdin, channel, b"it\n").await;
    program.send(Kind::StdinEnd, channel, &[]).await;
    let rest = program.finish(channel).await;
    assert_eq!(rest.started.unwrap().stdin, 0);
    had.extend(&rest.stdout);
    let lines: Vec<_> = (1..=20_000)
        .map(|number| format!("line {number}"))
        .collect();
    let expected = lines.join(
        "
",
    ) + "
";
    assert!(
        had == (expected + "got it\n").as_bytes(),
        "{} bytes",
        had.len()
    );

    let mut unknown = open(CallId::generate(), &["true"]);
    unknown.resume = Some(Resume {
        stdout: 0,
        stderr: 0,
    });
    let channel = program.open(&unknown).await;
    assert_eq!(
        program.finish(channel).await.refused.unwrap().code,
        Code::UnknownCall
    );
}
