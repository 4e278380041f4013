//! Guessing join tokens: told when to come again, and nothing is written.

use gridmart_fabric::join::JoinToken;
use gridmart_schemas::{role::NodeKind, wire::enrol::EnrolRequest};

use super::{
    Siege, stranger,
    wire::{Door, ask, status},
};

/// More than what is free for one address.
const GUESSES: usize = 120;

/// Tries one token after the other; gives how many were judged, and the
/// refusal of the rest.
async fn guess(door: &Door, tokens: &[String], kind: NodeKind) -> (usize, String) {
    let mut judged = 0;
    for token in tokens {
        let answer = enrol(door, token, kind, 6).await;
        match status(&answer) {
            Some(403) => {
                assert!(answer.contains("join-token-invalid"), "{answer}");
                judged += 1;
            }
            Some(429) => return (judged, answer),
            _ => panic!("{}: {answer}", door.name),
        }
    }
    panic!("{}: {judged} guesses, and no end", door.name);
}

async fn enrol(door: &Door, token: &str, kind: NodeKind, from: u8) -> String {
    let request = EnrolRequest {
        token: token.to_owned(),
        kind,
        name: "guess".to_owned(),
        csr_pem: "none".to_owned(),
    };
    let body = serde_json::to_vec(&request).unwrap();
    let head = format!(
        "POST /v1/enrol HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    ask(door, stranger(from), &head, &body).await
}

#[test]
fn join_tokens_are_not_guessed() {
    let siege = Siege::begin();
    let document = siege.market.folder().join("ce-1/CEDoc.xml");
    let before = std::fs::read(&document).unwrap();
    let written = std::fs::metadata(&document).unwrap().modified().unwrap();
    for (door, role, kind) in siege.doors().iter().filter_map(|door| match door.name {
        "nodes' door" => Some((door, "control", NodeKind::ComputingElement)),
        "Element's door" => Some((door, "ce-1", NodeKind::ComputeHost)),
        _ => None,
    }) {
        let parent = siege.market.role_node(role).parse().unwrap();
        let tokens: Vec<String> = (0..GUESSES)
            .map(|_| JoinToken::generate(kind, "local", parent, &"0".repeat(64)).to_string())
            .collect();
        let what = format!("guesses at the {}", door.name);
        let (judged, answer) = siege.under(&what, guess(door, &tokens, kind));
        eprintln!("  {judged} judged before the door would not hear more");
        assert!(answer.contains("rate-limited"), "{answer}");
        let again = answer.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("retry-after: ")?
                .parse()
                .ok()
        });
        assert!(again.is_some_and(|seconds: u32| seconds > 0), "{answer}");
        // Who comes from elsewhere is heard.
        let other = siege.under(&what, enrol(door, &tokens[0], kind, 7));
        assert_eq!(status(&other), Some(403), "{other}");
    }
    assert_eq!(std::fs::read(&document).unwrap(), before);
    let since = std::fs::metadata(&document).unwrap().modified().unwrap();
    assert_eq!(since, written, "the Element wrote its document for a guess");
    siege.end();
}
