//! Call records, as they come from Hosts.

use std::{sync::Arc, time::Instant};

use gridmart_schemas::{
    id::NodeId,
    problem::{Code, Problem},
    wire::{Done, record::CallRecords},
};

use super::Ce;

impl Ce {
    /// A Host sends what has ended on it.
    pub(crate) async fn on_records(
        &self,
        host: NodeId,
        mut batch: CallRecords,
    ) -> Result<Done, Problem> {
        self.goods.late.lock().judge(&mut batch, Instant::now());
        let incarnation = self.links.host_incarnation(host).ok_or_else(|| {
            Problem::new(
                Code::Unavailable,
                "The Host's stream was replaced by another.",
            )
        })?;
        self.goods.records.take(host, incarnation, batch).await?;
        Ok(Done {})
    }

    /// Keeps what Hosts send.
    pub(crate) async fn keep_records(self: Arc<Self>) {
        let records = &self.goods.records;
        records.keep(&self.stop, |batch| self.learn(batch)).await;
    }

    /// Sends on what is kept.
    pub(crate) async fn send_records(self: Arc<Self>) {
        self.goods.records.send(&self.stop, &self.links).await;
    }

    fn learn(&self, batch: &CallRecords) {
        self.goods.service_times.lock().on_records(batch);
        self.goods.ended_calls.lock().on_records(batch);
        self.goods
            .metrics
            .calls_ended
            .inc_by(batch.records.len() as u64);
    }
}
