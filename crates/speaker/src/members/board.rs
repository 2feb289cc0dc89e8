//! Who stands for election, out of what heartbeats and membership say.
//!
//! | Node | Stands if |
//! |---|---|
//! | sends heartbeats, and they are heard or were | heartbeat says so (alive, and eligible by its own word) |
//! | sends heartbeats, and none was ever heard here | membership says that it lives |
//! | sends none: upstream's speaker, or ours without a secret | membership says that it lives, suspects included |
//! | this one | heartbeat says so; without heartbeats, always |

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use ferrolb_heartbeat::{Event, Previous};
use ferrolb_ipam::NodeName;
use ferrolb_model::{Lack, Lacks};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::info;

/// What is known of the other speakers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct View {
    /// The nodes that stand for election; none before the first judgement.
    pub(crate) candidates: Option<BTreeSet<NodeName>>,
    /// What the others lack; none if some member cannot know of it, and nobody is to go by it.
    pub(crate) lacks: Option<Lacks>,
    /// Upstream's speakers are members.
    pub(crate) mixed: bool,
    /// How often a node came back that had been declared dead: whoever owns its addresses now has
    /// to say so again.
    pub(crate) returns: u64,
    /// Those who send heartbeats have taken over, as far as they can.
    pub(crate) released: bool,
    /// All members were told that this node leaves.
    pub(crate) departed: bool,
    /// Counts the changes of `candidates`.
    pub(crate) revision: u64,
}

/// What membership says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Roll {
    /// Live nodes that send no heartbeats we could hear.
    pub(super) trusted: BTreeSet<Arc<str>>,
    /// Live nodes that send heartbeats.
    pub(super) beating: BTreeSet<Arc<str>>,
    /// Some of the trusted are upstream's.
    pub(super) mixed: bool,
}

/// Both opinions, and the view they make. Clones are the same board.
#[derive(Clone, Debug)]
pub(super) struct Board {
    opinions: Arc<Mutex<Opinions>>,
    publish: watch::Sender<View>,
}

#[derive(Debug, Default)]
struct Opinions {
    /// Whether there is a heartbeat to wait for.
    heartbeat: bool,
    heard: Option<BTreeSet<Arc<str>>>,
    /// Nodes that should send heartbeats and were never heard.
    unheard: BTreeSet<Arc<str>>,
    lacks: BTreeMap<Arc<str>, BTreeSet<u64>>,
    roll: Option<Roll>,
}

impl Board {
    /// Nothing is known; `heartbeat`: whether one will have its say.
    pub(super) fn new(heartbeat: bool) -> Self {
        let opinions = Opinions { heartbeat, ..Opinions::default() };
        let publish = watch::Sender::new(View::default());
        Self { opinions: Arc::new(Mutex::new(opinions)), publish }
    }

    pub(super) fn view(&self) -> watch::Receiver<View> {
        self.publish.subscribe()
    }

    /// Whether everybody who lives hears from us by heartbeat, as far as we hear them.
    pub(super) fn hears_all(&self) -> bool {
        self.opinions.lock().hears_all()
    }

    pub(super) fn revision(&self) -> u64 {
        self.publish.borrow().revision
    }

    /// What heartbeat says, as one change: who is heard for the first time must not be missing in
    /// between.
    pub(super) fn hear(&self, events: &[Event]) {
        let mut returns = 0;
        self.change(|opinions| {
            for event in events {
                match event {
                    Event::MembersChanged { candidates } => {
                        opinions.heard = Some(candidates.clone());
                    }
                    Event::LacksChanged { lacks } => opinions.lacks.clone_from(lacks),
                    Event::PeerUnheard { peer } => {
                        opinions.unheard.insert(peer.clone());
                    }
                    Event::PeerBack { peer, previous } => {
                        opinions.unheard.remove(peer);
                        returns += u64::from(*previous == Previous::Dead);
                    }
                    _ => {}
                }
            }
        });
        if returns > 0 {
            self.publish.send_modify(|view| view.returns += returns);
        }
    }

    /// Heartbeat listens for these nodes, and for no others.
    pub(super) fn set_listed(&self, listed: &BTreeMap<Arc<str>, SocketAddr>) {
        self.change(|opinions| opinions.unheard.retain(|node| listed.contains_key(node)));
    }

    pub(super) fn set_roll(&self, roll: Roll) {
        self.change(|opinions| opinions.roll = Some(roll));
    }

    pub(super) fn set_released(&self) {
        self.publish.send_modify(|view| view.released = true);
    }

    pub(super) fn set_departed(&self) {
        self.publish.send_modify(|view| view.departed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Opinions)) {
        // Held until the view is out, so that views follow each other as opinions do.
        let mut opinions = self.opinions.lock();
        change(&mut opinions);
        let candidates = opinions.candidates();
        let lacks = opinions.shared_lacks();
        let mixed = opinions.roll.as_ref().is_some_and(|roll| roll.mixed);
        let mut told = None;
        self.publish.send_if_modified(|view| {
            if view.candidates != candidates {
                told.clone_from(&candidates);
                view.candidates = candidates;
                view.revision += 1;
            }
            let lacks_changed = view.lacks != lacks;
            view.lacks = lacks;
            std::mem::replace(&mut view.mixed, mixed) != mixed || lacks_changed || told.is_some()
        });
        drop(opinions);
        if let Some(candidates) = told {
            let names: Vec<&str> = candidates.iter().map(NodeName::as_str).collect();
            let members = names.join(",");
            info!(event = "membersChanged", members, mixed, "candidates changed");
        }
    }
}

