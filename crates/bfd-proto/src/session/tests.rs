use rstest::rstest;

use super::*;
use crate::path::Mode;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn mk_config(transmit: u32, receive: u32, multiplier: u8) -> Config {
    Config {
        transmit: Interval::from_millis(transmit),
        receive: Interval::from_millis(receive),
        detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
        ..Config::default()
    }
}

fn mk_session(config: Config) -> Session {
    let peer = "192.0.2.1".parse().unwrap();
    let path = Path { peer, local: None, interface: None, mode: Mode::SingleHop };
    Session::new(Discriminator::new(7).unwrap(), path, config, 1)
}

/// What a peer with 300 ms says.
fn mk_packet(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        authenticated: false,
        demand: false,
        detect_multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: Discriminator::new(9).unwrap(),
        your_discriminator: Discriminator::new(7),
        desired_min_tx: Interval::from_millis(300),
        required_min_rx: Interval::from_millis(300),
        required_min_echo_rx: Interval::ZERO,
    }
}

/// A session in this state at 0 s whose peer was just heard, with nothing left to send.
fn mk_in(state: State, config: Config) -> Session {
    let mut session = mk_session(config);
    match state {
        State::Down => {
            session.handle_packet(ms(0), &mk_packet(State::AdminDown));
        }
        State::Init => {
            session.handle_packet(ms(0), &mk_packet(State::Down));
        }
        State::Up | State::AdminDown => {
            session.handle_packet(ms(0), &mk_packet(State::Init));
        }
    }
    if state == State::AdminDown {
        session.leave(ms(0));
    }
    assert_eq!(session.state(), state);
    while session.poll_transmit().is_some() {}
    session
}

/// Up, and the poll sequence of coming up is over.
fn mk_settled(config: Config) -> Session {
    let mut session = mk_in(State::Up, config);
    session.handle_packet(ms(0), &Packet { is_final: true, ..mk_packet(State::Up) });
    session.handle_timeout(ms(0));
    while session.poll_transmit().is_some() {}
    assert!(!session.is_polling());
    session
}

const DOWN: Option<Change> =
    Some(Change::Down { diagnostic: Diagnostic::PathDown, noticed_by: Side::Remote });

// RFC 5880 6.8.6, every pair of states.
#[rstest]
#[case(State::AdminDown, State::AdminDown, State::AdminDown, None)]
#[case(State::AdminDown, State::Down, State::AdminDown, None)]
#[case(State::AdminDown, State::Init, State::AdminDown, None)]
#[case(State::AdminDown, State::Up, State::AdminDown, None)]
#[case(State::Down, State::AdminDown, State::Down, None)]
#[case(State::Down, State::Down, State::Init, None)]
#[case(State::Down, State::Init, State::Up, Some(Change::Up))]
#[case(State::Down, State::Up, State::Down, None)]
#[case(State::Init, State::AdminDown, State::Down, None)]
#[case(State::Init, State::Down, State::Init, None)]
#[case(State::Init, State::Init, State::Up, Some(Change::Up))]
#[case(State::Init, State::Up, State::Up, Some(Change::Up))]
#[case(State::Up, State::AdminDown, State::Down, Some(Change::AdminDown))]
#[case(State::Up, State::Down, State::Down, DOWN)]
#[case(State::Up, State::Init, State::Up, None)]
#[case(State::Up, State::Up, State::Up, None)]
fn state_table(
    #[case] local: State,
    #[case] received: State,
    #[case] expected: State,
    #[case] change: Option<Change>,
) {
    let mut session = mk_in(local, Config::default());
    let packet = Packet { diagnostic: Diagnostic::PathDown, ..mk_packet(received) };
    assert_eq!(session.handle_packet(ms(1), &packet), change);
    assert_eq!(session.state(), expected);
    // News leave at once, and only news.
    let sent = session.poll_transmit();
    assert_eq!(sent.map(|packet| packet.state), (expected != local).then_some(expected));
    let told = match (local, expected) {
        (State::Init | State::Up, State::Down) => Diagnostic::NeighborSignaledDown,
        (_, State::AdminDown) => Diagnostic::AdministrativelyDown,
        _ => Diagnostic::None,
    };
    assert_eq!(session.diagnostic, told);
}

