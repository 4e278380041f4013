//! What tests of shadows on servers share.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gridmart_schemas::{
    data::{Position, Row},
    id::DatabaseId,
    resource::enumeration::SyncState,
};
use tokio::sync::oneshot;

use crate::data::{
    check::{Sums, differing},
    engine::{CoreEngine, Engine as _, Limits, Statement, mirror::fixture::install},
    home::Home,
    log::{LogBounds, Pulled},
    server::{ServerUrl, Servers},
    shadow::Shadow,
};

/// Waits for what comes by itself.
pub(in super::super) const LONG: Duration = Duration::from_mins(2);

/// A core of a test.
pub(in super::super) trait Shopped {
    fn core(&self) -> &dyn CoreEngine;
    fn home(&self) -> &Home;
    fn database(&self) -> DatabaseId;
}

/// A shadow on a server of its own.
pub(in super::super) struct Second<S> {
    pub(in super::super) server: S,
    pub(in super::super) servers: Servers,
    pub(in super::super) home: Home,
    pub(in super::super) path: PathBuf,
    pub(in super::super) shadow: Shadow,
    _folder: tempfile::TempDir,
}

impl<S> Second<S> {
    /// Begins with a snapshot of the core.
    pub(in super::super) async fn begin(shop: &impl Shopped, server: S, url: &str) -> Self {
        let url = ServerUrl::read(url).unwrap();
        let engine = url.engine().clone();
        let servers = Servers::connect(&[url]).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("shadow")).unwrap();
        home.engine_put(&engine).unwrap();
        let path = install(shop.core(), shop.home(), &home).await;
        let shadow = opened(shop, &home, &path, &servers);
        Self {
            server,
            servers,
            home,
            path,
            shadow,
            _folder: folder,
        }
    }

    /// As after a kill of its Host.
    pub(in super::super) fn reopen(&mut self, shop: &impl Shopped) {
        self.shadow.end();
        self.shadow = opened(shop, &self.home, &self.path, &self.servers);
    }

    /// Brings it to a position of the core.
    pub(in super::super) async fn follow(&self, shop: &impl Shopped, position: Position) {
        loop {
            let told = self.shadow.history().await.unwrap();
            if told.last.position >= position {
                break;
            }
            match shop.core().pull(told, 64 * 1024).await.unwrap() {
                Pulled::Entries(entries) => self.shadow.apply(entries).await.unwrap(),
                other => panic!("{other:?}"),
            }
        }
        self.there(position).await;
    }

    /// Waits until readers see that position.
    pub(in super::super) async fn there(&self, position: Position) {
        let ends = Instant::now() + LONG;
        while self.shadow.position().position < position
            || self.shadow.sync_state(SyncState::Synchronised) != SyncState::Synchronised
        {
            let state = self.shadow.sync_state(SyncState::Synchronised);
            assert!(
                Instant::now() < ends,
                "{state:?} {:?}",
                self.shadow.position()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The core's sums, and those of the rows at the server.
    pub(in super::super) async fn sums(&self, shop: &impl Shopped) -> (Sums, Sums) {
        let core = shop.core().sums(3, None, None).await.unwrap();
        self.follow(shop, core.position).await;
        let (begun, _position) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        tell.send(core.clone()).unwrap();
        let own = self.shadow.sums_later(begun, told, LONG).await.unwrap();
        (core, own.unwrap())
    }

    pub(in super::super) async fn is_the_same(&self, shop: &impl Shopped) {
        let (core, own) = self.sums(shop).await;
        assert_eq!(differing(&core, &own), Some(Vec::new()));
    }

    pub(in super::super) async fn read(&self, statement: Statement) -> Vec<Row> {
        let stream = self.shadow.read(statement, Limits::default()).await;
        stream.unwrap().collect().await.unwrap()
    }

    pub(in super::super) fn name(&self) -> String {
        self.home.server_name().unwrap().unwrap()
    }
}

fn opened(shop: &impl Shopped, home: &Home, path: &Path, servers: &Servers) -> Shadow {
    let shared = (LogBounds::default(), servers);
    Shadow::open(shop.database(), home, path, shared, 2).unwrap()
}
