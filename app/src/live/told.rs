//! What the user was told since the page was made: toasts, what was missed,
//! and what the browser may show by itself.

use contract::api::Notification;
use leptos::prelude::*;

/// Toasts that are shown at once; older ones wait in the inbox.
pub const STACK: usize = 3;
/// How long a toast stays while it can be seen and nobody points at it, s.
const STAYS_S: u32 = 20;

#[derive(Clone, Debug, PartialEq)]
struct Toast {
    told: Notification,
    /// Seconds left.
    left: u32,
}

/// What was missed while away, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Away {
    pub finished: usize,
    pub needs_person: usize,
}

impl Away {
    pub fn of<'a>(missed: impl IntoIterator<Item = &'a Notification>) -> Self {
        let mut away = Self::default();
        for told in missed {
            if told.kind == "needs_person" {
                away.needs_person += 1;
            } else {
                away.finished += 1;
            }
        }
        away
    }

    /// Such as `While you were away: 2 jobs finished, 1 needs you.`
    pub fn words(self) -> String {
        let mut parts = Vec::new();
        match self.finished {
            0 => {}
            1 => parts.push("1 job finished".to_owned()),
            n => parts.push(format!("{n} jobs finished")),
        }
        let noun = match (self.finished, self.needs_person) {
            (0, 1) => " job",
            (0, _) => " jobs",
            _ => "",
        };
        match self.needs_person {
            0 => {}
            1 => parts.push(format!("1{noun} needs you")),
            n => parts.push(format!("{n}{noun} need you")),
        }
        format!("While you were away: {}.", parts.join(", "))
    }
}

/// Whether this browser shows notices while no tab of ours is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// No script has looked yet.
    #[default]
    Unknown,
    /// The browser can't, or the address is not a secure one.
    Unsupported,
    /// Nobody was asked yet.
    Unasked,
    On,
    Denied,
}

impl Background {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unsupported => {
                "This browser can't show notices here. It takes https (or this same machine) and \
                 a browser that knows notifications. The inbox and the tab's title tell you all \
                 the same."
            }
            Self::Unasked => {
                "Off. While a tab of Meanwhile is open in the background, the browser can tell \
                 you when a job ends."
            }
            Self::On => {
                "On. You are told once when a job ends and no tab of Meanwhile can be seen. Turn \
                 it off in the browser's settings for this site."
            }
            Self::Denied => {
                "Blocked: this browser was told not to show notices of this site. Allow them in \
                 the browser's settings for this site, then reload. The inbox tells you all the \
                 same."
            }
        }
    }
}

/// Cheap to copy.
#[derive(Clone, Copy, Default)]
pub struct Told {
    /// Newest last.
    toasts: RwSignal<Vec<Toast>>,
    /// The last notification's `seq`.
    newest: RwSignal<i64>,
    read_up_to: RwSignal<i64>,
    pub away: RwSignal<Option<Away>>,
    pub background: RwSignal<Background>,
}

impl Told {
    /// Those that are shown, newest last.
    pub fn shown(self) -> Vec<Notification> {
        self.toasts.with(|toasts| {
            let first = toasts.len().saturating_sub(STACK);
            toasts[first..].iter().map(|toast| toast.told.clone()).collect()
        })
    }

    /// How many more there are than are shown.
    pub fn more(self) -> usize {
        self.toasts.with(|toasts| toasts.len().saturating_sub(STACK))
    }

    /// Changes when something is told.
    pub fn newest(self) -> i64 {
        self.newest.get()
    }

    /// What is read everywhere since the page was made.
    pub fn read_up_to(self) -> i64 {
        self.read_up_to.get()
    }

    pub fn dismiss(self, seq: i64) {
        self.toasts.update(|toasts| toasts.retain(|toast| toast.told.seq != seq));
    }

