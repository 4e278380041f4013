//! Where the door's objects are: the Element's storage, once it serves; in tests of
//! the door, metadata in a folder and bytes in memory.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use gridmart_schemas::{problem::Problem, wire::storage::StripeView};
use rusqlite::Connection;
use s3s::S3Result;

use super::fault;
use crate::storage::{
    data::{DataReader, DataTarget, DataWriter},
    metadata::{Change, Committed, ObjectVersion, StoreError, Stripe},
    service::Log,
};

/// What the door works on. Clones share everything.
#[derive(Clone)]
pub(in super::super) enum Store {
    /// What serves once the log of the metadata is assured.
    Log(Arc<Log>),
    #[cfg(test)]
    Fixture(Arc<super::fixture::Fixture>),
}

/// Takes the bytes of an object; what is not finished is taken back.
pub(super) enum Sink {
    Hosts(DataWriter),
    #[cfg(test)]
    Fixture(super::fixture::Writing),
}

/// Gives the bytes of an object, in order.
pub(super) enum Source {
    Hosts(DataReader),
    #[cfg(test)]
    Fixture(super::fixture::Reading),
}

impl Store {
    /// Makes a change durable. Bytes that it names and that it did not take in are
    /// taken back.
    pub(super) async fn commit(&self, change: Change) -> Result<Committed, Problem> {
        match self {
            Self::Log(log) => {
                let service = log.service()?;
                let stripes: Vec<Stripe> = match &change {
                    Change::ObjectPut(put) => put.stripes.clone(),
                    Change::PartPut(put) => put.stripes.clone(),
                    _ => return service.commit(change).await,
                };
                service.commit_data(change, &stripes).await
            }
            #[cfg(test)]
            Self::Fixture(fixture) => fixture.commit(change).await,
        }
    }

    /// Reads metadata in one transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        match self {
            Self::Log(log) => log.service()?.read(query).await,
            #[cfg(test)]
            Self::Fixture(fixture) => fixture.read(query).await,
        }
    }

    /// A number that is another one once a bucket or a key itself has changed.
    pub(super) fn settings(&self) -> Result<u64, Problem> {
        match self {
            Self::Log(log) => Ok(log.service()?.settings()),
            #[cfg(test)]
            Self::Fixture(fixture) => Ok(fixture.settings()),
        }
    }

    /// Begins to write the bytes of a version or of a part.
    pub(super) fn write_data(&self, target: DataTarget) -> S3Result<Sink> {
        match self {
            Self::Log(log) => {
                let service = log.service().map_err(|problem| fault::of(&problem))?;
                Ok(Sink::Hosts(service.write_data(target)))
            }
            #[cfg(test)]
            Self::Fixture(fixture) => Ok(Sink::Fixture(fixture.write_data(target))),
        }
    }

    /// Begins to read bytes of a version.
    pub(super) fn read_data(
        &self,
        version: &ObjectVersion,
        stripes: Vec<StripeView>,
        range: Range<u64>,
    ) -> S3Result<Source> {
        match self {
            Self::Log(log) => {
                let service = log.service().map_err(|problem| fault::of(&problem))?;
                let reader = service.read_data(version.clone(), range);
                Ok(Source::Hosts(reader.knowing(stripes)))
            }
            #[cfg(test)]
            Self::Fixture(fixture) => Ok(Source::Fixture(fixture.read_data(version, range))),
        }
    }
}

impl Sink {
    /// Takes bytes; waits for those before them if it must.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Problem> {
        match self {
            Self::Hosts(writer) => writer.push(bytes).await,
            #[cfg(test)]
            Self::Fixture(writing) => writing.push(bytes).await,
        }
    }

    /// Returns when all bytes are durable: where they are.
    pub(super) async fn finish(self) -> Result<Vec<Stripe>, Problem> {
        match self {
            Self::Hosts(writer) => writer.finish().await,
            #[cfg(test)]
            Self::Fixture(writing) => writing.finish().await,
        }
    }
}

impl Source {
    /// The next bytes; none after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Problem>> {
        match self {
            Self::Hosts(reader) => reader.next().await,
            #[cfg(test)]
            Self::Fixture(reading) => reading.next().await,
        }
    }
}
