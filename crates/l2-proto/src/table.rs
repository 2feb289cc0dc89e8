//! The addresses this node answers for, and where.
//!
//! One entry an address, however many Services share it: who refers to an address, and until when,
//! is the speaker's to know. A lookup costs the same for one address and for a hundred thousand.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;

use crate::port::{IfIndex, Interfaces};
use crate::responder::DropReason;

/// Address → the interfaces it is answered on.
///
/// The hash has no random part, so the room stays replayable. Nobody outside can fill the table:
/// frames only look up.
#[derive(Debug, Clone, Default)]
pub struct Table {
    entries: HashMap<IpAddr, Interfaces, BuildHasherDefault<DefaultHasher>>,
}

impl Table {
    /// No addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `ip` is answered on `interfaces` and nowhere else.
    pub fn set(&mut self, ip: IpAddr, interfaces: Interfaces) {
        self.entries.insert(ip, interfaces);
    }

    /// From now on `ip` is not answered. Says whether it was.
    pub fn remove(&mut self, ip: IpAddr) -> bool {
        self.entries.remove(&ip).is_some()
    }

    /// How many addresses are answered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is answered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where `ip` is answered, if at all.
    pub fn interfaces(&self, ip: IpAddr) -> Option<&Interfaces> {
        self.entries.get(&ip)
    }

    /// Whether a question for `ip` that came in on `index` is to be answered, or why it is not.
    pub fn check(&self, ip: IpAddr, index: IfIndex) -> Result<(), DropReason> {
        match self.entries.get(&ip) {
            None => Err(DropReason::AnnounceIp),
            Some(interfaces) if interfaces.contains(index) => Ok(()),
            Some(_) => Err(DropReason::NotMatchInterface),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mk_only(indexes: &[u32]) -> Interfaces {
        Interfaces::Only(indexes.iter().copied().map(IfIndex).collect())
    }

    /// Three registrations, two addresses: sharing adds no entry (the count of Services per address
    /// is kept by the speaker, which removes an address with its last one).
    #[test]
    fn l2_row_72_a_shared_address_is_one_entry() {
        let (v4, v6) = ("192.168.1.20".parse().unwrap(), "1000::1".parse().unwrap());
        let mut table = Table::new();
        table.set(v4, Interfaces::All);
        table.set(v6, Interfaces::All);
        table.set(v4, Interfaces::All);
        assert_eq!(table.len(), 2);
        assert!(table.remove(v4));
        assert!(!table.remove(v4));
        assert_eq!(table.check(v4, IfIndex(1)), Err(DropReason::AnnounceIp));
        assert_eq!(table.check(v6, IfIndex(1)), Ok(()));
    }

    #[rstest]
    #[case::everywhere(Interfaces::All, Ok(()))]
    #[case::here_and_there(mk_only(&[2, 3]), Ok(()))]
    #[case::elsewhere(mk_only(&[3]), Err(DropReason::NotMatchInterface))]
    #[case::nowhere(mk_only(&[]), Err(DropReason::NotMatchInterface))]
    fn interface_choice(#[case] interfaces: Interfaces, #[case] expected: Result<(), DropReason>) {
        let ip = "192.168.1.20".parse().unwrap();
        let mut table = Table::new();
        table.set(ip, mk_only(&[9]));
        table.set(ip, interfaces);
        assert_eq!(table.check(ip, IfIndex(2)), expected);
    }
}
