//! What workers say of what they hold: renewals and ends, late ones too.

use super::{Machine, pick};
use crate::{
    model::{snapshot::Snapshot, step::End},
    world::{finish, outcome},
};
use contract::{
    api::{WaitReason, WaitingFor},
    command::{AlarmCreate, Command},
    state::TaskState,
};
use engine::store::{BACK_OFF_MS, Claimed, Ending, MAX_ATTEMPTS, NewTask};

impl Machine {
    /// Whether the claim still is its worker's.
    fn is_held(&self, claimed: &Claimed) -> bool {
        let row = &self.now.tasks[&claimed.task.0];
        row.state == TaskState::Running && row.fence == claimed.fence
    }

    pub(super) async fn renew(&self, claim: u8) {
        let Some(place) = pick(&self.claims, claim) else { return };
        let claimed = &self.claims[place];
        let renewed = self.world.store.renew(claimed.task, claimed.fence).await.unwrap();
        assert_eq!(renewed, self.is_held(claimed));
    }

    pub(super) async fn finish(&mut self, claim: u8, ends: &[End]) {
        let Some(place) = pick(&self.claims, claim) else { return };
        let count = ends.len().min(self.claims.len() - place);
        let claims: Vec<_> = self.claims.drain(place..place + count).collect();
        let now = self.world.store.now_ms();
        let batch = claims.iter().zip(ends).map(|(c, end)| finish(c, ending(*end, c, now)));
        let ended = self.world.store.finish(batch.collect()).await;
        let after = Snapshot::read(&self.db).await;
        for ((claimed, end), ended) in claims.into_iter().zip(ends).zip(ended) {
            let news = ended.unwrap();
            assert_eq!(news.is_some(), self.is_held(&claimed), "{claimed:?}");
            if news.is_some() {
                self.assert_ended(&claimed, *end, &after);
            }
            self.ended.push(claimed);
        }
    }

    fn assert_ended(&self, claimed: &Claimed, end: End, after: &Snapshot) {
        let now = self.world.store.now_ms();
        let (old, new) = (&self.now.tasks[&claimed.task.0], &after.tasks[&claimed.task.0]);
        let cancelled = self.now.jobs[&old.job].cancel_requested;
        let queued = if cancelled { TaskState::Cancelled } else { TaskState::Queued };
        let state = match end {
            End::Succeed | End::Chain => TaskState::Succeeded,
            End::Fail => TaskState::Failed,
            End::NeedsPerson => TaskState::NeedsPerson,
            End::Retry { unsure: false } if old.attempt >= MAX_ATTEMPTS => TaskState::Failed,
            End::Retry { unsure: true } if old.attempt >= MAX_ATTEMPTS => TaskState::NeedsPerson,
            End::Retry { .. } | End::Wait { .. } => queued,
        };
        assert_eq!(new.state, state, "{end:?} of {old:?}");
        assert_eq!(new.tried - old.tried, i64::from(end != End::Wait { quiet: true }));
        assert_eq!((new.lost, new.published_at), (0, None));
        match end {
            End::Wait { .. } => {
                assert_eq!((new.attempt, new.unsure), (old.attempt - 1, old.unsure));
            }
            End::Retry { unsure } => {
                assert_eq!((new.attempt, new.unsure), (old.attempt, unsure));
                if new.state == TaskState::Queued {
                    let step = usize::try_from(old.attempt - 1).unwrap();
                    assert!((0..=BACK_OFF_MS[step]).contains(&(new.run_after - now)));
                }
            }
            End::Chain => {
                let follow_up = claimed.task.follow_up(AlarmCreate::KIND, &alarm(claimed).key());
                let made = &after.tasks[&follow_up.0];
                assert_eq!((made.state, made.cause), (queued, Some(claimed.task.0)));
            }
            _ => {}
        }
    }

    pub(super) async fn finish_stale(&self, claim: u8, end: End) {
        let Some(place) = pick(&self.ended, claim) else { return };
        let claimed = &self.ended[place];
        let ending = ending(end, claimed, self.world.store.now_ms());
        let ended = self.world.store.finish(vec![finish(claimed, ending)]).await.remove(0);
        assert_eq!(ended.unwrap(), None, "a stale end was kept");
        self.assert_unchanged().await;
    }
}

fn alarm(claimed: &Claimed) -> AlarmCreate {
    AlarmCreate { instance_id: claimed.key.clone(), name: String::new() }
}

fn ending(end: End, claimed: &Claimed, now: i64) -> Ending {
    match end {
        End::Succeed => Ending::Succeeded { outcome: outcome("created"), follow_ups: Vec::new() },
        End::Chain => {
            let follow_up = NewTask::new(
                &alarm(claimed),
                None,
                claimed.sku.clone(),
                String::new(),
                claimed.row,
            )
            .unwrap();
            let follow_ups = vec![follow_up.clone(), follow_up];
            Ending::Succeeded { outcome: outcome("running"), follow_ups }
        }
        End::Fail => Ending::Failed { outcome: outcome("rejected") },
        End::Retry { unsure } => Ending::Retry { outcome: outcome("http_500"), unsure },
        End::Wait { quiet } => Ending::Wait {
            outcome: outcome("closed"),
            waiting_for: WaitingFor { reason: WaitReason::Closed, until: None, detail: None },
            until: now + 5_000,
            memo: None,
            quiet,
        },
        End::NeedsPerson => Ending::NeedsPerson { outcome: outcome("unsure") },
    }
}
