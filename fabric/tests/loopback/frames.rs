//! Calls streams, over loopback.

use std::time::{Duration, Instant};

use crate::common::{Grid, OpenDoor, soon};
use gridmart_fabric::{
    door::DoorLimits,
    frames::{FrameLimits, FrameSink, FrameSource, TrySendError, dial_frames},
    identity::EphemeralKey,
    tls::ClientTls,
};
use gridmart_schemas::{
    problem::Code,
    role::NodeKind,
    wire::frame::{DATA_BYTES_MAX, Frames, Kind, PAYLOAD_BYTES_MAX, push},
};

type Ends = ((FrameSink, FrameSource), (FrameSink, FrameSource));

async fn connected(limits: FrameLimits, door_limits: DoorLimits) -> (Grid, OpenDoor, Ends) {
    let grid = Grid::new();
    let mut door = OpenDoor::open_with(&grid, NodeKind::ComputeHost, door_limits, |service| {
        service.frame_limits = limits;
    })
    .await;
    let key = EphemeralKey::generate().unwrap();
    let tls = ClientTls::ephemeral(grid.authority.root_pem(), &key).unwrap();
    let here = soon(
        "dial",
        dial_frames(&door.endpoints(), door.expected, &tls, "/v1/calls"),
    )
    .await
    .unwrap();
    let there = soon("stream", door.frames.recv()).await.unwrap();
    (grid, door, (here, there))
}

fn frame(kind: Kind, channel: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    push(&mut message, kind, channel, payload);
    message
}

#[tokio::test]
async fn frames_arrive_whole_in_order_and_batched() {
    let (_grid, _door, ((sink, _source), (_host_sink, mut source))) =
        connected(FrameLimits::default(), DoorLimits::default()).await;
    // Queued in one go, on one thread: the writer has not run yet.
    for channel in 0..200u32 {
        sink.try_send(frame(Kind::Stdin, channel, &channel.to_le_bytes()))
            .unwrap();
    }
    let (mut channel, mut messages) = (0u32, 0);
    while channel < 200 {
        let message = soon("message", source.next()).await.unwrap().unwrap();
        messages += 1;
        for frame in Frames::of(&message) {
            let frame = frame.unwrap();
            assert_eq!(
                (frame.channel, frame.payload),
                (channel, &channel.to_le_bytes()[..])
            );
            channel += 1;
        }
    }
    assert_eq!(messages, 1);
}

#[tokio::test]
async fn the_largest_frames_pass() {
    let (_grid, _door, ((sink, _source), (_host_sink, mut source))) =
        connected(FrameLimits::default(), DoorLimits::default()).await;
    let payload = vec![7; PAYLOAD_BYTES_MAX];
    sink.send(frame(Kind::Attach, 0, b"{}")).await.unwrap();
    soon("attach", source.next()).await.unwrap().unwrap();
    sink.send(frame(Kind::Open, 1, &payload)).await.unwrap();
    sink.send(frame(Kind::Stdin, 1, &payload[..DATA_BYTES_MAX]))
        .await
        .unwrap();
    let mut lengths = Vec::new();
    while lengths.len() < 2 {
        let message = soon("message", source.next()).await.unwrap().unwrap();
        lengths.extend(Frames::of(&message).map(|frame| frame.unwrap().payload.len()));
    }
    assert_eq!(lengths, [PAYLOAD_BYTES_MAX, DATA_BYTES_MAX]);
}

#[tokio::test]
async fn who_has_not_attached_is_not_listened_to_for_long() {
    let (_grid, _door, ((sink, _source), (_host_sink, mut source))) =
        connected(FrameLimits::default(), DoorLimits::default()).await;
    let payload = vec![7; PAYLOAD_BYTES_MAX];
    // It may be cut while it is sent.
    let _ = sink.send(frame(Kind::Attach, 0, &payload)).await;
    let cut = soon("the cut", source.next()).await.unwrap().unwrap_err();
    assert!(cut.detail.contains("first message"), "{cut}");
}

