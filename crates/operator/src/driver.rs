//! One pass of one rollout, as a pipeline:
//!
//! observe (cache, mailbox) → lens → fold → judge → decide → apply (at most one request) → report → when to look again

use std::time::Duration;

use microapp_core::{Write, build::request, decide, lens};
use tokio::time::Instant;

use crate::{
    apply::{self, Apply, Outcome},
    brake,
    clock::until,
    error::PassError,
    member::Member,
    observe::{look_again, observe},
    report::{Report, blocked, report, show},
    trace::Traced,
};

/// What comes after a pass.
pub(crate) enum Next {
    /// Something was written: look again at once.
    Again,
    /// Somebody else was faster: look again in a moment. With `true` it was a lower, which waits less.
    Contested(bool),
    /// A lower does not get through. With `true` that is told first, and then it is tried again.
    Blocked(bool),
    /// Nothing to do so long, if nothing wakes us; `None`: nothing at all.
    Sleep(Option<Duration>),
}

/// What became of a write, for the next time that it is wanted.
fn learn(brake: &mut brake::Brake, print: Option<brake::Print>, applied: &Result<Outcome, PassError>) {
    match (applied, print) {
        (Ok(Outcome::Written { version, .. }), Some(print)) => brake.wrote(print, version),
        (Err(PassError::Call(error)), Some(print)) if error.is_refusal() => brake.refused(print),
        (Ok(_) | Err(_), _) => {}
    }
}

pub(crate) async fn pass(member: &mut Member) -> Result<Next, PassError> {
    let fleet = member.fleet.clone();
    let context = fleet.context();
    let Some(objects) = observe(&fleet, &member.key, &mut member.memory).await else {
        return Ok(Next::Sleep(None));
    };
    let now = context.clock.now();
    let mut world = lens::world(&objects, context.prices.digest(), now);
    world.desired = context.hostnames.check(world.desired, &member.key.namespace);
    world.desired = member.memory.wish(world.desired, now);
    world.desired_since = member.memory.wanted_since(&world.desired, now);
    world.obstacle = member.memory.told(member.brake.obstacle());
    let term = fleet.leadership.term();
    member.memory.enter(term);
    let known = member.memory.judge(&world, now, &mut member.poller);
    let judgement = &known.judgement;
    let mut plan = decide(&world, now, judgement);
    let copy = match &plan.write {
        Some(write @ Write::Status(status)) if term.is_some() => {
            member.held_copy(write, &world, &objects).map(|wait| (wait, status.status.clone()))
        }
        Some(_) | None => None,
    };
    let copy = copy.map(|(wait, status)| {
        // The API server does not keep it. Nothing else has to wait for a copy.
        world.status = status;
        plan = decide(&world, now, judgement);
        wait
    });
    // Before the write: one that does not get through must not keep it back.
    show(&fleet, &world, judgement);
    let print = plan.write.as_ref().and_then(|write| Some(brake::print(write, &request(&world, write).ok()?)));
    if plan.write.is_none() {
        member.brake.release(None);
    }
    let held = match &plan.write {
        Some(Write::Status(_)) if copy.is_some() => copy,
        Some(write) if term.is_some() => member.held(write, print.as_ref(), &world, &objects),
        Some(_) | None => None,
    };
    if held.or(copy).is_some() {
        context.metrics.error("held");
    }
    let applied = match (&plan.write, held) {
        (Some(write), None) if term.is_some() => {
            let evidence = member.memory.track.evidence.as_ref();
            let apply = Apply { fleet: &fleet, objects: &objects, world: &world, evidence };
            apply::apply(&apply, write).await
        }
        (Some(_) | None, _) => Ok(Outcome::Nothing),
    };
    // Only who leads asks: the others would double the load and write nothing. A write that fails is no reason not to.
    let ask = plan.ask.as_ref().filter(|_| term.is_some());
    let asked = member.memory.question(&world).zip(ask);
    let due = asked.and_then(|(question, ask)| member.poller.turn(context, question, ask, judgement, now));
    learn(&mut member.brake, print, &applied);
    let outcome = applied?;
    member.memory.passed(&plan, &outcome);
    if !matches!(plan.write, Some(Write::Lower(_) | Write::Status(_))) {
        context.metrics.unblocked(&member.key);
    }
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
    let told = Report { world: &world, plan: &plan, outcome: &outcome, newest, decided: now };
    report(&fleet, &told);
    Ok(match outcome {
        Outcome::Written { .. } => Next::Again,
        Outcome::Stale => Next::Contested(matches!(plan.write, Some(Write::Lower(_)))),
        Outcome::Refused(message) => {
            member.memory.refuse(&world, message, now);
            Next::Again
        }
        Outcome::Blocked(error) => {
            let Some(Write::Lower(lower)) = &plan.write else { return Ok(Next::Again) };
            let news = blocked(&fleet, &world, lower, &error);
            Next::Blocked(member.memory.tell(news, &error))
        }
        Outcome::NotYet | Outcome::Nothing => {
            // What holds it is told first.
            let news = member.brake.obstacle().is_some_and(|told| world.obstacle.as_ref() != Some(told));
            if held.is_some() && copy.is_none() && news {
                return Ok(Next::Again);
            }
            let soon = matches!(outcome, Outcome::NotYet).then_some(apply::NOT_YET);
            let look = look_again(&fleet, &member.key).map(|at| at.duration_since(Instant::now()));
            let retry = member.memory.retry_at().filter(|at| *at > now);
            let alarm = [plan.wake, due, retry].into_iter().flatten().min().map(|at| until(now, at));
            let read = member.memory.read_again().map(|at| at.duration_since(Instant::now()));
            Next::Sleep([alarm, soon, look, read, held, copy].into_iter().flatten().min())
        }
    })
}
