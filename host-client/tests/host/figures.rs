//! Measurements of a Host by itself, beside what the machine can do at best.
//! Run them alone, with `--release -- --ignored --nocapture figures`.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use gridmart_schemas::id::JobId;

use crate::{scene, simulation::program::part};

const CALLS: u32 = 2_000;
const PARTS: u32 = 10_000;

fn spawn_and_wait(count: u32) -> Duration {
    let began = Instant::now();
    for _ in 0..count {
        let mut command = Command::new("/bin/bash");
        let command = command.args(["-c", "exec /bin/true"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        assert!(command.spawn().unwrap().wait().unwrap().success());
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn figures() {
    let bare = spawn_and_wait(CALLS) / CALLS;
    let threads: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(|| spawn_and_wait(PARTS / 2)))
        .collect();
    let both = threads.into_iter().map(|thread| thread.join().unwrap());
    let limit = both.max().unwrap() / PARTS;
    let scene = scene().await;
    let began = Instant::now();
    let mut program = scene.program(2).await;
    assert!(program.run("exec /bin/true").await.end().succeeded());
    println!("deploy, attach, first call: {:?}", began.elapsed());

    let mut times = Vec::new();
    for _ in 0..CALLS {
        let began = Instant::now();
        let ended = program.run("exec /bin/true").await;
        times.push(began.elapsed());
        assert!(ended.end().succeeded());
    }
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("a call: p50 {half:?}, p99 {most:?}; bare spawn and wait {bare:?}");
    let job = JobId::generate();
    let began = Instant::now();
    let mut open_parts = std::collections::VecDeque::new();
    let mut next = 0;
    while next < PARTS || !open_parts.is_empty() {
        if open_parts.len() < 128 && next < PARTS {
            let count = (PARTS - next).min(128);
            let calls: Vec<_> = (next..next + count)
                .map(|number| (part(job, number.into(), &["exec /bin/true"]), Vec::new()))
                .collect();
            next += count;
            open_parts.extend(program.start_all(&calls).await);
        }
        let Some(channel) = open_parts.pop_front() else {
            break;
        };
        let ended = program.finish(channel).await;
        assert!(ended.end().succeeded(), "{:?}", ended.end());
    }
    let each = began.elapsed() / PARTS;
    println!("a part: {each:?}; bare, from two threads: {limit:?}");
    println!(
        "of the limit: {:.2}",
        limit.as_secs_f64() / each.as_secs_f64()
    );
    scene.host.stop().await;
}
