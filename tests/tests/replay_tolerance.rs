//! `tolerance: Auto` as a driver of `replay` sees it: what stable did before decides where the ramp begins and how soon
//! a step passes.
#![allow(clippy::unwrap_used)]

use microapp_core::replay::Replay;
use serde_json::{Value, json};

struct Driver(Replay);

impl Driver {
    fn new(strategy: &Value, gates: &Value, first: &Value) -> Self {
        let mut replay = Replay::new(&json!({
            "metadata": {"name": "kyc-helper"},
            "spec": {
                "replicas": 2,
                "template": {"spec": {"containers": [{"name": "app", "image": "app:2", "ports": [{"containerPort": 8080}]}]}},
                "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
                "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
                "strategy": strategy,
                "gates": gates
            }
        }))
        .unwrap();
        assert_eq!(replay.line(&first.to_string()).unwrap(), None);
        Self(replay)
    }

    /// The errors gate at a rate of stable's, 0.5 % bad, over so long that there were 20 000 requests.
    fn at(strategy: &Value, rps: f64) -> Self {
        let seconds = 20_000.0 / rps;
        let gates = json!([{"name": "errors", "errorRate": {"max": "1%"}}]);
        Self::new(strategy, &gates, &json!({"baseline": {"errors": [100, 20_000]}, "seconds": seconds}))
    }

    fn say(&mut self, line: &Value) -> Value {
        serde_json::from_str(&self.0.line(&line.to_string()).unwrap().unwrap()).unwrap()
    }

    fn begin(&mut self) -> (Value, Value, Value) {
        let answer = self.say(&json!({"t": 0, "gates": {}, "ready": true}));
        (answer["action"].clone(), answer["step"].clone(), answer["weight"].clone())
    }

    /// One window that is longer than the dwell, with so many clean requests of the canary.
    fn clean(&mut self, t: u64, canary: u64) -> Value {
        self.say(&json!({"t": t, "gates": {"errors": {"canary": [0, canary], "stable": [1, 20 * canary]}}}))
    }

    /// The fewest clean requests with which the first step passes.
    fn needs(strategy: &Value, rps: f64) -> u64 {
        let passes = |canary: &u64| {
            let mut driver = Self::at(strategy, rps);
            assert_eq!(driver.begin().0, "raise");
            driver.clean(600, *canary)["action"] == "raise"
        };
        (1..2_000).find(passes).unwrap()
    }
}

#[test]
fn at_fifty_requests_a_second_half_a_point_fits() {
    let auto = Driver::needs(&json!({}), 50.0);
    assert_eq!(auto, Driver::needs(&json!({"tolerance": "0.5%"}), 50.0));
    // 10 points at 1 %, less what the baseline leaves open: 36 in the table of the reference.
    assert!((34..=38).contains(&auto), "{auto}");
}

#[test]
fn at_five_requests_a_second_one_point_fits() {
    let auto = Driver::needs(&json!({}), 5.0);
    assert_eq!(auto, Driver::needs(&json!({"tolerance": "1%"}), 5.0));
    assert_ne!(auto, Driver::needs(&json!({"tolerance": "0.5%"}), 5.0));
}

#[test]
fn without_seconds_or_without_a_baseline_it_is_half_a_point() {
    let gates = json!([{"name": "errors", "errorRate": {"max": "1%"}}]);
    for first in [json!({"baseline": {"errors": [100, 20_000]}}), json!({"baseline": {}, "seconds": 3600})] {
        let mut auto = Driver::new(&json!({}), &gates, &first);
        let mut given = Driver::new(&json!({"tolerance": "0.5%"}), &gates, &first);
        assert_eq!(auto.begin(), given.begin(), "{first}");
        let line = |driver: &mut Driver| driver.clean(5, 20)["gates"][0]["log_e_pass"].clone();
        assert_eq!(line(&mut auto), line(&mut given), "{first}");
    }
}

