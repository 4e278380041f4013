//! The same client for programs without async: a runtime of its own, and a
//! function that waits.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::{error::Error, settings::Settings};

/// Worker threads: one is enough for one caller's streams.
const THREADS: usize = 1;

/// A client with its runtime. Must not be used or dropped inside async code.
#[derive(Debug)]
pub struct Client {
    client: crate::Client,
    runtime: Runtime,
}

impl Client {
    /// As [`crate::Client::from_env`].
    pub fn from_env() -> Result<Self, Error> {
        Self::connect(Settings::from_env()?)
    }

    /// As [`crate::Client::connect`].
    pub fn connect(settings: Settings) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()
            .map_err(|source| Error::Local {
                action: "start",
                target: "a runtime".to_owned(),
                source,
            })?;
        Ok(Self {
            client: crate::Client::connect(settings)?,
            runtime,
        })
    }

    /// The async client, whose futures [`Self::wait`] waits for.
    pub const fn client(&self) -> &crate::Client {
        &self.client
    }

    /// Waits for a future of the client.
    ///
    /// ```no_run
    /// # fn demo() -> Result<(), gridmart_sdk::Error> {
    /// let grid = gridmart_sdk::blocking::Client::from_env()?;
    /// let output = grid.wait(grid.client().apps().call("wordcount").stdin("one two").output())?;
    /// # grid.close(); Ok(()) }
    /// ```
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// As [`crate::Client::close`].
    pub fn close(self) {
        self.runtime.block_on(self.client.close());
    }
}
