//! Times as DER writes them (RFC 5280, 4.1.2.5): UTCTime and GeneralizedTime, in
//! whole seconds, UTC; and with fractions where time-stamps have them (RFC 3161, 2.4.2).

use jiff::Timestamp;

use crate::tlv::{self, Malformed, Problem, Tlv};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A time that was read, and whether it stood in the form it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRead {
    /// The time.
    pub(crate) time: Timestamp,
    /// UTCTime through 2049, GeneralizedTime before 1950 and from 2050 on
    /// (RFC 5280, 4.1.2.5).
    pub(crate) canonical: bool,
}

/// Reads a Time: a UTCTime or a GeneralizedTime, whichever it is.
///
/// Bytes are hostile: never panics, allocates nothing.
///
/// # Errors
///
/// Another tag; fractions, offsets, dates that no calendar has.
pub(crate) fn read(tlv: Tlv<'_>) -> Result<TimeRead, Malformed> {
    let refused = tlv.refuse("a time that is not YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ");
    let (year, rest) = match (tlv.tag, tlv.content) {
        (tlv::UTC_TIME, [y1, y0, rest @ .., b'Z']) if rest.len() == 10 => {
            let year = pair(*y1, *y0).ok_or(refused)?;
            // The two digits stand for 1950 to 2049.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (tlv::GENERALIZED_TIME, [y3, y2, y1, y0, rest @ .., b'Z']) if rest.len() == 10 => {
            let (high, low) = (pair(*y3, *y2), pair(*y1, *y0));
            (high.zip(low).map(century).ok_or(refused)?, rest)
        }
        (tlv::UTC_TIME | tlv::GENERALIZED_TIME, _) => return Err(refused),
        (found, _) => {
            return Err(Malformed {
                problem: Problem::UnexpectedTag {
                    found,
                    wanted: tlv::UTC_TIME,
                },
                ..refused
            });
        }
    };
    let seconds = seconds_of(year, rest).ok_or(refused)?;
    Ok(TimeRead {
        time: Timestamp::from_second(seconds).map_err(|_| refused)?,
        canonical: (tlv.tag == tlv::UTC_TIME) == (1950..=2049).contains(&year),
    })
}

