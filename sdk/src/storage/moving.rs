//! One transfer as its Element knows it: named with each request that belongs to
//! it, and said to be over when nothing more of it is wanted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use gridmart_schemas::{
    problem::Code,
    wire::transfer::{TransferMark, TransferOver},
};
use parking_lot::Mutex;

use super::plane::Plane;
use crate::error::Error;

/// See the module. Dropped before its end, it says that it was given up.
pub(super) struct Moving {
    plane: Arc<Plane>,
    bucket: String,
    mark: Mutex<Option<TransferMark>>,
    /// Bytes that have come; a put says of none.
    bytes: AtomicU64,
    is_put: bool,
    is_over: AtomicBool,
}

impl Moving {
    pub(super) fn put(plane: &Arc<Plane>, bucket: &str) -> Arc<Self> {
        Self::new(plane, bucket, true)
    }

    pub(super) fn get(plane: &Arc<Plane>, bucket: &str) -> Arc<Self> {
        Self::new(plane, bucket, false)
    }

    fn new(plane: &Arc<Plane>, bucket: &str, is_put: bool) -> Arc<Self> {
        Arc::new(Self {
            plane: Arc::clone(plane),
            bucket: bucket.to_owned(),
            mark: Mutex::default(),
            bytes: AtomicU64::default(),
            is_put,
            is_over: AtomicBool::new(false),
        })
    }

    /// How the Element calls it; nothing before its first answer.
    pub(super) fn mark(&self) -> Option<TransferMark> {
        *self.mark.lock()
    }

    /// The Element calls it so from now on.
    pub(super) fn named(&self, mark: Option<TransferMark>) {
        if mark.is_some() {
            *self.mark.lock() = mark;
        }
    }

    /// So many bytes more have come.
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The Element knows that it is over.
    pub(super) fn settled(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// All has come.
    pub(super) fn complete(&self) {
        self.over(None);
    }

    /// Says how a put or a get went that is over now.
    pub(super) fn told<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        match &done {
            Ok(_) if self.is_put => self.settled(),
            Ok(_) => self.complete(),
            Err(error) => self.fail(error),
        }
        done
    }

    /// It cannot be had, or put.
    pub(super) fn fail(&self, error: &Error) {
        self.over(Some(error.code().unwrap_or(Code::Terminated)));
    }

    fn over(&self, code: Option<Code>) {
        if self.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(mark) = self.mark() else { return };
        let bytes = (!self.is_put).then(|| self.bytes.load(Ordering::Relaxed));
        let over = TransferOver { mark, bytes, code };
        self.plane.tell_of(&self.bucket, &over);
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.over(Some(Code::Terminated));
    }
}
