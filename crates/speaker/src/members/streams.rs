//! Membership's streams: one question and one answer each, bounded in number, size and time.
//!
//! Whoever knows no secret can open streams too, so one host gets a few of them, and a buffer grows
//! with what has arrived, never with what was promised.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ferrolb_swim_proto::{Limits, StreamId};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Streams of others at a time; further ones wait in the kernel.
const MAX_STREAMS: usize = 32;
/// Streams of one host at a time; further ones are closed.
const MAX_OF_HOST: usize = 4;

/// How a stream's task ended.
pub(super) enum Ended {
    /// A host asked and waits for the answer.
    Asked(Question),
    /// Our question was answered, or not.
    Answered {
        /// Which.
        id: StreamId,
        /// The answer.
        reply: Option<Vec<u8>>,
    },
    /// Nothing follows.
    Over,
}

/// A question of another host.
pub(super) struct Question {
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
    stream: TcpStream,
    place: Place,
}

/// Counts the streams of others.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests {
    by_host: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// Held while a stream is open.
#[derive(Debug)]
pub(super) struct Place {
    host: IpAddr,
    guests: Guests,
}

impl Guests {
    /// Whether another stream may be accepted.
    pub(super) fn have_room(&self) -> bool {
        self.by_host.lock().values().sum::<usize>() < MAX_STREAMS
    }

    /// A place for a stream of `host`; none if it has its share.
    pub(super) fn admit(&self, host: IpAddr) -> Option<Place> {
        let mut by_host = self.by_host.lock();
        let count = by_host.entry(host).or_default();
        (*count < MAX_OF_HOST).then(|| {
            *count += 1;
            Place { host, guests: self.clone() }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_host = self.guests.by_host.lock();
        if let Some(count) = by_host.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                by_host.remove(&self.host);
            }
        }
    }
}

/// Reads what a host asks.
pub(super) async fn listen(
    mut stream: TcpStream,
    from: SocketAddr,
    place: Place,
    limits: Limits,
    within: Duration,
) -> Ended {
    match timeout(within, read(&mut stream, limits)).await {
        Ok(Ok(bytes)) if !bytes.is_empty() => Ended::Asked(Question { from, bytes, stream, place }),
        _ => Ended::Over,
    }
}

impl Question {
    /// Sends the answer and closes.
    pub(super) async fn answer(mut self, bytes: Vec<u8>, within: Duration) -> Ended {
        let answer = async {
            self.stream.write_all(&bytes).await?;
            self.stream.shutdown().await
        };
        // Whoever does not take it asks again.
        let _ = timeout(within, answer).await;
        drop(self.place);
        Ended::Over
    }
}

/// Asks a host, from the address that members know us by.
pub(super) async fn ask(
    own: IpAddr,
    id: StreamId,
    to: SocketAddr,
    request: Vec<u8>,
    limits: Limits,
    within: Duration,
) -> Ended {
    let exchange = async {
        let socket = if own.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(own, 0))?;
        let mut stream = socket.connect(to).await?;
        stream.write_all(&request).await?;
        drop(request);
        read(&mut stream, limits).await
    };
    let reply = timeout(within, exchange).await.ok().and_then(Result::ok);
    Ended::Answered { id, reply }
}

/// A whole message, or what there is before the end.
async fn read(stream: &mut TcpStream, limits: Limits) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let missing = limits.stream_missing(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        if missing == 0 {
            return Ok(bytes);
        }
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        if stream.take(missing).read_to_end(&mut bytes).await? == 0 {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_share_and_all_have_a_limit() {
        let guests = Guests::default();
        let host = |number: u8| IpAddr::from([127, 0, 0, number]);
        let mut places: Vec<Place> =
            (0..MAX_OF_HOST).map(|_| guests.admit(host(1)).unwrap()).collect();
        assert!(guests.admit(host(1)).is_none());
        for number in 2..=8 {
            places.extend((0..MAX_OF_HOST).map(|_| guests.admit(host(number)).unwrap()));
        }
        assert!(!guests.have_room());
        places.pop();
        assert!(guests.have_room());
        drop(places);
        assert!(guests.by_host.lock().is_empty());
    }
}
