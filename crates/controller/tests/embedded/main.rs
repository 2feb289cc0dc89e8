//! A whole controller on the embedded API server: everything but signals, ports and the process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod config;
mod faults;
mod replicas;
mod reports;
mod services;
mod world;
