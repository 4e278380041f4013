//! What of a call is sent to its connection, and when.

use std::sync::Arc;

use gridmart_schemas::{
    problem::{Code, Problem},
    wire::{call::CallStarted, frame},
};

use super::{Call, Outbound, State, outlet::Outlet, push_json};

impl Call {
    pub(super) fn make_ready(self: &Arc<Self>, state: &mut State) {
        if let Some(attachment) = &state.attachment
            && !state.is_ready
        {
            state.is_ready = true;
            attachment.outbound.push(Arc::clone(self));
        }
    }

    /// Appends the frames that are due; comes again when there are more than
    /// fit into one message.
    pub(super) fn collect(self: &Arc<Self>, outbound: &Outbound, message: &mut Vec<u8>) {
        let mut state = self.state.lock();
        let Some(channel) = state
            .attachment
            .as_ref()
            .filter(|attachment| attachment.outbound.number == outbound.number)
            .map(|attachment| attachment.channel)
        else {
            return;
        };
        state.is_ready = false;
        if let Some(received) = state.started_due.take() {
            let started = CallStarted {
                incarnation: self.incarnation,
                stdin: received.had,
                stdin_taken: received.taken,
            };
            push_json(message, frame::Kind::Started, channel, &started);
        }
        let credit = std::mem::take(&mut state.inlet.credit);
        if credit > 0 && state.fate.end().is_none() {
            frame::push(
                message,
                frame::Kind::StdinCredit,
                channel,
                &credit.to_le_bytes(),
            );
        }
        if self.is_part() && state.fate.end().is_none() {
            return;
        }
        let kinds = [frame::Kind::Stdout, frame::Kind::Stderr];
        let mut complete = true;
        for (outlet, kind) in state.outlets.iter_mut().zip(kinds) {
            if let Err(error) = outlet.push(message, kind, channel) {
                tracing::error!(call.id = %self.id, %error, "spooled output cannot be read");
                let problem = Problem::new(
                    Code::StorageFailed,
                    "The call's output cannot be read on the Host.",
                );
                push_json(message, frame::Kind::Refused, channel, &problem);
                state.attachment = None;
                return;
            }
            complete &= outlet.is_sent();
        }
        if state.outlets.iter().any(Outlet::can_send) {
            self.make_ready(&mut state);
        } else if complete
            && !state.end_sent
            && let Some(end) = state.fate.end()
        {
            push_json(message, frame::Kind::Ended, channel, end);
            state.end_sent = true;
        }
    }
}
