//! The contract of `replay`, rule by rule: what holds, what goes back, what a line may say.
#![allow(clippy::unwrap_used)]

use microapp_core::replay::Replay;
use serde_json::{Value, json};

fn rollout(gates: &Value) -> Value {
    json!({
        "metadata": {"name": "kyc-helper"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "app", "image": "app:2", "ports": [{"containerPort": 8080}]}]}},
            "model": {"provider": "openai", "name": "gpt-5-nano", "version": "2025-08-07"},
            "traffic": {"port": 8080, "gateway": {"parentRefs": [{"name": "public"}]}},
            "strategy": {"steps": [
                {"weight": "0.5%", "dwell": "10s"}, {"weight": 25, "dwell": "10s"}, {"weight": 100, "dwell": "20s"}
            ]},
            "gates": gates
        }
    })
}

fn errors() -> Value {
    json!([{"name": "errors", "errorRate": {"max": "1%"}}])
}

struct Driver {
    replay: Replay,
    t: f64,
}

impl Driver {
    fn new(gates: &Value, baseline: &Value) -> Self {
        Self::of(&rollout(gates), baseline)
    }

    fn of(rollout: &Value, baseline: &Value) -> Self {
        let mut replay = Replay::new(rollout).unwrap();
        let start = json!({"baseline": baseline, "seconds": 3600, "scrape": 5});
        assert_eq!(replay.line(&start.to_string()).unwrap(), None);
        Self { replay, t: 0.0 }
    }

    /// At the first step, errors gate, an hour of baseline at 50 requests/s.
    fn ramping() -> Self {
        let mut driver = Self::new(&errors(), &json!({"errors": [900, 180_000]}));
        assert_eq!(driver.say(json!({"gates": {}}))["action"], "raise");
        driver
    }

    /// The next line, five seconds later.
    fn say(&mut self, mut line: Value) -> Value {
        line["t"] = json!(self.t);
        self.t += 5.0;
        serde_json::from_str(&self.replay.line(&line.to_string()).unwrap().unwrap()).unwrap()
    }

    fn errors(&mut self, canary: [u64; 2], stable: [u64; 2]) -> Value {
        self.say(json!({"gates": {"errors": {"canary": canary, "stable": stable}}}))
    }
}

#[test]
fn a_breach_rolls_back_and_the_answer_repeats_without_gates() {
    let mut driver = Driver::ramping();
    let mut answer = Value::Null;
    for _ in 0..5 {
        answer = driver.errors([3, 3], [1, 247]);
    }
    assert_eq!((&answer["action"], &answer["weight"], &answer["step"]), (&json!("rollback"), &json!(0), &json!(-1)));
    assert_eq!(answer["reason"], "GateFailed");
    let again = driver.errors([0, 3], [0, 247]);
    assert_eq!(again["action"], "rollback");
    assert_eq!(again.get("gates"), None);
}

#[test]
fn retry_is_a_new_attempt_with_fresh_evidence() {
    let mut driver = Driver::ramping();
    for _ in 0..5 {
        driver.errors([3, 3], [1, 247]);
    }
    let answer = driver.say(json!({"gates": {}, "command": "retry"}));
    assert_eq!((&answer["action"], &answer["step"]), (&json!("raise"), &json!(0)));
    assert_eq!(answer["gates"][0]["log_e_fail"], json!(0.0));
    assert_eq!(answer["gates"][0]["canary"], json!([0, 0]));
    assert_eq!(driver.errors([0, 3], [0, 247])["action"], "hold");
}

#[test]
fn missing_data_decides_nothing_and_keeps_the_evidence() {
    let mut driver = Driver::ramping();
    let before = driver.errors([1, 3], [1, 247]);
    for (seconds, reason) in [(5, "NoData"), (10, "NoData"), (15, "NoData"), (20, "Stale")] {
        let answer = driver.say(json!({"gates": {}}));
        let gate = &answer["gates"][0];
        assert_eq!(gate["reason"], reason, "after {seconds} s");
        assert_eq!(answer["action"], "hold");
        assert_eq!(gate["log_e_fail"], before["gates"][0]["log_e_fail"]);
        assert_eq!(gate["canary"], json!([1, 3]));
    }
    // One side alone is missing data too, zero is not.
    let half = driver.say(json!({"gates": {"errors": {"canary": [0, 2]}}}));
    assert_eq!(half["gates"][0]["verdict"], "unknown");
    assert_eq!(driver.errors([0, 0], [1, 247])["gates"][0]["reason"], "Undecided");
}

