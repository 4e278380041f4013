//! Tickets that Hosts ask for, to move the files of this client's calls.
//!
//! Invariant: a Host is granted what the files of the calls need that it has of
//! this client, and nothing else; so many questions of a Host wait at a time.

use std::sync::Arc;

use gridmart_schemas::{
    api::bucket::BucketAccessRequest,
    id::NodeId,
    problem::{Code, Problem},
    wire::{
        frame::{Kind, push_json},
        staging::{AccessAnswer, AccessQuestion, QUESTIONS_MAX, STAGING_MINOR, Staged},
    },
};

use crate::storage::Plane;

/// Refuses to give a Host a call whose files it would not bring.
pub(crate) fn require_staging(staged: &Staged, host: NodeId, v: [u16; 2]) -> Result<(), Problem> {
    if staged.is_empty() || v[1] >= STAGING_MINOR {
        return Ok(());
    }
    Err(Problem::new(
        Code::VersionUnsupported,
        format!(
            "Host {host} speaks version {}.{} and brings no files of buckets to calls: update it, \
             or name a need that another Host meets",
            v[0], v[1]
        ),
    ))
}

/// Has the controller decide, as for this client itself.
pub(crate) async fn answer(plane: Arc<Plane>, question: AccessQuestion) -> Vec<u8> {
    let AccessQuestion {
        question,
        bucket,
        operations,
        presenter,
        going_on,
    } = question;
    let request = BucketAccessRequest {
        bucket,
        operations,
        presenter,
        going_on,
    };
    let granted = plane.grant(request).await;
    let answer = granted.map_err(|error| error.to_problem());
    frame(&AccessAnswer::new(question, answer))
}

/// The answer to what no call needs.
pub(crate) fn unneeded(question: &AccessQuestion) -> Vec<u8> {
    let detail = format!(
        "No call that the Host has of this program needs that of the bucket {}.",
        question.bucket
    );
    let problem = Problem::new(Code::NotAuthorized, detail);
    frame(&AccessAnswer::new(question.question, Err(problem)))
}

/// The answer to one question too many.
pub(crate) fn too_many(question: &AccessQuestion) -> Vec<u8> {
    let detail = format!("The Host has {QUESTIONS_MAX} questions open already.");
    let problem = Problem::new(Code::Busy, detail);
    frame(&AccessAnswer::new(question.question, Err(problem)))
}

fn frame(answer: &AccessAnswer) -> Vec<u8> {
    let mut frame = Vec::new();
    if let Err(error) = push_json(&mut frame, Kind::AccessAnswer, 0, answer) {
        // Strings and numbers are always written.
        tracing::error!(%error, "an answer could not be written down");
    }
    frame
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::wire::staging::StagedFile;

    use super::*;

    #[test]
    fn a_host_that_knows_no_files_gets_no_call_with_any() {
        let host = NodeId::generate();
        let staged = Staged {
            inputs: vec![StagedFile::parse_input("bucket/key").unwrap()],
            ..Staged::default()
        };
        let refused = require_staging(&staged, host, [1, STAGING_MINOR - 1]).unwrap_err();
        assert_eq!(refused.code, Code::VersionUnsupported);
        assert!(refused.detail.contains(&host.to_string()), "{refused}");
        assert!(require_staging(&staged, host, [1, STAGING_MINOR]).is_ok());
        assert!(require_staging(&Staged::default(), host, [1, 0]).is_ok());
    }
}
