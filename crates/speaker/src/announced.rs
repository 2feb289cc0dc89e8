//! What this node announces: Services on one side, addresses on the other.
//!
//! Several Services may share an address. It is answered while one of them announces it, on every
//! interface that one of them is announced on. Bookkeeping only: the wire is the `l2` room's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ferrolb_ipam::ServiceKey;
use ferrolb_model::{Announcement, Interfaces};

/// The announcements of this node.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    services: BTreeMap<ServiceKey, Announcement>,
    addresses: BTreeMap<(IpAddr, ServiceKey), Interfaces>,
}

/// An address whose answering changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// Answer for it on these interfaces from now on.
    On(IpAddr, Interfaces),
    /// Do not answer for it any more.
    Off(IpAddr),
}

impl Announced {
    /// Replaces the announcement of a Service and returns what changes on the wire.
    pub(crate) fn set(&mut self, key: &ServiceKey, new: Option<&Announcement>) -> Vec<Answer> {
        let old = match new {
            Some(announcement) => self.services.insert(key.clone(), announcement.clone()),
            None => self.services.remove(key),
        };
        let touched: BTreeSet<IpAddr> = [old.as_ref(), new]
            .into_iter()
            .flatten()
            .flat_map(|a| &a.addresses)
            .map(|(ip, _)| *ip)
            .collect();
        let mut answers = Vec::new();
        for ip in touched {
            let before = self.interfaces(ip);
            let wanted = new.into_iter().flat_map(|a| &a.addresses).find(|(other, _)| *other == ip);
            let place = (ip, key.clone());
            match wanted {
                Some((_, interfaces)) => self.addresses.insert(place, interfaces.clone()),
                None => self.addresses.remove(&place),
            };
            match (before, self.interfaces(ip)) {
                (before, after) if before == after => {}
                (_, Some(interfaces)) => answers.push(Answer::On(ip, interfaces)),
                (_, None) => answers.push(Answer::Off(ip)),
            }
        }
        answers
    }

    /// The announcement of a Service, if this node makes one.
    pub(crate) fn service(&self, key: &ServiceKey) -> Option<&Announcement> {
        self.services.get(key)
    }

    /// The Services for which this node answers at `ip`.
    pub(crate) fn services_at(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceKey> {
        self.announcers(ip).map(|(service, _)| service)
    }

    /// Where this node answers for `ip`, if it does.
    pub(crate) fn interfaces(&self, ip: IpAddr) -> Option<Interfaces> {
        let mut interfaces = self.announcers(ip).map(|(_, interfaces)| interfaces);
        let first = interfaces.next()?.clone();
        Some(interfaces.fold(first, Interfaces::union))
    }

    fn announcers(&self, ip: IpAddr) -> impl Iterator<Item = (&ServiceKey, &Interfaces)> {
        let all = self.addresses.range((ip, ServiceKey::default())..);
        all.take_while(move |((at, _), _)| *at == ip).map(|((_, key), on)| (key, on))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_key(name: &str) -> ServiceKey {
        ServiceKey::new("default", name)
    }

    fn mk_interfaces(names: &[&str]) -> Interfaces {
        Interfaces::Named(names.iter().map(|&name| name.to_owned()).collect())
    }

    fn mk_announcement(addresses: &[(&str, Interfaces)]) -> Announcement {
        Announcement {
            pool: "pool".into(),
            addresses: addresses.iter().map(|(ip, i)| (ip.parse().unwrap(), i.clone())).collect(),
        }
    }

    #[test]
    fn l2_row_72_an_address_is_answered_while_one_sharer_announces_it() {
        let mut announced = Announced::default();
        let (v4, v6) = ("192.168.1.20", "1000::1");
        let foo = mk_announcement(&[(v4, Interfaces::All), (v6, Interfaces::All)]);
        let bar = mk_announcement(&[(v4, Interfaces::All)]);
        let on = |ip: &str| Answer::On(ip.parse().unwrap(), Interfaces::All);
        assert_eq!(announced.set(&mk_key("foo"), Some(&foo)), [on(v4), on(v6)]);
        assert_eq!(announced.set(&mk_key("bar"), Some(&bar)), []);
        assert_eq!(announced.set(&mk_key("foo"), None), [Answer::Off(v6.parse().unwrap())]);
        assert_eq!(announced.set(&mk_key("bar"), None), [Answer::Off(v4.parse().unwrap())]);
        assert_eq!(announced.service(&mk_key("foo")), None);
    }

    #[test]
    fn sharers_unite_their_interfaces() {
        let mut announced = Announced::default();
        let ip = "192.168.1.20";
        let on = |names: &[&str]| Answer::On(ip.parse().unwrap(), mk_interfaces(names));
        let mk = |names: &[&str]| mk_announcement(&[(ip, mk_interfaces(names))]);
        assert_eq!(announced.set(&mk_key("a"), Some(&mk(&["eth0"]))), [on(&["eth0"])]);
        assert_eq!(announced.set(&mk_key("b"), Some(&mk(&["eth1"]))), [on(&["eth0", "eth1"])]);
        assert_eq!(announced.set(&mk_key("a"), Some(&mk(&["eth1"]))), [on(&["eth1"])]);
        assert_eq!(announced.set(&mk_key("a"), Some(&mk(&["eth1"]))), []);
        assert!(announced.service(&mk_key("a")).is_some());
    }
}