/// Days before each month of a year that is no leap year.
const DAYS_BEFORE: [u16; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Reads a UTCTime with its tag and length, as fast as can be; none if it is none.
///
/// For lists of a million: [`read`] says what is wrong.
#[inline]
pub(crate) fn read_utc(octets: &[u8; 15]) -> Option<TimeRead> {
    let [tlv::UTC_TIME, 13, digits @ .., b'Z'] = octets else {
        return None;
    };
    let mut fields = [0; 6];
    let mut sound = true;
    for (field, [tens, ones]) in fields.iter_mut().zip(digits.as_chunks().0) {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        sound &= tens < 10 && ones < 10;
        *field = u32::from(tens) * 10 + u32::from(ones);
    }
    let [short, month, day, hour, minute, second] = fields;
    // 1950 to 2049, counted from 1948: every fourth of these years is a leap year.
    let year = if short < 50 { short + 52 } else { short - 48 };
    let leap = year % 4 == 0;
    let last_day = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    sound &= day.wrapping_sub(1) < last_day && hour < 24 && minute < 60 && second < 60;
    let before = u32::from(*DAYS_BEFORE.get(month.wrapping_sub(1) as usize)?);
    let past_leap_day = u32::from(leap && month > 2);
    let days = year * 365 + year.div_ceil(4) + before + past_leap_day + day;
    let of_day = hour * 3600 + minute * 60 + second;
    // 1948-01-01 was 8,036 days before the Unix epoch, and days count from 1.
    let seconds = (i64::from(days) - 8_037) * DAY + i64::from(of_day);
    let time = Timestamp::from_second(seconds).ok()?;
    sound.then_some(TimeRead {
        time,
        canonical: true,
    })
}

/// Reads a GeneralizedTime, whatever the year.
///
/// # Errors
///
/// Another tag, and as [`read`].
pub(crate) fn read_generalized(tlv: Tlv<'_>) -> Result<Timestamp, Malformed> {
    if tlv.tag == tlv::GENERALIZED_TIME {
        return read(tlv).map(|read| read.time);
    }
    Err(Malformed {
        offset: tlv.content_at,
        problem: Problem::UnexpectedTag {
            found: tlv.tag,
            wanted: tlv::GENERALIZED_TIME,
        },
    })
}

/// Writes a time as `YYYYMMDDHHMMSSZ`; fractions of a second are dropped.
///
/// A UTCTime is the same without its first two digits. Years before 0 come out as
/// 0000: nothing here plans or accepts any, and lints refuse them.
pub(crate) fn digits(time: Timestamp) -> [u8; 15] {
    let seconds = time.as_second();
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let mut out = [b'Z'; 15];
    let pairs = [
        year.max(0) / 100,
        year.max(0) % 100,
        month,
        day,
        second / 3600,
        second / 60 % 60,
        second % 60,
    ];
    for (place, value) in out.chunks_exact_mut(2).zip(pairs) {
        // Each value is below 100.
        place.copy_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    }
    out
}

/// Most digits of a fraction: nanoseconds.
const MAX_FRACTION: usize = 9;

/// Reads a GeneralizedTime that may have a fraction of a second (RFC 3161, 2.4.2).
///
/// # Errors
///
/// As [`read_generalized`]; a fraction that is empty, ends in a zero (X.690, 11.7.3) or
/// is finer than a nanosecond.
pub(crate) fn read_fractional(tlv: Tlv<'_>) -> Result<Timestamp, Malformed> {
    let refused = tlv.refuse("a fraction of a second that is empty, too fine or ends in a zero");
    let [head @ .., b'Z'] = tlv.content else {
        return read_generalized(tlv);
    };
    let Some((whole, [b'.', fraction @ ..])) = head.split_at_checked(14) else {
        return read_generalized(tlv);
    };
    let digits = fraction.iter().all(u8::is_ascii_digit);
    if !digits || matches!(fraction, [] | [.., b'0']) || fraction.len() > MAX_FRACTION {
        return Err(refused);
    }
    let without = [whole, b"Z"].concat();
    let seconds = read_generalized(Tlv {
        content: &without,
        ..tlv
    })?;
    let scaled = fraction
        .iter()
        .chain(&[b'0'; MAX_FRACTION])
        .take(MAX_FRACTION)
        .fold(0, |sum, digit| {
            sum * 10 + i32::from(digit.wrapping_sub(b'0'))
        });
    Timestamp::new(seconds.as_second(), scaled).map_err(|_| refused)
}

/// Writes a time as `YYYYMMDDHHMMSS[.f]Z` with at most so many digits behind the point;
/// what is finer is dropped, and zeros at the end are not written (X.690, 11.7.3).
pub(crate) fn fractional_digits(time: Timestamp, most: usize) -> Vec<u8> {
    let mut out = digits(time).to_vec();
    out.pop();
    // Of times before 1970 the fraction is negative: nothing here stamps any.
    let nanoseconds = time.subsec_nanosecond().unsigned_abs();
    let fraction = format!("{nanoseconds:09}");
    let kept: String = fraction.chars().take(most).collect();
    let kept = kept.trim_end_matches('0');
    if !kept.is_empty() {
        out.push(b'.');
        out.extend_from_slice(kept.as_bytes());
    }
    out.push(b'Z');
    out
}

/// Returns the year of a time, UTC.
pub(crate) fn year(time: Timestamp) -> i64 {
    civil(time.as_second().div_euclid(DAY)).0
}

/// Reads two digits.
fn pair(tens: u8, ones: u8) -> Option<i64> {
    let digit = |octet: u8| {
        octet
            .is_ascii_digit()
            .then(|| i64::from(octet.wrapping_sub(b'0')))
    };
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// Joins the two halves of a year.
fn century((high, low): (i64, i64)) -> i64 {
    high * 100 + low
}

/// Reads `MMDDHHMMSS` of a year as seconds since the Unix epoch.
fn seconds_of(year: i64, rest: &[u8]) -> Option<i64> {
    let mut fields = [0; 5];
    for (field, digits) in fields.iter_mut().zip(rest.chunks_exact(2)) {
        let [tens, ones] = digits else { return None };
        *field = pair(*tens, *ones)?;
    }
    let [month, day, hour, minute, second] = fields;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last_day = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let fits = (1..=last_day).contains(&day) && hour < 24 && minute < 60 && second < 60;
    fits.then(|| days(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// Counts the days from the Unix epoch to a date of the Gregorian calendar.
///
/// Years begin in March here, so that the leap day comes last: 146,097 days make an
/// era of 400 years (Fliegel and Van Flandern 1968, as refined by Hinnant).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Finds year, month and day of a day counted from the Unix epoch: [`days`] undone.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + i64::from(month >= 10);
    (year, (month + 2) % 12 + 1, date)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads the contents of a time with this tag.
    fn read_text(tag: u8, text: &[u8]) -> Result<TimeRead, Malformed> {
        let mut der = vec![tag, text.len() as u8];
        der.extend(text);
        read(tlv::Reader::new(&der).next().unwrap())
    }

    #[test]
    fn dates_no_calendar_has_are_refused() {
        for text in [
            &b"20230229000000Z"[..],
            b"19000229000000Z",
            b"20230431000000Z",
            b"20231301000000Z",
            b"20230001000000Z",
            b"20230100000000Z",
            b"20230101240000Z",
            b"20230101006000Z",
            b"20230101000060Z",
            b"20230101000000",
            b"20230101000000.5Z",
            b"2023010100000-Z",
            b"",
        ] {
            assert!(read_text(tlv::GENERALIZED_TIME, text).is_err(), "{text:?}");
        }
        assert!(read_text(tlv::GENERALIZED_TIME, b"20000229235959Z").is_ok());
        assert!(read_text(tlv::OCTET_STRING, b"20000229235959Z").is_err());
    }

    #[test]
    fn fractions_have_one_form() {
        let read = |text: &str| {
            let mut der = vec![tlv::GENERALIZED_TIME, text.len() as u8];
            der.extend(text.as_bytes());
            read_fractional(tlv::Reader::new(&der).next().unwrap())
        };
        for text in [
            "20230101000000.Z",
            "20230101000000.0Z",
            "20230101000000.50Z",
            "20230101000000.1234567891Z",
            "20230101000000.5",
            "20230101000000,5Z",
            "202301010000.5Z",
            "20230101000000.5+0100",
            "20230101000000.-1Z",
            "20230132000000.5Z",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let time = read("20230101000000.000000001Z").unwrap();
        assert_eq!(time.subsec_nanosecond(), 1);
        assert_eq!(fractional_digits(time, 9), b"20230101000000.000000001Z");
        assert_eq!(fractional_digits(time, 6), b"20230101000000Z");
    }

    #[test]
    fn only_a_generalized_time_is_one() {
        let utc = [
            0x17, 13, b'2', b'3', b'0', b'1', b'0', b'1', b'0', b'0', b'0', b'0', b'0', b'0', b'Z',
        ];
        assert!(read_generalized(tlv::Reader::new(&utc).next().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn both_readers_of_utc_times_agree(
            month in 0..14u8, day in 0..33u8, rest in "[0-9]{2}[0-2][0-9][0-6][0-9][0-6][0-9]",
            flip in prop::option::of((0..15usize, any::<u8>())),
        ) {
            let text = format!("{}{month:02}{day:02}{}Z", &rest[..2], &rest[2..]);
            let mut der = [0; 15];
            der[..2].copy_from_slice(&[tlv::UTC_TIME, 13]);
            der[2..].copy_from_slice(text.as_bytes());
            if let Some((place, octet)) = flip {
                der[place] = octet;
            }
            let slow = match tlv::Reader::new(&der).next() {
                Ok(tlv) if tlv.whole.len() == 15 && tlv.tag == tlv::UTC_TIME => read(tlv).ok(),
                _ => None,
            };
            prop_assert_eq!(read_utc(&der), slow);
        }

        #[test]
        fn dates_agree_with_jiff(second in -62_135_596_800i64..253_402_300_800) {
            let time = Timestamp::from_second(second).unwrap();
            let civil = jiff::tz::Offset::UTC.to_datetime(time);
            let text = format!(
                "{:04}{:02}{:02}{:02}{:02}{:02}Z",
                civil.year(), civil.month(), civil.day(),
                civil.hour(), civil.minute(), civil.second()
            );
            prop_assert_eq!(&digits(time)[..], text.as_bytes());
            prop_assert_eq!(year(time), i64::from(civil.year()));
            let read = read_text(tlv::GENERALIZED_TIME, text.as_bytes()).unwrap();
            prop_assert_eq!(read.time, time);
        }

        #[test]
        fn fractions_read_back(second in 0i64..253_402_300_800, nanosecond in 0i32..1_000_000_000, most in 0..10usize) {
            let time = Timestamp::new(second, nanosecond).unwrap();
            let text = fractional_digits(time, most);
            let mut der = vec![tlv::GENERALIZED_TIME, text.len() as u8];
            der.extend(text);
            let read = read_fractional(tlv::Reader::new(&der).next().unwrap()).unwrap();
            let unit = 10i32.pow(9 - most as u32);
            let kept = nanosecond / unit * unit;
            prop_assert_eq!(read, Timestamp::new(second, kept).unwrap());
        }
    }
}
