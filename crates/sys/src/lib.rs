//! Sockets, netlink and clocks: what the speaker asks of the Linux kernel, and the only crate that
//! holds `unsafe` code.
//!
//! Nothing here knows what a frame or a datagram means, and nothing here decides. Everything works
//! with `CAP_NET_RAW` as the only capability; all but [`PacketSocket`] works without any.
//!
//! ```text
//!  PacketSocket ── frames (ARP or neighbour discovery) of one interface ─┐
//!  TimestampedUdp ── datagrams with the kernel's arrival time ───────────┼─ wait() ── Waker
//!  HopUdp ── the same, with TTL, own address and interface ──────────────┘ (own threads)
//!  HopUdpSender ── datagrams with a TTL of 255
//!
//!  LinkWatch ── snapshots of all interfaces, on every change ── async (tokio)
//!  connect_tcp() ── with password, TTLs, own address, interface ── async (tokio)
//!  route_to() ── interface, own address and router on the way to a peer
//!  GroupMembership ── multicast groups the interfaces listen to
//!  monotonic_now(), ProcessUsage, become_realtime(), become_punctual()
//!                                          └─ clock, figures and priority of this process and its threads
//!  heap_in_use(), trim_heap(), map_large_pieces() ── the memory that the allocator holds
//! ```

mod clock;
mod error;
mod filter;
mod groups;
mod heap;
mod hop_udp;
mod link_watch;
mod links;
mod md5;
mod netlink;
mod packet;
mod priority;
mod process;
mod receive;
mod routes;
mod sockaddr;
mod sockopt;
mod tcp;
mod udp;
mod wait;

pub use self::{
    clock::monotonic_now,
    error::Error,
    filter::Filter,
    groups::{Group, GroupMembership},
    heap::{heap_in_use, map_large_pieces, trim_heap},
    hop_udp::{HopDatagram, HopUdp, HopUdpSender},
    link_watch::LinkWatch,
    links::{Link, LinkAddress, Scope, links},
    md5::{Md5Key, Md5KeyLength},
    packet::{Frame, PacketSocket, PacketType},
    priority::{become_punctual, become_realtime},
    process::ProcessUsage,
    routes::{Route, route_to},
    tcp::{TcpOptions, connect_tcp},
    udp::{Datagram, TimestampedUdp, UdpSender},
    wait::{Ready, Waker, wait},
};
