//! The candidate, step by step, in virtual time.

use rstest::rstest;

use super::*;

const SPANS: Spans = Spans {
    lease: Duration::from_secs(6),
    renew: Duration::from_secs(2),
    request_timeout: Duration::from_secs(1),
    poll: Duration::from_millis(500),
};

fn mk_candidate() -> Candidate {
    Candidate::new("me".to_owned(), SPANS)
}

fn mk_record(holder: &str, stamp: u32) -> Record {
    Record { holder: holder.to_owned(), lease: SPANS.lease, stamp: stamp.to_string() }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn following(leader: Option<&str>) -> Role {
    Role::Following { leader: leader.map(str::to_owned) }
}

/// A candidate that leads since a claim sent at 0.
fn mk_leader() -> Candidate {
    let mut candidate = mk_candidate();
    assert_eq!(candidate.next(ms(0)), Step::Read);
    candidate.read(ms(0), None);
    assert_eq!(candidate.next(ms(0)), Step::Claim);
    candidate.written(ms(0), ms(20), mk_record("me", 1));
    candidate
}

#[test]
fn lease_that_never_was_is_taken_at_once() {
    assert_eq!(mk_leader().role(ms(20)), Role::Leading);
}

#[test]
fn released_lease_is_taken_at_once() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), Some(mk_record("", 7)));
    assert_eq!(candidate.next(ms(0)), Step::Claim);
}

#[test]
fn foreign_lease_is_looked_at_until_it_lapsed_and_its_last_request_too() {
    let mut candidate = mk_candidate();
    let mut now = ms(30);
    candidate.read(now, Some(mk_record("other", 7)));
    assert_eq!(candidate.role(now), following(Some("other")));
    let lapsed = now + SPANS.lease + SPANS.request_timeout;
    loop {
        match candidate.next(now) {
            Step::Wait(until) => now = until,
            Step::Read => candidate.read(now, Some(mk_record("other", 7))),
            Step::Claim => break,
        }
    }
    assert_eq!(now, lapsed);
}

#[rstest]
#[case::longer_than_ours(30, 31)]
#[case::shorter_than_ours(1, 7)]
#[case::absurd(1_000_000, 61)]
fn length_the_holder_believes_in_is_respected_up_to_a_minute(
    #[case] theirs: u64,
    #[case] waits: u64,
) {
    let mut candidate = mk_candidate();
    let record = Record { lease: Duration::from_secs(theirs), ..mk_record("other", 1) };
    candidate.read(ms(0), Some(record));
    assert_eq!(candidate.last.unwrap().claimable, Duration::from_secs(waits));
}

#[test]
fn renewal_seen_begins_the_wait_anew() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), Some(mk_record("other", 1)));
    candidate.read(ms(6_900), Some(mk_record("other", 2)));
    assert_eq!(candidate.next(ms(7_000)), Step::Wait(ms(7_400)));
    assert_eq!(candidate.last.unwrap().claimable, ms(13_900));
}

#[test]
fn edit_that_is_no_renewal_does_not_prolong_a_dead_lease() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), Some(mk_record("other", 1)));
    // The version differs, the record does not.
    candidate.failed(ms(6_000), Failed::Stale);
    candidate.read(ms(6_100), Some(mk_record("other", 1)));
    assert_eq!(candidate.last.unwrap().claimable, ms(7_000));
}

#[test]
fn leader_renews_counts_from_sending_and_stops_at_its_deadline() {
    let mut candidate = mk_leader();
    assert_eq!(candidate.next(ms(100)), Step::Wait(ms(2_000)));
    assert_eq!(candidate.next(ms(2_000)), Step::Claim);
    // A slow answer does not prolong anything.
    candidate.written(ms(2_000), ms(4_500), mk_record("me", 2));
    assert_eq!(candidate.deadline(), Some(ms(8_000)));
    assert_eq!(candidate.next(ms(4_500)), Step::Claim);
    candidate.failed(ms(7_500), Failed::Unknown);
    assert_eq!(candidate.role(ms(7_999)), Role::Leading);
    assert_eq!(candidate.role(ms(8_000)), following(None));
    // Nobody took it meanwhile: one renewal, and it goes on.
    assert_eq!(candidate.next(ms(8_000)), Step::Claim);
    candidate.written(ms(8_000), ms(8_010), mk_record("me", 3));
    assert_eq!(candidate.role(ms(8_010)), Role::Leading);
}

#[test]
fn leader_that_was_stopped_for_long_finds_its_deadline_passed() {
    let candidate = mk_leader();
    assert_eq!(candidate.role(ms(3_600_000)), following(None));
}

#[test]
fn answer_that_arrives_after_its_own_lease_is_no_lease() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), None);
    assert_eq!(candidate.next(ms(0)), Step::Claim);
    candidate.written(ms(0), ms(60_000), mk_record("me", 1));
    assert_eq!(candidate.role(ms(60_000)), following(None));
}

#[test]
fn lost_race_is_read_again_and_the_winner_followed() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), None);
    assert_eq!(candidate.next(ms(0)), Step::Claim);
    candidate.failed(ms(10), Failed::Stale);
    assert_eq!(candidate.next(ms(10)), Step::Wait(ms(110)));
    assert_eq!(candidate.next(ms(110)), Step::Read);
    candidate.read(ms(120), Some(mk_record("other", 1)));
    assert_eq!(candidate.role(ms(120)), following(Some("other")));
    assert_eq!(candidate.next(ms(120)), Step::Wait(ms(620)));
}