#[rstest]
#[case::admin_down(State::AdminDown, State::AdminDown, None)]
#[case::down(State::Down, State::Down, None)]
#[case::init(State::Init, State::Down, None)]
#[case::up(
    State::Up,
    State::Down,
    Some(Change::Down { diagnostic: Diagnostic::DetectionTimeExpired, noticed_by: Side::Local })
)]
fn silence(#[case] state: State, #[case] after: State, #[case] change: Option<Change>) {
    let mut session = mk_in(state, mk_config(300, 2000, 3));
    // 3 × max(2000, 300)
    assert_eq!(session.view().detection_time, Some(ms(6000)));
    // A session that takes its leave is over before that.
    if state != State::AdminDown {
        assert_eq!(session.handle_timeout(ms(5999)), None);
        assert_eq!(session.state(), state);
        assert!(session.view().remote.is_some());
        assert_eq!(session.handle_timeout(ms(6000)), change);
    }
    assert_eq!(session.state(), after);
    let gone = session.view().remote.is_none();
    assert_eq!(gone, state != State::AdminDown);
    // RFC 5880 6.8.1: the discriminator is forgotten.
    if gone {
        assert_eq!(session.poll_transmit().and_then(|packet| packet.your_discriminator), None);
    }
}

// RFC 5880 6.8.7 and 6.8.4: ours (tx, rx), the peer's (tx, rx, multiplier); what follows.
#[rstest]
#[case::equal((300, 300), (300, 300, 3), 300, 900)]
#[case::peer_receives_slower((50, 50), (300, 500, 3), 500, 900)]
#[case::peer_sends_slower((50, 50), (700, 50, 5), 50, 3500)]
#[case::we_receive_slower((50, 400), (50, 50, 5), 50, 2000)]
#[case::we_send_slower((1500, 50), (50, 50, 2), 1500, 100)]
#[case::peer_takes_anything((10, 10), (10, 1, 255), 10, 2550)]
fn intervals(
    #[case] (transmit, receive): (u32, u32),
    #[case] (peer_transmit, peer_receive, multiplier): (u32, u32, u8),
    #[case] interval: u64,
    #[case] detection: u64,
) {
    let mut session = mk_settled(mk_config(transmit, receive, 3));
    session.handle_packet(
        ms(1),
        &Packet {
            desired_min_tx: Interval::from_millis(peer_transmit),
            required_min_rx: Interval::from_millis(peer_receive),
            detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
            ..mk_packet(State::Up)
        },
    );
    let view = session.view();
    assert_eq!(view.transmit.duration(), ms(interval));
    assert_eq!(view.detection_time, Some(ms(detection)));
}

#[test]
fn slow_until_up() {
    let mut session = mk_session(mk_config(50, 50, 3));
    assert_eq!(session.poll_timeout(), Some(Duration::ZERO));
    session.handle_timeout(ms(1));
    let first = session.poll_transmit().unwrap();
    assert_eq!(first.desired_min_tx, Interval::from_millis(1000));
    assert_eq!(first.required_min_rx, Interval::from_millis(50));
    assert!(!first.poll);
    assert!((ms(751)..=ms(1001)).contains(&session.poll_timeout().unwrap()));

    session.handle_packet(ms(10), &mk_packet(State::Init));
    let news = session.poll_transmit().unwrap();
    assert_eq!((news.state, news.poll), (State::Up, true));
    assert_eq!(news.desired_min_tx, Interval::from_millis(50));
}

#[rstest]
#[case::usual(3, 750, 1000)]
#[case::a_single_packet_matters(1, 750, 900)]
fn jitter(#[case] multiplier: u8, #[case] least: u64, #[case] most: u64) {
    let mut session = mk_session(mk_config(1000, 1000, multiplier));
    let mut gaps = Vec::new();
    let mut last = ms(1);
    session.handle_timeout(last);
    for _ in 0..2000 {
        assert!(session.poll_transmit().is_some() && session.poll_transmit().is_none());
        let next = session.poll_timeout().unwrap();
        session.handle_timeout(next.saturating_sub(Duration::from_micros(1)));
        assert!(!session.has_transmit(), "too early");
        session.handle_timeout(next);
        gaps.push(next.saturating_sub(last));
        last = next;
    }
    let (shortest, longest) = (*gaps.iter().min().unwrap(), *gaps.iter().max().unwrap());
    assert!(ms(least) <= shortest && longest <= ms(most), "{shortest:?} {longest:?}");
    // All of the range is used.
    assert!(shortest < ms(least + 10) && longest > ms(most - 10), "{shortest:?} {longest:?}");
}

