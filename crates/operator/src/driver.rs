//! One pass of one rollout, as a pipeline:
//!
//! observe (cache, mailbox) → lens → fold → judge → decide → apply (at most one request) → report → when to look again

use std::time::Duration;

use microapp_core::{decide, lens};
use tokio::time::Instant;

use crate::{
    apply::{self, Apply, Outcome},
    clock::until,
    error::PassError,
    member::Member,
    observe::{look_again, observe},
    report::{Report, report},
    trace::Traced,
};

/// What comes after a pass.
pub(crate) enum Next {
    /// Something was written: look again at once.
    Again,
    /// Somebody else was faster: look again in a moment.
    Contested,
    /// Nothing to do so long, if nothing wakes us; `None`: nothing at all.
    Sleep(Option<Duration>),
}

pub(crate) async fn pass(member: &mut Member) -> Result<Next, PassError> {
    let fleet = member.fleet.clone();
    let context = fleet.context();
    let Some(objects) = observe(&fleet, &member.key, &mut member.memory).await? else {
        return Ok(Next::Sleep(None));
    };
    let now = context.clock.now();
    let mut world = lens::world(&objects, context.prices.digest(), now);
    world.desired = member.memory.wish(world.desired, now);
    world.desired_since = member.memory.wanted_since(&world.desired, now);
    world.obstacle.clone_from(&member.memory.obstacle);
    let term = fleet.leadership.term();
    member.memory.enter(term);
    let known = member.memory.judge(&world, now, &mut member.poller);
    let judgement = &known.judgement;
    let plan = decide(&world, now, judgement);
    let applied = match &plan.write {
        Some(write) if term.is_some() => {
            let evidence = member.memory.track.evidence.as_ref();
            let apply = Apply { fleet: &fleet, objects: &objects, world: &world, evidence, stop: &member.stop };
            apply::apply(&apply, write).await
        }
        Some(_) | None => Ok(Outcome::Nothing),
    };
    // Only who leads asks: the others would double the load and write nothing. A write that fails is no reason not to.
    let ask = plan.ask.as_ref().filter(|_| term.is_some());
    let asked = member.memory.question(&world).zip(ask);
    let due = asked.and_then(|(question, ask)| member.poller.turn(context, question, ask, judgement, now));
    let outcome = applied?;
    member.memory.passed(&plan, &outcome);
    if term.is_some() {
        let (memory, known) = (&member.memory, &known);
        member.tracer.pass(&Traced {
            fleet: &fleet,
            memory,
            world: &world,
            known,
            plan: &plan,
            outcome: &outcome,
            now,
        });
    }
    let newest = member.memory.track.evidence.as_ref().and_then(|evidence| evidence.watch.newest);
    let told = Report { world: &world, plan: &plan, judgement, outcome: &outcome, newest, decided: now };
    report(&fleet, &told);
    Ok(match outcome {
        Outcome::Written { .. } => Next::Again,
        Outcome::Stale => Next::Contested,
        Outcome::Refused(message) => {
            member.memory.refuse(&world, message, now);
            Next::Again
        }
        Outcome::NotYet | Outcome::Nothing => {
            let soon = matches!(outcome, Outcome::NotYet).then_some(apply::NOT_YET);
            let look = look_again(&fleet, &member.key).map(|at| at.duration_since(Instant::now()));
            let retry = member.memory.retry_at().filter(|at| *at > now);
            let alarm = [plan.wake, due, retry].into_iter().flatten().min().map(|at| until(now, at));
            Next::Sleep([alarm, soon, look].into_iter().flatten().min())
        }
    })
}
