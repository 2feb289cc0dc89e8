//! Gives Services of type `LoadBalancer` their addresses.
//!
//! ```text
//!  watches ──► inbox ──► ledger ──► converge (pure) ──► guarded writer ──► Service status
//!  (Services, pools,     all state: rows,          └──► event recorder ──► Events
//!   Namespaces, Nodes,   Config, Allocator
//!   speakers' reports)
//! ```
//!
//! One task owns all state and decides in memory; API writes happen elsewhere and report back.
//! The allocator's memory is the truth between a decision and its echo in the watch, so an address
//! cannot be given twice because a write is slow. Of several processes one leads; the others watch.
//!
//! Not here: announcing (the speaker's).

mod admission;
pub mod announcers;
mod configuration;
mod converge;
mod ledger;
mod legacy;
#[cfg(test)]
mod objects;
mod owner;
mod pool_status;
mod retirement;
mod row;
mod run;
mod settings;
mod standing;
mod status;
mod topics;
mod writes;

pub use admission::{Admission, Share, Store, admit, routes};
pub use converge::{Decision, Kept, Note, Outcome, Rules, Taken, converge};
pub use ledger::{Balancer, Change, Effect, Ledger, Options, ServiceRef, StatusWrite, WriteResult};
pub use owner::{Controller, Duties};
pub use row::Row;
pub use run::{Error, run};
pub use settings::{Memberlist, Mode, Settings, Webhooks};
pub use standing::{NOT_ANNOUNCED, REASONS, Standing};