    /// The newest goes; false: there was none.
    pub fn dismiss_newest(self) -> bool {
        let newest = self.toasts.with_untracked(|t| t.last().map(|toast| toast.told.seq));
        if let Some(seq) = newest {
            self.dismiss(seq);
        }
        newest.is_some()
    }

    pub(super) fn hear(self, told: Notification) {
        self.newest.set(told.seq);
        self.toasts.update(|toasts| toasts.push(Toast { told, left: STAYS_S }));
    }

    pub(super) fn read(self, up_to: i64) {
        self.read_up_to.update(|read| *read = up_to.max(*read));
        self.toasts.update(|toasts| toasts.retain(|toast| toast.told.seq > up_to));
        self.away.set(None);
    }

    /// Toasts that came behind `seq`; they are not shown any more.
    #[cfg(feature = "hydrate")]
    pub(super) fn take_behind(self, seq: i64) -> Vec<Notification> {
        let taken = self.toasts.with_untracked(|toasts| {
            let behind = toasts.iter().filter(|toast| toast.told.seq > seq);
            behind.map(|toast| toast.told.clone()).collect()
        });
        self.toasts.update(|toasts| toasts.retain(|toast| toast.told.seq <= seq));
        taken
    }

    /// Nobody saw these come.
    #[cfg(feature = "hydrate")]
    pub(super) fn miss(self, missed: &[Notification]) {
        if !missed.is_empty() {
            self.away.set(Some(Away::of(missed)));
        }
    }

    /// A second went by in which the toasts could be read.
    #[cfg(any(test, feature = "hydrate"))]
    pub(super) fn tick(self) {
        let gone = self.toasts.try_update_untracked(|toasts| {
            let first = toasts.len().saturating_sub(STACK);
            for toast in &mut toasts[first..] {
                toast.left = toast.left.saturating_sub(1);
            }
            toasts.iter().any(|toast| toast.left == 0)
        });
        if gone == Some(true) {
            self.toasts.update(|toasts| toasts.retain(|toast| toast.left > 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Away, STACK, STAYS_S, Told};
    use contract::{JobId, api::Notification};
    use leptos::prelude::Owner;

    fn told(seq: i64, kind: &str) -> Notification {
        let job = JobId(Default::default());
        Notification {
            seq,
            job,
            kind: kind.into(),
            title: "lamps.csv is done".into(),
            text: String::new(),
            at: 0,
            read: false,
        }
    }

    #[test]
    fn what_was_missed_is_counted_in_words() {
        for (finished, needs_person, words) in [
            (2, 1, "2 jobs finished, 1 needs you"),
            (1, 0, "1 job finished"),
            (0, 1, "1 job needs you"),
            (0, 2, "2 jobs need you"),
            (1, 3, "1 job finished, 3 need you"),
        ] {
            let away = Away { finished, needs_person };
            assert_eq!(away.words(), format!("While you were away: {words}."));
        }
        let missed = [told(1, "finished"), told(2, "needs_person")];
        assert_eq!(Away::of(&missed), Away { finished: 1, needs_person: 1 });
    }

    #[test]
    fn a_toast_stays_until_it_could_be_read_dismissed_or_read_elsewhere() {
        let owner = Owner::new();
        owner.with(|| {
            let toasts = Told::default();
            for seq in 1..=4 {
                toasts.hear(told(seq, "finished"));
            }
            let shown = || toasts.shown().iter().map(|told| told.seq).collect::<Vec<_>>();
            assert_eq!((shown(), toasts.more()), (vec![2, 3, 4], 4 - STACK));
            toasts.dismiss(3);
            assert_eq!(shown(), [1, 2, 4]);
            toasts.read(1);
            assert_eq!(shown(), [2, 4]);
            (1..STAYS_S).for_each(|_| toasts.tick());
            assert_eq!(shown(), [2, 4]);
            toasts.hear(told(5, "finished"));
            toasts.tick();
            assert_eq!(shown(), [5]);
            assert!(toasts.dismiss_newest());
            assert!(!toasts.dismiss_newest());
        });
    }
}
