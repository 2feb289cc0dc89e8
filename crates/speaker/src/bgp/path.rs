//! BFD beside a session: which path is watched, and what the session is told of it.

use std::future::pending;
use std::sync::Arc;

use ferrolb_bfd_proto::{Change, Config, Mode, Path};
use ferrolb_bgp_proto as bgp;
use ferrolb_sys::route_to;
use parking_lot::Mutex;
use tracing::error;

use super::terms::Terms;
use crate::bfd::{self, Bfd};

/// The BFD engine, started when the first peer wants it. Cheap to clone; ends with the last clone.
#[derive(Clone, Default)]
pub(crate) struct Engine {
    started: Arc<Mutex<Option<Arc<Bfd>>>>,
    seed: u64,
}

impl Engine {
    pub(crate) fn new(seed: u64) -> Self {
        Self { started: Arc::default(), seed }
    }

    fn start(&self) -> Option<Arc<Bfd>> {
        let mut started = self.started.lock();
        if started.is_none() {
            match Bfd::start(self.seed) {
                Ok(engine) => *started = Some(Arc::new(engine)),
                Err(error) => error!(op = "startBFD", %error, "paths to routers are not watched"),
            }
        }
        started.clone()
    }

    /// What the sessions look like, if there are any.
    pub(crate) fn snapshot(&self) -> Option<Arc<bfd::Snapshot>> {
        self.started.lock().as_ref().map(|engine| engine.snapshot())
    }
}

/// The watched path of one peer, if it is watched.
#[derive(Default)]
pub(super) struct Watched {
    current: Option<(Path, Config, bfd::Session)>,
}

impl Watched {
    /// Follows the configuration and, where the mode depends on it, the route to the peer.
    pub(super) fn follow(&mut self, engine: &Engine, terms: &Terms) {
        let Some(config) = terms.bfd() else {
            self.current = None;
            return;
        };
        let path = path_to(terms);
        match &mut self.current {
            Some((same, old, session)) if *same == path => {
                if *old != config {
                    session.update(config);
                    *old = config;
                }
            }
            current => {
                // Two sessions of one path cannot be, and the order of these two counts.
                *current = None;
                let session = engine.start().map(|engine| engine.add(path, config));
                *current = session.map(|session| (path, config, session));
            }
        }
    }

    /// What the session is to be told next. Cancel safe.
    pub(super) async fn changed(&mut self) -> bgp::Bfd {
        let Some((_, _, session)) = &mut self.current else { return pending().await };
        loop {
            match session.changed().await {
                Change::Up => return bgp::Bfd::Up,
                Change::Down { .. } => return bgp::Bfd::Down,
                Change::AdminDown => return bgp::Bfd::AdminDown,
                Change::Ended => {}
            }
        }
    }

    /// Whether the path works; none if it is not watched.
    pub(super) fn is_up(&self) -> Option<bool> {
        self.current.as_ref().map(|(_, _, session)| session.health().up)
    }
}

/// RFC 5883 for peers that may be behind routers, RFC 5881 for those on the link.
pub(crate) fn path_to(terms: &Terms) -> Path {
    let peer = terms.target().ip();
    let far = || {
        let route = route_to(peer, None).ok().flatten();
        !terms.is_on_link_only() && route.is_some_and(|route| !route.is_on_link())
    };
    let mode = if terms.is_multihop() || far() { Mode::MultiHop } else { Mode::SingleHop };
    Path { peer, local: terms.source(), interface: None, mode }
}
