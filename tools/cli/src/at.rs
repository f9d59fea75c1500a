//! Positions and times as people type them, and times as we print them.
//!
//! | typed                              | means                                                      |
//! |------------------------------------|------------------------------------------------------------|
//! | `4711`                             | the state that record 4711 left                            |
//! | `2026-03-04T05:06:07Z`, `...+02:00`| that time (RFC 3339, fractions down to the nanosecond)     |
//! | `2026-03-04[ 05:06[:07]]`          | that local time; a date alone is its first moment          |
//! | `90s ago`, `5m ago`, `2 days ago`  | that long before now                                       |
//! | `now`, `today`, `yesterday`        | now; today's first moment; yesterday's                     |

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};
use nexus_engine::At;
use nexus_log::env::Env;
use nexus_log::ids::{CommitTime, Seq};

/// A place in a zone's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Seq(Seq),
    Time(Timestamp),
}

impl Position {
    pub(crate) fn at(self) -> At {
        match self {
            Position::Seq(seq) => At::Exactly(seq),
            Position::Time(time) => At::Time(commit_time(time)),
        }
    }
}

/// Parses what stands behind `--at` and its like.
pub(crate) fn position(text: &str) -> Result<Position, String> {
    parse(text, &now())
}

/// Parses a time.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    match parse(text, &now())? {
        Position::Time(time) => Ok(time),
        Position::Seq(_) => Err("give a time, not a position".into()),
    }
}

fn now() -> Zoned {
    timestamp(Env::real().clock.wall_ns()).to_zoned(TimeZone::system())
}

fn parse(text: &str, now: &Zoned) -> Result<Position, String> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(|seq| Position::Seq(Seq(seq))).map_err(|_| "the position is too large".into());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Position::Time(time));
    }
    let out_of_range = |error: jiff::Error| format!("the time is out of range: {error}");
    let zoned = match text {
        "now" => now.clone(),
        "today" => now.start_of_day().map_err(out_of_range)?,
        "yesterday" => now.checked_sub(1.day()).and_then(|day| day.start_of_day()).map_err(out_of_range)?,
        _ if text.ends_with("ago") => {
            let span: Span = text.parse().map_err(|_| expected())?;
            now.checked_add(span).map_err(out_of_range)?
        }
        _ => {
            let local: DateTime = text.parse().map_err(|_| expected())?;
            local.to_zoned(now.time_zone().clone()).map_err(out_of_range)?
        }
    };
    Ok(Position::Time(zoned.timestamp()))
}

fn expected() -> String {
    "expected a position such as 4711, or a time such as 2026-03-04T05:06:07Z, \"2026-03-04 05:06\", \"2h ago\" or \
     yesterday"
        .into()
}

/// The time in the log's terms; what is before 1970 is before every log.
pub(crate) fn commit_time(time: Timestamp) -> CommitTime {
    CommitTime(u64::try_from(time.as_nanosecond()).unwrap_or(0))
}

fn timestamp(ns: u64) -> Timestamp {
    Timestamp::from_nanosecond(ns.into()).unwrap_or(Timestamp::MAX)
}

/// RFC 3339 in UTC, to the nanosecond: the form of every time in JSON.
pub(crate) fn rfc3339(ns: u64) -> String {
    format!("{:.9}", timestamp(ns))
}

/// As [`rfc3339`], for the times of files, which may lie before 1970.
pub(crate) fn rfc3339_signed(ns: i64) -> String {
    let time = Timestamp::from_nanosecond(ns.into()).expect("every i64 of nanoseconds is within the range of years");
    format!("{time:.9}")
}

/// Local, to the second, for people.
pub(crate) fn local_seconds(ns: i64) -> String {
    let time = Timestamp::from_nanosecond(ns.into()).expect("every i64 of nanoseconds is within the range of years");
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Local and exact, for people: what is shown can be given back to `--at`.
pub(crate) fn local_exact(ns: u64) -> String {
    timestamp(ns).to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.9f").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::offset;

    use super::*;

    fn parsed(text: &str) -> Result<Position, String> {
        let now: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        parse(text, &now.to_zoned(TimeZone::fixed(offset(2))))
    }

    fn at(text: &str) -> Result<Position, String> {
        Ok(Position::Time(text.parse().unwrap()))
    }

    #[test]
    fn digits_are_a_position() {
        assert_eq!(parsed("4711"), Ok(Position::Seq(Seq(4711))));
        assert!(parsed("99999999999999999999").is_err());
    }

    #[test]
    fn a_time_with_an_offset_is_that_time() {
        assert_eq!(parsed("2026-01-02T03:04:05.000000006Z"), at("2026-01-02T03:04:05.000000006Z"));
        assert_eq!(parsed("2026-01-02T03:04:05+05:00"), at("2026-01-01T22:04:05Z"));
    }

    #[test]
    fn a_time_without_one_is_local() {
        assert_eq!(parsed("2026-01-02"), at("2026-01-01T22:00:00Z"));
        assert_eq!(parsed("2026-01-02 03:04"), at("2026-01-02T01:04:00Z"));
        assert_eq!(parsed("2026-01-02 03:04:05"), at("2026-01-02T01:04:05Z"));
    }

    #[test]
    fn a_time_may_be_told_from_now() {
        assert_eq!(parsed("2h ago"), at("2026-03-04T03:06:07Z"));
        assert_eq!(parsed("5m ago"), at("2026-03-04T05:01:07Z"));
        assert_eq!(parsed("2 days ago"), at("2026-03-02T05:06:07Z"));
        assert_eq!(parsed("now"), at("2026-03-04T05:06:07Z"));
        assert_eq!(parsed("today"), at("2026-03-03T22:00:00Z"));
        assert_eq!(parsed("yesterday"), at("2026-03-02T22:00:00Z"));
    }

    #[test]
    fn nonsense_is_told_what_is_expected() {
        for text in ["", "-1", "soon", "2026-13-01", "1h", "x ago"] {
            assert!(parsed(text).is_err_and(|message| message.contains("expected")), "{text:?}");
        }
    }

    #[test]
    fn printed_times_have_nine_digits() {
        assert_eq!(rfc3339(1_000_000_001), "1970-01-01T00:00:01.000000001Z");
        assert_eq!(rfc3339_signed(-1_000_000_000), "1969-12-31T23:59:59.000000000Z");
        assert_eq!(rfc3339_signed(i64::MIN).len(), rfc3339_signed(i64::MAX).len());
    }
}
