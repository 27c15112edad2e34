//! Leaders, people, versions.

use super::{Row, Verdict};

pub const LEADERS: &[Row] = &[
    Row {
        fault: "two leaders",
        verdict: Verdict::Resilient,
        how: "Only who holds the lease writes; who cannot fill its caches never holds it.",
        tests: &[
            "operator/leaders.rs::only_the_leader_writes_and_only_it_asks_prometheus",
            "operator/leaders.rs::when_the_leader_dies_the_other_goes_on_within_the_lease",
            "operator/hostile/objects.rs::who_cannot_fill_its_caches_does_not_take_the_lease",
        ],
    },
    Row {
        fault: "zombie leader",
        verdict: Verdict::Resilient,
        how: "A raise that arrives after the other's lower is refused by the version that it carries; one that waited for its place asks for the lease again.",
        tests: &[
            "operator/leaders.rs::a_raise_of_a_leader_that_was_is_refused_after_the_other_has_lowered",
            "operator/hostile/writes.rs::a_raise_that_waited_for_its_place_asks_for_the_lease_again",
        ],
    },
    Row {
        fault: "no lease",
        verdict: Verdict::Degraded,
        how: "Nothing is raised without it; the ramp goes on when it is there again.",
        tests: &["operator/leaders.rs::without_the_lease_nothing_is_raised"],
    },
    Row {
        fault: "clock jumps",
        verdict: Verdict::Degraded,
        how: "Two hours ahead or back make no step, since a step needs evidence from inside it; while clocks disagree answers count as nothing, and a rollback comes when they agree.",
        tests: &[
            "operator/faults/leaders.rs::a_clock_that_jumps_two_hours_ahead_and_back_makes_no_step_and_loses_no_rollback",
            "operator/faults/leaders.rs::a_clock_that_falls_two_hours_back_makes_no_step_and_loses_no_rollback",
        ],
    },
];

pub const PEOPLE: &[Row] = &[
    Row {
        fault: "spec edited in any state",
        verdict: Verdict::Resilient,
        how: "The attempt ends at once, and what is wanted last is rolled out.",
        tests: &[
            "operator/faults/people.rs::a_spec_that_is_edited_in_any_state_is_what_is_rolled_out_in_the_end",
            "operator/commands.rs::a_newer_revision_takes_the_place_of_the_one_on_trial",
            "operator/commands.rs::setting_the_spec_back_is_an_abort_without_a_verdict",
            "operator/ends.rs::a_newer_revision_takes_the_place_of_one_that_waits_in_preflight",
        ],
    },
    Row {
        fault: "two commits in a second",
        verdict: Verdict::Resilient,
        how: "The last one is rolled out; no user reaches one that was wanted for less than a second.",
        tests: &[
            "operator/faults/people.rs::of_two_commits_in_a_second_the_second_is_rolled_out",
            "operator/faults/people.rs::a_commit_that_is_taken_back_within_a_second_is_none",
            "operator/ends.rs::two_more_commits_while_one_waits_end_with_the_last",
        ],
    },
    Row {
        fault: "object deleted in any state",
        verdict: Verdict::Resilient,
        how: "Everything that is ours is gone within a minute, and nothing is written after it.",
        tests: &[
            "operator/faults/people.rs::a_rollout_that_is_deleted_in_any_state_leaves_nothing_within_a_minute",
            "operator/hostile/rollback.rs::a_rollout_that_a_finalizer_holds_is_still_watched",
        ],
    },
    Row {
        fault: "namespace terminating",
        verdict: Verdict::Resilient,
        how: "Nothing is made again in a namespace that goes.",
        tests: &[
            "operator/faults/people.rs::a_namespace_that_goes_in_mid_rollout_is_left_alone",
            "operator/faults/people.rs::a_namespace_that_goes_and_a_rollout_that_stays_make_no_loop",
        ],
    },
    Row {
        fault: "status wiped",
        verdict: Verdict::Degraded,
        how: "It is rebuilt from the register within seconds; the plan of a running attempt is lost with it, so nothing is raised, a breach is still reverted, and a person is asked.",
        tests: &[
            "operator/byhand.rs::a_status_that_is_wiped_in_mid_rollout_is_rebuilt_and_nothing_is_raised_without_the_plan",
            "operator/byhand.rs::a_status_that_is_wiped_at_rest_is_rebuilt",
            "operator/hostile/rollback.rs::a_canary_whose_plan_was_lost_is_raised_no_more_and_still_turned_back",
            "operator/sweep.rs::a_status_that_is_wiped_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_status_that_is_wiped_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "annotations stripped",
        verdict: Verdict::Resilient,
        how: "All of them: everything goes to stable, and another attempt follows. One of them: nothing is raised by it.",
        tests: &[
            "operator/faults/people.rs::whichever_annotation_of_the_route_is_stripped_nothing_is_raised_by_it",
            "operator/byhand.rs::a_route_whose_annotations_were_stripped_in_mid_rollout_gives_everything_to_stable",
            "operator/hostile/rollback.rs::a_step_whose_beginning_was_removed_begins_anew_and_is_watched",
        ],
    },
];

pub const VERSIONS: &[Row] = &[
    Row {
        fault: "operator upgraded in mid-rollout",
        verdict: Verdict::Resilient,
        how: "What an older version stored is read with the fields that it has; evidence of another format is counted again, and no weight changes by it.",
        tests: &["operator/faults/versions.rs::an_upgrade_in_mid_rollout_changes_no_weight"],
    },
    Row {
        fault: "operator downgraded in mid-rollout",
        verdict: Verdict::Degraded,
        how: "Unknown fields, words and annotations change no weight; a plan or a spec with a word that is not known raises nothing, still reverts, and is said.",
        tests: &[
            "operator/faults/versions.rs::a_downgrade_in_mid_rollout_changes_no_weight",
            "operator/faults/versions.rs::a_cause_that_only_a_later_version_knows_ends_the_attempt_and_rejects_the_revision",
            "operator/faults/versions.rs::a_plan_that_only_a_later_version_understands_holds_and_still_rolls_back",
            "operator/faults/versions.rs::a_spec_that_only_a_later_version_understands_freezes_the_weight",
        ],
    },
    Row { fault: "sinks that hang", verdict: Verdict::NotBuilt, how: "There are no sinks yet.", tests: &[] },
];
