//! JSON as evidence: read once, the same for every reader.
//!
//! A document that one reader understands differently from another is an attack: of two
//! members with one name some readers take the first, some the last. So what is taken as
//! evidence is UTF-8 without a byte order mark, one value and nothing behind it, without
//! repeated names, and neither deeper nor larger than the limits.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How large a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most octets.
    pub max_len: usize,
    /// Most lists and objects within each other; never more than 120, whatever is asked.
    pub max_depth: usize,
    /// Most values, names of members not counted.
    pub max_nodes: usize,
}

impl Default for Limits {
    /// 16 MiB, 64 deep, a million values.
    fn default() -> Self {
        Self {
            max_len: 16 << 20,
            max_depth: 64,
            max_nodes: 1_000_000,
        }
    }
}

/// Deeper than this serde_json's own guard of the stack stops first (at 128).
const DEEPEST: usize = 120;

/// Most characters of a document's own text in an error.
const MAX_QUOTED: usize = 80;

/// Why bytes are not taken as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More octets than the limit.
    #[error("the document has {len} octets; at most {max} are taken")]
    TooLarge {
        /// Octets given.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Lists and objects within each other beyond the limit.
    #[error("the document nests more than {max} lists and objects within each other")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// More values than the limit.
    #[error("the document has more than {max} values")]
    TooManyNodes {
        /// The limit.
        max: usize,
    },
    /// One object has a member twice: readers differ about which of them counts.
    #[error("an object has the member {name:?} twice")]
    RepeatedName {
        /// The member, shortened.
        name: String,
    },
    /// Not JSON, or not of the wanted shape.
    #[error("{problem} at line {line}, column {column}")]
    Malformed {
        /// What is wrong.
        problem: String,
        /// The line, from 1; 0 where none is known.
        line: usize,
        /// The column, from 1; 0 where none is known.
        column: usize,
    },
}

/// Checks a whole document against the limits and for repeated names, keeping nothing.
///
/// Bytes are hostile: never panics, allocates no more than the names of the objects that
/// are open at a time.
///
/// # Errors
///
/// The first thing wrong.
pub fn check(bytes: &[u8], limits: &Limits) -> Result<(), JsonError> {
    walk(bytes, limits, Check).map(drop)
}

/// Reads a document as a tree, under the same rules as [`check`].
///
/// Bytes are hostile: never panics; the tree takes up to about a hundred octets for each
/// value beside the texts.
///
/// # Errors
///
/// The first thing wrong.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonError> {
    walk(bytes, limits, Build)
}

/// Reads a document into a type, under the same rules as [`check`].
///
/// # Errors
///
/// The first thing wrong; `Malformed` also for a shape other than the type's.
pub fn read<T: DeserializeOwned>(bytes: &[u8], limits: &Limits) -> Result<T, JsonError> {
    check(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|error| malformed(&error))
}

/// Whether a name is another one to readers that ignore case, as Go's decoder does: it is
/// refused beside or in place of the one that is meant.
pub(crate) fn is_variant(name: &str, known: &[&str]) -> bool {
    let folded: String = name.chars().flat_map(char::to_uppercase).collect();
    !known.contains(&name)
        && known
            .iter()
            .any(|known| known.to_uppercase() == folded.replace('\u{212a}', "K"))
}

/// Writes a value with its names sorted and without spaces (RFC 8785).
///
/// Texts and whole numbers, of which the formats here consist, come out as RFC 8785 has
/// them; `None` for a number with a fraction or an exponent, whose form it takes from
/// ECMAScript, and for one beyond 2^53, which is not the same number to every reader.
#[must_use]
pub fn canonical(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write_canonical(value, &mut out).then_some(out)
}

