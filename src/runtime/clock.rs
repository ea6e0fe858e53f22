//! The clock a broker is given, and the course all clocks of one cluster follow.
//!
//! Guarantees that time never runs backwards within one clock, that clocks that follow one course agree, and that a
//! moment can be waited for. At full speed it paces by the monotonic clock and follows a system clock that is set ahead, not
//! one that is set back. Slowed or standing still it asks nobody, and falls behind: [`Clock::behind_us`] says how far.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::ids::Time;

/// A system clock further ahead than this was set, or the machine slept: follow it.
const FOLLOW_AHEAD_US: i64 = 1_000_000;

/// How time passes from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    since: Instant,
    /// What it was then, microseconds since the Unix epoch.
    at_us: i64,
    /// How far that is behind the system's clock, microseconds.
    behind_us: i64,
    pace: Pace,
}

/// How fast time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// A second takes so many seconds; 1 is real time.
    Slowed(u32),
    Still,
}

/// Microseconds since the Unix epoch.
#[derive(Debug)]
pub struct Clock {
    courses: RefCell<watch::Receiver<Course>>,
    course: Cell<Course>,
    last_us: Cell<i64>,
}

impl Course {
    /// Real time, from now on.
    pub fn real() -> Course {
        Course {
            since: Instant::now(),
            at_us: system_us(),
            behind_us: 0,
            pace: Pace::Slowed(1),
        }
    }

    fn at(&self, instant: Instant) -> i64 {
        let passed_us = micros(instant.saturating_duration_since(self.since));
        match self.pace {
            Pace::Slowed(times) => self.at_us + passed_us / i64::from(times),
            Pace::Still => self.at_us,
        }
    }
}

impl Clock {
    /// A clock by itself, in real time.
    pub fn new() -> Clock {
        Clock::following(watch::channel(Course::real()).1)
    }

    /// A clock that goes as it is told.
    pub fn following(courses: watch::Receiver<Course>) -> Clock {
        let course = *courses.borrow();
        Clock {
            courses: RefCell::new(courses),
            course: Cell::new(course),
            last_us: Cell::new(course.at_us),
        }
    }

    /// This moment.
    pub fn now(&self) -> Time {
        self.read(Instant::now())
    }

    /// When `time` will be, for a timer; now if it has passed, `None` while time stands still.
    pub fn instant_of(&self, time: Time) -> Option<Instant> {
        let now = Instant::now();
        let wait_us = time.since_us(self.read(now));
        match self.course.get().pace {
            Pace::Slowed(times) => {
                Some(now + Duration::from_micros(wait_us.saturating_mul(u64::from(times))))
            }
            Pace::Still => (wait_us == 0).then_some(now),
        }
    }

    /// Waits until `time`, whatever becomes of the course meanwhile.
    pub async fn sleep_until(&self, time: Time) {
        let mut courses = self.courses();
        loop {
            let due = self.instant_of(time);
            if due.is_some() && self.now() >= time {
                return;
            }
            tokio::select! {
                () = at(due) => {}
                () = turned(&mut courses) => {}
            }
        }
    }

    /// The courses this clock will follow, for [`turned`].
    pub fn courses(&self) -> watch::Receiver<Course> {
        self.courses.borrow().clone()
    }

    /// The course that goes on from this moment at another pace.
    pub fn turn(&self, pace: Pace) -> Course {
        let since = Instant::now();
        let at_us = self.read(since).0;
        Course {
            since,
            at_us,
            behind_us: (system_us() - at_us).max(0),
            pace,
        }
    }

    /// How far it is behind the system's clock because time was slowed or stood still, microseconds.
    pub fn behind_us(&self) -> i64 {
        let now = self.now();
        match self.course.get() {
            // Apart from that it follows the system's clock.
            Course {
                pace: Pace::Slowed(1),
                behind_us,
                ..
            } => behind_us,
            _ => (system_us() - now.0).max(0),
        }
    }

