//! Objects as JSON: the metadata every kind has, and how a write changes it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::refusal::Refusal;

/// Where an object is within its kind. Sorts by namespace, then name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    /// Empty outside of namespaces.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object as it is stored: parsed for selectors and patches, and as text for answers.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) json: Bytes,
}

impl Stored {
    pub(crate) fn new(value: Value) -> Arc<Self> {
        let json = Bytes::from(value.to_string());
        Arc::new(Self { value, json })
    }

    pub(crate) fn key(&self) -> Key {
        key(&self.value)
    }
}

/// Part of an object that a request writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// Everything but the status, if that is a subresource.
    Main,
    /// The status subresource.
    Status,
}

pub(crate) fn key(value: &Value) -> Key {
    Key {
        namespace: text(value, "/metadata/namespace").to_owned(),
        name: text(value, "/metadata/name").to_owned(),
    }
}

/// The text at a JSON pointer; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The fields of `part` of an object, which is made an object if there is none.
pub(crate) fn fields<'a>(
    value: &'a mut Value,
    part: &str,
) -> Result<&'a mut Map<String, Value>, Refusal> {
    let object = value
        .as_object_mut()
        .ok_or_else(|| Refusal::bad_request("the body is not a JSON object"))?;
    let slot = object.entry(part).or_insert_with(|| json!({}));
    if slot.is_null() {
        *slot = json!({});
    }
    slot.as_object_mut().ok_or_else(|| Refusal::bad_request(format!("{part} is not a JSON object")))
}

/// Checks that a body is of the kind that the path says, and writes it there if it does not say.
pub(crate) fn set_kind(value: &mut Value, kind: &Kind) -> Result<(), Refusal> {
    let object = value
        .as_object_mut()
        .ok_or_else(|| Refusal::bad_request("the body is not a JSON object"))?;
    for (field, wanted) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        match object.get(field).and_then(Value::as_str) {
            None | Some("") => {
                object.insert(field.to_owned(), wanted.into());
            }
            Some(found) if found == wanted => {}
            Some(found) => {
                return Err(Refusal::bad_request(format!(
                    "the {field} in the data ({found}) does not match the expected {field} ({wanted})"
                )));
            }
        }
    }
    Ok(())
}

/// Checks that a body is for the namespace that the path says, and writes it there.
pub(crate) fn set_namespace(value: &mut Value, namespace: &str) -> Result<(), Refusal> {
    let metadata = fields(value, "metadata")?;
    let found = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !found.is_empty() && found != namespace {
        return Err(Refusal::bad_request(format!(
            "the namespace of the provided object ({found}) does not match the namespace sent on the request ({namespace})"
        )));
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    Ok(())
}

/// Gives a new object what the server gives it. A name is made from `generateName` if needed.
pub(crate) fn stamp(value: &mut Value, kind: &Kind) -> Result<(), Refusal> {
    let metadata = fields(value, "metadata")?;
    if metadata.get("resourceVersion").is_some_and(|version| version.as_str() != Some("")) {
        return Err(Refusal::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        let Some(prefix) = metadata.get("generateName").and_then(Value::as_str) else {
            return Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!(
                    "{} \"\" is invalid: metadata.name: Required value: name or generateName is required",
                    kind.kind
                ),
            ));
        };
        metadata.insert("name".to_owned(), format!("{prefix}{}", suffix()).into());
    }
    metadata.insert("uid".to_owned(), uid().into());
    metadata.insert("creationTimestamp".to_owned(), now().into());
    metadata.remove("deletionTimestamp");
    if has_generation(kind) {
        metadata.insert("generation".to_owned(), 1.into());
    }
    Ok(())
}

/// Merges a written body with the stored object: what the request may not change stays as it was.
pub(crate) fn merge_written(
    old: &Value,
    mut new: Value,
    kind: &Kind,
    part: Part,
) -> Result<Value, Refusal> {
    if part == Part::Status {
        let mut merged = old.clone();
        let object = fields_of_root(&mut merged)?;
        match new.get_mut("status").map(Value::take) {
            None | Some(Value::Null) => object.remove("status"),
            Some(status) => object.insert("status".to_owned(), status),
        };
        if kind.custom {
            return Ok(merged);
        }
        let written = new.get_mut("metadata").map(Value::take).unwrap_or_default();
        fields_of_root(&mut merged)?.insert("metadata".to_owned(), written);
        keep_server_metadata(old, &mut merged)?;
        return Ok(merged);
    }

    keep_server_metadata(old, &mut new)?;
    if kind.has_status {
        let object = fields_of_root(&mut new)?;
        match old.get("status") {
            None => object.remove("status"),
            Some(status) => object.insert("status".to_owned(), status.clone()),
        };
    }
    if has_generation(kind) && content(old) != content(&new) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
        fields(&mut new, "metadata")?.insert("generation".to_owned(), (generation + 1).into());
    }
    Ok(new)
}

pub(crate) fn set_revision(value: &mut Value, revision: u64) -> Result<(), Refusal> {
    let metadata = fields(value, "metadata")?;
    metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    Ok(())
}

/// RFC 7386: null removes, objects merge, everything else replaces.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(object) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            object.remove(name);
        } else {
            merge_patch(object.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// An object reduced to its metadata, for requesters that asked for no more.
pub(crate) fn metadata_only(value: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": value.get("metadata").cloned().unwrap_or_default(),
    })
}

/// The current time as Kubernetes writes it.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn fields_of_root(value: &mut Value) -> Result<&mut Map<String, Value>, Refusal> {
    value.as_object_mut().ok_or_else(|| Refusal::bad_request("the body is not a JSON object"))
}

fn keep_server_metadata(old: &Value, new: &mut Value) -> Result<(), Refusal> {
    let metadata = fields(new, "metadata")?;
    for field in [
        "creationTimestamp",
        "deletionTimestamp",
        "generateName",
        "generation",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    ] {
        match old.pointer(&format!("/metadata/{field}")) {
            None => metadata.remove(field),
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
        };
    }
    Ok(())
}

/// What a change of counts as a new generation: all but metadata and status.
fn content(value: &Value) -> Vec<(&String, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status")).collect()
}

/// Whether the generation of this kind counts changes of its content.
fn has_generation(kind: &Kind) -> bool {
    match kind.plural.as_str() {
        "endpointslices" => true,
        "namespaces" | "nodes" | "services" => false,
        _ => kind.has_status || kind.custom,
    }
}

fn uid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// Five characters out of those that Kubernetes uses, which spell no words.
fn suffix() -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = random();
    let mut suffix = String::new();
    for _ in 0..5 {
        let index = usize::try_from(random % 27).unwrap_or_default();
        suffix.push(char::from(ALPHABET[index]));
        random /= 27;
    }
    suffix
}

/// The standard library seeds each hasher state anew from the system's random source.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
