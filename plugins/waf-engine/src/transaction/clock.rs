//! Calendar times for the `TIME` variables, in UTC: a proxy in a sandbox knows no time zone.

use crate::model::Variable;

/// A moment as a calendar has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub year: i64,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// From Sunday, 0.
    pub weekday: u32,
}

impl Civil {
    /// From nanoseconds since 1970. The proleptic Gregorian calendar, counted in eras of 400 years from 0000-03-01.
    pub fn at(nanoseconds: u64) -> Self {
        let seconds = nanoseconds / 1_000_000_000;
        let (days, rest) = (seconds / 86400, seconds % 86400);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: (era * 400 + year_of_era) as i64 + i64::from(month <= 2),
            month: month as u32,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32,
            hour: (rest / 3600) as u32,
            minute: (rest / 60 % 60) as u32,
            second: (rest % 60) as u32,
            weekday: ((days + 4) % 7) as u32,
        }
    }
}

/// The text of a `TIME` variable: `TIME_MON` counts from 0, as C's `tm_mon` does.
pub(super) fn text(variable: Variable, now: u64) -> Option<String> {
    let civil = Civil::at(now);
    Some(match variable {
        Variable::Time => format!("{:02}:{:02}:{:02}", civil.hour, civil.minute, civil.second),
        Variable::TimeDay => civil.day.to_string(),
        Variable::TimeEpoch => (now / 1_000_000_000).to_string(),
        Variable::TimeHour => civil.hour.to_string(),
        Variable::TimeMin => civil.minute.to_string(),
        Variable::TimeMon => (civil.month - 1).to_string(),
        Variable::TimeSec => civil.second.to_string(),
        Variable::TimeWday => civil.weekday.to_string(),
        Variable::TimeYear => civil.year.to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        let day = |seconds: u64| {
            let civil = Civil::at(seconds * 1_000_000_000);
            (civil.year, civil.month, civil.day, civil.weekday)
        };
        assert_eq!(day(0), (1970, 1, 1, 4));
        assert_eq!(day(951_782_400), (2000, 2, 29, 2));
        assert_eq!(day(951_868_800), (2000, 3, 1, 3));
        assert_eq!(day(1_795_219_200), (2026, 11, 21, 6));
        assert_eq!(day(4_107_542_400), (2100, 3, 1, 1));
    }

    #[test]
    fn the_variables_of_a_moment() {
        let now = (1_795_219_200 + 3600 * 17 + 60 * 5 + 9) * 1_000_000_000;
        assert_eq!(text(Variable::Time, now).unwrap(), "17:05:09");
        assert_eq!(text(Variable::TimeMon, now).unwrap(), "10");
        assert_eq!(text(Variable::TimeYear, now).unwrap(), "2026");
        assert_eq!(text(Variable::Args, now), None);
    }
}
