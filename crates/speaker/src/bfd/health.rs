//! What became of a session, in a form that can be read late without a failure being missed.

use ferrolb_bfd_proto::{Change, Diagnostic, Side};

/// The state of a session and how often it changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Health {
    /// Both directions carry packets.
    pub(crate) up: bool,
    /// Times it came up.
    pub(crate) ups: u64,
    /// Times the path failed.
    pub(crate) failures: u64,
    /// Times the peer's operator switched BFD off.
    pub(crate) admin_downs: u64,
    /// The last failure: why, and who noticed.
    pub(crate) last_failure: Option<(Diagnostic, Side)>,
}

impl Health {
    pub(super) fn record(&mut self, change: Change) {
        self.up = change == Change::Up;
        match change {
            Change::Up => self.ups += 1,
            Change::Down { diagnostic, noticed_by } => {
                self.failures += 1;
                self.last_failure = Some((diagnostic, noticed_by));
            }
            Change::AdminDown => self.admin_downs += 1,
            Change::Ended => {}
        }
    }
}

/// How much of a [`Health`] its reader has been told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen(Health);

impl Seen {
    /// What comes next: the failure, the switching off, then the state they ended in.
    pub(super) fn next(&mut self, health: &Health) -> Option<Change> {
        let Self(seen) = self;
        if seen.failures != health.failures {
            seen.failures = health.failures;
            let (diagnostic, noticed_by) = health.last_failure?;
            return Some(Change::Down { diagnostic, noticed_by });
        }
        if seen.admin_downs != health.admin_downs {
            seen.admin_downs = health.admin_downs;
            return Some(Change::AdminDown);
        }
        if seen.ups != health.ups {
            seen.ups = health.ups;
            return health.up.then_some(Change::Up);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DOWN: Change =
        Change::Down { diagnostic: Diagnostic::DetectionTimeExpired, noticed_by: Side::Local };

    #[rstest]
    #[case::nothing(&[], &[])]
    #[case::up(&[Change::Up], &[Change::Up])]
    #[case::came_and_went(&[Change::Up, DOWN], &[DOWN])]
    #[case::flap(&[Change::Up, DOWN, Change::Up], &[DOWN, Change::Up])]
    #[case::flaps_become_one(&[Change::Up, DOWN, Change::Up, DOWN], &[DOWN])]
    #[case::switched_off(&[Change::Up, Change::AdminDown], &[Change::AdminDown])]
    #[case::switched_off_and_on(
        &[Change::Up, Change::AdminDown, Change::Up],
        &[Change::AdminDown, Change::Up]
    )]
    fn a_late_reader(#[case] happened: &[Change], #[case] told: &[Change]) {
        let (mut health, mut seen) = (Health::default(), Seen::default());
        for change in happened {
            health.record(*change);
        }
        let read: Vec<_> = std::iter::from_fn(|| seen.next(&health)).collect();
        assert_eq!(read, told);
    }

    #[test]
    fn a_prompt_reader_is_told_everything() {
        let (mut health, mut seen) = (Health::default(), Seen::default());
        for change in [Change::Up, DOWN, Change::Up, Change::AdminDown, Change::Up] {
            health.record(change);
            assert_eq!(seen.next(&health), Some(change));
            assert_eq!(seen.next(&health), None);
        }
    }
}
