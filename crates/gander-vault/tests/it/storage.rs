//! A storage that dies, lies and ages on command, over memory.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use futures::{FutureExt, TryStreamExt};
use gander_vault::{CreateRequest, Created, Reason, SnapshotId, Source, Vault, VaultError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::runtime::{Handle, Runtime};

/// What the last write before the death does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Nothing of it is there.
    Before,
    /// It is there, but nobody heard.
    After,
    /// Half of it is there under its name, as on a file system that lost its journal.
    Torn,
    /// Nothing of it is there, because there is no room.
    Full,
}

pub struct Storage {
    inner: InMemory,
    /// Writes and deletes that still succeed; negative: no limit.
    left: AtomicI64,
    death: Mutex<Death>,
    pub writes: AtomicI64,
    /// How much older than they are objects look.
    aged: Mutex<Vec<(String, Duration)>>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

fn dead(death: Death) -> Error {
    let kind = match death {
        Death::Full => std::io::ErrorKind::StorageFull,
        _ => std::io::ErrorKind::ConnectionReset,
    };
    Error::Generic { store: "test", source: Box::new(std::io::Error::from(kind)) }
}

impl Storage {
    fn step(&self) -> (bool, bool) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        // In one step: two segments are stored at once, and each counts.
        let counted = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| (left > 0).then(|| left - 1));
        match counted {
            Ok(left) => (true, left == 1),
            Err(left) => (left < 0, false),
        }
    }

    fn age(&self, mut meta: ObjectMeta) -> ObjectMeta {
        for (name, age) in self.aged.lock().unwrap().iter() {
            if name == meta.location.as_ref() {
                meta.last_modified -= *age;
            }
        }
        meta
    }
}

#[async_trait]
impl ObjectStore for Storage {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (alive, last) = self.step();
        let death = *self.death.lock().unwrap();
        if !alive {
            return Err(dead(death));
        }
        if !last {
            return self.inner.put_opts(location, payload, opts).await;
        }
        match death {
            Death::Before | Death::Full => {}
            Death::After => drop(self.inner.put_opts(location, payload, opts).await?),
            Death::Torn => {
                let bytes: Bytes = payload.into();
                self.inner.put(location, bytes.slice(..bytes.len() / 2).into()).await?;
            }
        }
        self.left.store(0, Ordering::SeqCst);
        Err(dead(death))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("objects are small")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.inner.get_opts(location, options).await?;
        found.meta = self.age(found.meta);
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (alive, last) = self.step();
        let death = *self.death.lock().unwrap();
        if !alive || (last && death != Death::After) {
            self.left.store(0, Ordering::SeqCst);
            return futures::stream::once(async move { Err(dead(death)) }).boxed();
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed: Vec<_> = self.inner.list(prefix).collect::<Vec<_>>().now_or_never().unwrap();
        let aged: Vec<_> = listed.into_iter().map(|meta| meta.map(|meta| self.age(meta))).collect();
        futures::stream::iter(aged).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A vault over such a storage, and what a test does with both.
pub struct World {
    pub runtime: Runtime,
    pub storage: Arc<Storage>,
    pub vault: Vault,
}

pub fn world() -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let storage = Arc::new(Storage {
        inner: InMemory::new(),
        left: AtomicI64::new(-1),
        death: Mutex::new(Death::Before),
        writes: AtomicI64::new(0),
        aged: Mutex::default(),
    });
    let vault = Vault::over(storage.clone(), "", runtime.handle().clone()).unwrap();
    World { runtime, storage, vault }
}

impl World {
    pub fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// The storage dies at its `nth` write from now (counted from 1).
    pub fn die_at(&self, nth: i64, death: Death) {
        *self.storage.death.lock().unwrap() = death;
        self.storage.left.store(nth, Ordering::SeqCst);
    }

    pub fn revive(&self) {
        self.storage.left.store(-1, Ordering::SeqCst);
    }

    /// How many writes `f` makes.
    pub fn writes_of(&self, f: impl FnOnce()) -> i64 {
        let before = self.storage.writes.load(Ordering::SeqCst);
        f();
        self.storage.writes.load(Ordering::SeqCst) - before
    }

    /// Everything there is looks older by this.
    pub fn age(&self, by: Duration) {
        let names = self.names();
        let mut aged = self.storage.aged.lock().unwrap();
        aged.extend(names.into_iter().map(|name| (name, by)));
    }

    pub fn names(&self) -> Vec<String> {
        let listed = self.storage.inner.list(None).try_collect::<Vec<_>>().now_or_never().unwrap().unwrap();
        let mut names: Vec<_> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
        names.sort();
        names
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = Path::from(name);
        let bytes = async { self.storage.inner.get(&path).await.unwrap().bytes().await.unwrap() };
        self.runtime.block_on(bytes).to_vec()
    }

    pub fn write(&self, name: &str, bytes: Vec<u8>) {
        self.runtime.block_on(self.storage.inner.put(&Path::from(name), bytes.into())).unwrap();
    }

    pub fn remove(&self, name: &str) {
        self.runtime.block_on(self.storage.inner.delete(&Path::from(name))).unwrap();
    }

    pub fn create(&self, source: &dyn Source, n: u8) -> Result2<Created> {
        create(&self.vault, source, n)
    }
}

pub type Result2<T> = std::result::Result<T, VaultError>;

pub const T0: i64 = 1_800_000_000_000;

pub fn id(n: u8) -> SnapshotId {
    SnapshotId::from_parts(T0 + i64::from(n) * 60_000, &[n; 10])
}

pub fn request(n: u8) -> CreateRequest<'static> {
    // One minute between snapshots.
    let at = Box::leak(Box::new(move || T0 + i64::from(n) * 60_000));
    CreateRequest {
        id: id(n),
        now_ms: at,
        reason: Reason::Hand,
        machine: "test".into(),
        version: "0.0.0".into(),
        distrust: Default::default(),
    }
}

pub fn create(vault: &Vault, source: &dyn Source, n: u8) -> Result2<Created> {
    vault.create(source, &request(n))
}

pub fn verify(vault: &Vault) -> gander_vault::Report {
    vault.verify(&|_| true).unwrap()
}

#[track_caller]
pub fn assert_whole(vault: &Vault) {
    let report = verify(vault);
    assert!(report.ok(), "{:#?}", report.findings);
}