#[test]
fn poll_is_answered_once_and_at_once() {
    let mut session = mk_in(State::Up, Config::default());
    assert!(session.is_polling());
    session.handle_packet(ms(1), &Packet { poll: true, ..mk_packet(State::Up) });
    let answer = session.poll_transmit().unwrap();
    assert!(answer.is_final && !answer.poll, "never both");
    assert_eq!(session.poll_transmit(), None);
}

#[test]
fn a_slower_sender_waits_for_the_final() {
    let mut session = mk_settled(mk_config(300, 300, 3));
    session.update(ms(10), mk_config(900, 300, 3));
    let offer = session.poll_transmit().unwrap();
    assert!(offer.poll);
    assert_eq!(offer.desired_min_tx, Interval::from_millis(900));
    assert_eq!(session.view().transmit, Interval::from_millis(300));

    session.handle_packet(ms(20), &mk_packet(State::Up));
    assert_eq!(session.view().transmit, Interval::from_millis(300), "that was no final");
    session.handle_packet(ms(30), &Packet { is_final: true, ..mk_packet(State::Up) });
    assert_eq!(session.view().transmit, Interval::from_millis(900));
    assert!(!session.is_polling());
}

#[test]
fn a_faster_sender_begins_at_once() {
    let mut session = mk_settled(mk_config(900, 300, 3));
    session.update(ms(10), mk_config(400, 300, 3));
    assert!(session.poll_transmit().unwrap().poll);
    assert_eq!(session.view().transmit, Interval::from_millis(400));
}

#[test]
fn a_shorter_detection_time_waits_for_the_final_a_longer_one_does_not() {
    let mut session = mk_settled(mk_config(300, 1000, 3));
    session.update(ms(10), mk_config(300, 400, 3));
    assert_eq!(session.poll_transmit().unwrap().required_min_rx, Interval::from_millis(400));
    assert_eq!(session.view().detection_time, Some(ms(3000)));
    session.handle_packet(ms(30), &Packet { is_final: true, ..mk_packet(State::Up) });
    assert_eq!(session.view().detection_time, Some(ms(1200)));

    session.handle_timeout(ms(50));
    session.update(ms(60), mk_config(300, 2000, 3));
    assert!(session.is_polling());
    assert_eq!(session.view().detection_time, Some(ms(6000)));
}

#[test]
fn a_change_during_a_poll_sequence_gets_its_own() {
    let mut session = mk_settled(mk_config(300, 300, 3));
    session.update(ms(100), mk_config(600, 300, 3));
    session.update(ms(110), mk_config(900, 300, 3));
    assert_eq!(session.offered().transmit, Interval::from_millis(600));

    // The first took 40 ms; answers to its other packets may come for as long.
    let answer = Packet { is_final: true, ..mk_packet(State::Up) };
    session.handle_packet(ms(140), &answer);
    session.handle_packet(ms(150), &answer);
    session.handle_timeout(ms(179));
    assert_eq!(session.offered().transmit, Interval::from_millis(600));
    assert!(session.poll_timeout().unwrap() <= ms(180));
    while session.poll_transmit().is_some() {}
    session.handle_timeout(ms(180));
    let second = session.poll_transmit().unwrap();
    assert!(second.poll);
    assert_eq!(second.desired_min_tx, Interval::from_millis(900));
    assert_eq!(session.view().transmit, Interval::from_millis(600));
    session.handle_packet(ms(190), &answer);
    assert_eq!(session.view().transmit, Interval::from_millis(900));
}

#[test]
fn a_change_of_the_multiplier_needs_no_poll_and_is_told_at_once() {
    let mut session = mk_settled(mk_config(300, 300, 3));
    session.update(ms(10), mk_config(300, 300, 9));
    let told = session.poll_transmit().unwrap();
    assert_eq!((told.detect_multiplier.get(), told.poll), (9, false));
    session.update(ms(20), mk_config(300, 300, 9));
    assert_eq!(session.poll_transmit(), None);
}

#[test]
fn passive_waits_until_spoken_to_and_after_a_loss_again() {
    let config = Config { passive: true, ..Config::default() };
    let mut session = mk_session(config);
    session.handle_timeout(ms(5000));
    assert_eq!((session.poll_transmit(), session.poll_timeout()), (None, None));

    session.handle_packet(ms(5000), &mk_packet(State::Down));
    assert_eq!(session.poll_transmit().unwrap().state, State::Init);
    session.handle_packet(ms(5001), &mk_packet(State::Up));
    session.poll_transmit().unwrap();
    let change = session.handle_timeout(ms(6000));
    assert!(matches!(change, Some(Change::Down { noticed_by: Side::Local, .. })));
    session.handle_timeout(ms(60_000));
    assert_eq!((session.poll_transmit(), session.poll_timeout()), (None, None));
}

