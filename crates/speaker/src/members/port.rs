//! Where membership's datagrams come from and go to.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use ferrolb_swim_proto::MAX_DATAGRAM;
use ferrolb_sys::UdpSender;
use tokio::sync::mpsc;

/// A datagram and who sent it.
pub(super) type Datagram = (SocketAddr, Box<[u8]>);

/// What a port is made of.
pub(super) enum Source {
    /// The heartbeat thread reads the socket.
    Queue(mpsc::Receiver<Datagram>, UdpSender),
    /// There are no heartbeats.
    Socket(UdpSocket),
}

/// Membership's side of the UDP port.
pub(super) enum Port {
    /// The heartbeat thread reads the socket and queues what is not its own.
    Shared {
        /// The queue.
        queue: mpsc::Receiver<Datagram>,
        /// The way out.
        sender: UdpSender,
    },
    /// There are no heartbeats.
    Whole {
        /// The socket.
        socket: tokio::net::UdpSocket,
        /// For one datagram.
        buffer: Box<[u8]>,
    },
}

impl Port {
    /// Opens it on the runtime that has been entered.
    pub(super) fn open(source: Source) -> io::Result<Self> {
        Ok(match source {
            Source::Queue(queue, sender) => Self::Shared { queue, sender },
            Source::Socket(socket) => Self::Whole {
                socket: tokio::net::UdpSocket::from_std(socket)?,
                buffer: vec![0; MAX_DATAGRAM].into(),
            },
        })
    }

    /// The next datagram. Cancel safe.
    pub(super) async fn receive(&mut self) -> Datagram {
        loop {
            match self {
                Self::Shared { queue, .. } => match queue.recv().await {
                    Some(datagram) => return datagram,
                    // The heartbeat thread is gone, and so is this one soon.
                    None => std::future::pending().await,
                },
                Self::Whole { socket, buffer } => {
                    // An error is an ICMP answer to something sent before.
                    if let Ok((length, from)) = socket.recv_from(buffer).await {
                        return (from, buffer.get(..length).unwrap_or_default().into());
                    }
                }
            }
        }
    }

    /// A datagram that waits already.
    pub(super) fn try_receive(&mut self) -> Option<Datagram> {
        match self {
            Self::Shared { queue, .. } => queue.try_recv().ok(),
            Self::Whole { socket, buffer } => {
                let (length, from) = socket.try_recv_from(buffer).ok()?;
                Some((from, buffer.get(..length).unwrap_or_default().into()))
            }
        }
    }

    /// Sends, or drops what the kernel has no room for.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8]) {
        // Whatever it was is said again, or asked again.
        let _ = match self {
            Self::Shared { sender, .. } => sender.send_to(bytes, to).is_ok(),
            Self::Whole { socket, .. } => socket.try_send_to(bytes, to).is_ok(),
        };
    }
}
