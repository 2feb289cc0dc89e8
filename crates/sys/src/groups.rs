//! The multicast groups an interface listens to. Questions for an IPv6 address go to its solicited-node
//! group, and neither the network card nor a snooping switch passes them on unless somebody is a member.
//!
//! Only membership: nothing is ever received here. Joining needs no rights.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv6Addr,
};

use socket2::{Domain, Socket, Type};

use crate::Error;

/// A group and the index of the interface that is to listen to it.
pub type Group = (Ipv6Addr, u32);

/// Holds memberships; dropping it ends them all.
///
/// The kernel charges each membership to the socket it was joined on and refuses when that is full
/// (`net.core.optmem_max`), so there are as many sockets as it takes.
#[derive(Debug, Default)]
pub struct GroupMembership {
    sockets: Vec<Member>,
    /// Each membership and the place in `sockets` that holds it.
    joined: BTreeMap<Group, usize>,
}

#[derive(Debug)]
struct Member {
    socket: Socket,
    full: bool,
}

impl GroupMembership {
    /// No membership yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins what is wanted and not yet joined, leaves what is joined and no longer wanted. Returns the
    /// groups that could not be joined; the next call tries those again.
    pub fn reconcile(&mut self, wanted: &BTreeSet<Group>) -> Vec<(Group, Error)> {
        self.leave_all_but(wanted);
        let missing: Vec<_> =
            wanted.iter().filter(|group| !self.joined.contains_key(group)).copied().collect();
        missing.into_iter().filter_map(|group| Some((group, self.join(group).err()?))).collect()
    }

    /// The groups joined, in order.
    pub fn joined(&self) -> impl Iterator<Item = Group> {
        self.joined.keys().copied()
    }

    fn leave_all_but(&mut self, wanted: &BTreeSet<Group>) {
        for ((address, interface), place) in
            self.joined.extract_if(.., |group, _| !wanted.contains(group))
        {
            let member = &mut self.sockets[place];
            // Fails only when the kernel has ended the membership itself, with the interface.
            let _ = member.socket.leave_multicast_v6(&address, interface);
            member.full = false;
        }
    }

    fn join(&mut self, group: Group) -> Result<(), Error> {
        let (address, interface) = group;
        let failed = || Error::of("join", format!("group {address} on interface {interface}"));
        loop {
            let place = self.place_with_room().map_err(failed())?;
            let member = &mut self.sockets[place];
            match member.socket.join_multicast_v6(&address, interface) {
                Ok(()) => {
                    self.joined.insert(group, place);
                    return Ok(());
                }
                Err(error)
                    if is_full(&error) && self.joined.values().any(|used| *used == place) =>
                {
                    member.full = true;
                }
                Err(error) => return Err(failed()(error)),
            }
        }
    }

    fn place_with_room(&mut self) -> io::Result<usize> {
        if let Some(place) = self.sockets.iter().position(|member| !member.full) {
            return Ok(place);
        }
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
        self.sockets.push(Member { socket, full: false });
        Ok(self.sockets.len() - 1)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LO: u32 = 1;

    fn mk_group(n: u16) -> Group {
        (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff7e, n), LO)
    }

    /// Whether the kernel lists the group.
    fn is_member((address, interface): Group) -> bool {
        let wanted = format!("{:032x}", address.to_bits());
        std::fs::read_to_string("/proc/net/igmp6").unwrap().lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[0] == interface.to_string() && fields[2] == wanted
        })
    }

    #[test]
    fn the_kernel_follows_the_wanted_set() {
        let mut membership = GroupMembership::new();
        let (a, b, c) = (mk_group(1), mk_group(2), mk_group(3));

        assert!(membership.reconcile(&[a, b].into()).is_empty());
        assert!(is_member(a) && is_member(b));
        assert!(membership.reconcile(&[b, c].into()).is_empty());
        assert!(!is_member(a) && is_member(b) && is_member(c));
        assert!(membership.joined().eq([b, c]));
        drop(membership);
        assert!(!is_member(b) && !is_member(c));
    }

    #[test]
    fn more_groups_than_one_socket_holds() {
        let mut membership = GroupMembership::new();
        let many: BTreeSet<_> = (100..5100).map(mk_group).collect();
        assert!(membership.reconcile(&many).is_empty());
        assert!(membership.sockets.len() > 1, "the limit was not reached");
        assert!(membership.joined().eq(many.iter().copied()));
        let sockets = membership.sockets.len();

        // What was left makes room for what comes.
        assert!(membership.reconcile(&BTreeSet::new()).is_empty());
        assert!(membership.reconcile(&many).is_empty());
        assert_eq!(membership.sockets.len(), sockets);
    }

    #[test]
    fn a_failure_names_the_group_and_is_tried_again() {
        let mut membership = GroupMembership::new();
        let absent = ("ff02::1:ff00:1".parse().unwrap(), 999_999);
        let good = mk_group(9);
        for _ in 0..2 {
            let failures = membership.reconcile(&[absent, good].into());
            assert_eq!(failures.len(), 1);
            assert_eq!(failures[0].0, absent);
            assert!(failures[0].1.is_interface_gone());
            let text = failures[0].1.to_string();
            assert!(text.starts_with("join group ff02::1:ff00:1 on interface 999999: "), "{text}");
        }
        assert!(membership.joined().eq([good]));
    }
}
