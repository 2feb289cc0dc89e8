//! An outgoing TCP connection with what routing protocols want set before its first segment.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

use crate::{Error, Md5Key, sockopt};

/// How to connect. The default sets nothing but what every routing protocol wants: segments leave at once and
/// are marked as the network's own control traffic (DSCP CS6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Our address; the kernel's choice if none.
    pub local: Option<IpAddr>,
    /// Index of the interface the connection is bound to. On a VRF's interface, inside that VRF.
    pub interface: Option<u32>,
    /// The password both ends sign with.
    pub password: Option<Md5Key>,
    /// TTL of what is sent: 1 keeps it on the link.
    pub ttl: Option<u8>,
    /// What arrives with a lower TTL is dropped by the kernel (GTSM, RFC 5082).
    pub min_ttl: Option<u8>,
    /// How long sent data may stay unacknowledged before the kernel gives the connection up.
    pub user_timeout: Option<Duration>,
}

/// Connects to `peer`. Without an answer this takes as long as the kernel tries, about two minutes: callers
/// set a limit of their own and drop the future. Must be called inside a tokio runtime.
///
/// A wrong password looks like a peer that does not answer.
pub async fn connect_tcp(peer: SocketAddr, options: &TcpOptions) -> Result<TcpStream, Error> {
    let socket = open(peer, options)?;
    let stream = std::net::TcpStream::from(OwnedFd::from(socket));
    let connected = TcpSocket::from_std_stream(stream).connect(peer).await;
    connected.map_err(Error::of("connect to", peer))
}

fn open(peer: SocketAddr, options: &TcpOptions) -> Result<Socket, Error> {
    let socket = prepare(peer, options).map_err(Error::of("open TCP socket to", peer))?;
    if let Some(index) = options.interface {
        sockopt::bind_interface(&socket, index)
            .map_err(Error::of("bind TCP socket to interface", index))?;
    }
    if let Some(password) = &options.password {
        let whole = if peer.is_ipv4() { 32 } else { 128 };
        password.require(&socket, peer.ip(), whole)?;
    }
    if let Some(local) = options.local {
        let mut source = SocketAddr::new(local, 0);
        if let (SocketAddr::V6(source), SocketAddr::V6(peer)) = (&mut source, peer)
            && source.ip().is_unicast_link_local()
        {
            source.set_scope_id(peer.scope_id());
        }
        socket.bind(&source.into()).map_err(Error::of("bind TCP socket to address", local))?;
    }
    Ok(socket)
}

fn prepare(peer: SocketAddr, options: &TcpOptions) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(peer), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    sockopt::set_network_control(&socket, peer.ip())?;
    if let Some(ttl) = options.ttl {
        sockopt::set_ttl(&socket, peer.ip(), ttl)?;
    }
    if let Some(ttl) = options.min_ttl {
        sockopt::set_min_ttl(&socket, peer.ip(), ttl)?;
    }
    if let Some(timeout) = options.user_timeout {
        socket.set_tcp_user_timeout(Some(timeout))?;
    }
    Ok(socket)
}
