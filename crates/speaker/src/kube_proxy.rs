//! Whether kube-proxy on this node is well, by its own word: a node without it answers for addresses and drops what
//! comes for them.
//!
//! ```text
//!  well ──refused, silent or another status than 200, for the patience──▶ not well ──one 200──▶ well
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ferrolb_kube_rt::Post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::topics::{Message, Topic};

/// How often it is asked.
const PERIOD: Duration = Duration::from_secs(2);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// `HTTP/1.1 200` fits.
const STATUS: usize = 12;

/// How kube-proxy is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KubeProxySettings {
    /// Port of `/healthz` on this node.
    pub port: u16,
    /// How long it may be unwell before this node gives its addresses away.
    pub patience: Duration,
}

/// Asks for ever, and tells when the answer is another one. It counts as well until it has not been for
/// `patience`.
pub(crate) async fn follow(settings: KubeProxySettings, post: Post<Topic, Message>) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let (mut told, mut well_at) = (true, Instant::now());
    loop {
        if is_well(address).await {
            well_at = Instant::now();
        }
        let well = well_at.elapsed() < settings.patience.max(PERIOD + PATIENCE);
        if well != told {
            told = well;
            if !post.send(Topic::KubeProxy, Message::KubeProxy(well)).await {
                return;
            }
        }
        sleep(PERIOD).await;
    }
}

async fn is_well(address: SocketAddr) -> bool {
    let status = timeout(PATIENCE, status(address)).await;
    matches!(status, Ok(Ok(status)) if status.ends_with(b" 200"))
}

async fn status(address: SocketAddr) -> std::io::Result<[u8; STATUS]> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; STATUS];
    stream.read_exact(&mut status).await?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::net::TcpListener;

    use super::*;

    #[rstest]
    #[case::well("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true)]
    #[case::of_old("HTTP/1.0 200 OK\r\n\r\n", true)]
    #[case::unwell("HTTP/1.1 503 Service Unavailable\r\n\r\n", false)]
    #[case::cut_short("HTTP/1.1 20", false)]
    #[case::nothing("", false)]
    #[tokio::test]
    async fn health_is_a_status_of_200(#[case] answer: &'static str, #[case] well: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 256];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        assert_eq!(is_well(address).await, well);
        server.await.unwrap();
        assert!(!is_well(address).await, "nobody listens any more");
    }
}
