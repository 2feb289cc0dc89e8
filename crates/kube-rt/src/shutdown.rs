//! Stopping: SIGTERM or SIGINT becomes a token, and tasks get a bounded time to finish.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Listens for the signals that end the process.
#[derive(Clone, Debug)]
pub struct Signal {
    token: CancellationToken,
}

impl Signal {
    /// Starts to listen; needs a tokio runtime. From here on the signals no longer end the process
    /// by themselves.
    pub fn listen() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = CancellationToken::new();
        let stop = token.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(event = "shutdown", signal = name, "stopping");
            stop.cancel();
        });
        Ok(Self { token })
    }

    /// A token that is cancelled by the first signal.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Waits for the first signal.
    pub async fn received(&self) {
        self.token.cancelled().await;
    }
}

/// Waits until all `tasks` are done, at most `grace`; what still runs then is aborted. Returns
/// whether all finished by themselves.
pub async fn drain(mut tasks: JoinSet<()>, grace: Duration) -> bool {
    let finished =
        tokio::time::timeout(grace, async { while tasks.join_next().await.is_some() {} }).await;
    if finished.is_err() {
        tracing::warn!(
            event = "shutdown",
            unfinished = tasks.len(),
            "tasks did not stop in time and were ended"
        );
        tasks.shutdown().await;
    }
    finished.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drain_waits_for_tasks_that_finish() {
        let mut tasks = JoinSet::new();
        tasks.spawn(tokio::time::sleep(Duration::from_secs(2)));
        assert!(drain(tasks, Duration::from_secs(5)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn drain_ends_what_never_finishes() {
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending());
        assert!(!drain(tasks, Duration::from_secs(5)).await);
    }
}
