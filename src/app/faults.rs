//! What can be broken and mended: the commands a broker, a link, a partition or the cluster offers now, what is broken
//! at present, and the way back from it.
//!
//! One list gives the picture, the inspector, the keys and the palette their entries. A fault is read off the picture,
//! so it is shown for exactly as long as it lasts, whoever made it.

use super::actions::{Action, Keys};
use super::moves;
use super::replicas::{ReplicaRole, is_up};
use super::scene::Scene;
use super::state::{Dialog, Selection, Undo};
use crate::ids::{BrokerId, PartitionIndex};
use crate::inspect::{BrokerSnapshot, BrokerState, ClusterSnapshot, Command, PartitionSnapshot};

/// Delays a link is offered, milliseconds.
const DELAYS_MS: [u32; 3] = [50, 200, 1_000];

/// Milliseconds an election or a move is offered back.
pub const UNDO_MS: i64 = 10_000;

/// What an offer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Kill,
    Stop,
    Restart,
    Pause,
    Resume,
    Cut,
    CutOneWay,
    Slow,
    Quicken,
    HealLink,
    Heal,
    Elect,
    ElectUnclean,
    CancelMove,
    Add,
    /// How time passes.
    Time,
}

/// One command that makes sense now.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    pub verb: Verb,
    /// On a button beside what it is about: `Kill`.
    pub short: String,
    /// By itself: `Kill broker 2`.
    pub name: String,
    pub command: Command,
}

impl Offer {
    fn new(verb: Verb, short: &str, about: &str, command: Command) -> Offer {
        Offer {
            verb,
            short: short.to_owned(),
            name: format!("{short} {about}"),
            command,
        }
    }

    /// It makes something stop working.
    pub fn breaks(&self) -> bool {
        use Verb::{Cut, CutOneWay, ElectUnclean, Kill};
        matches!(self.verb, Kill | Cut | CutOneWay | ElectUnclean)
    }
}

/// What can be done to a broker; what its card offers comes first.
pub fn on_broker(picture: &ClusterSnapshot, broker: BrokerId) -> Vec<Offer> {
    let Some(found) = picture.brokers.iter().find(|one| one.id == broker) else {
        return Vec::new();
    };
    let about = format!("broker {broker}");
    let kill = Offer::new(Verb::Kill, "Kill", &about, Command::KillBroker { broker });
    let stop = Offer::new(Verb::Stop, "Stop", &about, Command::StopBroker { broker });
    let restart = Command::RestartBroker { broker };
    let restart = Offer::new(Verb::Restart, "Restart", &about, restart);
    let pause = Offer::new(
        Verb::Pause,
        "Pause",
        &about,
        Command::PauseBroker { broker },
    );
    let resume = Command::ResumeBroker { broker };
    let resume = Offer::new(Verb::Resume, "Resume", &about, resume);
    match found.state {
        BrokerState::Running => vec![kill, pause, stop, restart],
        BrokerState::Starting | BrokerState::Stopping => vec![kill],
        BrokerState::Paused => vec![resume, kill],
        BrokerState::Stopped | BrokerState::Killed | BrokerState::Crashed { .. } => vec![restart],
    }
}

/// What can be done to the link between two brokers.
pub fn on_link(picture: &ClusterSnapshot, a: BrokerId, b: BrokerId) -> Vec<Offer> {
    let about = format!("link {a}–{b}");
    let way = |from, to| {
        picture
            .links
            .iter()
            .find(move |l| (l.from, l.to) == (from, to))
    };
    let is_cut = |from, to| way(from, to).is_some_and(|link| link.cut);
    let delay = |from, to| way(from, to).map_or(0, |link| link.delay_ms);
    let cut = |from, to, both_ways| Command::CutLink {
        from,
        to,
        both_ways,
    };
    let mut offers = Vec::new();
    offers.extend(heal_link(picture, a, b));
    if !is_cut(a, b) || !is_cut(b, a) {
        offers.push(Offer::new(Verb::Cut, "Cut", &about, cut(a, b, true)));
    }
    for (from, to) in [(a, b), (b, a)] {
        if !is_cut(from, to) {
            let short = format!("Cut {from}→{to}");
            let name = format!("of {about}");
            offers.push(Offer::new(
                Verb::CutOneWay,
                &short,
                &name,
                cut(from, to, false),
            ));
        }
    }
    let slow = |delay_ms| Command::SlowLink { a, b, delay_ms };
    for delay_ms in DELAYS_MS {
        if delay(a, b) != u64::from(delay_ms) {
            let short = format!("Slow by {delay_ms} ms:");
            let mut offer = Offer::new(Verb::Slow, &short, &about, slow(delay_ms));
            offer.short = format!("Slow by {delay_ms} ms");
            offers.push(offer);
        }
    }
    if delay(a, b) + delay(b, a) > 0 {
        offers.push(Offer::new(Verb::Quicken, "No delay on", &about, slow(0)));
    }
    offers.extend(heal(picture));
    offers
}

