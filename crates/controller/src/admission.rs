//! Admission: what the API server asks before it takes a change of the configuration.
//!
//! ```text
//!   watches ──► Store ◄── review(path, body) ◄── HTTPS server (kube-rt) ◄── API server
//! ```
//!
//! Judgement is the model's, transport is `kube-rt`'s. Here is what exists, and the language of
//! reviews. It needs nobody who gives addresses, so a process can do this alone.

mod review;
mod store;
mod watches;

pub use review::{Unreadable, convert, review};
pub use store::Store;
pub use watches::Admission;