/// Appends a value's canonical form; false where there is none.
fn write_canonical(value: &Value, out: &mut Vec<u8>) -> bool {
    const LARGEST: u64 = 1 << 53;
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => {
            // serde_json escapes as RFC 8785, 3.2.2.2 does: short forms where there are
            // some, \u00xx in lower case for other controls, nothing else.
            out.extend_from_slice(value.to_string().as_bytes());
            true
        }
        Value::Number(number) => {
            let whole = number
                .as_i64()
                .is_some_and(|number| number.unsigned_abs() <= LARGEST);
            out.extend_from_slice(number.to_string().as_bytes());
            whole
        }
        Value::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                if !write_canonical(item, out) {
                    return false;
                }
            }
            out.push(b']');
            true
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // RFC 8785, 3.2.3: sorted by UTF-16 code units.
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (place, (name, member)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                if !write_canonical(member, out) {
                    return false;
                }
            }
            out.push(b'}');
            true
        }
    }
}

/// Shortens a document's own text for an error.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What stopped a walk, beside serde_json's own findings.
enum Stop {
    /// Beyond `max_depth`.
    Depth,
    /// Beyond `max_nodes`.
    Nodes,
    /// A repeated name.
    Repeated(String),
}

/// What a walk makes of the values on its way.
trait Make: Copy {
    /// What becomes of one value.
    type Made;
    /// What becomes of a list while it is read.
    type List: Default;
    /// What becomes of an object while it is read, which knows the names it has.
    type Object: Default;

    /// Takes null, a truth value, a number or a text.
    fn scalar(value: impl FnOnce() -> Value) -> Self::Made;
    /// Adds an item to a list.
    fn push(list: &mut Self::List, item: Self::Made);
    /// Closes a list.
    fn list(list: Self::List) -> Self::Made;
    /// Whether an object has a name already; it is known from now on.
    fn has(object: &mut Self::Object, name: &str) -> bool;
    /// Adds a member to an object.
    fn insert(object: &mut Self::Object, name: String, member: Self::Made);
    /// Closes an object.
    fn object(object: Self::Object) -> Self::Made;
}

/// Keeps nothing.
#[derive(Clone, Copy)]
struct Check;

impl Make for Check {
    type Made = ();
    type List = ();
    type Object = HashSet<String>;

    fn scalar(_: impl FnOnce() -> Value) {}
    fn push((): &mut (), (): ()) {}
    fn list((): ()) {}
    fn has(object: &mut HashSet<String>, name: &str) -> bool {
        !object.insert(name.to_owned())
    }
    fn insert(_: &mut HashSet<String>, _: String, (): ()) {}
    fn object(_: HashSet<String>) {}
}

/// Keeps everything.
#[derive(Clone, Copy)]
struct Build;

impl Make for Build {
    type Made = Value;
    type List = Vec<Value>;
    type Object = Map<String, Value>;

    fn scalar(value: impl FnOnce() -> Value) -> Value {
        value()
    }
    fn push(list: &mut Vec<Value>, item: Value) {
        list.push(item);
    }
    fn list(list: Vec<Value>) -> Value {
        Value::Array(list)
    }
    fn has(object: &mut Map<String, Value>, name: &str) -> bool {
        object.contains_key(name)
    }
    fn insert(object: &mut Map<String, Value>, name: String, member: Value) {
        object.insert(name, member);
    }
    fn object(object: Map<String, Value>) -> Value {
        Value::Object(object)
    }
}

/// Where a walk stands.
struct Walk {
    /// Lists and objects that may still be opened.
    depth: usize,
    /// Values that may still come.
    nodes: usize,
    /// What stopped it.
    stop: Option<Stop>,
}

