//! Notifications received since the page was rendered: toasts, the summary of missed ones,
//! and the permission for browser notifications.

use contract::api::{Notification, NotificationKind};
use leptos::{prelude::*, server_fn::codec::Json};
use serde::{Deserialize, Serialize};

/// Maximum number of visible toasts. Older ones are in the inbox.
pub const MAX_VISIBLE_TOASTS: usize = 3;
/// Seconds that a toast stays while it is visible and nobody points at it.
const TOAST_SECONDS: u32 = 20;

#[derive(Clone, Debug, PartialEq)]
struct Toast {
    notification: Notification,
    seconds_left: u32,
}

/// Number of notifications missed while away, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedSummary {
    pub finished: usize,
    pub needs_review: usize,
}

impl MissedSummary {
    pub fn from_notifications<'a>(missed: impl IntoIterator<Item = &'a Notification>) -> Self {
        let mut summary = Self::default();
        for notification in missed {
            if notification.kind == NotificationKind::NeedsReview {
                summary.needs_review += 1;
            } else {
                summary.finished += 1;
            }
        }
        summary
    }

    /// Returns a sentence such as `While you were away: 2 jobs finished, 1 needs you.`
    pub fn sentence(self) -> String {
        let mut parts = Vec::new();
        match self.finished {
            0 => {}
            1 => parts.push("1 job finished".to_owned()),
            n => parts.push(format!("{n} jobs finished")),
        }
        let noun = match (self.finished, self.needs_review) {
            (0, 1) => " job",
            (0, _) => " jobs",
            _ => "",
        };
        match self.needs_review {
            0 => {}
            1 => parts.push(format!("1{noun} needs you")),
            n => parts.push(format!("{n}{noun} need you")),
        }
        format!("While you were away: {}.", parts.join(", "))
    }
}

/// Counts the user's unread notifications after `seq`, of the latest 100.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_missed_summary(seq: i64) -> Result<MissedSummary, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let RequestContext { engine, identity } = request_context()?;
    let inbox = engine.store().journal.inbox(identity.user, 100).await.map_err(server_error)?;
    let missed = inbox.items.iter().filter(|item| !item.read && item.seq > seq);
    Ok(MissedSummary::from_notifications(missed))
}

/// Whether this browser shows notifications while no tab of this site is visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackgroundNotifications {
    /// Not detected yet.
    #[default]
    Unknown,
    /// The browser lacks the feature, or the page is not in a secure context.
    Unsupported,
    /// The user was not asked yet.
    NotRequested,
    Granted,
    Denied,
}

impl BackgroundNotifications {
    pub const fn description(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Unsupported => {
                "This browser can't show notifications here. They need HTTPS (or localhost) and a \
                 browser that supports them. The inbox and the tab's title still keep you \
                 informed."
            }
            Self::NotRequested => {
                "Off. While a tab of Meanwhile is open in the background, the browser can notify \
                 you when a job ends."
            }
            Self::Granted => {
                "On. The browser notifies you once when a job ends and no tab of Meanwhile is \
                 visible. Turn it off in the browser's settings for this site."
            }
            Self::Denied => {
                "Blocked: this browser does not allow notifications from this site. Allow them in \
                 the browser's settings for this site, then reload. The inbox still keeps you \
                 informed."
            }
        }
    }
}

/// State of the toasts. Cheap to copy.
#[derive(Clone, Copy, Default)]
pub struct ToastState {
    /// Newest last.
    toasts: RwSignal<Vec<Toast>>,
    /// `seq` of the last notification.
    newest_seq: RwSignal<i64>,
    read_up_to: RwSignal<i64>,
    pub missed: RwSignal<Option<MissedSummary>>,
    pub background: RwSignal<BackgroundNotifications>,
}

impl ToastState {
    /// Returns the visible toasts, newest last.
    pub fn visible(self) -> Vec<Notification> {
        self.toasts.with(|toasts| {
            let first = toasts.len().saturating_sub(MAX_VISIBLE_TOASTS);
            toasts[first..].iter().map(|toast| toast.notification.clone()).collect()
        })
    }

    /// Returns the number of toasts that are not visible.
    pub fn hidden_count(self) -> usize {
        self.toasts.with(|toasts| toasts.len().saturating_sub(MAX_VISIBLE_TOASTS))
    }

    /// Returns a `seq` that changes with each notification.
    pub fn newest_seq(self) -> i64 {
        self.newest_seq.get()
    }

    /// Returns the `seq` up to which notifications were read since the page was rendered.
    pub fn read_up_to(self) -> i64 {
        self.read_up_to.get()
    }

