//! How often something is tried again, and after which pause.

use std::time::Duration;

use jiff::Timestamp;

use crate::limits::Limits;
use crate::store::random_below;

/// Longest pause that a registry can impose on us. Docker Hub's windows are hours; then an error is the better answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const FIRST_PAUSE_MILLISECONDS: u64 = 200;

/// The attempts that one operation has, shared by its requests and the reading of their bodies.
pub(super) struct Attempts {
    allowed: u32,
    left: u32,
    made: u32,
    /// Bytes of progress up to which attempts were given back.
    furthest: u64,
}

impl Attempts {
    pub(super) const fn new(limits: &Limits) -> Self {
        let allowed = limits.attempts.saturating_sub(1);
        Self { allowed, left: allowed, made: 0, furthest: 0 }
    }

    /// Waits before another attempt; `false` when there is none left, or when the pause that was asked for is too long.
    pub(super) async fn again(&mut self, asked: Option<Duration>) -> bool {
        if self.left == 0 || asked.is_some_and(|asked| asked > LONGEST_PAUSE) {
            return false;
        }
        self.left -= 1;
        let backoff = FIRST_PAUSE_MILLISECONDS << self.made.min(8);
        self.made += 1;
        let pause = match asked {
            // Clients that were told the same second do not come back in the same millisecond.
            Some(asked) => asked + random_up_to(asked / 10),
            None => Duration::from_millis(backoff / 2 + random_below(backoff)),
        };
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        true
    }

    /// Gives the attempts back to a transfer that got `step` bytes further than ever before. A transfer ends, so this
    /// does too; one that starts over again and again gains nothing.
    pub(super) const fn progress(&mut self, reached: u64, step: u64) {
        if reached >= self.furthest.saturating_add(if step == 0 { 1 } else { step }) {
            self.furthest = reached;
            self.left = self.allowed;
            self.made = 0;
        }
    }
}

/// A random time, up to a bound.
pub(super) fn random_up_to(bound: Duration) -> Duration {
    Duration::from_millis(random_below(u64::try_from(bound.as_millis()).unwrap_or(u64::MAX)))
}

/// The pause that `Retry-After` asks for: seconds, or a date. A date that is past asks for none; what is neither is
/// left to our own back-off.
///
/// Source: RFC 9110 §10.2.3 and §5.6.7. The two obsolete forms of a date are not read.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        let now: Timestamp = "1994-11-06T08:49:07Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:48:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn progress_gives_attempts_back_and_starting_over_does_not() {
        let mut attempts = Attempts::new(&Limits { attempts: 1, ..Limits::default() });
        attempts.allowed = 2;
        attempts.progress(9, 10);
        assert_eq!(attempts.left, 0);
        attempts.progress(10, 10);
        assert_eq!(attempts.left, 2);
        attempts.left = 0;
        for reached in [5, 10, 19] {
            attempts.progress(reached, 10);
            assert_eq!(attempts.left, 0, "{reached}");
        }
        attempts.progress(20, 10);
        assert_eq!(attempts.left, 2);
    }

    #[tokio::test]
    async fn a_pause_of_hours_is_not_waited_for() {
        let mut attempts = Attempts::new(&Limits::default());
        assert!(!attempts.again(Some(Duration::from_secs(3600))).await);
    }
}
