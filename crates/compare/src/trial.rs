//! One way in one scenario: what happens to it, and what is measured.

use crate::{
    batch::{Batch, PEOPLE},
    client,
    count::Counts,
    person::{Person, Receipt},
    process::{Server, ServerOptions},
    run::{Error, Options, elapsed_ms},
    scenario::Start,
    timing,
};
use contract::comparison::{Figures, Notice, Scenario, Timeline, Way, WayProgress};
use futures_util::future::join_all;
use parking_lot::Mutex;
use sandbox::{SAMPLE_CHANNELS, Sandbox};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

/// Interval at which the ledger and the server are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest pause between two attempts of a call, at any speed: see [`crate::services`].
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// One way in one scenario, with services and a ledger of its own.
pub struct Trial {
    scenario: Scenario,
    sandbox: Sandbox,
    server_options: ServerOptions,
    person: Person,
    batches: Vec<Batch>,
    /// Time without a request after which nothing more will happen, where no server says so.
    quiet_time: Duration,
    /// Time limit of waiting for one thing. A request of the person has it too.
    wait_limit: Duration,
    doing: Mutex<&'static str>,
}

/// What has come of some launches.
struct Launched {
    /// Answers, in the order of the batches.
    receipts: Vec<Option<Receipt>>,
    /// Time to the last answer, if all have come.
    answer_ms: Option<u64>,
}

