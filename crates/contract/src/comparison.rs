//! The comparison of three ways to run a long batch, as `meanwhile compare --json` prints it and
//! the page shows it. Durations count from the launch, in milliseconds.

pub mod measures;

use crate::state::string_enum;
use serde::{Deserialize, Serialize};

string_enum!(
    /// A way to run a long batch for somebody who waits in a browser.
    Way {
        /// The request does the work.
        Synchronous = "synchronous",
        /// The request is answered at once, and a task in the web process does the work.
        Asynchronous = "asynchronous",
        /// Meanwhile: the request is stored, and workers do the work.
        ByEvents = "by_events",
    }
);

impl Way {
    /// Returns its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synchronous => "Synchronous",
            Self::Asynchronous => "Asynchronous, without a broker",
            Self::ByEvents => "By events",
        }
    }
}

string_enum!(
    /// What happens while the batch runs.
    Scenario {
        /// One person launches one batch and waits.
        Alone = "alone",
        /// One person launches one batch, and closes the connection in the middle.
        Left = "left",
        /// Several people launch a batch each at the same time.
        Together = "together",
        /// The server is killed in the middle and started again; later the person sends the
        /// batch again.
        Killed = "killed",
    }
);

impl Scenario {
    /// Returns its name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alone => "One batch, undisturbed",
            Self::Left => "The person closes the page in the middle",
            Self::Together => "Several people at once",
            Self::Killed => "The server is killed in the middle",
        }
    }
}

string_enum!(
    /// How a person learns the outcome of a launch. A later variant is better.
    Notice {
        /// Nothing says it.
        None = "none",
        /// The server says it to those who ask with the id of the launch.
        OnRequest = "on_request",
        /// The answer to the request says it.
        Response = "response",
        /// A notification waits for the person, wherever they sign in.
        Notification = "notification",
    }
);

/// A line of `meanwhile compare --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonLine {
    /// How far a scenario is; about two lines a second.
    Progress(ScenarioProgress),
    /// The result; the last line.
    Result(Comparison),
}

/// How far a scenario is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioProgress {
    /// The scenario that runs.
    pub scenario: Scenario,
    /// Time since it began.
    pub elapsed_ms: u64,
    /// The ways, side by side.
    pub ways: Vec<WayProgress>,
}

/// How far one way is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayProgress {
    /// The way.
    pub way: Way,
    /// What it does, in words.
    pub doing: String,
    /// Items that are done, according to the ledger.
    pub done: u32,
    /// Items of all launches.
    pub total: u32,
    /// Requests over a limit so far.
    pub over_limit: u32,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Time at which it began, UTC.
    pub started_at: i64,
    /// How long it took.
    pub took_ms: u64,
    /// Speed of the sandbox.
    pub speed: u32,
    /// Products of a batch.
    pub products: u32,
    /// People who launch at once in [`Scenario::Together`].
    pub people: u32,
    /// Measurements, by scenario and way.
    pub figures: Vec<Figures>,
}

impl Comparison {
    /// Returns the measurements of a way in a scenario.
    #[must_use]
    pub fn figures_of(&self, scenario: Scenario, way: Way) -> Option<&Figures> {
        self.figures.iter().find(|figures| figures.scenario == scenario && figures.way == way)
    }
}

/// Measurements of one way in one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The scenario.
    pub scenario: Scenario,
    /// The way.
    pub way: Way,
    /// Items of all launches: a product each, a machine that is started, and its alarm.
    pub items: u32,
    /// Time to the last answer to a launch; `None` if one never came.
    pub answer_ms: Option<u64>,
    /// Time to the effect of the last item, by the ledger; `None` if an item is lost.
    pub done_ms: Option<u64>,
    /// Requests over a limit, by the ledger.
    pub over_limit: u32,
    /// Items without an effect when nothing more happens by itself, by the ledger.
    pub lost: u32,
    /// Items that were done twice, by the ledger, after the person has sent the batch again
    /// where the scenario has that.
    pub duplicates: u32,
    /// How the person learns the outcome: the least of several launches.
    pub notice: Notice,
    /// When what happened.
    pub timeline: Timeline,
}

/// Times of what happened in one scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Effect of each item, in this order.
    pub effects_ms: Vec<u64>,
    /// End of the connection: the person closed the page.
    pub left_ms: Option<u64>,
    /// Death of the server.
    pub killed_ms: Option<u64>,
    /// The server is ready again.
    pub restarted_ms: Option<u64>,
    /// The notification was seen to be there.
    pub notified_ms: Option<u64>,
    /// The person sent the batch again.
    pub resent_ms: Option<u64>,
    /// End of the scenario.
    pub end_ms: u64,
}
