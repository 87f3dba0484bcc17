//! The value of an `issue` or `issuewild` property (RFC 8659, 4.2).

use model::acme::ChallengeKind;

/// `[issuer-domain-name] [";" parameters]`.
///
/// Bytes are hostile: never panics, allocates no more than a few words a
/// parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issuer<'a> {
    /// The CA named; none forbids every CA.
    pub(super) domain: Option<&'a str>,
    /// Tags and values, in order.
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Issuer<'a> {
    /// Reads a value; none if it does not follow the grammar.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let (domain, rest) = match text.split_once(';') {
            Some((domain, rest)) => (trim(domain), Some(trim(rest))),
            None => (trim(text), None),
        };
        if !domain.is_empty() && !domain.split('.').all(is_label) {
            return None;
        }
        let parameters = match rest {
            None | Some("") => Vec::new(),
            Some(rest) => {
                // Erratum 7139 lets the last parameter be followed by a semicolon.
                let rest = rest.strip_suffix(';').map_or(rest, trim);
                rest.split(';').map(parameter).collect::<Option<_>>()?
            }
        };
        Some(Self {
            domain: (!domain.is_empty()).then_some(domain),
            parameters,
        })
    }

    /// Returns the only value of a parameter; none if it is absent.
    ///
    /// # Errors
    ///
    /// When it is there more than once.
    fn only(&self, tag: &str) -> Result<Option<&'a str>, Repeated> {
        let mut found = self
            .parameters
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(tag))
            .map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Repeated),
            (first, None) => Ok(first),
        }
    }

    /// Tells whether the property authorizes an account (RFC 8657, 3).
    pub(super) fn allows_account(&self, account_url: &str) -> bool {
        match self.only("accounturi") {
            // Without the parameter any account matches.
            Ok(None) => true,
            // URIs are compared as they stand.
            Ok(Some(uri)) => uri == account_url,
            // "A Property with multiple accounturi parameters is unsatisfiable."
            Err(Repeated) => false,
        }
    }

    /// Tells whether the property authorizes a method (RFC 8657, 4).
    pub(super) fn allows_method(&self, kind: ChallengeKind) -> bool {
        match self.only("validationmethods") {
            Ok(None) => true,
            // value = [*(label ",") label]; a value that is no such list
            // authorizes nothing.
            Ok(Some(list)) => {
                list.split(',').all(is_method_label)
                    && list.split(',').any(|label| label == kind.as_str())
            }
            Err(Repeated) => false,
        }
    }
}

/// A parameter that is there more than once.
#[derive(Debug, PartialEq, Eq)]
struct Repeated;

/// Takes off white space: WSP is space and tab.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Tells whether a text is `(ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT))`.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

/// Tells whether a text is a label of RFC 8657, 4: `1*(ALPHA / DIGIT / "-")`.
fn is_method_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

/// Reads `parameter-tag *WSP "=" *WSP parameter-value`.
fn parameter(text: &str) -> Option<(&str, &str)> {
    let (tag, value) = trim(text).split_once('=')?;
    let (tag, value) = (trim(tag), trim(value));
    // parameter-value = *(%x21-3A / %x3C-7E)
    let spelled = value
        .bytes()
        .all(|octet| octet.is_ascii_graphic() && octet != b';');
    (is_label(tag) && spelled).then_some((tag, value))
}