#[test]
fn with_half_a_request_a_second_it_begins_at_five_percent_with_five_points() {
    let skip = json!({"lowTraffic": "SkipSteps"});
    let mut driver = Driver::at(&skip, 0.5);
    assert_eq!(driver.begin(), (json!("raise"), json!(1), json!(5)));
    // 20 points at 5 %: 17 clean requests in the table of the reference.
    let needed = Driver::needs(&skip, 0.5);
    assert!((16..=18).contains(&needed), "{needed}");
    let next = driver.clean(800, 20);
    assert_eq!((&next["action"], &next["step"]), (&json!("raise"), &json!(2)));
    // 5 points at 25 %: 70 there.
    let line = json!({"t": 1_600, "gates": {"errors": {"canary": [0, 75], "stable": [1, 225]}}});
    assert_eq!(driver.say(&line)["step"], 3);
}

#[test]
fn a_retry_and_lost_pods_begin_at_the_same_step_again() {
    let mut driver = Driver::at(&json!({"lowTraffic": "SkipSteps"}), 0.5);
    driver.begin();
    let down = driver.say(&json!({"t": 5, "gates": {}, "ready": false}));
    assert_eq!((&down["action"], &down["step"]), (&json!("lower"), &json!(-1)));
    let up = driver.say(&json!({"t": 10, "gates": {}, "ready": true}));
    assert_eq!((&up["action"], &up["step"]), (&json!("raise"), &json!(1)));
    assert_eq!(driver.say(&json!({"t": 15, "gates": {}, "command": "abort"}))["action"], "rollback");
    let again = driver.say(&json!({"t": 20, "gates": {}, "command": "retry"}));
    assert_eq!((&again["action"], &again["step"]), (&json!("raise"), &json!(1)));
}

#[test]
fn a_skip_command_before_the_first_step_goes_to_the_step_that_was_chosen() {
    let mut driver = Driver::at(&json!({"lowTraffic": "SkipSteps"}), 0.5);
    let first = driver.say(&json!({"t": 0, "gates": {}, "ready": true, "command": "skip-step"}));
    assert_eq!((&first["action"], &first["step"]), (&json!("raise"), &json!(1)));
}

#[test]
fn hold_keeps_it_at_zero_and_a_tolerance_of_ones_own_is_taken_as_it_is() {
    let mut driver = Driver::at(&json!({}), 0.5);
    let answer = driver.say(&json!({"t": 0, "gates": {}, "ready": true}));
    assert_eq!(
        (&answer["action"], &answer["reason"], &answer["step"]),
        (&json!("hold"), &json!("PreflightFailed"), &json!(-1))
    );
    assert_eq!(driver.say(&json!({"t": 5000, "gates": {}, "ready": true}))["action"], "hold");
    let mut given = Driver::at(&json!({"tolerance": "0.5%", "lowTraffic": "SkipSteps"}), 0.5);
    assert_eq!(given.begin(), (json!("raise"), json!(0), json!(1)));
    // More time is another way out: at 1 % a step would take 63 minutes.
    let mut patient = Driver::at(&json!({"maxStepDuration": "130m"}), 0.5);
    assert_eq!(patient.begin().0, "raise");
}

#[test]
fn the_slowest_gate_decides_and_a_mean_counts_too() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "cost", "tokenCost": {"maxIncrease": "10%"}},
    ]);
    let first = |rps: u64| {
        let n = rps * 3600;
        json!({"baseline": {"errors": [n / 200, n], "cost": {"n": n, "sum": n * 50_000}}, "seconds": 3600})
    };
    // 1 200 requests at 25 %: 16 minutes at 5 requests/s, 40 at 2, for any tolerance.
    assert_eq!(Driver::new(&json!({}), &gates, &first(5)).begin().0, "raise");
    assert_eq!(Driver::new(&json!({}), &gates, &first(2)).begin().0, "hold");
    assert_eq!(Driver::new(&json!({"lowTraffic": "SkipSteps"}), &gates, &first(2)).begin().0, "hold");
    assert_eq!(Driver::new(&json!({"maxStepDuration": "2h"}), &gates, &first(2)).begin().0, "raise");
}