/// Walks over a document.
fn walk<M: Make>(bytes: &[u8], limits: &Limits, make: M) -> Result<M::Made, JsonError> {
    if bytes.len() > limits.max_len {
        return Err(JsonError::TooLarge {
            len: bytes.len(),
            max: limits.max_len,
        });
    }
    let depth = limits.max_depth.min(DEEPEST);
    let mut walk = Walk {
        depth,
        nodes: limits.max_nodes,
        stop: None,
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let made = Step(&mut walk, make)
        .deserialize(&mut reader)
        .and_then(|made| reader.end().map(|()| made));
    made.map_err(|error| match walk.stop {
        Some(Stop::Depth) => JsonError::TooDeep { max: depth },
        Some(Stop::Nodes) => JsonError::TooManyNodes {
            max: limits.max_nodes,
        },
        Some(Stop::Repeated(name)) => JsonError::RepeatedName { name },
        None => malformed(&error),
    })
}

/// Says where serde_json stopped and why; its own text may quote the document.
pub(crate) fn malformed(error: &serde_json::Error) -> JsonError {
    let text = error.to_string();
    let problem = text.split(" at line ").next().unwrap_or_default();
    JsonError::Malformed {
        problem: quoted(problem),
        line: error.line(),
        column: error.column(),
    }
}

/// One value of a walk.
struct Step<'a, M>(&'a mut Walk, M);

impl<M> Step<'_, M> {
    /// Stops the walk.
    fn stop<E: de::Error>(&mut self, stop: Stop) -> E {
        self.0.stop = Some(stop);
        E::custom("stopped")
    }

    /// Opens a list or an object.
    fn open<E: de::Error>(&mut self) -> Result<(), E> {
        match self.0.depth.checked_sub(1) {
            Some(depth) => {
                self.0.depth = depth;
                Ok(())
            }
            None => Err(self.stop(Stop::Depth)),
        }
    }
}

impl<'de, M: Make> DeserializeSeed<'de> for Step<'_, M> {
    type Value = M::Made;

    fn deserialize<D: de::Deserializer<'de>>(mut self, reader: D) -> Result<M::Made, D::Error> {
        match self.0.nodes.checked_sub(1) {
            Some(nodes) => self.0.nodes = nodes,
            None => return Err(self.stop(Stop::Nodes)),
        }
        reader.deserialize_any(self)
    }
}

