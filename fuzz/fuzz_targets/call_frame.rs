//! Any bytes are read as frames or refused, without a panic; what is read,
//! written again, is what was there; refused is only what comes last.
#![no_main]

use gridmart_schemas::{
    problem::Problem,
    wire::{
        call::{Attach, Attached, CallCancel, CallOpen, CallStarted},
        frame::{Frame, FrameError, Frames, HEADER_BYTES, Kind, PAYLOAD_BYTES_MAX, push},
        record::CallEnd,
    },
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn json<T: Serialize + DeserializeOwned>(frame: &Frame<'_>) {
    if let Ok(message) = frame.json::<T>() {
        let written = serde_json::to_vec(&message).expect("what was read can be written");
        let again: T = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(
            serde_json::to_vec(&again).expect("what was read can be written"),
            written
        );
    }
}

fn payload(frame: &Frame<'_>) {
    match frame.kind {
        Kind::Attach => json::<Attach>(frame),
        Kind::Attached => json::<Attached>(frame),
        Kind::Open => json::<CallOpen>(frame),
        Kind::Started => json::<CallStarted>(frame),
        Kind::Ended => json::<CallEnd>(frame),
        Kind::Refused => json::<Problem>(frame),
        Kind::Cancel => json::<CallCancel>(frame),
        Kind::StdinCredit | Kind::StdoutCredit | Kind::StderrCredit => {
            assert_eq!(frame.credit().is_ok(), frame.payload.len() == 4);
        }
        Kind::Stdin | Kind::StdinEnd | Kind::Stdout | Kind::Stderr | Kind::Close => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut written = Vec::new();
    let mut refused = None;
    for frame in Frames::of(bytes) {
        assert!(refused.is_none(), "a frame after a refusal");
        match frame {
            Ok(frame) => {
                assert!(frame.payload.len() <= PAYLOAD_BYTES_MAX);
                payload(&frame);
                push(&mut written, frame.kind, frame.channel, frame.payload);
            }
            Err(error) => refused = Some(error),
        }
    }
    assert!(bytes.starts_with(&written), "frames are not what was there");
    match refused {
        None => assert_eq!(written.len(), bytes.len()),
        Some(FrameError::Short(read)) => assert_eq!(read, bytes.len()),
        Some(_) => assert!(bytes.len() >= written.len() + HEADER_BYTES),
    }
});