impl Trial {
    /// Starts services and server.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn prepare(
        options: &Options,
        scenario: Scenario,
        way: Way,
        folder: &Path,
    ) -> Result<(Self, Server), Error> {
        let wait_limit = timing::wait_limit(options.speed, options.products);
        let client = client::build(Some(wait_limit))?;
        let folder = folder.join(way.as_str());
        let sandbox = Sandbox::start(sandbox::Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ledger: folder.join("ledger.jsonl"),
            speed: options.speed.into(),
            seed: 1,
            // What is compared is what the ways do, not what the services do to them.
            faults: false,
            latency: None,
            channels: SAMPLE_CHANNELS.to_vec(),
        })
        .await?;
        let server_options = ServerOptions {
            binary: options.binary.clone(),
            way,
            data: folder.join("data"),
            sandbox_url: sandbox.base_url(),
            speed: options.speed,
            password: format!("{:032x}", rand::random::<u128>()),
        };
        let server = Server::start(&server_options).await?;
        let person = Person::new(way, client, server.url.clone(), &server_options.password);
        let person = person.await.map_err(|source| Error::from_request(way, scenario, source))?;
        let people = if scenario == Scenario::Together { PEOPLE } else { 1 };
        let products = usize::try_from(options.products).unwrap_or(usize::MAX);
        let trial = Self {
            scenario,
            sandbox,
            server_options,
            person,
            batches: Batch::for_people(people, products),
            quiet_time: timing::UPLOAD_TIME / options.speed + LONGEST_PAUSE,
            wait_limit,
            doing: Mutex::new("starts"),
        };
        Ok((trial, server))
    }

    /// Stops the services.
    pub async fn close(self) {
        self.sandbox.stop().await;
    }

    /// Returns how far it is.
    pub fn progress(&self) -> WayProgress {
        let counts = self.counts();
        WayProgress {
            way: self.server_options.way,
            doing: (*self.doing.lock()).to_owned(),
            done: counts.done(),
            total: counts.items,
            over_limit: counts.over_limit,
        }
    }

    /// Runs the scenario, and returns what was measured.
    ///
    /// # Errors
    /// A server doesn't start or answer, or something takes too long.
    pub async fn run(&self, server: Server, start: Start) -> Result<Figures, Error> {
        let mut timeline = Timeline::default();
        self.set_doing("waits for its answer");
        let (launched, server, person) = match self.scenario {
            Scenario::Alone | Scenario::Together => {
                (self.launch_all(start).await?, server, self.person.clone())
            }
            Scenario::Left => {
                (self.launch_and_leave(start, &mut timeline).await?, server, self.person.clone())
            }
            Scenario::Killed => self.launch_and_kill(server, start, &mut timeline).await?,
        };
        self.wait_until_over(&person, &launched.receipts).await?;
        let notice = self.notice(&person, &launched.receipts).await?;
        timeline.notified_ms = (notice == Notice::Notification).then(|| elapsed_ms(start.instant));
        let by_itself = self.counts();
        if self.scenario == Scenario::Killed {
            self.set_doing("the person sends it again");
            timeline.resent_ms = Some(elapsed_ms(start.instant));
            let again = self.person_again(&person).await?;
            self.wait_until_over(&person, &[Some(again)]).await?;
        }
        self.set_doing("finished");
        let counts = self.counts();
        timeline.end_ms = elapsed_ms(start.instant);
        let since_start = |at: u64| at.saturating_sub(start.at_ms);
        timeline.effects_ms = counts.effects_at.iter().copied().map(since_start).collect();
        server.kill().await?;
        Ok(Figures {
            scenario: self.scenario,
            way: self.server_options.way,
            items: counts.items,
            answer_ms: launched.answer_ms,
            done_ms: by_itself.done_at().map(since_start),
            over_limit: by_itself.over_limit,
            lost: by_itself.missing(),
            duplicates: counts.duplicates,
            notice,
            timeline,
        })
    }

    /// Everybody launches and waits for the answer.
    async fn launch_all(&self, start: Start) -> Result<Launched, Error> {
        let answers = join_all(self.batches.iter().map(|batch| self.person.launch(batch))).await;
        let answer_ms = Some(elapsed_ms(start.instant));
        let receipts = answers.into_iter().map(|answer| answer.map(Some)).collect::<Result<_, _>>();
        self.set_doing("answered, works on");
        Ok(Launched { receipts: receipts.map_err(|error| self.answer_error(error))?, answer_ms })
    }

    /// The person launches, and closes the connection when a quarter of the items are done.
    async fn launch_and_leave(
        &self,
        start: Start,
        timeline: &mut Timeline,
    ) -> Result<Launched, Error> {
        let Some(batch) = self.batches.first() else { return self.launch_all(start).await };
        let mut launched = Launched { receipts: vec![None], answer_ms: None };
        let leave = self.wait_until_done(|items| items / 4);
        let launch = async {
            let receipt = self.person.launch(batch).await;
            launched.answer_ms = Some(elapsed_ms(start.instant));
            launched.receipts = vec![Some(receipt.map_err(|error| self.answer_error(error))?)];
            std::future::pending::<Result<(), Error>>().await
        };
        // Whichever is not finished is dropped, and the connection with it.
        tokio::select! {
            result = launch => result?,
            result = leave => result?,
        }
        timeline.left_ms = Some(elapsed_ms(start.instant));
        self.set_doing("left alone");
        Ok(launched)
    }

    /// The person launches; the server is killed when half of the items are done, and started
    /// again.
    async fn launch_and_kill(
        &self,
        server: Server,
        start: Start,
        timeline: &mut Timeline,
    ) -> Result<(Launched, Server, Person), Error> {
        let launch = async {
            let answers = join_all(self.batches.iter().map(|batch| self.person.launch(batch)));
            (answers.await, elapsed_ms(start.instant))
        };
        let kill = async {
            self.wait_until_done(|items| items / 2).await?;
            timeline.killed_ms = Some(elapsed_ms(start.instant));
            server.kill().await?;
            self.set_doing("killed, starts again");
            let server = Server::start(&self.server_options).await?;
            timeline.restarted_ms = Some(elapsed_ms(start.instant));
            self.set_doing("runs again");
            Ok::<_, Error>(server)
        };
        let ((answers, answer_ms), server) = tokio::join!(launch, kill);
        let server = server?;
        // No answer is what the person gets from a server that is killed.
        let receipts: Vec<_> = answers.into_iter().map(Result::ok).collect();
        let answer_ms = receipts.iter().all(Option::is_some).then_some(answer_ms);
        let person = self.person.at(server.url.clone());
        Ok((Launched { receipts, answer_ms }, server, person))
    }

    async fn person_again(&self, person: &Person) -> Result<Receipt, Error> {
        let Some(batch) = self.batches.first() else { return Ok(Receipt::default()) };
        person.launch(batch).await.map_err(|error| self.answer_error(error))
    }

    /// Returns the least notice that one of the people gets.
    async fn notice(&self, person: &Person, receipts: &[Option<Receipt>]) -> Result<Notice, Error> {
        let mut worst = Notice::Notification;
        for receipt in receipts {
            let notice = person.notice(receipt.as_ref()).await;
            worst = worst.min(notice.map_err(|error| self.answer_error(error))?);
        }
        Ok(worst)
    }

    /// Waits until as many items are done as `wanted` says of all items.
    async fn wait_until_done(&self, wanted: impl Fn(u32) -> u32) -> Result<(), Error> {
        let waiting = Instant::now();
        loop {
            let counts = self.counts();
            if counts.done() >= wanted(counts.items) {
                return Ok(());
            }
            self.wait_on(waiting).await?;
        }
    }

    /// Waits until nothing more happens by itself: until the server says that the launches have
    /// finished, or, where it knows nothing of them, until no request has been sent for long
    /// enough.
    async fn wait_until_over(
        &self,
        person: &Person,
        receipts: &[Option<Receipt>],
    ) -> Result<(), Error> {
        let waiting = Instant::now();
        let (mut requests, mut last_request) = (0, Instant::now());
        loop {
            let finished = self.is_finished(person, receipts).await?;
            let counts = self.counts();
            if counts.requests != requests || counts.in_flight > 0 {
                (requests, last_request) = (counts.requests, Instant::now());
            }
            let is_over = match finished {
                Some(finished) => finished && counts.in_flight == 0,
                None => last_request.elapsed() >= self.quiet_time,
            };
            if is_over {
                return Ok(());
            }
            self.wait_on(waiting).await?;
        }
    }

    /// Returns whether the server says that all launches have finished; `None` if it can't say.
    async fn is_finished(
        &self,
        person: &Person,
        receipts: &[Option<Receipt>],
    ) -> Result<Option<bool>, Error> {
        let mut all_finished = true;
        for receipt in receipts {
            let Some(receipt) = receipt else { return Ok(None) };
            let finished = person.is_finished(receipt).await;
            match finished.map_err(|error| self.answer_error(error))? {
                Some(finished) => all_finished &= finished,
                None => return Ok(None),
            }
        }
        Ok(Some(all_finished))
    }

    async fn wait_on(&self, waiting: Instant) -> Result<(), Error> {
        if waiting.elapsed() > self.wait_limit {
            return Err(Error::Timeout { way: self.server_options.way, scenario: self.scenario });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        Ok(())
    }

    fn counts(&self) -> Counts {
        Counts::new(&self.sandbox.ledger(), &self.batches)
    }

    fn set_doing(&self, doing: &'static str) {
        *self.doing.lock() = doing;
    }

    fn answer_error(&self, source: reqwest::Error) -> Error {
        Error::from_request(self.server_options.way, self.scenario, source)
    }
}
