//! Another controller that writes the addresses of a Service of ours.
//!
//! ```text
//!          two foreign writes within a minute
//!   peace ───────────────────────────────────► yielding, until a pause is over ─┐
//!     ▲   ◄──────────────────────────────────      │      ▲                     │
//!     │        the user changes something          │      └── each foreign      │
//!     │                                            │          write anew        │
//!     └──── a minute without ◄──── trial ◄─────────┘                            │
//!                                    │  one foreign write: yields twice as long ┘
//! ```
//!
//! Two that write in turns for ever help nobody, and load the API server. The one that notices stops.

use std::sync::Arc;
use std::time::Duration;

/// Foreign writes closer together than this are a fight.
const WINDOW: Duration = Duration::from_mins(1);
/// The first pause.
const PAUSE: Duration = Duration::from_mins(5);
/// The longest pause.
const LONGEST: Duration = Duration::from_hours(1);

/// What is known of others that write the addresses of one Service.
#[derive(Debug, Default)]
pub(super) struct Rivalry {
    /// The last foreign write.
    last: Option<Duration>,
    yielding: Option<Yielding>,
    /// Length of the last pause; zero in peace.
    pause: Duration,
}

#[derive(Debug)]
struct Yielding {
    rival: Arc<str>,
    until: Duration,
}

impl Rivalry {
    /// `rival` wrote. Returns whether we begin to yield.
    pub(super) fn foreign_write(&mut self, now: Duration, rival: &Arc<str>) -> bool {
        if let Some(yielding) = &mut self.yielding
            && now < yielding.until
        {
            yielding.until = now + self.pause;
            yielding.rival = Arc::clone(rival);
            return false;
        }
        // After a pause the first minute is a trial, and one write is enough.
        let trial = self.yielding.take().is_some_and(|ended| now < ended.until + WINDOW);
        let fight = self.last.is_some_and(|last| now < last + WINDOW);
        self.last = Some(now);
        if !trial && !fight {
            self.pause = Duration::ZERO;
            return false;
        }
        self.pause = if trial { (self.pause * 2).min(LONGEST) } else { PAUSE };
        self.yielding = Some(Yielding { rival: Arc::clone(rival), until: now + self.pause });
        true
    }

    /// The user changed the Service: what was before does not count any more.
    pub(super) fn user_change(&mut self) {
        *self = Self::default();
    }

    /// To whom, and until when, if we yield at `now`.
    pub(super) fn yields_to(&self, now: Duration) -> Option<(&Arc<str>, Duration)> {
        let yielding = self.yielding.as_ref().filter(|yielding| now < yielding.until)?;
        Some((&yielding.rival, yielding.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn two_writes_in_a_minute_are_a_fight_and_further_apart_they_are_not() {
        let rival: Arc<str> = "kube-vip".into();
        let mut rivalry = Rivalry::default();
        assert!(!rivalry.foreign_write(s(0), &rival));
        assert!(!rivalry.foreign_write(s(60), &rival));
        assert!(rivalry.foreign_write(s(119), &rival));
        assert_eq!(rivalry.yields_to(s(120)), Some((&rival, s(419))));
        rivalry.user_change();
        assert_eq!(rivalry.yields_to(s(120)), None);
        assert!(!rivalry.foreign_write(s(121), &rival), "all is forgotten");
    }

    #[test]
    fn a_rival_that_goes_on_is_yielded_to_longer_and_one_that_left_is_forgotten() {
        let rival: Arc<str> = "kube-vip".into();
        let mut rivalry = Rivalry::default();
        rivalry.foreign_write(s(0), &rival);
        assert!(rivalry.foreign_write(s(1), &rival));
        assert!(!rivalry.foreign_write(s(200), &rival), "we do not write, and it still does");
        assert_eq!(rivalry.yields_to(s(499)), Some((&rival, s(500))));
        assert_eq!(rivalry.yields_to(s(500)), None, "a trial");
        assert!(rivalry.foreign_write(s(510), &rival));
        assert_eq!(rivalry.yields_to(s(511)), Some((&rival, s(1110))), "twice as long");
        assert_eq!(rivalry.yields_to(s(1110)), None);
        assert!(!rivalry.foreign_write(s(1180), &rival), "the trial went well");
    }
}
