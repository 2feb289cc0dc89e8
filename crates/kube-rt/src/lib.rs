//! Everything between the Kubernetes API and the rooms that decide: rows in, writes out, and the
//! windows an operator looks through (logs, metrics, probes).
//!
//! ```text
//!   API server ──list+watch──▶ watch ──rows──▶ inbox ──▶ owner task (controller, speaker)
//!       ▲                                                      │
//!       └──────────── status, events ◀── submit / record ──────┘
//! ```
//!
//! Not here: decisions (`model`, `ipam`), custom resource types (`api`), and any state that an
//! owner task keeps.

pub mod access;
pub mod admin;
pub mod certs;
pub mod client;
pub mod clock;
pub mod configuration_state;
pub mod election;
pub mod events;
pub mod inbox;
pub mod logs;
pub mod metrics;
pub mod namespace;
pub mod probes;
pub mod rows;
pub mod secrets;
pub mod shutdown;
pub mod status;
pub mod tidy;
pub mod tls;
pub mod version;
pub mod watch;
pub mod webhook;

mod backoff;
mod bell;
mod resource;
#[cfg(test)]
mod script;
mod trouble;

pub use inbox::{Inbox, Post, inbox};
pub use resource::{ObjectKey, Resource};