#[test]
fn a_peer_that_wants_nothing_gets_nothing_but_news_and_answers() {
    let mut session = mk_settled(Config::default());
    let packet = Packet { required_min_rx: Interval::ZERO, ..mk_packet(State::Up) };
    session.handle_packet(ms(1), &packet);
    session.handle_timeout(ms(800));
    assert_eq!(session.poll_transmit(), None);
    session.handle_packet(ms(801), &Packet { poll: true, ..packet });
    assert!(session.poll_transmit().unwrap().is_final);
    session.handle_packet(ms(802), &Packet { state: State::Down, ..packet });
    assert_eq!(session.poll_transmit().unwrap().state, State::Down);
}

#[test]
fn a_peer_in_demand_mode_is_spared_while_both_are_up() {
    let mut session = mk_settled(Config::default());
    session.handle_packet(ms(1), &Packet { demand: true, ..mk_packet(State::Up) });
    session.handle_timeout(ms(600));
    assert_eq!(session.poll_transmit(), None);
    // A poll sequence of ours is sent all the same.
    session.update(ms(601), mk_config(400, 400, 3));
    assert!(session.poll_transmit().unwrap().poll);
    session.handle_packet(ms(602), &Packet { demand: true, ..mk_packet(State::Up) });
    session.handle_timeout(ms(1200));
    assert!(session.poll_transmit().unwrap().poll);
}

#[test]
fn leave_is_told_for_a_detection_time() {
    let mut session = mk_settled(mk_config(600, 600, 4));
    session.leave(ms(100));
    let goodbye = session.poll_transmit().unwrap();
    assert_eq!(goodbye.state, State::AdminDown);
    assert_eq!(goodbye.diagnostic, Diagnostic::AdministrativelyDown);
    let mut repeats = 0;
    let mut now = ms(100);
    let ended = loop {
        now = session.poll_timeout().unwrap().max(now);
        match session.handle_timeout(now) {
            Some(change) => break change,
            None => repeats += usize::from(session.poll_transmit().is_some()),
        }
    };
    assert_eq!((ended, now), (Change::Ended, ms(100 + 4 * 600)));
    assert!((2..=3).contains(&repeats), "once a second: {repeats}");
}

#[test]
fn lateness_puts_a_verdict_off_once() {
    let mut session = mk_settled(mk_config(50, 50, 3));
    session.handle_packet(ms(0), &mk_packet(State::Up));
    // Due at 900 ms, woke at 1000 ms.
    session.handle_lateness(ms(1000), ms(100));
    assert_eq!(session.handle_timeout(ms(1000)), None);
    // Late again; the silence lasts.
    session.handle_lateness(ms(1150), ms(50));
    assert!(matches!(session.handle_timeout(ms(1150)), Some(Change::Down { .. })));
    assert_eq!(session.view().counters.graces, 1);
}

#[rstest]
#[case::as_late_as_we_were(100, 1100)]
#[case::no_longer_than_a_packet_takes(5000, 1300)]
#[case::a_timer_is_never_exact(1, 1000)]
fn grace(#[case] late: u64, #[case] verdict: u64) {
    let mut session = mk_settled(mk_config(50, 50, 3));
    session.handle_lateness(ms(1000), ms(late));
    if verdict > 1000 {
        assert_eq!(session.handle_timeout(ms(verdict - 1)), None);
    }
    assert!(session.handle_timeout(ms(verdict)).is_some());
}

#[test]
fn a_word_during_the_grace_saves_the_session() {
    let mut session = mk_settled(mk_config(50, 50, 3));
    session.handle_lateness(ms(1000), ms(100));
    session.handle_timeout(ms(1000));
    session.handle_packet(ms(1050), &mk_packet(State::Up));
    assert_eq!(session.handle_timeout(ms(1900)), None);
    assert_eq!(session.state(), State::Up);
}

#[test]
fn wishes_near_zero_are_bounded() {
    let mut session = mk_settled(mk_config(0, 0, 1));
    session.handle_packet(
        ms(1),
        &Packet { required_min_rx: Interval::from_micros(1), ..mk_packet(State::Up) },
    );
    assert_eq!(session.view().transmit, Config::FASTEST);
    assert_eq!(session.offered().receive, Config::FASTEST);
}
