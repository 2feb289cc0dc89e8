//! A Kubernetes cluster and its network in namespaces of this machine: for the demo, for the
//! end-to-end suite, and for people who want to see what happens.
//!
//! ```text
//!  sandbox ── the walls: own mounts, network, processes; what is inside vanishes with its first process
//!     lab ── network (hosts, bridges) + control (embedded or real) + kubelet (Pods of what is installed)
//!        router ── BGP software beside the nodes
//!        probe ── what a client sees, by packets of its own        fault ── what goes wrong
//!           scenario ── stories told with the above
//! ```
//!
//! It is not a test framework: scenarios of the suite live in `e2e`.

pub mod api;
mod audit;
mod backend;
mod cli;
pub mod command;
pub mod confinement;
mod control;
mod error;
pub mod fault;
mod host;
mod kubelet;
mod lab;
pub mod manifests;
mod netns;
mod network;
mod objects;
pub mod plan;
pub mod probe;
pub mod process;
mod processes;
mod proxy;
pub mod report;
pub mod router;
mod running;
pub mod sandbox;
pub mod scenario;
mod tools;

pub use self::audit::AuditLog;
pub use self::cli::{Args, run};
pub use self::control::{Control, Endpoint};
pub use self::error::{Error, Result};
pub use self::host::Host;
pub use self::lab::{BACKEND_PORT, FOLDER, KUBECONFIG, Lab, NAMESPACE, Options, Peer};
pub use self::netns::Netns;
pub use self::network::Network;
