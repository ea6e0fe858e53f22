//! One broker of this cluster, running or not: its thread, its port, and what it told last.

use std::net::SocketAddr;
use std::sync::Arc;

use super::murmur::{Murmur, asked_between, is_news};
use super::remains::Remains;
use crate::broker::BrokerPicture;
use crate::ids::BrokerId;
use crate::inspect::{BrokerState, PartitionSnapshot, TopicSnapshot, Totals};
use crate::runtime::{BrokerThread, Ended, Medium, Order, Port};

/// One broker.
#[derive(Debug)]
pub struct Member {
    pub port: Port,
    /// Its thread while it has one.
    pub thread: Option<BrokerThread>,
    /// Which of its runs this is; reports of earlier ones are too late.
    pub run: u64,
    pub state: BrokerState,
    /// It said that it has joined the cluster, or waited long enough for that.
    pub joined: bool,
    /// The newest picture, also of a broker that has ended.
    picture: Option<Box<BrokerPicture>>,
    murmur: Murmur,
    /// What it left on disk, once that was read after its end.
    pub remains: Option<Arc<Remains>>,
    /// What earlier runs counted.
    past: Totals,
    /// Starts again as soon as it has ended.
    pub again: bool,
    /// It was killed and has not ended yet.
    killed: bool,
    /// Its files while it has no thread.
    pub medium: Medium,
}

/// What pictures show of one broker.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub id: BrokerId,
    pub listen: SocketAddr,
    pub state: &'a BrokerState,
    pub picture: Option<&'a BrokerPicture>,
    pub murmur: Option<&'a Murmur>,
    /// What a dead one left on disk, if that was read.
    pub remains: Option<&'a Arc<Remains>>,
    /// What it counted before this run.
    pub past: Totals,
}

impl Seen<'_> {
    /// Whether its thread runs and follows what happens.
    pub fn is_alive(&self) -> bool {
        matches!(
            self.state,
            BrokerState::Running | BrokerState::Stopping | BrokerState::Paused
        )
    }
}

impl Member {
    /// A broker that has not been started yet.
    pub fn new(port: Port, medium: Medium) -> Member {
        Member {
            port,
            thread: None,
            run: 0,
            state: BrokerState::Starting,
            joined: false,
            picture: None,
            murmur: Murmur::default(),
            remains: None,
            past: Totals::default(),
            again: false,
            killed: false,
            medium,
        }
    }

    /// Its thread runs, from now on under this number.
    pub fn started(&mut self, run: u64, thread: BrokerThread) {
        self.thread = Some(thread);
        self.run = run;
        self.state = BrokerState::Starting;
        self.joined = false;
        self.again = false;
        self.killed = false;
        self.remains = None;
        if let Some(picture) = &mut self.picture {
            // The next picture counts from zero again.
            self.past.add(std::mem::take(&mut picture.totals));
        }
    }

    /// What it told last of the partitions it led.
    pub fn led(&self) -> impl Iterator<Item = (&TopicSnapshot, &PartitionSnapshot)> {
        let picture = self.picture.as_deref();
        let own = picture.map(|picture| picture.broker.id);
        let topics = picture
            .into_iter()
            .flat_map(|picture| picture.topics.iter());
        let partitions =
            topics.flat_map(|topic| topic.partitions.iter().map(move |p| (&**topic, p)));
        partitions.filter(move |(_, partition)| own.is_some() && partition.leader == own)
    }

    /// Keeps its newest picture; false when that shows nothing but what brokers ask each other all the time.
    pub fn show(
        &mut self,
        mut picture: Box<BrokerPicture>,
        is_watched: impl Fn(BrokerId, BrokerId) -> bool,
    ) -> bool {
        let before = self.picture.as_deref();
        let news = before.is_none_or(|before| is_news(before, &picture, is_watched));
        let asked = asked_between(before, &picture);
        picture.totals.between_brokers =
            before.map_or(0, |before| before.totals.between_brokers) + asked;
        if let Some(before) = before {
            self.murmur.count(before, &picture, news);
        }
        self.picture = Some(picture);
        news
    }

    /// Its thread has said its last word.
    pub fn ended(&mut self, ended: &Ended, medium: Medium) {
        self.medium = medium;
        if let Some(mut thread) = self.thread.take() {
            thread.join();
        }
        self.state = match ended {
            Ended::Clean => BrokerState::Stopped,
            Ended::Killed => BrokerState::Killed,
            Ended::Crashed { message } | Ended::Failed { message } => BrokerState::Crashed {
                message: message.clone(),
            },
        };
    }

    pub fn is_alive(&self) -> bool {
        self.thread.is_some()
    }

    /// Ends it as `kill -9` ends a process; false when that was done before.
    pub fn kill(&mut self) -> bool {
        if let Some(thread) = &mut self.thread {
            thread.kill();
        }
        !std::mem::replace(&mut self.killed, true)
    }

    /// Orders a clean stop, while `others` go on or not. False when the thread does not take it.
    pub fn stop(&mut self, cause: &str, others: bool) -> bool {
        let Some(thread) = &mut self.thread else {
            return false;
        };
        thread.resume();
        let cause = cause.to_owned();
        let told = thread
            .orders
            .try_send(Order::Stop { cause, others })
            .is_ok();
        if told && self.state == BrokerState::Running {
            self.state = BrokerState::Stopping;
        }
        told
    }

    pub fn seen(&self, id: BrokerId) -> Seen<'_> {
        Seen {
            id,
            listen: self.port.address(),
            state: &self.state,
            picture: self.picture.as_deref(),
            murmur: Some(&self.murmur),
            remains: self.remains.as_ref(),
            past: self.past,
        }
    }
}