    fn read(&self, instant: Instant) -> Time {
        let mut courses = self.courses.borrow_mut();
        // Whoever turns it may be gone: then it goes on as it did.
        if courses.has_changed().unwrap_or(false) {
            self.course.set(*courses.borrow_and_update());
        }
        let course = self.course.get();
        let mut us = course.at(instant);
        if course.pace == Pace::Slowed(1) {
            let wall_us = system_us() - course.behind_us;
            if wall_us - us > FOLLOW_AHEAD_US {
                us = wall_us;
                self.course.set(Course {
                    since: instant,
                    at_us: us,
                    ..course
                });
            }
        }
        let us = us.max(self.last_us.get());
        self.last_us.set(us);
        Time(us)
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

/// Waits until time goes on at another pace.
pub async fn turned(courses: &mut watch::Receiver<Course>) {
    if courses.changed().await.is_err() {
        // Nobody is left who could turn it.
        std::future::pending::<()>().await;
    }
}

/// Waits for a moment; for ever without one.
pub async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn system_us() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, micros)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    /// A course that began a while ago, and its clock.
    fn clock(pace: Pace, ago: Duration, behind_us: i64) -> (watch::Sender<Course>, Clock) {
        let now = Instant::now();
        let course = Course {
            since: now
                .checked_sub(ago)
                .expect("a machine that runs for a while"),
            at_us: system_us() - micros(ago) - behind_us,
            behind_us,
            pace,
        };
        let (sender, courses) = watch::channel(course);
        (sender, Clock::following(courses))
    }

    #[test]
    fn time_never_runs_backwards_even_when_the_system_clock_does() {
        let clock = Clock::new();
        clock.last_us.set(clock.last_us.get() + 5_000_000);
        let first = clock.now();
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_clock_behind_the_systems_follows_it() {
        let clock = Clock::new();
        let course = clock.course.get();
        let at_us = course.at_us - 60_000_000;
        clock.course.set(Course { at_us, ..course });
        clock.last_us.set(at_us);
        assert!(clock.now().0 >= course.at_us);
    }

    #[test]
    fn slowed_time_passes_in_proportion_and_timers_wait_as_much_longer() {
        let (_turn, clock) = clock(Pace::Slowed(100), Duration::from_millis(200), 0);
        let began = clock.course.get().at_us;
        let passed_us = clock.now().0 - began;
        assert!((2_000..100_000).contains(&passed_us), "{passed_us}");
        let wait = clock.instant_of(Time(clock.now().0 + 10_000)).unwrap() - Instant::now();
        assert!(wait > Duration::from_millis(900), "{wait:?}");
    }

    #[test]
    fn time_that_stands_still_has_no_timers_but_those_that_are_due() {
        let (_turn, clock) = clock(Pace::Still, Duration::from_millis(50), 0);
        let now = clock.now();
        assert_eq!(now.0, clock.course.get().at_us);
        assert!(clock.instant_of(now).is_some());
        assert!(clock.instant_of(Time(now.0 + 1)).is_none());
    }

    #[test]
    fn after_slow_motion_time_goes_on_from_where_it_was() {
        let (turn, clock) = clock(Pace::Slowed(1), Duration::from_millis(1), HOUR_US);
        let before = clock.now();
        assert!(
            clock.behind_us() >= HOUR_US,
            "it does not jump to the system's time"
        );
        turn.send_replace(clock.turn(Pace::Still));
        assert!(clock.now().since_us(before) < 1_000_000);
        turn.send_replace(clock.turn(Pace::Slowed(1)));
        assert!(clock.now().since_us(before) < 1_000_000);
        assert!(clock.behind_us() >= HOUR_US);
        assert!(clock.now() >= before);
    }

    #[test]
    fn clocks_that_follow_one_course_agree() {
        let (turn, one) = clock(Pace::Slowed(1), Duration::ZERO, 0);
        turn.send_replace(one.turn(Pace::Slowed(1_000)));
        let other = Clock::following(turn.subscribe());
        let apart = one.now().0.abs_diff(other.now().0);
        assert!(apart < 1_000, "{apart}");
    }
}
