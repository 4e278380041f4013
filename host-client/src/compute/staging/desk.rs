//! Where the Host asks its callers for the right to use a bucket.
//!
//! A lease is for one person's program: the Host asks that program, over its
//! calls stream, and the program asks the controller as for itself, for a ticket
//! that is good for the key with which this Host opens TLS under this lease.
//!
//! Invariants: a question that nobody could be asked waits for a connection and
//! is asked again on each new one; it ends with an answer, or after a bounded
//! time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_schemas::{
    api::bucket::BucketAccessRequest,
    problem::{Code, Problem},
    wire::{
        frame::Kind,
        staging::{AccessAnswer, AccessQuestion, BucketGrant},
    },
};
use gridmart_sdk::{AccessSource, Error};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::call::{Outbound, push_json};

/// Time for an answer: a caller that was cut off has 30 s to come back, and its
/// controller a minute to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(95);

/// What a lease's program was asked and has not answered.
#[derive(Default)]
pub(crate) struct AccessDesk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    open: BTreeMap<u64, Open>,
    /// The newest last.
    connections: Vec<Arc<Outbound>>,
}

struct Open {
    question: AccessQuestion,
    answered: oneshot::Sender<Result<BucketGrant, Problem>>,
}

impl AccessDesk {
    /// A connection is attached; gives the frames that ask again.
    pub(crate) fn attach(&self, outbound: &Arc<Outbound>) -> Vec<u8> {
        let mut state = self.state.lock();
        state.connections.push(Arc::clone(outbound));
        let mut frames = Vec::new();
        for open in state.open.values() {
            push_json(&mut frames, Kind::AccessQuestion, 0, &open.question);
        }
        frames
    }

    /// A connection is gone.
    pub(crate) fn detach(&self, outbound: &Arc<Outbound>) {
        let connections = &mut self.state.lock().connections;
        connections.retain(|known| !Arc::ptr_eq(known, outbound));
    }

    /// The program has answered; what nobody waits for any more is left out.
    pub(crate) fn on_answer(&self, answer: AccessAnswer) {
        let open = self.state.lock().open.remove(&answer.question);
        if let Some(open) = open {
            let _ = open.answered.send(answer.into_result());
        }
    }

    fn ask(&self, request: BucketAccessRequest) -> Asked<'_> {
        let BucketAccessRequest {
            bucket,
            operations,
            presenter,
            going_on,
        } = request;
        let (answered, answer) = oneshot::channel();
        let mut state = self.state.lock();
        state.last += 1;
        let question = AccessQuestion {
            question: state.last,
            bucket,
            operations,
            presenter,
            going_on,
        };
        let mut frame = Vec::new();
        push_json(&mut frame, Kind::AccessQuestion, 0, &question);
        let number = question.question;
        state.open.insert(number, Open { question, answered });
        Asked {
            desk: self,
            number,
            answer,
            outbound: state.connections.last().cloned(),
            frame,
        }
    }

    async fn grant(
        &self,
        request: BucketAccessRequest,
        patience: Duration,
    ) -> Result<BucketGrant, Error> {
        let bucket = request.bucket.clone();
        let mut asked = self.ask(request);
        if let Some(outbound) = &asked.outbound {
            // One that is gone meanwhile: it is asked again on the next.
            let _ = outbound.sink.send(std::mem::take(&mut asked.frame)).await;
        }
        let late = || {
            let detail = format!(
                "The caller has not said in {} s whether the bucket {bucket} may be used.",
                patience.as_secs()
            );
            Problem::new(Code::TimedOut, detail)
        };
        let answered = tokio::time::timeout(patience, &mut asked.answer).await;
        match answered {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(_)) | Err(_) => Err(late().into()),
        }
    }
}

impl AccessSource for AccessDesk {
    fn bucket_grant(
        &self,
        request: BucketAccessRequest,
    ) -> BoxFuture<'_, Result<BucketGrant, Error>> {
        Box::pin(self.grant(request, ANSWER_TIME_MAX))
    }
}

/// A question; nobody waits for its answer when it is dropped.
struct Asked<'a> {
    desk: &'a AccessDesk,
    number: u64,
    answer: oneshot::Receiver<Result<BucketGrant, Problem>>,
    outbound: Option<Arc<Outbound>>,
    frame: Vec<u8>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.desk.state.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::role::Operation;

    use super::*;

    fn request() -> BucketAccessRequest {
        BucketAccessRequest {
            bucket: "in".to_owned(),
            operations: vec![Operation::Read],
            presenter: gridmart_fabric::identity::EphemeralKey::generate()
                .unwrap()
                .key_hash()
                .clone(),
            going_on: false,
        }
    }

    fn refusal(question: u64) -> AccessAnswer {
        AccessAnswer::new(question, Err(Problem::new(Code::NotAuthorized, "no")))
    }

    #[tokio::test]
    async fn an_answer_comes_to_its_question() {
        let desk = AccessDesk::default();
        let first = desk.ask(request());
        let mut second = desk.ask(request());
        desk.on_answer(refusal(second.number));
        desk.on_answer(refusal(99));
        let answer = (&mut second.answer).await.unwrap();
        assert_eq!(answer.err().unwrap().code, Code::NotAuthorized);
        assert_eq!(desk.state.lock().open.len(), 1);
        drop(first);
        assert!(desk.state.lock().open.is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn a_caller_that_says_nothing_is_not_waited_for_forever() {
        let desk = AccessDesk::default();
        let patience = Duration::from_millis(1);
        let error = desk.grant(request(), patience).await.err().unwrap();
        assert_eq!(error.code(), Some(Code::TimedOut));
        assert!(desk.state.lock().open.is_empty());
    }
}
