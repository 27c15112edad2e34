//! The operator, its watches and the API server.

use super::{Row, Verdict};

pub const THE_OPERATOR_DIES: &[Row] = &[
    Row {
        fault: "crash at any write of a first deploy",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::a_first_deploy_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_first_deploy_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "crash at any write of a promotion",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash. The ramp goes on where it was.",
        tests: &[
            "operator/sweep.rs::a_promotion_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_promotion_ends_the_same_when_the_operator_dies_after_any_write",
            "lab/operator.rs::a_ramp_goes_on_where_it_was_when_the_operator_is_killed",
        ],
    },
    Row {
        fault: "crash at any write of a rollback, at 5 %, at 25 % and in the bake",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::a_rollback_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_rollback_ends_the_same_when_the_operator_dies_after_any_write",
            "operator/sweep.rs::a_breach_at_25_percent_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_breach_at_25_percent_ends_the_same_when_the_operator_dies_after_any_write",
            "operator/sweep.rs::a_breach_in_the_bake_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_breach_in_the_bake_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "crash at any write of an abort",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::an_abort_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::an_abort_ends_the_same_when_the_operator_dies_after_any_write",
            "operator/sweep.rs::an_abort_before_the_first_weight_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::an_abort_before_the_first_weight_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "crash at any write where another spec takes the place",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::a_revision_superseded_before_its_first_weight_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_revision_superseded_before_its_first_weight_ends_the_same_when_the_operator_dies_after_any_write",
            "operator/sweep.rs::setting_back_before_the_first_weight_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::setting_back_before_the_first_weight_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "crash at any write of a deletion",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::a_deletion_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_deletion_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "crash at any write of a promotion by command",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::a_promotion_by_command_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_promotion_by_command_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "crash at any write while there is no data",
        verdict: Verdict::Resilient,
        how: "Before and after any write the next process ends with the same objects, conditions and register as a run without a crash.",
        tests: &[
            "operator/sweep.rs::a_time_without_data_ends_the_same_when_the_operator_dies_before_any_write",
            "operator/sweep.rs::a_time_without_data_ends_the_same_when_the_operator_dies_after_any_write",
        ],
    },
    Row {
        fault: "double crashes",
        verdict: Verdict::Resilient,
        how: "Whoever makes a write dies of it, some before and some after its commit, and so does its successor: it ends as without them.",
        tests: &[
            "operator/faults/process.rs::a_promotion_ends_though_every_operator_dies_of_its_first_write",
            "operator/faults/process.rs::a_rollback_ends_though_every_operator_dies_of_its_first_write",
        ],
    },
    Row {
        fault: "crash loop of the operator",
        verdict: Verdict::Degraded,
        how: "A life of seconds is enough for an abort and a rollback; steps are delayed, since evidence that was not saved is counted again.",
        tests: &[
            "operator/faults/process.rs::a_crash_loop_of_the_operator_neither_keeps_a_rollback_back_nor_raises_what_has_no_evidence",
            "operator/faults/process.rs::an_abort_is_carried_out_in_a_crash_loop_of_the_operator",
        ],
    },
];

pub const WATCHES: &[Row] = &[
    Row {
        fault: "frozen watch",
        verdict: Verdict::Degraded,
        how: "Silence is noticed after 35 s: what it did not bring is listed, so that an abort is carried out, and nothing is raised until it speaks again; a breach is reverted meanwhile.",
        tests: &[
            "operator/faults/watch.rs::watches_that_say_nothing_raise_nothing_on_old_data_and_lower_all_the_same",
            "operator/faults/watch.rs::a_watch_of_the_route_that_says_nothing_loses_no_rollback",
            "operator/faults/watch.rs::an_abort_that_no_watch_brings_is_carried_out_when_the_silence_is_noticed",
        ],
    },
    Row {
        fault: "late events",
        verdict: Verdict::Resilient,
        how: "Each write carries the version that it was decided on, and the cache takes nothing older than it has.",
        tests: &["operator/faults/watch.rs::events_that_come_three_seconds_late_change_no_decision"],
    },
    Row {
        fault: "duplicated events",
        verdict: Verdict::Resilient,
        how: "An event says what is, so that hearing it twice changes nothing.",
        tests: &["operator/faults/watch.rs::events_that_come_twice_change_no_decision"],
    },
    Row {
        fault: "reordered events",
        verdict: Verdict::Resilient,
        how: "The newer version of an object stays, whichever comes last.",
        tests: &["operator/faults/watch.rs::events_that_overtake_each_other_change_no_decision"],
    },
    Row {
        fault: "dropped events",
        verdict: Verdict::Degraded,
        how: "A step may wait for the next event of an object, or for the next list; nothing is raised that should not be, and a breach is reverted all the same.",
        tests: &[
            "operator/faults/watch.rs::events_that_are_lost_delay_and_never_raise",
            "operator/faults/watch.rs::a_breach_is_reverted_though_a_quarter_of_all_events_is_lost",
            "operator/faults/watch.rs::a_compaction_in_mid_rollout_is_a_new_list",
        ],
    },
    Row {
        fault: "restart against an older API server",
        verdict: Verdict::Resilient,
        how: "What is decided on an old world is refused by the version that it carries; the ramp and a rollback go on when it has caught up.",
        tests: &[
            "operator/faults/watch.rs::a_restart_against_an_api_server_that_lags_writes_nothing_on_what_it_reads",
            "operator/faults/watch.rs::a_rollback_against_an_api_server_that_lags_comes_when_it_has_caught_up",
        ],
    },
];

