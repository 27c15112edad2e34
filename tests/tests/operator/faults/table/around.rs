//! Prometheus, the route, pods.

use super::{Row, Verdict};

pub const PROMETHEUS: &[Row] = &[
    Row {
        fault: "connections refused",
        verdict: Verdict::Degraded,
        how: "No data decides nothing: the weight stays, and the ramp goes on afterwards. Pods and commands still revert.",
        tests: &[
            "operator/prometheus.rs::while_prometheus_refuses_connections_nothing_moves",
            "operator/prometheus.rs::nothing_starts_before_prometheus_has_answered",
            "operator/prometheus.rs::a_breach_that_began_before_prometheus_went_away_is_found_when_it_is_back",
            "operator/pods.rs::a_crash_loop_of_the_canary_is_reverted_without_prometheus",
            "lab/prometheus.rs::a_ramp_holds_while_prometheus_is_dead_and_goes_on_when_it_is_back",
        ],
    },
    Row {
        fault: "hanging",
        verdict: Verdict::Degraded,
        how: "No data decides nothing: the weight stays, and the ramp goes on afterwards. Pods and commands still revert.",
        tests: &[
            "operator/prometheus.rs::while_prometheus_hangs_nothing_moves",
            "lab/pods.rs::a_crash_looping_canary_is_reverted_while_prometheus_is_frozen",
        ],
    },
    Row {
        fault: "slow",
        verdict: Verdict::Resilient,
        how: "An answer within ten seconds decides as it would at once, so much later; one that comes later is none, and the weight stays.",
        tests: &[
            "operator/faults/prometheus.rs::a_prometheus_that_needs_three_seconds_delays_a_rollback_by_no_more_than_that",
            "operator/faults/prometheus.rs::while_answers_come_later_than_is_waited_for_nothing_moves",
        ],
    },
    Row {
        fault: "huge answers",
        verdict: Verdict::Degraded,
        how: "More than 8 MiB are not read. No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_the_answers_are_too_large_nothing_moves"],
    },
    Row {
        fault: "HTML",
        verdict: Verdict::Degraded,
        how: "A login page is no answer. No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_a_login_page_answers_nothing_moves"],
    },
    Row {
        fault: "NaN",
        verdict: Verdict::Degraded,
        how: "No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_every_value_is_no_number_nothing_moves"],
    },
    Row {
        fault: "empty answers",
        verdict: Verdict::Degraded,
        how: "No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_the_answers_are_empty_nothing_moves"],
    },
    Row {
        fault: "several series",
        verdict: Verdict::Resilient,
        how: "Two replicas without deduplication: what is one process counts once.",
        tests: &["operator/faults/prometheus.rs::series_that_come_twice_count_once"],
    },
    Row {
        fault: "stale",
        verdict: Verdict::Degraded,
        how: "No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_nothing_is_scraped_nothing_moves"],
    },
    Row {
        fault: "partial answers",
        verdict: Verdict::Degraded,
        how: "A warning makes an answer none. No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_the_answers_are_partial_nothing_moves"],
    },
    Row {
        fault: "skewed clock",
        verdict: Verdict::Degraded,
        how: "No data decides nothing: the weight stays, and the ramp goes on afterwards.",
        tests: &["operator/prometheus.rs::while_the_clocks_disagree_nothing_moves"],
    },
    Row {
        fault: "restarted, with its newest samples lost",
        verdict: Verdict::Degraded,
        how: "What was counted stays counted; a gap decides nothing, and promotion and rollback come later by its length.",
        tests: &[
            "operator/faults/prometheus.rs::a_prometheus_that_lost_its_head_delays_a_promotion",
            "operator/faults/prometheus.rs::a_prometheus_that_lost_its_head_delays_a_rollback",
            "lab/prometheus.rs::a_ramp_holds_while_prometheus_is_dead_and_goes_on_when_it_is_back",
        ],
    },
    Row {
        fault: "counters reset",
        verdict: Verdict::Resilient,
        how: "A fall of a counter is a process that began anew: it is counted from zero on.",
        tests: &[
            "operator/faults/prometheus.rs::counters_that_begin_again_are_counted_on",
            "operator/faults/prometheus.rs::a_canary_that_fails_is_reverted_though_its_counters_begin_again",
        ],
    },
];