    pub fn dismiss(self, seq: i64) {
        self.toasts.update(|toasts| toasts.retain(|toast| toast.notification.seq != seq));
    }

    /// Dismisses the newest toast. Returns false if there was none.
    pub fn dismiss_newest(self) -> bool {
        let newest = self.toasts.with_untracked(|t| t.last().map(|toast| toast.notification.seq));
        if let Some(seq) = newest {
            self.dismiss(seq);
        }
        newest.is_some()
    }

    pub(super) fn push(self, notification: Notification) {
        self.newest_seq.set(notification.seq);
        self.toasts
            .update(|toasts| toasts.push(Toast { notification, seconds_left: TOAST_SECONDS }));
    }

    pub(super) fn mark_read(self, up_to: i64) {
        self.read_up_to.update(|read| *read = up_to.max(*read));
        self.toasts.update(|toasts| toasts.retain(|toast| toast.notification.seq > up_to));
        self.missed.set(None);
    }

    /// Removes and returns the toasts after `seq`.
    #[cfg(feature = "hydrate")]
    pub(super) fn take_after(self, seq: i64) -> Vec<Notification> {
        let taken = self.toasts.with_untracked(|toasts| {
            let behind = toasts.iter().filter(|toast| toast.notification.seq > seq);
            behind.map(|toast| toast.notification.clone()).collect()
        });
        self.toasts.update(|toasts| toasts.retain(|toast| toast.notification.seq <= seq));
        taken
    }

    /// Shows a summary of notifications that arrived unseen.
    #[cfg(feature = "hydrate")]
    pub(super) fn set_missed(self, missed: MissedSummary) {
        if missed != MissedSummary::default() {
            self.missed.set(Some(missed));
        }
    }

    /// Counts a second during which the toasts were visible.
    #[cfg(any(test, feature = "hydrate"))]
    pub(super) fn tick(self) {
        let expired = self.toasts.try_update_untracked(|toasts| {
            let first = toasts.len().saturating_sub(MAX_VISIBLE_TOASTS);
            for toast in &mut toasts[first..] {
                toast.seconds_left = toast.seconds_left.saturating_sub(1);
            }
            toasts.iter().any(|toast| toast.seconds_left == 0)
        });
        if expired == Some(true) {
            self.toasts.update(|toasts| toasts.retain(|toast| toast.seconds_left > 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_VISIBLE_TOASTS, MissedSummary, TOAST_SECONDS, ToastState};
    use contract::{
        JobId,
        api::{Notification, NotificationKind},
    };
    use leptos::prelude::Owner;

    fn notification(seq: i64, kind: NotificationKind) -> Notification {
        let job = JobId(Default::default());
        Notification {
            seq,
            job,
            kind,
            title: "lamps.csv is done".into(),
            text: String::new(),
            at: 0,
            read: false,
        }
    }

    #[test]
    fn missed_notifications_are_counted_by_kind() {
        for (finished, needs_review, words) in [
            (2, 1, "2 jobs finished, 1 needs you"),
            (1, 0, "1 job finished"),
            (0, 1, "1 job needs you"),
            (0, 2, "2 jobs need you"),
            (1, 3, "1 job finished, 3 need you"),
        ] {
            let away = MissedSummary { finished, needs_review };
            assert_eq!(away.sentence(), format!("While you were away: {words}."));
        }
        let missed = [
            notification(1, NotificationKind::Finished),
            notification(2, NotificationKind::NeedsReview),
        ];
        assert_eq!(
            MissedSummary::from_notifications(&missed),
            MissedSummary { finished: 1, needs_review: 1 }
        );
    }

    #[test]
    fn toast_stays_until_timed_out_dismissed_or_read_elsewhere() {
        let owner = Owner::new();
        owner.with(|| {
            let toasts = ToastState::default();
            for seq in 1..=4 {
                toasts.push(notification(seq, NotificationKind::Finished));
            }
            let shown = || toasts.visible().iter().map(|it| it.seq).collect::<Vec<_>>();
            assert_eq!((shown(), toasts.hidden_count()), (vec![2, 3, 4], 4 - MAX_VISIBLE_TOASTS));
            toasts.dismiss(3);
            assert_eq!(shown(), [1, 2, 4]);
            toasts.mark_read(1);
            assert_eq!(shown(), [2, 4]);
            (1..TOAST_SECONDS).for_each(|_| toasts.tick());
            assert_eq!(shown(), [2, 4]);
            toasts.push(notification(5, NotificationKind::Finished));
            toasts.tick();
            assert_eq!(shown(), [5]);
            assert!(toasts.dismiss_newest());
            assert!(!toasts.dismiss_newest());
        });
    }
}
