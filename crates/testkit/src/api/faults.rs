//! What can go wrong with a request, and with which.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::log::Request;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 409 without a reason in the objects.
    Conflict409,
    /// 429, with `Retry-After` in seconds.
    TooMany429 {
        /// Seconds.
        retry_after: u64,
    },
    /// Any other status; nothing is done.
    Error(u16),
    /// The connection breaks, nothing is done.
    DropBefore,
    /// It is done, then the connection breaks: a lost response.
    DropAfter,
    /// It is done after a while.
    Delay(Duration),
    /// Nothing happens until the client gives up, or until [`heal`](crate::ApiServer::heal) breaks the connection.
    Hang,
    /// The connection breaks at once, and it is done all the same, later: the write of a dead process.
    CommitLater(Duration),
}

type Predicate = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// Which requests a fault hits. All conditions must hold; `nth` and `times` count those for which they do.
#[derive(Clone)]
pub struct Match {
    conditions: Vec<Predicate>,
    first: usize,
    times: usize,
    /// Only requests of this client, which a crash then kills alone.
    pub(super) agent: Option<String>,
}

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Match")
            .field("conditions", &self.conditions.len())
            .field("first", &self.first)
            .field("times", &self.times)
            .field("agent", &self.agent)
            .finish()
    }
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self { conditions: vec![], first: 1, times: usize::MAX, agent: None }
    }

    /// Every request that asks for a change.
    pub fn writes() -> Self {
        Self::any().when(Request::is_write)
    }

    /// Writes that are neither events nor of leases.
    pub fn decisions() -> Self {
        Self::any().when(Request::is_decision)
    }

    /// The request with this number in the log.
    pub fn number(number: usize) -> Self {
        Self::any().when(move |r| r.number == number)
    }

    /// Only this verb.
    #[must_use]
    pub fn verb(self, verb: &'static str) -> Self {
        self.when(move |r| r.verb == verb)
    }

    /// Only this resource, by its plural.
    #[must_use]
    pub fn plural(self, plural: &str) -> Self {
        let plural = plural.to_owned();
        self.when(move |r| r.target.plural == plural)
    }

    /// Only this object.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        let name = name.to_owned();
        self.when(move |r| r.target.name == name)
    }

    /// Only this namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        self.when(move |r| r.target.namespace == namespace)
    }

    /// Only this subresource.
    #[must_use]
    pub fn subresource(self, subresource: &'static str) -> Self {
        self.when(move |r| r.target.subresource == subresource)
    }

    /// Only this client.
    #[must_use]
    pub fn agent(mut self, agent: &str) -> Self {
        self.agent = Some(agent.to_owned());
        self
    }

    /// Any condition.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Only the n-th request that matches, from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.first = n;
        self.times = 1;
        self
    }

    /// Only so many of them, from the first on.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn holds(&self, request: &Request) -> bool {
        self.agent.as_ref().is_none_or(|a| *a == request.agent) && self.conditions.iter().all(|c| c(request))
    }
}

/// A fault that waits for its requests.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub matcher: Match,
    pub fault: Fault,
    pub seen: usize,
}

impl Rule {
    pub fn hits(&mut self, request: &Request) -> bool {
        if !self.matcher.holds(request) {
            return false;
        }
        self.seen += 1;
        self.seen >= self.matcher.first && self.seen - self.matcher.first < self.matcher.times
    }
}

/// The end of a client: from one request on it gets nothing but broken connections.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    pub matcher: Match,
    pub k: usize,
    pub commits: bool,
    pub seen: usize,
}

impl Crash {
    pub fn hits(&mut self, request: &Request) -> bool {
        let matched = self.matcher.holds(request);
        self.seen += usize::from(matched);
        matched && self.seen == self.k
    }
}

/// What becomes of a watch event on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It arrives.
    Send,
    /// It is lost, silently.
    Drop,
    /// It arrives twice.
    Twice,
    /// It arrives after a while, later ones overtake it.
    Late(Duration),
}