#[test]
fn every_gate_passes_on_the_same_line_and_only_after_the_dwell() {
    let mut driver = Driver::ramping();
    let first = driver.errors([0, 400], [1, 4000]);
    assert_eq!((&first["action"], &first["gates"][0]["verdict"]), (&json!("hold"), &json!("pass")));
    // Dwell is over on the first line with t >= t(raise) + dwell.
    let second = driver.errors([0, 400], [1, 4000]);
    assert_eq!((&second["action"], &second["weight"]), (&json!("raise"), &json!(25)));
}

#[test]
fn a_gap_line_counts_for_the_absolute_processes_alone() {
    let mut driver = Driver::ramping();
    let line = json!({"gates": {"errors": {"canary": [0, 400], "stable": [1, 4000]}}, "gap": true});
    let answer = driver.say(line);
    assert_eq!(answer["gates"][0]["log_e_pass"], json!(0.0));
    assert_eq!(answer["gates"][0]["verdict"], "unknown");
}

#[test]
fn lost_capacity_goes_to_zero_and_the_ramp_begins_again_when_ready() {
    let mut driver = Driver::ramping();
    let counts = json!({"errors": {"canary": [0, 1], "stable": [1, 249]}});
    let down = driver.say(json!({"gates": counts, "ready": false}));
    assert_eq!(
        (&down["action"], &down["weight"], &down["reason"]),
        (&json!("lower"), &json!(0), &json!("CapacityLost"))
    );
    assert_eq!(driver.say(json!({"gates": counts, "ready": false}))["action"], "hold");
    let up = driver.say(json!({"gates": counts, "ready": true}));
    assert_eq!((&up["action"], &up["step"]), (&json!("raise"), &json!(0)));
}

#[test]
fn pods_that_crash_roll_back_above_zero_and_hold_at_zero() {
    for pod in ["CrashLoop", "OOMKilled"] {
        let mut driver = Driver::new(&errors(), &json!({"errors": [900, 180_000]}));
        let first = driver.say(json!({"gates": {}, "pod": pod, "ready": false}));
        assert_eq!((&first["action"], &first["step"]), (&json!("hold"), &json!(-1)), "{pod}");
        assert_eq!(driver.say(json!({"gates": {}}))["action"], "raise");
        let crash = driver.say(json!({"gates": {}, "pod": pod}));
        assert_eq!((&crash["action"], &crash["reason"]), (&json!("rollback"), &json!(pod)));
    }
}

#[test]
fn commands_do_what_they_say() {
    let mut driver = Driver::ramping();
    let paused = driver.say(json!({"gates": {}, "command": "pause"}));
    assert_eq!((&paused["action"], &paused["weight"]), (&json!("pause"), &json!(0.5)));
    assert_eq!(driver.errors([0, 400], [1, 4000])["action"], "pause");
    assert_eq!(driver.errors([0, 400], [1, 4000])["action"], "pause");
    // Paused time counts for no dwell.
    let resumed = driver.say(json!({"gates": {"errors": {"canary": [0, 4], "stable": [1, 400]}}, "command": "resume"}));
    assert_eq!(resumed["action"], "hold");
    let skipped = driver.say(json!({"gates": {}, "command": "skip-step"}));
    assert_eq!((&skipped["action"], &skipped["step"]), (&json!("raise"), &json!(1)));
    let promoted = driver.say(json!({"gates": {}, "command": "promote"}));
    assert_eq!((&promoted["action"], &promoted["weight"]), (&json!("raise"), &json!(100)));
    let aborted = driver.say(json!({"gates": {}, "command": "abort"}));
    assert_eq!((&aborted["action"], &aborted["reason"]), (&json!("rollback"), &json!("Command")));
}