impl Opinions {
    fn hears_all(&self) -> bool {
        let heard =
            |roll: &Roll| roll.trusted.is_empty() && roll.beating.is_disjoint(&self.unheard);
        self.heartbeat && self.roll.as_ref().is_none_or(heard)
    }

    /// Upstream's speakers, and whoever hears no heartbeats, go by upstream's order alone.
    fn shared_lacks(&self) -> Option<Lacks> {
        let of = |lacks: &BTreeSet<u64>| lacks.iter().copied().map(Lack::of_word).collect();
        let lacks = self.lacks.iter().map(|(node, lacks)| (NodeName::from(&**node), of(lacks)));
        self.hears_all().then(|| lacks.collect())
    }

    fn candidates(&self) -> Option<BTreeSet<NodeName>> {
        let heard = if self.heartbeat { Some(self.heard.as_ref()?) } else { None };
        let roll = if self.heartbeat { self.roll.as_ref() } else { Some(self.roll.as_ref()?) };
        let trusted = roll.map(|roll| &roll.trusted);
        let beating = roll.into_iter().flat_map(|roll| &roll.beating);
        let unheard = beating.filter(|node| self.unheard.contains(*node));
        let all = heard.into_iter().chain(trusted).flatten().chain(unheard);
        Some(all.map(|node| NodeName::from(&**node)).collect())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn mk_set(names: &str) -> BTreeSet<Arc<str>> {
        names.split_whitespace().map(Arc::from).collect()
    }

    fn mk_roll(trusted: &str, beating: &str) -> Roll {
        Roll { trusted: mk_set(trusted), beating: mk_set(beating), mixed: !trusted.is_empty() }
    }

    fn mk_heard(names: &str) -> Event {
        Event::MembersChanged { candidates: mk_set(names) }
    }

    fn names(board: &Board) -> Option<String> {
        let candidates = board.view().borrow().candidates.clone()?;
        Some(candidates.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" "))
    }

    #[rstest]
    #[case::all_heard("a b", "", "", "a b", "a b", true)]
    #[case::dead_by_heartbeat("a", "", "", "a b", "a", true)]
    #[case::upstream_beside("a", "", "u", "a", "a u", false)]
    #[case::port_blocked("a", "b", "", "a b", "a b", false)]
    #[case::port_blocked_and_dead("a", "b", "", "a", "a", true)]
    #[case::not_eligible_itself("", "", "u", "a", "u", false)]
    fn a_candidate_is(
        #[case] heard: &str,
        #[case] unheard: &str,
        #[case] trusted: &str,
        #[case] beating: &str,
        #[case] wanted: &str,
        #[case] hears_all: bool,
    ) {
        let board = Board::new(true);
        board.set_roll(mk_roll(trusted, beating));
        assert_eq!(names(&board), None);
        // In this order: nobody is alone for a moment because others are not heard.
        let mut events = vec![mk_heard(heard)];
        events.extend(mk_set(unheard).into_iter().map(|peer| Event::PeerUnheard { peer }));
        board.hear(&events);
        assert_eq!(names(&board).as_deref(), Some(wanted));
        assert_eq!(board.hears_all(), hears_all);
        assert_eq!(board.view().borrow().mixed, !trusted.is_empty());
    }

    #[test]
    fn without_heartbeats_membership_judges_alone() {
        let board = Board::new(false);
        assert_eq!(names(&board), None);
        board.set_roll(mk_roll("a u", ""));
        assert_eq!(names(&board).as_deref(), Some("a u"));
        assert!(!board.hears_all());
    }

    #[test]
    fn whoever_is_heard_is_judged_by_its_own_word() {
        let board = Board::new(true);
        board.set_roll(mk_roll("", "a b"));
        board.hear(&[mk_heard("a"), Event::PeerUnheard { peer: "b".into() }]);
        assert_eq!(names(&board).as_deref(), Some("a b"));
        let before = board.revision();
        let back = Event::PeerBack { peer: "b".into(), previous: Previous::Unheard };
        board.hear(std::slice::from_ref(&back));
        assert_eq!(names(&board).as_deref(), Some("a"));
        assert_eq!(board.revision(), before + 1);
        board.hear(&[mk_heard("a b"), back]);
        board.hear(&[mk_heard("a b")]);
        assert_eq!(names(&board).as_deref(), Some("a b"));
        assert_eq!(board.revision(), before + 2);
        assert_eq!(board.view().borrow().returns, 0);
        board.hear(&[Event::PeerBack { peer: "b".into(), previous: Previous::Dead }]);
        assert_eq!(board.view().borrow().returns, 1);
    }

    #[test]
    fn nobody_goes_by_what_some_member_cannot_know() {
        let board = Board::new(true);
        let lacks = Event::LacksChanged { lacks: [("b".into(), [7].into())].into() };
        board.hear(&[mk_heard("a b"), lacks]);
        let shared = || board.view().borrow().lacks.clone();
        let known = Some([("b".into(), [Lack::of_word(7)].into())].into());
        assert_eq!(shared(), known);
        board.set_roll(mk_roll("u", "a b"));
        assert_eq!(shared(), None);
        board.set_roll(mk_roll("", "a b c"));
        assert_eq!(shared(), known);
        board.hear(&[Event::PeerUnheard { peer: "c".into() }]);
        assert_eq!(shared(), None);
        assert_eq!(Board::new(false).view().borrow().lacks, None);
    }

    #[test]
    fn whoever_is_not_listened_for_any_more_is_not_unheard() {
        let board = Board::new(true);
        board.set_roll(mk_roll("", "a b"));
        board.hear(&[mk_heard("a"), Event::PeerUnheard { peer: "b".into() }]);
        board.set_listed(&BTreeMap::new());
        assert_eq!(names(&board).as_deref(), Some("a"));
    }
}
