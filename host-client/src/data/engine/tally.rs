//! Rows and bytes of a result, counted against their limits.

use gridmart_schemas::data::Value;

use super::{EngineError, Limits};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    limits: Limits,
    rows: u64,
    bytes: u64,
}

impl Tally {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows: 0,
            bytes: 0,
        }
    }

    /// What it is counted against.
    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a row; gives its bytes.
    pub(super) fn count(&mut self, row: &[Value]) -> Result<usize, EngineError> {
        let bytes = row.iter().map(Value::bytes).sum::<usize>();
        self.rows += 1;
        self.bytes += bytes as u64;
        if self.rows > self.limits.rows {
            return Err(EngineError::LimitExceeded {
                of: "rows",
                limit: self.limits.rows,
            });
        }
        if self.bytes > self.limits.bytes {
            return Err(EngineError::LimitExceeded {
                of: "bytes",
                limit: self.limits.bytes,
            });
        }
        Ok(bytes)
    }
}
