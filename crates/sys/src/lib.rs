//! Sockets, netlink and clocks: what the speaker asks of the Linux kernel, and the only crate that
//! holds `unsafe` code.
//!
//! Nothing here knows what a frame or a datagram means, and nothing here decides. Everything works
//! with `CAP_NET_RAW` as the only capability; all but [`PacketSocket`] works without any.
//!
//! ```text
//!  PacketSocket ── frames (ARP or neighbour discovery) of one interface ─┐
//!  TimestampedUdp ── datagrams with the kernel's arrival time ───────────┼─ wait() ── Waker
//!                                                                        │ (own threads)
//!  LinkWatch ── snapshots of all interfaces, on every change ── async (tokio)
//!  GroupMembership ── multicast groups the interfaces listen to
//!  monotonic_now(), ProcessUsage ── clock, figures of this process
//! ```

mod clock;
mod error;
mod filter;
mod groups;
mod link_watch;
mod links;
mod netlink;
mod packet;
mod process;
mod sockaddr;
mod udp;
mod wait;

pub use self::{
    clock::monotonic_now,
    error::Error,
    filter::Filter,
    groups::{Group, GroupMembership},
    link_watch::LinkWatch,
    links::{Link, LinkAddress, Scope, links},
    packet::{Frame, PacketSocket, PacketType},
    process::ProcessUsage,
    udp::{Datagram, TimestampedUdp, UdpSender},
    wait::{Ready, Waker, wait},
};
