//! One text with every family and label of the sessions and of our own, as a scrape prints them.

use super::*;

#[test]
fn sessions_and_own_families_print_as_in_the_golden_file() {
    let mut registry = Registry::default();
    let bgp = BgpMetrics::register(&mut registry);
    let bfd = BfdMetrics::register(&mut registry);
    let pending = PendingMetrics::register(&mut registry);
    let election = ElectionMetrics::register(&mut registry);
    let webhooks = WebhookMetrics::register(&mut registry);
    FailoverMetrics::register(&mut registry);
    let recall = RecallMetrics::register(&mut registry);
    let mut session = bgp.session("192.0.2.1:179", "");
    session.notification_received(6, 2);
    session.went_down("holdTimerExpired");
    session.went_down("notificationReceived");
    session.set(BgpGauge::QueuedMessages, 3);
    session.count(BgpCounter::TreatedAsWithdraw, 2);
    let checked = bfd.session("192.0.2.1", "red");
    checked.set_up(true);
    checked.count(BfdCounter::Notifications, 4);
    pending.set("poolFull", 7);
    election.set_leading(true);
    election.set_leading(true);
    recall.set(jiff::Timestamp::from_second(1_800_000_000).ok());
    webhooks.answered("/convert", 200, std::time::Duration::from_millis(3));
    let golden = include_str!("golden.txt");
    let page = encode(&registry).unwrap();
    assert!(page == golden, "this is printed now:\n{page}");

    drop((session, checked));
    let page = encode(&registry).unwrap();
    assert!(!page.contains("192.0.2.1"), "series go with their session: {page}");
}