/// Mends a link, if it needs it.
pub fn heal_link(picture: &ClusterSnapshot, a: BrokerId, b: BrokerId) -> Option<Offer> {
    let ways = [(a, b), (b, a)];
    let needed = picture
        .links
        .iter()
        .any(|link| ways.contains(&(link.from, link.to)));
    let about = format!("link {a}–{b}");
    needed.then(|| Offer::new(Verb::HealLink, "Heal", &about, Command::HealLink { a, b }))
}

/// Mends every link, if one needs it.
fn heal(picture: &ClusterSnapshot) -> Option<Offer> {
    let needed = !picture.links.is_empty();
    needed.then(|| {
        let mut offer = Offer::new(Verb::Heal, "Heal", "all links", Command::HealLinks);
        offer.short.clone_from(&offer.name);
        offer
    })
}

/// Who else may lead a partition, and the way back from a move.
pub fn on_partition(picture: &ClusterSnapshot, topic: &str, index: PartitionIndex) -> Vec<Offer> {
    let Some((_, partition)) = moves::find(picture, topic, index) else {
        return Vec::new();
    };
    let able = partition.replicas.iter().filter_map(|replica| {
        let unclean = may_lead(picture, partition, replica.broker).ok()?;
        Some(elect(topic, index, replica.broker, unclean))
    });
    able.chain(moves::cancel(topic, partition)).collect()
}

/// Has a broker lead a partition.
pub fn elect(topic: &str, index: PartitionIndex, broker: BrokerId, unclean: bool) -> Offer {
    let about = format!("as leader of {topic}-{index}");
    let (verb, short) = match unclean {
        false => (Verb::Elect, format!("Elect broker {broker}")),
        true => (
            Verb::ElectUnclean,
            format!("Elect broker {broker} uncleanly"),
        ),
    };
    let command = Command::ElectLeader {
        topic: topic.to_owned(),
        partition: index,
        broker,
        unclean,
    };
    Offer::new(verb, &short, &about, command)
}

/// Whether records may be lost if a broker that holds a replica is elected; or why it cannot be.
pub fn may_lead(
    picture: &ClusterSnapshot,
    partition: &PartitionSnapshot,
    id: BrokerId,
) -> Result<bool, String> {
    moves::takes(picture, id)?;
    if partition.leader == Some(id) {
        return Err(format!("broker {id} leads already"));
    }
    if moves::is_moving(partition) {
        return Err("its replicas are on their way: wait, or cancel the move".to_owned());
    }
    let mut replicas = partition.replicas.iter();
    let Some(replica) = replicas.find(|replica| replica.broker == id) else {
        return Err(format!("broker {id} holds no replica"));
    };
    match ReplicaRole::of(partition, replica) {
        ReplicaRole::InSync => Ok(false),
        _ if partition.leader.is_none() => Ok(true),
        role => Err(format!(
            "broker {id} is {}: records could be lost",
            role.word()
        )),
    }
}

/// What can be done to the cluster as a whole.
pub fn on_cluster(picture: &ClusterSnapshot) -> Vec<Offer> {
    let add = Offer::new(Verb::Add, "Add", "a broker", Command::AddBroker);
    std::iter::once(add).chain(heal(picture)).collect()
}

/// What the selection offers.
pub fn on_selection(scene: &Scene<'_>) -> Vec<Offer> {
    if !scene.abilities.break_things {
        return Vec::new();
    }
    let picture = scene.picture;
    match &scene.state.selection {
        Selection::Broker(id) => on_broker(picture, *id),
        Selection::Link(a, b) => on_link(picture, *a, *b),
        Selection::Partition(topic, index) => on_partition(picture, topic, *index),
        _ => Vec::new(),
    }
}