pub const API_SERVER: &[Row] = &[
    Row {
        fault: "409 conflict",
        verdict: Verdict::Resilient,
        how: "The live object is read, and the next pass decides on it.",
        tests: &[
            "operator/faults/api.rs::while_every_write_meets_a_conflict_nothing_moves",
            "operator/faults/api.rs::a_promotion_goes_through_though_every_second_write_meets_one_of_them",
            "operator/leaders.rs::a_raise_of_a_leader_that_was_is_refused_after_the_other_has_lowered",
        ],
    },
    Row {
        fault: "429 with `Retry-After: 3600`",
        verdict: Verdict::Resilient,
        how: "The hour is not waited: retries follow our own back-off, and a rollback that it blocks is seen in status, event and metric at once.",
        tests: &[
            "operator/faults/api.rs::an_hour_that_the_api_server_asks_to_wait_is_not_waited",
            "operator/hostile/rollback.rs::an_api_server_that_is_too_busy_for_a_rollback_is_seen_at_once",
        ],
    },
    Row {
        fault: "500",
        verdict: Verdict::Degraded,
        how: "Nothing moves while it lasts; a rollback comes within five seconds of its end.",
        tests: &[
            "operator/faults/api.rs::while_every_write_is_answered_500_nothing_moves",
            "operator/hostile/objects.rs::who_loses_a_watch_gives_the_lease_to_who_sees_and_leads_only_where_nobody_does",
            "operator/hostile/rollback.rs::prompts_that_cannot_be_read_keep_no_rollback_back",
        ],
    },
    Row {
        fault: "503",
        verdict: Verdict::Degraded,
        how: "Nothing moves while it lasts; a rollback comes within five seconds of its end.",
        tests: &[
            "operator/faults/api.rs::while_every_write_is_answered_503_nothing_moves",
            "operator/leaders.rs::without_the_lease_nothing_is_raised",
        ],
    },
    Row {
        fault: "504",
        verdict: Verdict::Degraded,
        how: "Nothing moves while it lasts; a rollback comes within five seconds of its end.",
        tests: &["operator/faults/api.rs::while_every_write_is_answered_504_nothing_moves"],
    },
    Row {
        fault: "lost responses",
        verdict: Verdict::Resilient,
        how: "Whoever repeats a write finds that it was carried out: nothing is made twice, no attempt is lost.",
        tests: &[
            "operator/faults/api.rs::writes_whose_answers_are_lost_are_carried_out_once",
            "operator/faults/api.rs::a_first_deploy_whose_answers_are_all_lost_is_made_once",
        ],
    },
    Row {
        fault: "stopped or killed API server",
        verdict: Verdict::Degraded,
        how: "Gateways keep the weights that they have; a rollback comes within five seconds of its return, a ramp goes on.",
        tests: &[
            "operator/faults/api.rs::a_ramp_goes_on_after_the_api_server_was_stopped_and_killed",
            "operator/hostile/rollback.rs::after_the_api_server_is_back_a_rollback_takes_no_more_than_five_seconds",
        ],
    },
    Row {
        fault: "stopped etcd",
        verdict: Verdict::Degraded,
        how: "Calls time out or answer 500 and open watches are silent: nothing moves; a rollback comes within five seconds of its return.",
        tests: &[
            "operator/faults/api.rs::without_etcd_nothing_moves_and_the_ramp_goes_on_when_it_is_back",
            "operator/faults/api.rs::a_rollback_that_etcd_kept_back_comes_within_five_seconds_of_its_return",
        ],
    },
    Row {
        fault: "revoked permissions",
        verdict: Verdict::Degraded,
        how: "What is not allowed is said in status, event and metric and tried until it is; a rollback needs the one right to patch its route.",
        tests: &[
            "operator/input.rs::a_right_that_is_missing_is_said_until_it_is_given",
            "operator/hostile/rollback.rs::a_right_that_is_missing_for_a_rollback_is_seen_at_once",
            "operator/hostile/objects.rs::without_any_right_to_configmaps_only_who_has_prompts_waits_and_says_so",
            "operator/hostile/objects.rs::a_namespace_without_rights_stops_nobody_in_another_one",
        ],
    },
];
