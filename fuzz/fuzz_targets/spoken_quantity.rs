//! Any text is read as a size, a length of time, a need or a token or refused,
//! without a panic; what is read can be shown.
#![no_main]

use gridmart_fabric::{
    join::JoinToken,
    need::{
        Need,
        quantity::{parse_bytes, parse_count},
    },
};
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the command line's own file")]
#[path = "../../cli/src/period.rs"]
mod period;
#[allow(dead_code, reason = "the command line's own file")]
#[path = "../../cli/src/size.rs"]
mod size;

fuzz_target!(|text: &str| {
    if let Ok(size) = text.parse::<size::Size>() {
        // The first number of what is shown is the whole units of the size.
        assert!(!size.to_string().is_empty());
        assert_eq!(format!("{}B", size.bytes()).parse(), Ok(size));
    }
    if let Ok(period) = text.parse::<period::Period>() {
        assert!(period.seconds() > 0);
        assert_eq!(period.to_string().parse(), Ok(period), "{period}");
    }
    if let Ok(need) = text.parse::<Need>() {
        assert!(!need.to_string().is_empty());
    }
    let (_, _) = (parse_bytes(text), parse_count(text));
    if let Ok(token) = text.parse::<JoinToken>() {
        assert_eq!(token.to_string().parse().as_ref(), Ok(&token));
    }
});
