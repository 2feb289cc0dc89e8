//! Gives Services of type `LoadBalancer` their addresses.
//!
//! ```text
//!  watches ──► inbox ──► ledger ──► converge (pure) ──► status writer ──► Service status
//!  (Services, pools,     all state: rows,          └─► event recorder ──► Events
//!   Namespaces, Nodes)   Config, Allocator
//! ```
//!
//! One task owns all state and decides in memory; API writes happen elsewhere and report back.
//! The allocator's memory is the truth between a decision and its echo in the watch, so an address
//! cannot be given twice because a write is slow.
//!
//! Not here: announcing (the speaker's), leader election and webhooks (later).

mod converge;
mod ledger;
mod retirement;
mod run;
mod settings;
mod status;

pub use converge::{Decision, Kept, Note, Outcome, Rules, converge};
pub use ledger::{Change, Effect, Ledger, ServiceRef, StatusWrite, WriteResult};
pub use run::{Controller, Error, run};
pub use settings::Settings;
