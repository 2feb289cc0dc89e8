//! Admission: what the API server asks before it takes a change of the configuration.
//!
//! ```text
//!   watches ──► Store ◄── routes ◄── HTTPS server (kube-rt) ◄── API server
//! ```
//!
//! Judgement is the model's, transport is `kube-rt`'s. Here is what exists, and what is answered
//! where. It needs nobody who gives addresses, so a process can do this alone.

mod routes;
mod store;
mod watches;

pub use routes::{admit, routes};
pub use store::{Share, Store};
pub use watches::Admission;
