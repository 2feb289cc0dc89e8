//! Upstream's allocator tests as tables (rows of controller.md 7.3 to 7.7), and the
//! rules those leave open.
//!
//! Addresses are compared exactly where upstream only asks for a family and a range, since ours are
//! determined: lowest first.
#![cfg(test)]

mod allocation;
mod assignment;
mod auto_assign;
mod counters;
mod pool_allocation;
mod refusals;
mod reload;
mod rules;
#[macro_use]
mod script;