#[tokio::test]
async fn a_full_queue_gives_the_message_back() {
    let limits = FrameLimits {
        queue_messages: 100,
        queue_bytes: 100_000,
        ..FrameLimits::default()
    };
    let (_grid, _door, (_here, (sink, _source))) = connected(limits, DoorLimits::default()).await;
    let message = frame(Kind::Stdout, 1, &vec![1; 40_000]);
    sink.try_send(message.clone()).unwrap();
    sink.try_send(message.clone()).unwrap();
    let Err(TrySendError::Full(back)) = sink.try_send(message.clone()) else {
        panic!("the third message was taken");
    };
    assert_eq!(back, message);
    // Room comes when the writer has written.
    soon("room", sink.send(message)).await.unwrap();
}

#[tokio::test]
async fn closing_one_end_ends_the_other_after_what_was_queued() {
    let (_grid, _door, ((sink, mut source), (host_sink, mut host_source))) =
        connected(FrameLimits::default(), DoorLimits::default()).await;
    host_sink.send(frame(Kind::Ended, 3, b"{}")).await.unwrap();
    host_sink.close();
    let last = soon("last message", source.next()).await.unwrap().unwrap();
    assert_eq!(Frames::of(&last).next().unwrap().unwrap().kind, Kind::Ended);
    assert!(soon("end", source.next()).await.is_none());
    assert!(source.next().await.is_none());
    soon("end", sink.closed()).await;
    assert_eq!(sink.send(vec![]).await.unwrap_err().code, Code::Unavailable);
    assert!(soon("end", host_source.next()).await.is_none());
}

#[tokio::test]
async fn a_program_that_vanishes_is_noticed() {
    let (_grid, _door, (here, (host_sink, mut host_source))) =
        connected(FrameLimits::default(), DoorLimits::default()).await;
    drop(here);
    while let Some(message) = soon("end", host_source.next()).await {
        if message.is_err() {
            break;
        }
    }
    soon("end", host_sink.closed()).await;
}

#[tokio::test]
async fn a_program_that_does_not_read_is_cut() {
    let door_limits = DoorLimits {
        write_stall: Duration::from_millis(300),
        ..DoorLimits::default()
    };
    let (_grid, _door, (_here, (host_sink, _host_source))) =
        connected(FrameLimits::default(), door_limits).await;
    let refused = soon("the cut", async {
        loop {
            if let Err(problem) = host_sink
                .send(frame(Kind::Stdout, 1, &vec![0; DATA_BYTES_MAX]))
                .await
            {
                return problem.code;
            }
        }
    })
    .await;
    assert_eq!(refused, Code::Unavailable);
}

#[tokio::test]
async fn a_silent_program_is_cut() {
    let limits = FrameLimits {
        ping: Duration::from_millis(50),
        silence: Duration::from_millis(300),
        ..FrameLimits::default()
    };
    let (_grid, _door, (_here, (_host_sink, mut host_source))) =
        connected(limits, DoorLimits::default()).await;
    // The program's source is never polled, so no ping is answered; its own
    // pings come every ten seconds only.
    let looks = async {
        loop {
            // Others are looked after meanwhile, again and again.
            let look = Duration::from_millis(20);
            if let Ok(next) = tokio::time::timeout(look, host_source.next()).await {
                return next;
            }
        }
    };
    let cut = soon("the cut", looks).await.unwrap().unwrap_err();
    assert_eq!(cut.code, Code::TimedOut);
    assert!(host_source.next().await.is_none());
}

#[tokio::test]
async fn a_round_trip_is_fast() {
    let (_grid, _door, ((sink, mut source), (host_sink, mut host_source))) =
        connected(FrameLimits::default(), DoorLimits::default()).await;
    tokio::spawn(async move {
        while let Some(Ok(message)) = host_source.next().await {
            if host_sink.send(message.to_vec()).await.is_err() {
                return;
            }
        }
    });
    let mut times = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        sink.send(frame(Kind::Open, 1, b"hello")).await.unwrap();
        soon("echo", source.next()).await.unwrap().unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    println!("round trip: p50 {:?}, p99 {:?}", times[250], times[495]);
    // Far above what it takes, far below what Nagle and delayed ACKs take.
    assert!(times[250] < Duration::from_millis(20), "{:?}", times[250]);
}
