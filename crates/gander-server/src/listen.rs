//! Where to listen, and the loop that takes connections within bounds.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Connections at once: 32 tabs with six each, their streams, and room.
const MAX_CONNECTIONS: usize = 512;
/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Where first ports are drawn from: below what systems give to outgoing connections, which could otherwise sit on the
/// kept port at the next start.
const FIRST_PORTS: std::ops::Range<u16> = 17_000..32_000;

/// Listens on loopback, by literal address.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Listens on a port that another process is about to let go of.
pub async fn bind_within(port: u16, patience: Duration) -> io::Result<TcpListener> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        match bind(port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            bound => return bound,
        }
    }
}

/// Draws a free port, which is then kept for this journal.
pub async fn bind_first() -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..64 {
        let mut bytes = [0u8; 2];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let span = FIRST_PORTS.end - FIRST_PORTS.start;
        match bind(FIRST_PORTS.start + u16::from_be_bytes(bytes) % span).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Takes connections until told to stop; then lets those that are in the middle of an answer finish it.
pub async fn run(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = is_true(&mut stop) => break,
        };
        let Some((stream, permit)) = accepted else { continue };
        let router = router.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            serve(stream, router, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Resolves when it is true; also when nobody can make it so any more.
pub async fn is_true(flag: &mut watch::Receiver<bool>) {
    // The guard inside may not be held while others are waited for.
    let _ = flag.wait_for(|flag| *flag).await.map(|_| ());
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) if peer.ip().is_loopback() => Some((stream, permit)),
        Ok(_) => None,
        Err(error) => {
            // Out of descriptors, most often: others finish meanwhile.
            tracing::warn!(%error, "a connection could not be taken");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn serve(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    // Small frames of a stream must not wait for each other.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = is_true(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}