#[test]
fn claim_whose_answer_was_lost_is_found_and_renewed() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), None);
    assert_eq!(candidate.next(ms(0)), Step::Claim);
    candidate.failed(ms(3_000), Failed::Unknown);
    assert_eq!(candidate.next(ms(3_500)), Step::Claim);
    candidate.failed(ms(3_510), Failed::Stale);
    candidate.read(ms(3_620), Some(mk_record("me", 1)));
    assert_eq!(candidate.role(ms(3_620)), following(None));
    assert_eq!(candidate.next(ms(3_620)), Step::Claim);
}

#[test]
fn annotation_on_the_lease_does_not_end_a_reign() {
    let mut candidate = mk_leader();
    assert_eq!(candidate.next(ms(2_000)), Step::Claim);
    candidate.failed(ms(2_010), Failed::Stale);
    assert_eq!(candidate.next(ms(2_110)), Step::Read);
    candidate.read(ms(2_120), Some(mk_record("me", 1)));
    assert_eq!(candidate.role(ms(2_120)), Role::Leading);
    assert_eq!(candidate.next(ms(2_120)), Step::Claim);
}

#[test]
fn record_that_names_another_ends_a_reign_at_once() {
    let mut candidate = mk_leader();
    candidate.failed(ms(2_010), Failed::Stale);
    candidate.read(ms(2_120), Some(mk_record("other", 2)));
    assert_eq!(candidate.role(ms(2_120)), following(Some("other")));
}

#[test]
fn deleted_lease_is_made_again_at_once_by_its_holder_and_waited_out_by_others() {
    let mut leader = mk_leader();
    leader.failed(ms(2_010), Failed::Stale);
    leader.read(ms(2_120), None);
    assert_eq!(leader.role(ms(2_120)), following(None));
    assert_eq!(leader.next(ms(2_120)), Step::Claim);

    let mut other = mk_candidate();
    other.read(ms(0), Some(mk_record("leader", 1)));
    other.read(ms(500), None);
    assert_eq!(other.next(ms(500)), Step::Wait(ms(1_000)));
    assert_eq!(other.last.unwrap().claimable, ms(7_500));
}

#[test]
fn lease_of_an_earlier_process_of_our_name_is_taken_after_one_request_timeout() {
    let mut candidate = mk_candidate();
    candidate.read(ms(0), Some(mk_record("me", 1)));
    assert_eq!(candidate.role(ms(0)), following(None));
    candidate.read(ms(500), Some(mk_record("me", 1)));
    assert_eq!(candidate.next(ms(999)), Step::Wait(ms(1_000)));
    assert_eq!(candidate.next(ms(1_000)), Step::Claim);
}

/// Answers every request with 403 from `now` on, until the candidate waits for long.
fn forbid(candidate: &mut Candidate, mut now: Duration, until: Duration) {
    while now < until {
        match candidate.next(now) {
            Step::Wait(next) => now = next,
            Step::Read | Step::Claim => candidate.failed(now, Failed::Forbidden("no".into())),
        }
    }
}

#[test]
fn missing_permission_means_no_election_and_is_asked_again_slowly() {
    let mut candidate = mk_candidate();
    assert_eq!(candidate.next(ms(0)), Step::Read);
    candidate.failed(ms(0), Failed::Forbidden("no".into()));
    assert_eq!(candidate.role(ms(0)), following(None), "an API server that starts says this");
    forbid(&mut candidate, ms(0), ms(1_001));
    assert_eq!(candidate.role(ms(1_001)), Role::Unelected { why: "no".into() });
    assert_eq!(candidate.next(ms(1_001)), Step::Wait(ms(1_000) + SLOWLY));

    // Granted later.
    let now = ms(1_000) + SLOWLY;
    assert_eq!(candidate.next(now), Step::Read);
    candidate.read(now, None);
    assert_eq!(candidate.next(now), Step::Claim);
    candidate.written(now, now, mk_record("me", 1));
    assert_eq!(candidate.role(now), Role::Leading);
}

#[test]
fn permission_to_read_alone_is_none() {
    let mut candidate = mk_candidate();
    let mut now = ms(0);
    let mut roles = Vec::new();
    while now < Duration::from_secs(90) {
        match candidate.next(now) {
            Step::Wait(until) => now = until,
            Step::Read => candidate.read(now, Some(mk_record("dead", 1))),
            Step::Claim => candidate.failed(now, Failed::Forbidden("no update".into())),
        }
        let role = candidate.role(now);
        if roles.last() != Some(&role) {
            roles.push(role);
        }
    }
    let unelected = Role::Unelected { why: "no update".into() };
    assert_eq!(roles, [following(Some("dead")), unelected]);
}

#[test]
fn leader_seen_at_work_ends_a_time_without_election() {
    let mut candidate = mk_candidate();
    forbid(&mut candidate, ms(0), ms(1_001));
    candidate.read(ms(16_000), Some(mk_record("other", 1)));
    assert!(matches!(candidate.role(ms(16_000)), Role::Unelected { .. }));
    candidate.read(ms(31_000), Some(mk_record("other", 2)));
    assert_eq!(candidate.role(ms(31_000)), following(Some("other")));
}

#[test]
fn permission_taken_away_from_a_leader_is_first_an_outage() {
    let mut candidate = mk_leader();
    forbid(&mut candidate, ms(2_000), ms(61_000));
    assert_eq!(candidate.role(ms(61_000)), following(None));
    forbid(&mut candidate, ms(61_000), ms(63_000));
    assert!(matches!(candidate.role(ms(63_000)), Role::Unelected { .. }));
}

#[test]
fn release_ends_the_reign_and_says_whether_the_record_is_ours() {
    let mut candidate = mk_leader();
    assert!(candidate.release());
    assert_eq!(candidate.role(ms(30)), following(None));
    let mut follower = mk_candidate();
    follower.read(ms(0), Some(mk_record("other", 1)));
    assert!(!follower.release());
}