impl<'de, M: Make> Visitor<'de> for Step<'_, M> {
    type Value = M::Made;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<M::Made, E> {
        Ok(M::scalar(|| Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<M::Made, E> {
        Ok(M::scalar(|| Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<M::Made, E> {
        Ok(M::scalar(|| Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<M::Made, E> {
        Ok(M::scalar(|| Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<M::Made, E> {
        Ok(M::scalar(|| {
            Number::from_f64(value).map_or(Value::Null, Value::Number)
        }))
    }

    fn visit_str<E>(self, value: &str) -> Result<M::Made, E> {
        Ok(M::scalar(|| Value::from(value)))
    }

    fn visit_string<E>(self, value: String) -> Result<M::Made, E> {
        Ok(M::scalar(|| Value::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<M::Made, A::Error> {
        self.open()?;
        let mut list = M::List::default();
        while let Some(item) = items.next_element_seed(Step(&mut *self.0, self.1))? {
            M::push(&mut list, item);
        }
        self.0.depth += 1;
        Ok(M::list(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<M::Made, A::Error> {
        self.open()?;
        let mut object = M::Object::default();
        while let Some(name) = members.next_key::<String>()? {
            if M::has(&mut object, &name) {
                return Err(self.stop(Stop::Repeated(quoted(&name))));
            }
            let member = members.next_value_seed(Step(&mut *self.0, self.1))?;
            M::insert(&mut object, name, member);
        }
        self.0.depth += 1;
        Ok(M::object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks a text with the usual limits.
    fn checked(text: &str) -> Result<(), JsonError> {
        let limits = Limits::default();
        let checked = check(text.as_bytes(), &limits);
        assert_eq!(checked.clone().err(), parse(text.as_bytes(), &limits).err());
        checked
    }

    #[test]
    fn a_repeated_name_is_refused_however_it_is_written() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"b":{"a":1,"c":[],"a":1}}]"#,
        ] {
            let refused = checked(text).unwrap_err();
            assert_eq!(refused, JsonError::RepeatedName { name: "a".into() });
        }
        checked(r#"{"a":{"a":[{"a":1},{"a":2}]}}"#).unwrap();
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in [
            "",
            " ",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            "{'a':1}",
            "[1,]",
            "NaN",
            "\"a",
            "01",
            "\"\\ud800\"",
            "1e999",
        ] {
            let refused = checked(text);
            assert!(
                matches!(refused, Err(JsonError::Malformed { .. })),
                "{text:?}: {refused:?}"
            );
        }
        assert!(check(b"\"\xff\"", &Limits::default()).is_err(), "UTF-8");
    }

    #[test]
    fn depth_numbers_and_size_are_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        checked(&deep(64)).unwrap();
        assert_eq!(
            checked(&deep(65)).unwrap_err(),
            JsonError::TooDeep { max: 64 }
        );
        assert_eq!(
            checked(&"[{\"a\":".repeat(1_000_000)).unwrap_err(),
            JsonError::TooDeep { max: 64 }
        );
        let limits = Limits {
            max_len: 100,
            max_depth: usize::MAX,
            max_nodes: 10,
        };
        check(b"[1,2,3,4,5,6,7,8,9]", &limits).unwrap();
        assert_eq!(
            check(b"[1,2,3,4,5,6,7,8,9,0]", &limits).unwrap_err(),
            JsonError::TooManyNodes { max: 10 }
        );
        assert_eq!(
            check(&[b' '; 101], &limits).unwrap_err(),
            JsonError::TooLarge { len: 101, max: 100 }
        );
        let limits = Limits {
            max_depth: usize::MAX,
            ..Limits::default()
        };
        assert_eq!(
            check(deep(100_000).as_bytes(), &limits).unwrap_err(),
            JsonError::TooDeep { max: DEEPEST }
        );
    }

    #[test]
    fn names_that_differ_in_case_alone_are_variants() {
        let known = ["subject", "_type", "keyid"];
        for variant in ["Subject", "\u{17f}ubject", "_TYPE", "\u{212a}eyid", "keyID"] {
            assert!(is_variant(variant, &known), "{variant}");
        }
        for other in ["subject", "subjects", "type", "keyid"] {
            assert!(!is_variant(other, &known), "{other}");
        }
    }

    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        let value = serde_json::json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew", "1": "One",
            "\u{1f600}": "Emoji", "\u{80}": "Control", "\u{f6}": "o",
            "n": [0, -1, 9_007_199_254_740_992_u64, true, null, "\u{1}\n\"\\/<\u{7f}"],
        });
        // RFC 8785, 3.2.3: the order of its example.
        let canonical = String::from_utf8(canonical(&value).unwrap()).unwrap();
        assert_eq!(
            canonical,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\
             \"n\":[0,-1,9007199254740992,true,null,\"\\u0001\\n\\\"\\\\/<\u{7f}\"],\
             \"\u{80}\":\"Control\",\"\u{f6}\":\"o\",\"\u{20ac}\":\"Euro Sign\",\
             \"\u{1f600}\":\"Emoji\",\"\u{fb33}\":\"Hebrew\"}"
        );
        for none in [
            serde_json::json!(1.5),
            serde_json::json!([1e30]),
            serde_json::json!({"a": u64::MAX}),
        ] {
            assert_eq!(super::canonical(&none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _checked = check(&bytes, &Limits::default());
        }

        #[test]
        fn texts_like_json_are_read_as_serde_json_reads_them(
            text in r#"(\{|\}|\[|\]|,|:|"[a-c]"|1|-2\.5e3|true|null| ){0,12}"#,
        ) {
            let ours = parse(text.as_bytes(), &Limits::default());
            let theirs = serde_json::from_str::<Value>(&text);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(JsonError::RepeatedName { .. }), Ok(_)) | (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
            }
        }
    }
}
