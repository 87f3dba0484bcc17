//! SPDX 3.0 in JSON-LD, as the specification's JSON serialization has it: one context,
//! the elements flat in a graph.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::elements::{Component, MinimumElement, Tally};
use super::{
    MAX_MAIN, MainComponent, Sbom, SbomError, SbomFormat, SbomLimits, hash, items, schema, text,
};
use crate::json::quoted;

/// The context that is taken; nothing is fetched.
const CONTEXT: &str = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";

/// Collections, whose root elements are what is described.
const COLLECTIONS: [&str; 4] = ["SpdxDocument", "software_Sbom", "Bom", "Bundle"];

/// How often a collection may be the root of another one.
const MAX_COLLECTIONS: usize = 4;

/// Reads a document.
pub(super) fn read(document: &Value, limits: &SbomLimits) -> Result<Sbom, SbomError> {
    let context = document.get("@context").and_then(Value::as_str);
    if context != Some(CONTEXT) {
        return Err(SbomError::Version {
            format: "SPDX 3 (or other JSON-LD)",
            version: quoted(context.unwrap_or("no single context")),
            taken: "documents with the context https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        });
    }
    schema::SPDX_3.check(document)?;
    let graph = items(document, "@graph");
    let elements: HashMap<&str, &Value> = graph
        .iter()
        .filter_map(|element| {
            Some((
                text(element, "spdxId").or_else(|| text(element, "@id"))?,
                element,
            ))
        })
        .collect();
    let of_type = |name: &'static str| {
        graph
            .iter()
            .filter(move |element| text(element, "type") == Some(name))
    };
    let own = of_type("SpdxDocument").next();
    let main_ids = roots(own, graph, &elements);
    let is_component =
        |element: &&Value| matches!(kind(element), "software_Package" | "software_File");
    let main: Vec<MainComponent> = graph
        .iter()
        .filter(is_component)
        .filter(|element| text(element, "spdxId").is_some_and(|id| main_ids.contains(id)))
        .take(MAX_MAIN)
        .map(main_component)
        .collect();
    let components = graph.iter().filter(is_component).count();
    if components > limits.max_components {
        return Err(SbomError::TooManyComponents {
            max: limits.max_components,
        });
    }
    let creation = own
        .and_then(|own| own.get("creationInfo"))
        .and_then(|info| match info {
            Value::String(id) => elements.get(id.as_str()).copied(),
            inline => Some(inline),
        })
        .or_else(|| of_type("CreationInfo").next())
        .unwrap_or(&Value::Null);
    let mut tally = Tally::default();
    let made_by_someone = items(creation, "createdBy")
        .iter()
        .filter_map(Value::as_str)
        .any(|id| elements.get(id).is_some_and(|agent| is_agent(agent)));
    tally.document(MinimumElement::Author, made_by_someone);
    tally.document(
        MinimumElement::Timestamp,
        text(creation, "created").is_some(),
    );
    tally.document(
        MinimumElement::Tool,
        !items(creation, "createdUsing").is_empty(),
    );
    let mut licensed = HashSet::new();
    let mut related = false;
    for relationship in graph.iter().filter(|element| {
        matches!(
            kind(element),
            "Relationship" | "LifecycleScopedRelationship"
        )
    }) {
        match text(relationship, "relationshipType") {
            Some("hasConcludedLicense" | "hasDeclaredLicense") => {
                licensed.extend(text(relationship, "from"));
            }
            Some("describes") | None => {}
            Some(_) => related = true,
        }
    }
    tally.document(MinimumElement::Relationships, related || components < 2);
    for package in of_type("software_Package") {
        let mut has = component(package);
        has.licence = text(package, "spdxId").is_some_and(|id| licensed.contains(id));
        tally.component(has);
    }
    Ok(Sbom {
        format: SbomFormat::Spdx3Json,
        spec_version: text(creation, "specVersion").unwrap_or("3.0").to_owned(),
        serial: own.and_then(|own| text(own, "spdxId")).map(str::to_owned),
        components: components - main.len(),
        main,
        missing: tally.missing(),
        sha256: [0; 32],
    })
}

/// Returns an element's type.
fn kind(element: &Value) -> &str {
    text(element, "type").unwrap_or_default()
}

/// Whether an element is somebody, not a program.
fn is_agent(element: &Value) -> bool {
    matches!(kind(element), "Person" | "Organization" | "Agent")
}

/// Returns the identifiers of what the document is of.
fn roots<'a>(
    own: Option<&'a Value>,
    graph: &'a [Value],
    elements: &HashMap<&'a str, &'a Value>,
) -> HashSet<&'a str> {
    let root_elements = |collection: &'a Value| {
        items(collection, "rootElement")
            .iter()
            .filter_map(Value::as_str)
    };
    // Without a document element, the bill itself is the collection that counts.
    let first = own.or_else(|| {
        graph
            .iter()
            .find(|element| kind(element) == "software_Sbom")
    });
    let mut found: HashSet<&str> = first.into_iter().flat_map(root_elements).collect();
    for _ in 0..MAX_COLLECTIONS {
        let inner: HashSet<&str> = found
            .iter()
            .filter_map(|id| elements.get(id))
            .filter(|element| COLLECTIONS.contains(&kind(element)))
            .flat_map(|collection| root_elements(collection))
            .collect();
        if inner.is_subset(&found) {
            break;
        }
        found.extend(inner);
    }
    let described = graph
        .iter()
        .filter(|element| {
            kind(element) == "Relationship"
                && text(element, "relationshipType") == Some("describes")
        })
        .filter(|relationship| {
            text(relationship, "from")
                .and_then(|from| elements.get(from))
                .is_some_and(|from| COLLECTIONS.contains(&kind(from)))
        })
        .flat_map(|relationship| items(relationship, "to"))
        .filter_map(Value::as_str);
    found.extend(described);
    found
}

/// Returns the hashes of an element.
fn hashes(element: &Value) -> impl Iterator<Item = (String, String)> + '_ {
    items(element, "verifiedUsing").iter().filter_map(|method| {
        (kind(method) == "Hash")
            .then(|| hash(text(method, "algorithm")?, text(method, "hashValue")?))
            .flatten()
    })
}

/// Returns what the document is of.
fn main_component(element: &Value) -> MainComponent {
    MainComponent {
        name: text(element, "name").unwrap_or_default().to_owned(),
        version: text(element, "software_packageVersion").map(str::to_owned),
        hashes: hashes(element).collect(),
    }
}

/// Returns what a package has, but for its licence.
fn component(package: &Value) -> Component {
    let identified = items(package, "externalIdentifier")
        .iter()
        .any(|identifier| {
            matches!(
                text(identifier, "externalIdentifierType"),
                Some("packageUrl" | "cpe22" | "cpe23" | "swid" | "swhid" | "gitoid")
            )
        });
    Component {
        supplier: text(package, "suppliedBy").is_some()
            || package.get("suppliedBy").is_some_and(Value::is_object),
        name: text(package, "name").is_some(),
        version: text(package, "software_packageVersion").is_some(),
        unique_id: text(package, "software_packageUrl").is_some()
            || !items(package, "software_contentIdentifier").is_empty()
            || identified,
        hash: hashes(package).next().is_some(),
        licence: false,
    }
}