/// Vector Q of the reference: E_bake over its threshold, then the fresh relative evidence decides.
#[test]
fn the_bake_steps_back_and_the_comparison_decides() {
    let gates = json!([
        {"name": "errors", "errorRate": {"max": "1%"}},
        {"name": "again", "errorRate": {"max": "1%"}, "telemetry": "envoy"},
        {"name": "more", "errorRate": {"max": "1%"}},
        {"name": "last", "errorRate": {"max": "1%"}}
    ]);
    let names = ["errors", "again", "more", "last"];
    let all = |counts: Value| {
        names.iter().map(|name| ((*name).to_owned(), counts.clone())).collect::<serde_json::Map<_, _>>()
    };
    let mut driver = Driver::new(&gates, &Value::Object(all(json!([900, 180_000]))));
    driver.say(json!({"gates": {}}));
    assert_eq!(driver.say(json!({"gates": {}, "command": "promote"}))["weight"], 100);
    let mut window = |canary: [u64; 2], stable: [u64; 2]| {
        driver.say(json!({"gates": all(json!({"canary": canary, "stable": stable}))}))
    };
    let calm = window([1, 250], [0, 0]);
    assert_eq!((&calm["action"], &calm["gates"][0]["log_e_fail"]), (&json!("hold"), &json!(-0.618_639)));
    let over = window([25, 250], [0, 0]);
    assert_eq!((&over["action"], &over["weight"], &over["step"]), (&json!("lower"), &json!(25), &json!(1)));
    assert_eq!(over["gates"][0]["log_e_fail"], json!(25.298_635));
    assert_eq!(window([6, 62], [19, 188])["action"], "pause", "stable is over its guard");
    assert_eq!(window([1, 62], [1, 188])["action"], "pause");
    let failed = window([25, 62], [2, 188]);
    assert_eq!((&failed["action"], &failed["reason"]), (&json!("rollback"), &json!("GateFailed")));
}

/// The ten minutes beside stable are for comparing; an incident of twelve leaves all of them. They ask a person, and do
/// not keep evidence from deciding; the second time nothing does.
#[test]
fn an_incident_after_the_step_back_takes_nothing_of_the_ten_minutes() {
    let back = || {
        let mut driver = Driver::ramping();
        driver.say(json!({"gates": {}, "command": "promote"}));
        assert_eq!(driver.errors([250, 2500], [0, 0])["weight"], 25);
        driver
    };
    let mut incident = back();
    for _ in 0..144 {
        assert_eq!(incident.errors([6, 62], [19, 188])["action"], "pause");
    }
    let goes_on = |driver: &mut Driver| {
        let mut answers = std::iter::repeat_with(|| driver.errors([0, 620], [9, 1880])).take(60);
        answers.any(|answer| answer["action"] == "raise" && answer["weight"] == 100)
    };
    assert!(goes_on(&mut incident), "it goes on by itself");

    let mut calm = back();
    for _ in 0..119 {
        assert_eq!(calm.errors([0, 1], [0, 3])["reason"], "Progressing", "too few requests to tell");
    }
    assert_eq!(calm.errors([0, 1], [0, 3])["reason"], "Inconclusive", "ten minutes decided nothing: a person is asked");
    assert!(goes_on(&mut calm), "evidence decides where nobody has");

    assert_eq!(calm.errors([250, 2500], [0, 0])["weight"], 25, "a second time");
    assert!(!goes_on(&mut calm), "nothing is raised any more");
}

/// A limit per request needs nothing of stable, so the bake watches it, too.
#[test]
fn a_canary_that_spends_too_much_at_full_traffic_goes_back_and_is_judged_beside_stable() {
    let gates = json!([{"name": "tokens", "tokensPerRequest": {"maxPerRequest": 1000}}]);
    let mut rollout = rollout(&gates);
    rollout["spec"]["strategy"]["steps"][2]["dwell"] = json!("10m");
    let mut driver = Driver::of(&rollout, &json!({"tokens": {"n": 180_000, "sum": 90_000_000}}));
    driver.say(json!({"gates": {}}));
    let mut line = |canary: [u64; 2], stable: Option<[u64; 2]>| {
        let sums = |[n, sum]: [u64; 2]| json!({"n": n, "sum": sum});
        let mut sides = json!({"canary": sums(canary)});
        if let Some(stable) = stable {
            sides["stable"] = sums(stable);
        }
        driver.say(json!({"gates": {"tokens": sides}}))
    };
    // Canary and stable in turn 500 and 520 tokens a request, until all traffic is the canary's.
    let mut weight = json!(0.5);
    for k in 0.. {
        assert!(k < 100, "never raised to 100 %");
        let spend = 500 + 20 * (k % 2);
        let canary = if weight == 0.5 { 20 } else { 60 };
        weight = line([canary, canary * spend], Some([200, 200 * spend]))["weight"].clone();
        if weight == 100 {
            break;
        }
    }
    let mut seen = Vec::new();
    for k in 0..80 {
        let spend = 1500 + 50 * (k % 2);
        let answer = line([250, 250 * spend], (!seen.is_empty()).then_some([200, 100_000]));
        if k < 19 {
            assert_eq!(answer["gates"][0]["log_e_fail"], json!(0.0), "a mean says nothing before twenty windows");
        }
        if answer["action"] != "hold" {
            seen.push(answer["action"].clone());
        }
        if answer["action"] == "rollback" {
            assert_eq!(answer["reason"], "GateFailed");
            break;
        }
    }
    assert_eq!(seen, [json!("lower"), json!("rollback")]);
}

