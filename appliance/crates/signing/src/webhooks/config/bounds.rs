//! Where a key stands, and what its value may be.

use std::ops::RangeInclusive;
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use jiff::SignedDuration;
use model::InvalidName;
use url::Url;

use super::InvalidHooks;
use crate::outside::{Target, UrlProblem};

/// A section, by its path below `signing`.
#[derive(Debug, Clone)]
pub(super) struct Place(String);

impl Place {
    /// Names a section.
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// Names a section below this one.
    pub(super) fn below(&self, path: &str) -> Self {
        Self(format!("{}.{path}", self.0))
    }

    /// Says that a key breaks a rule, told as the rest of a sentence.
    pub(super) fn rule(&self, key: &'static str, rule: &'static str) -> InvalidHooks {
        InvalidHooks::Rule {
            place: self.0.clone(),
            key,
            rule,
        }
    }

    /// Says that a value does not do, told as the rest of a sentence.
    pub(super) fn given(
        &self,
        key: &'static str,
        given: &str,
        problem: &'static str,
    ) -> InvalidHooks {
        InvalidHooks::Value {
            place: self.0.clone(),
            key,
            given: given.chars().take(80).collect(),
            problem,
        }
    }

    /// Says that a section's own name is none.
    pub(super) fn name(&self, source: InvalidName) -> InvalidHooks {
        InvalidHooks::Name {
            place: self.0.clone(),
            source,
        }
    }

    /// Says that a URL cannot be worked with.
    pub(super) fn url(&self, key: &'static str, given: &str, source: UrlProblem) -> InvalidHooks {
        let given = match source {
            // The password is nobody's to read in a log.
            UrlProblem::UserInformation => "…@…".to_owned(),
            _ => given.chars().take(80).collect(),
        };
        InvalidHooks::Url {
            place: self.0.clone(),
            key,
            given,
            source,
        }
    }
}

/// Checks that a number lies in a range.
pub(super) fn bounded<N: PartialOrd>(
    place: &Place,
    key: &'static str,
    value: N,
    range: RangeInclusive<N>,
    rule: &'static str,
) -> Result<N, InvalidHooks> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(place.rule(key, rule))
    }
}

/// Checks a time: longer than nothing and no longer than 30 days.
pub(super) fn time(
    place: &Place,
    key: &'static str,
    value: SignedDuration,
) -> Result<Duration, InvalidHooks> {
    Duration::try_from(value)
        .ok()
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(30 * 24 * 3600))
        .ok_or_else(|| place.rule(key, "must be longer than nothing and at most 30 days"))
}

/// Reads a pattern of names: `*` stays within a path's part, `**` does not.
pub(super) fn pattern(
    place: &Place,
    key: &'static str,
    given: &str,
) -> Result<GlobMatcher, InvalidHooks> {
    GlobBuilder::new(given)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|_| place.given(key, given, "is no pattern"))
}

/// Reads an https URL that is asked for.
pub(super) fn https_url(
    place: &Place,
    key: &'static str,
    given: &str,
) -> Result<Url, InvalidHooks> {
    let url = Url::parse(given).map_err(|_| place.url(key, given, UrlProblem::NoUrl))?;
    Target::of(&url).map_err(|problem| place.url(key, given, problem))?;
    Ok(url)
}
