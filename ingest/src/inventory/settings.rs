//! A kubelet's configuration, flattened for reports.

use serde_json::Value;

use super::{MAX_YAML, text_of};

/// More settings than any configuration has.
const MAX_SETTINGS: usize = 4096;
/// Deeper than any configuration nests.
const MAX_DEPTH: usize = 16;
/// The headers sent with the request for static Pods, credentials among them.
const SECRET_HEADERS: &str = "staticPodURLHeader";

/// The settings of a kubelet configuration file (YAML or JSON, or the kubelet's answer to `/configz`), as
/// `(name, key, value)`; `None` if the file is none. Keys are joined with dots, lists with commas.
pub fn settings(bytes: &[u8], name: &str) -> Option<Vec<(String, String, String)>> {
    let text = text_of(bytes)?;
    if text.len() > MAX_YAML || !(text.contains("KubeletConfiguration") || text.contains("\"kubeletconfig\""))
    {
        return None;
    }
    let documents: Vec<Value> = if text.starts_with('{') {
        vec![serde_json::from_str(text).ok()?]
    } else {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_multiple_with_options(text, options).ok()?
    };
    let configuration = documents.iter().find_map(|document| {
        let kubelet = document.get("kind").and_then(Value::as_str) == Some("KubeletConfiguration");
        if kubelet { Some(document) } else { document.get("kubeletconfig").filter(|inner| inner.is_object()) }
    })?;
    let mut settings = Vec::new();
    flatten(configuration, "", 0, &mut |key, value| {
        if settings.len() < MAX_SETTINGS && !matches!(key, "kind" | "apiVersion") {
            settings.push((name.to_owned(), key.to_owned(), value));
        }
    });
    Some(settings)
}

fn flatten(value: &Value, path: &str, depth: usize, add: &mut impl FnMut(&str, String)) {
    match value {
        Value::Object(fields) if depth < MAX_DEPTH && !fields.is_empty() => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if key == SECRET_HEADERS {
                    add(&path, "(masked)".to_owned());
                } else {
                    flatten(value, &path, depth + 1, add);
                }
            }
        }
        other => add(path, shown(other)),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => elements.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
