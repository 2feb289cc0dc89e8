//! A small Kubernetes API server in memory, for demos and for tests at unit speed.
//!
//! It serves plain HTTP: create, get, list, watch, update, merge patch, the status subresource,
//! delete, label and field selectors, discovery; enough for kube's clients and watchers and for
//! `kubectl --validate=false`. It starts in milliseconds and forgets everything at its end.
//!
//! It is not a Kubernetes: there is no admission, schema validation or pruning, no RBAC, apply,
//! strategic merge patch, conversion or garbage collection. Where it differs from the real server
//! beyond that, it is wrong.
//!
//! ```text
//!  connection ── server ── verbs ── Store ── Collection per kind: objects + ring of changes
//!                  │                              │ one wake-up per change
//!                faults                         Watch (one per request, a cursor into the ring)
//! ```
//!
//! A watch holds a position, not a queue: a reader that is too slow falls off the end of the ring
//! and is told to list again (410), as by the real server.

mod builtin;
mod collection;
mod config;
mod connection;
mod definition;
mod discovery;
mod faults;
mod handle;
mod kind;
mod object;
mod path;
mod refusal;
mod selector;
mod server;
mod service;
mod store;
mod watch;

pub use config::{Config, StartError};
pub use faults::Request;
pub use handle::EmbeddedApi;
pub use kind::Kind;