#[test]
fn the_bake_ends_by_its_dwell_with_fresh_data() {
    let mut driver = Driver::ramping();
    driver.say(json!({"gates": {}, "command": "promote"}));
    for _ in 0..3 {
        assert_eq!(driver.errors([1, 250], [0, 0])["action"], "hold");
    }
    assert_eq!(driver.say(json!({"gates": {}}))["action"], "hold", "the clock alone completes nothing");
    let end = driver.errors([1, 250], [0, 0]);
    assert_eq!((&end["action"], &end["weight"], &end["step"]), (&json!("promote"), &json!(100), &json!(2)));
}

#[test]
fn a_gate_without_a_baseline_refuses_where_it_is_listed_with_nothing() {
    let mut driver = Driver::new(&errors(), &json!({"errors": [0, 0]}));
    let answer = driver.say(json!({"gates": {}}));
    assert_eq!((&answer["action"], &answer["reason"]), (&json!("hold"), &json!("PreflightFailed")));
    let mut unlisted = Driver::new(&errors(), &json!({}));
    assert_eq!(unlisted.say(json!({"gates": {}}))["action"], "raise");
}

#[test]
fn what_does_not_read_is_one_sentence_and_changes_nothing() {
    let mut replay = Replay::new(&rollout(&errors())).unwrap();
    replay.line(r#"{"t": 0, "gates": {}}"#).unwrap();
    for (line, part) in [
        ("{", "does not read"),
        (r#"{"gates": {}}"#, "missing field `t`"),
        (r#"{"t": 0, "gates": {}}"#, "t must rise"),
        (r#"{"t": "5", "gates": {}}"#, "t is no number"),
        (r#"{"t": 5, "gates": {"latency": {}}}"#, "unknown gate \"latency\"; the rollout has errors"),
        (r#"{"t": 5, "gates": {"errors": {"canary": [-1, 3]}}}"#, "non-negative integers"),
        (r#"{"t": 5, "gates": {"errors": {"canary": [1.5, 3]}}}"#, "non-negative integers"),
        (r#"{"t": 5, "gates": {"errors": {"canary": [1, 2, 3]}}}"#, "[bad, total]"),
        (r#"{"t": 5, "gates": {}, "command": "explode"}"#, "unknown variant `explode`"),
        (r#"{"t": 5, "gatse": {}}"#, "unknown field `gatse`"),
    ] {
        let error = replay.line(line).unwrap_err().to_string();
        assert!(error.contains(part), "{line}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(replay.line(r#"{"t": 5, "gates": {}}"#).unwrap().is_some());
}

#[test]
fn more_bad_requests_than_requests_are_inconsistent_never_clamped() {
    let mut driver = Driver::ramping();
    let answer = driver.errors([4, 3], [1, 247]);
    assert_eq!(answer["gates"][0]["reason"], "Inconsistent");
    assert_eq!(answer["gates"][0]["canary"], json!([0, 0]));
}

#[test]
fn a_canary_that_hangs_goes_to_zero() {
    let mut driver = Driver::ramping();
    let mut answer = Value::Null;
    for _ in 0..20 {
        answer = driver.errors([0, 0], [1, 249]);
        if answer["action"] != "hold" {
            break;
        }
    }
    assert_eq!((&answer["action"], &answer["reason"]), (&json!("lower"), &json!("NoCompletions")));
    assert_eq!(driver.errors([0, 0], [1, 249])["action"], "hold");
}
