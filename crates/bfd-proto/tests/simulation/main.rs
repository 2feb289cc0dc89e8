//! Two hosts in virtual time, a wire with loss, delay and reordering between them, and processes that may be
//! paused. A failing case prints its seed; the run is the same for the same seed.

#[cfg(test)]
mod net;
#[cfg(test)]
mod scenarios;