/// What can be broken or mended of each broker and link, and of the selected partition: for the palette, which has
/// [`ACTIONS`] already.
pub fn everything(scene: &Scene<'_>) -> Vec<Offer> {
    if !scene.abilities.break_things {
        return Vec::new();
    }
    let picture = scene.picture;
    let ids: Vec<BrokerId> = picture.brokers.iter().map(|broker| broker.id).collect();
    let mut offers = Vec::new();
    if let Selection::Partition(..) = scene.state.selection {
        offers.extend(on_selection(scene));
    }
    offers.extend(ids.iter().flat_map(|id| on_broker(picture, *id)));
    for (nth, a) in ids.iter().enumerate() {
        for b in &ids[nth + 1..] {
            let links = on_link(picture, *a, *b).into_iter();
            offers.extend(links.filter(|offer| offer.verb != Verb::Heal));
        }
    }
    offers
}

/// Something that does not work at present.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// `Link 1–2 cut`.
    pub what: String,
    /// Nothing arrives at all, or a broker is dead; else something only takes longer.
    pub grave: bool,
}

/// What is wrong with the links between brokers.
pub fn faulty_links(picture: &ClusterSnapshot) -> Vec<Fault> {
    let way = |from, to| {
        picture
            .links
            .iter()
            .find(move |l| (l.from, l.to) == (from, to))
    };
    let mut faults = Vec::new();
    for link in &picture.links {
        let back = way(link.to, link.from);
        let both = back.is_some_and(|back| (back.cut, back.delay_ms) == (link.cut, link.delay_ms));
        if both && link.from > link.to {
            continue;
        }
        let arrow = if both { "–" } else { "→" };
        let what = match link.cut {
            true => format!("link {}{arrow}{} cut", link.from, link.to),
            false => format!(
                "link {}{arrow}{} {} ms slower",
                link.from, link.to, link.delay_ms
            ),
        };
        faults.push(Fault {
            what,
            grave: link.cut,
        });
    }
    faults
}

/// Whether a broker has anything to lose.
fn runs(broker: &BrokerSnapshot) -> bool {
    is_up(&broker.state) || broker.state == BrokerState::Paused
}

/// The ways back from what is wrong with brokers.
pub fn ways_back(picture: &ClusterSnapshot) -> Vec<Offer> {
    let down = picture
        .brokers
        .iter()
        .filter(|broker| !is_up(&broker.state));
    let offers = down.filter_map(|broker| on_broker(picture, broker.id).into_iter().next());
    let back = |offer: &Offer| matches!(offer.verb, Verb::Restart | Verb::Resume);
    offers.filter(back).collect()
}

/// Sends what an offer says. What leaves no fault behind is offered back for a while.
pub fn perform(scene: &mut Scene<'_>, offer: &Offer) {
    let undo = undo_of(scene, &offer.command);
    if scene.send(offer.command.clone()).is_some() {
        scene.state.undo = undo;
    }
}

/// The election that takes another one back.
fn undo_of(scene: &Scene<'_>, command: &Command) -> Option<Undo> {
    let Command::ElectLeader {
        topic,
        partition,
        broker,
        unclean: false,
    } = command
    else {
        return None;
    };
    let found = scene.topic(topic)?;
    let before = found
        .partitions
        .iter()
        .find(|p| p.index == *partition)?
        .leader?;
    Some(Undo {
        what: format!("{topic}-{partition}: broker {broker} instead of {before}"),
        command: Command::ElectLeader {
            topic: topic.clone(),
            partition: *partition,
            broker: before,
            unclean: false,
        },
        until: scene.wall.plus_ms(UNDO_MS),
    })
}

fn offers(scene: &Scene<'_>, verb: Verb) -> Option<Offer> {
    let mut offers = on_selection(scene).into_iter();
    offers.find(|offer| offer.verb == verb)
}

fn run_first(scene: &mut Scene<'_>, verb: Verb) {
    if let Some(offer) = offers(scene, verb) {
        perform(scene, &offer);
    }
}

/// An action that takes the selection's first offer of a kind.
macro_rules! on_selected {
    ($name:literal, $keys:expr, $verb:expr) => {
        Action {
            name: $name,
            group: "Faults",
            keys: Some($keys),
            can: |scene| offers(scene, $verb).is_some(),
            run: |scene| run_first(scene, $verb),
        }
    };
}

