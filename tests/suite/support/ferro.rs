//! The registry of the crate `ferro-oci-server`, in this process: the referrers API as somebody else understands it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use ferro_blob_store::InMemoryBlobStore;
use ferro_oci_server::{AppState, InMemoryRegistryMeta, router};
use tokio::sync::oneshot;

/// A running registry. It ends when it is dropped.
pub(crate) struct FerroRegistry {
    pub(crate) host: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FerroRegistry {
    pub(crate) fn start() -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel::<SocketAddr>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let store = Arc::new(InMemoryBlobStore::new());
                let state = AppState::new(store, Arc::new(InMemoryRegistryMeta::new()));
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let serving = axum::serve(listener, router(state));
                // Not gracefully: clients keep connections open.
                tokio::select! {
                    served = async { serving.await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { host: told.recv().unwrap().to_string(), stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for FerroRegistry {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
