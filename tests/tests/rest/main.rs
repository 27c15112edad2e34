//! Nothing hangs: from every world that people, pods, gateways and data can bring about, with all inputs at rest, a state
//! is reached in which nothing is wanted or a person is told what to do. Every wait on the way has an end.
#![allow(clippy::unwrap_used)]

mod cluster;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use cluster::{Cluster, Data, Event, Gateway, Pods};
use microapp_core::world::Verb;
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        3 => Just(Verb::Abort),
        1 => Just(Verb::Promote),
        1 => Just(Verb::Pause),
        1 => Just(Verb::Resume),
        2 => Just(Verb::Retry),
    ]
}

fn pods() -> impl Strategy<Value = Pods> {
    prop_oneof![
        3 => Just(Pods::Healthy),
        1 => Just(Pods::Slow),
        1 => Just(Pods::Unready),
        1 => Just(Pods::CrashLoop),
        1 => Just(Pods::Refused),
        1 => Just(Pods::PullFails),
        1 => Just(Pods::NoDigest),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        4 => Just(Data::Good),
        1 => Just(Data::Undecided),
        1 => Just(Data::NoTraffic),
        1 => Just(Data::Silent),
        1 => Just(Data::Bad),
    ]
}

fn gateway() -> impl Strategy<Value = Gateway> {
    prop_oneof![3 => Just(Gateway::Accepts), 1 => Just(Gateway::Silent), 1 => Just(Gateway::Refuses)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_usize..4).prop_map(Event::Wish),
        1 => prop_oneof![Just(0), Just(1), Just(3), Just(8)].prop_map(Event::Replicas),
        1 => any::<bool>().prop_map(Event::Usable),
        3 => verb().prop_map(Event::Command),
        2 => ((0_usize..4), pods()).prop_map(|(version, pods)| Event::Pods(version, pods)),
        2 => (0_usize..4).prop_map(Event::LosePod),
        1 => (0_usize..4).prop_map(Event::LoseDeployment),
        1 => (0_usize..4).prop_map(Event::LoseService),
        1 => Just(Event::LoseRoute),
        1 => Just(Event::WipeStatus),
        1 => Just(Event::LowerByHand),
        1 => Just(Event::RaiseByHand),
        2 => gateway().prop_map(Event::Gateway),
        3 => data().prop_map(Event::Data),
        10 => prop_oneof![Just(0), Just(1), Just(8), Just(40), Just(700), Just(4000)].prop_map(Event::Wait),
    ]
}

/// The same cases each time: what fails once fails again.
fn cases<S: Strategy>(strategy: &S, holds: impl Fn(S::Value))
where
    S::Value: std::fmt::Debug,
{
    let config = ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let run = runner.run(strategy, |case| {
        holds(case);
        Ok(())
    });
    run.unwrap_or_else(|failed| panic!("{failed}"));
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 1..24)
}

#[test]
fn with_inputs_at_rest_nothing_is_wanted_or_a_person_is_told() {
    let reached = RefCell::new(BTreeSet::new());
    cases(&events(), |events| {
        let mut cluster = Cluster::new();
        for event in &events {
            cluster.apply(event);
        }
        if let Err(why) = cluster.rest() {
            panic!("{why}\n{}\nafter {events:?}", cluster.tell());
        }
        reached.borrow_mut().extend(cluster.states().iter().copied());
    });
    let all = ["Bake", "First", "Held", "Idle", "Preflight", "Prepare", "Promote", "Ramp", "RollBack"];
    assert_eq!(reached.into_inner().into_iter().collect::<Vec<_>>(), all, "the cases reach every state");
}

#[test]
fn once_all_is_well_again_the_wish_is_served_or_a_person_is_told_why_not() {
    let served = Cell::new(0);
    cases(&(events(), 0_usize..4), |(events, wish)| {
        let mut cluster = Cluster::new();
        for event in &events {
            cluster.apply(event);
        }
        cluster.heal(wish);
        match cluster.rest().and_then(|()| cluster.serves(wish)) {
            Ok(true) => served.set(served.get() + 1),
            Ok(false) => {}
            Err(why) => panic!("{why}\n{}\nafter {events:?}, wish {wish}", cluster.tell()),
        }
    });
    assert!(served.get() > 400, "most wishes are served: {}", served.get());
}
