//! What a server starts with.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;

use crate::kind::Kind;

/// What a server starts with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub bind: SocketAddr,
    /// The built-in kinds to serve.
    pub kinds: Vec<Kind>,
    /// Definitions that are there from the start, as objects.
    pub definitions: Vec<Value>,
    /// Where Services get their cluster addresses from: one network a family, the preferred first.
    pub service_networks: Vec<IpNet>,
    /// How many changes of a kind a watch may lag behind.
    pub history: usize,
}

impl Default for Config {
    /// Any free port on loopback, all built-in kinds, dual-stack with IPv4 first.
    fn default() -> Self {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16);
        let v6 = Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0), 112);
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            kinds: Kind::builtin(),
            definitions: Vec::new(),
            service_networks: vec![v4.into(), v6.into()],
            history: 8192,
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not to be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A definition makes no sense.
    #[error("bad definition: {0}")]
    Definition(String),
}
