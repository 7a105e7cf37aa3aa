//! Times as people say them.

use jiff::{Timestamp, Unit};

/// How long ago a moment of the API was: `now`, `4 min`, `3 h`, `2 d`, or its date when that is longer ago than a month.
pub fn ago(at: Option<&str>, now: Timestamp) -> String {
    let Some(text) = at else { return "never".to_owned() };
    let Ok(at) = text.parse::<Timestamp>() else { return text.to_owned() };
    let seconds = (now - at).total(Unit::Second).unwrap_or(0.0) as i64;
    match seconds {
        ..60 => "now".to_owned(),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400..2_592_000 => format!("{} d", seconds / 86_400),
        _ => text.get(..10).unwrap_or(text).to_owned(),
    }
}

/// Bytes as people say them.
pub fn bytes(bytes: u64) -> String {
    const UNITS: &[&str] = &["B", "KB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1_000.0 && unit + 1 < UNITS.len() {
        size /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::{ago, bytes};

    #[test]
    fn times_read_as_people_say_them() {
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        let said: Vec<String> = [
            "2026-03-10T11:59:30.000Z",
            "2026-03-10T11:18:00.000Z",
            "2026-03-08T12:00:00.000Z",
            "2025-12-01T00:00:00.000Z",
            "odd",
        ]
        .map(|at| ago(Some(at), now))
        .into();
        assert_eq!(said, ["now", "42 min", "2 d", "2025-12-01", "odd"]);
        assert_eq!(ago(None, now), "never");
        assert_eq!((bytes(999), bytes(1_500_000)), ("999 B".to_owned(), "1.5 MB".to_owned()));
    }
}
