//! The kinds of requests, and what each of them is. What befalls a request is in the request: the app and the stand-in
//! for the model do what it says.

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// One call to the model.
    Ask,
    /// Two calls.
    Agent,
    /// One call whose answer is streamed.
    Stream,
    /// No user: a probe of the kubelet's.
    Health,
    /// A path that the app does not have.
    Nowhere,
    /// A request that the app refuses, since something is missing in it.
    Bare,
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Where it goes.
    pub to: To,
    /// What befalls it.
    pub word: &'static str,
}

/// So many requests of each kind.
pub type Mix = &'static [(Case, u32)];

const fn ask(word: &'static str) -> Case {
    Case { to: To::Ask, word }
}

const fn stream(word: &'static str) -> Case {
    Case { to: To::Stream, word }
}

const fn plain(to: To) -> Case {
    Case { to, word: "" }
}

/// The app and the model are well.
pub const OK: Case = ask("ok");
/// Two calls for one request.
pub const AGENT: Case = Case { to: To::Agent, word: "ok" };
/// A streamed answer.
pub const STREAM: Case = stream("ok");
/// The app cannot read what the model says.
pub const NOT_JSON: Case = ask("notjson");
/// The provider refuses the key.
pub const REFUSED_KEY: Case = ask("401");
/// The provider does not have the model; only for LiteLLM.
pub const NO_MODEL: Case = ask("nomodel");
/// A streamed answer that breaks off half-way.
pub const BREAK: Case = stream("break");
/// A streamed answer that takes long.
pub const SLOW_STREAM: Case = stream("slowstream");
/// A user who does not wait for the end of a streamed answer.
pub const LEFT: Case = stream("left");
/// A probe.
pub const HEALTH: Case = plain(To::Health);

/// All kinds, each in a number of its own.
pub const ALL: Mix = &[
    (OK, 20),
    (ask("slow"), 3),
    (NOT_JSON, 4),
    (ask("appcrash"), 2),
    (ask("400"), 1),
    (REFUSED_KEY, 2),
    (ask("404"), 3),
    (ask("429"), 5),
    (ask("500"), 6),
    (ask("reset"), 1),
    (ask("timeout"), 2),
    (ask("cached"), 3),
    (ask("othermodel"), 2),
    (ask("length"), 3),
    (plain(To::Bare), 4),
    (plain(To::Nowhere), 3),
    (HEALTH, 7),
    (AGENT, 5),
    (STREAM, 7),
    (stream("nousage"), 8),
    (SLOW_STREAM, 4),
    (stream("late"), 2),
    (BREAK, 6),
    (stream("429"), 1),
    (stream("500"), 1),
    (LEFT, 5),
    (ask("leftask"), 4),
];

/// The same at the LiteLLM proxy, which is the app: it has none of an app's own failures.
pub const PROXIED: Mix = &[
    (OK, 20),
    (ask("slow"), 3),
    (NOT_JSON, 4),
    (ask("400"), 1),
    (REFUSED_KEY, 2),
    (ask("404"), 3),
    (ask("429"), 5),
    (ask("500"), 6),
    (ask("reset"), 1),
    (ask("timeout"), 2),
    (ask("cached"), 3),
    (ask("othermodel"), 2),
    (ask("length"), 3),
    (NO_MODEL, 3),
    (STREAM, 7),
    (stream("nousage"), 8),
    (SLOW_STREAM, 4),
    (stream("late"), 2),
    (BREAK, 6),
    (stream("500"), 1),
    (LEFT, 5),
    (ask("leftask"), 4),
];

/// What came of a call to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// An answer.
    Good,
    /// Too many requests.
    Throttled,
    /// No answer.
    Failed,
    /// An answer that broke off.
    Broke,
    /// Nobody waited for the end.
    Left,
}

impl Case {
    /// Its name in the log.
    pub fn tag(self) -> String {
        let to = match self.to {
            To::Ask => "ask",
            To::Agent => "agent",
            To::Stream => "stream",
            To::Health => "health",
            To::Nowhere => "nowhere",
            To::Bare => "bare",
        };
        if self.word.is_empty() { to.to_owned() } else { format!("{to}.{}", self.word) }
    }

    /// The kind of a name in the log.
    pub fn of(tag: &str) -> Option<Self> {
        let mut known = ALL.iter().map(|(case, _)| *case).chain([NO_MODEL]);
        known.find(|case| case.tag() == tag)
    }

    /// Path and query, as the apps read them.
    pub fn path(self) -> String {
        let tag = self.tag();
        match self.to {
            To::Ask => format!("/ask?case={}&tag={tag}", self.word),
            To::Agent => format!("/agent?case={}&tag={tag}", self.word),
            To::Stream => format!("/stream?case={}&tag={tag}", self.word),
            To::Health => format!("/healthz?tag={tag}"),
            To::Nowhere => format!("/nowhere?tag={tag}"),
            To::Bare => format!("/ask?tag={tag}"),
        }
    }

    /// Does a user send it?
    pub fn is_user(self) -> bool {
        self.to != To::Health
    }

    /// Does whoever sends it not wait for the end?
    pub fn leaves(self) -> bool {
        matches!(self.word, "left" | "leftask")
    }

    /// Does the model take longer than the gates allow?
    pub fn is_slow(self) -> bool {
        matches!(self.word, "slow" | "late" | "slowstream")
    }

    /// The calls to the model that it makes.
    pub fn calls(self) -> u64 {
        match self.to {
            _ if self.word == "appcrash" => 0,
            To::Ask | To::Stream => 1,
            To::Agent => 2,
            To::Health | To::Nowhere | To::Bare => 0,
        }
    }

    /// What comes of each.
    pub fn called(self) -> Called {
        match self.word {
            "429" => Called::Throttled,
            "400" | "401" | "404" | "500" | "reset" | "timeout" | "nomodel" => Called::Failed,
            "break" => Called::Broke,
            "left" => Called::Left,
            _ => Called::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_in_the_log_is_that_of_one_kind() {
        let names: BTreeSet<String> = ALL.iter().map(|(case, _)| case.tag()).collect();
        assert_eq!(names.len(), ALL.len());
        for (case, _) in ALL {
            assert_eq!(Case::of(&case.tag()), Some(*case));
        }
    }
}