pub const ROUTE: &[Row] = &[
    Row {
        fault: "deleted",
        verdict: Verdict::Resilient,
        how: "It comes back within seconds with all traffic on stable, and another attempt follows.",
        tests: &["operator/byhand.rs::a_route_that_is_deleted_in_mid_rollout_comes_back_with_stable_alone"],
    },
    Row {
        fault: "not accepted by the gateway",
        verdict: Verdict::Degraded,
        how: "No weight changes, and after a minute the object is stalled with the gateway's reason; pods stay until the gateway has accepted that they get nothing.",
        tests: &[
            "operator/input.rs::a_route_that_is_refused_is_stalled_and_no_weight_changes",
            "operator/input.rs::a_route_without_an_answer_for_a_minute_is_stalled_and_no_weight_changes",
            "operator/guard.rs::the_canarys_pods_stay_until_a_gateway_has_accepted_that_they_get_nothing",
        ],
    },
    Row {
        fault: "edited every three seconds by somebody else",
        verdict: Verdict::Resilient,
        how: "A raise by hand is put back within a second each time, and an event names who did it.",
        tests: &[
            "operator/byhand.rs::a_weight_that_is_raised_every_three_seconds_never_stays",
            "operator/byhand.rs::a_weight_that_was_raised_by_hand_is_put_back_and_an_event_names_who_did_it",
            "lab/hands.rs::a_weight_raised_by_hand_is_put_back_and_one_lowered_by_hand_is_a_pause",
        ],
    },
    Row {
        fault: "weights dropped",
        verdict: Verdict::Degraded,
        how: "Weights that somebody drops are back within a second; in a cluster whose policy keeps none, stable alone serves again in the same moment, and the revision waits for a person.",
        tests: &[
            "operator/faults/route.rs::weights_that_somebody_dropped_are_back_within_a_second",
            "operator/faults/route.rs::a_cluster_that_keeps_no_weights_gives_a_canary_nobody_for_longer_than_seconds",
        ],
    },
];

pub const PODS: &[Row] = &[
    Row {
        fault: "image cannot be pulled",
        verdict: Verdict::Degraded,
        how: "It is said in the node's words within seconds and rejected after ten minutes; nobody reaches it.",
        tests: &[
            "operator/input.rs::an_image_that_cannot_be_pulled_is_said_and_rejected_after_ten_minutes",
            "operator/starts.rs::an_image_that_cannot_be_pulled_is_told_in_the_nodes_words",
            "lab/bad_input.rs::an_image_that_cannot_be_pulled_is_named_and_replaced_by_one_that_can",
        ],
    },
    Row {
        fault: "crash loop",
        verdict: Verdict::Resilient,
        how: "All traffic is back within seconds, without Prometheus.",
        tests: &[
            "operator/pods.rs::a_crash_loop_of_the_canary_is_reverted_without_prometheus",
            "operator/pods.rs::a_canary_that_is_killed_for_its_memory_is_reverted_without_prometheus",
            "lab/pods.rs::a_crash_looping_canary_is_reverted_while_prometheus_is_frozen",
        ],
    },
    Row {
        fault: "never ready",
        verdict: Verdict::Degraded,
        how: "It is rejected after `readyDeadline` without any traffic; a person or another revision goes on.",
        tests: &[
            "operator/pods.rs::pods_that_never_become_ready_are_rejected_after_ten_minutes_without_any_traffic",
            "operator/starts.rs::a_ready_deadline_of_two_minutes_rejects_after_two_minutes",
        ],
    },
    Row {
        fault: "quota",
        verdict: Verdict::Degraded,
        how: "The quota's own words stand in the message within seconds; a larger one goes on, and none is needed beyond the pods themselves.",
        tests: &[
            "operator/starts.rs::a_quota_that_refuses_pods_is_told_within_seconds_and_a_larger_one_goes_on",
            "operator/starts.rs::what_kept_pods_from_being_made_is_still_told_after_the_rejection",
            "operator/starts.rs::a_namespace_with_room_for_the_pods_and_no_more_is_enough",
        ],
    },
    Row {
        fault: "node lost",
        verdict: Verdict::Resilient,
        how: "The weight follows the canary's ready share after a grace; nobody is lowered onto a stable version that has no ready pod, and a canary that is well goes on.",
        tests: &[
            "operator/faults/pods.rs::a_lost_node_of_stable_lowers_nobody_onto_what_is_not_there",
            "operator/faults/pods.rs::a_canary_that_is_well_goes_on_while_stables_node_is_lost",
            "operator/faults/pods.rs::a_node_that_is_lost_with_one_pod_of_each_version_stops_nothing",
            "operator/pods.rs::lost_capacity_steps_back_to_0_without_a_latch_and_the_ramp_begins_again",
            "operator/capacity.rs::one_pod_of_three_that_is_evicted_in_the_bake_stops_nothing",
            "operator/capacity.rs::half_the_pods_lost_for_good_keep_a_weight_that_the_others_carry",
        ],
    },
    Row {
        fault: "an autoscaler or a policy that fights",
        verdict: Verdict::Degraded,
        how: "The size is put back ever more seldom, and status names who keeps changing which field; an autoscaler belongs on the rollout's `scale`.",
        tests: &[
            "operator/faults/pods.rs::an_autoscaler_of_the_canary_and_of_stable_neither_ends_the_attempt_nor_is_fought_in_a_loop",
            "operator/hostile/writes.rs::a_size_that_somebody_else_sets_back_each_time_is_no_race",
            "operator/hostile/writes.rs::a_policy_that_sets_another_size_is_named_and_nothing_is_written_in_a_loop",
            "operator/ends.rs::an_autoscaler_that_asks_for_more_pods_after_half_an_hour_is_no_reason_to_reject",
        ],
    },
];