/// Keys for what is selected.
pub const ACTIONS: &[Action] = &[
    on_selected!("Kill this broker", Keys::plain(egui::Key::K), Verb::Kill),
    on_selected!(
        "Stop this broker cleanly",
        Keys::shift(egui::Key::K),
        Verb::Stop
    ),
    on_selected!(
        "Restart this broker",
        Keys::plain(egui::Key::R),
        Verb::Restart
    ),
    on_selected!("Pause this broker", Keys::plain(egui::Key::Z), Verb::Pause),
    on_selected!(
        "Resume this broker",
        Keys::plain(egui::Key::Z),
        Verb::Resume
    ),
    on_selected!("Cut this link", Keys::plain(egui::Key::X), Verb::Cut),
    on_selected!(
        "Cut this link one way",
        Keys::shift(egui::Key::X),
        Verb::CutOneWay
    ),
    on_selected!("Slow this link down", Keys::plain(egui::Key::L), Verb::Slow),
    on_selected!(
        "Take this link's delay away",
        Keys::shift(egui::Key::L),
        Verb::Quicken
    ),
    on_selected!("Heal this link", Keys::plain(egui::Key::H), Verb::HealLink),
    on_selected!(
        "Elect another leader",
        Keys::plain(egui::Key::E),
        Verb::Elect
    ),
    Action {
        name: "Heal all links",
        group: "Faults",
        keys: Some(Keys::shift(egui::Key::H)),
        can: |scene| scene.abilities.break_things && heal(scene.picture).is_some(),
        run: |scene| {
            scene.send(Command::HealLinks);
        },
    },
    Action {
        name: "Pull the plug",
        group: "Faults",
        keys: Some(Keys::shift(egui::Key::P)),
        can: |scene| scene.abilities.break_things && scene.picture.brokers.iter().any(runs),
        run: |scene| scene.state.dialog = Some(Dialog::PullPlug),
    },
    Action {
        name: "Add a broker",
        group: "Faults",
        keys: Some(Keys::shift(egui::Key::A)),
        can: |scene| scene.abilities.break_things,
        run: |scene| {
            scene.send(Command::AddBroker);
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::LinkSnapshot;

    fn link(from: i32, to: i32, cut: bool, delay_ms: u64) -> LinkSnapshot {
        LinkSnapshot {
            from: BrokerId(from),
            to: BrokerId(to),
            cut,
            delay_ms,
        }
    }

    #[test]
    fn a_fault_of_both_directions_is_told_once() {
        let links = vec![
            link(1, 2, true, 0),
            link(2, 1, true, 0),
            link(1, 3, true, 0),
            link(2, 3, false, 200),
            link(3, 2, false, 200),
        ];
        let told = |links| {
            let picture = ClusterSnapshot {
                links,
                ..ClusterSnapshot::default()
            };
            let faults = faulty_links(&picture).into_iter();
            faults.map(|fault| fault.what).collect::<Vec<_>>()
        };
        assert_eq!(
            told(links),
            ["link 1–2 cut", "link 1→3 cut", "link 2–3 200 ms slower"]
        );
        assert!(told(Vec::new()).is_empty());
    }

    #[test]
    fn a_cut_direction_is_not_offered_again() {
        let links = vec![link(1, 2, true, 0)];
        let picture = ClusterSnapshot {
            links,
            ..ClusterSnapshot::default()
        };
        let names: Vec<String> = on_link(&picture, BrokerId(1), BrokerId(2))
            .into_iter()
            .filter(|offer| offer.verb != Verb::Slow)
            .map(|offer| offer.name)
            .collect();
        let expected = [
            "Heal link 1–2",
            "Cut link 1–2",
            "Cut 2→1 of link 1–2",
            "Heal all links",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_link_as_good_as_new_is_not_healed_because_another_one_is_not() {
        let links = vec![link(2, 1, false, 200)];
        let picture = ClusterSnapshot {
            links,
            ..ClusterSnapshot::default()
        };
        let healed = |a, b| heal_link(&picture, BrokerId(a), BrokerId(b)).map(|o| o.command);
        let (a, b) = (BrokerId(1), BrokerId(2));
        assert_eq!(healed(1, 2), Some(Command::HealLink { a, b }));
        assert_eq!(healed(1, 3), None);
    }
}
