//! Checks JSON objects against the part of JSON Schema 2020-12 that `docs/event-schema.json` uses.
//!
//! It refuses a schema with any other keyword, so that nothing in the page is silently not checked.

use std::collections::BTreeSet;

use serde_json::Value;

/// Keywords that are checked here, or that are only for readers.
const KEYWORDS: [&str; 13] = [
    "$schema",
    "$id",
    "$defs",
    "$ref",
    "title",
    "description",
    "type",
    "const",
    "properties",
    "required",
    "items",
    "oneOf",
    "format",
];

/// A schema whose `$defs` has one definition for each kind of object, under its `event`.
#[derive(Debug)]
pub struct Schema(Value);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// It is not JSON, or has a keyword that is not checked.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        check_keywords(&schema)?;
        Ok(Self(schema))
    }

    /// The kinds of objects that it describes.
    pub fn kinds(&self) -> BTreeSet<&str> {
        let kinds = self.0["$defs"].as_object();
        kinds.into_iter().flatten().map(|(kind, _)| kind.as_str()).collect()
    }

    /// What is wrong with an object.
    pub fn problem(&self, object: &Value) -> Option<String> {
        self.check(&self.0, object, "", false).err()
    }

    /// What is wrong with an object, if a field that is not described is wrong too.
    pub fn problem_strictly(&self, object: &Value) -> Option<String> {
        self.check(&self.0, object, "", true).err()
    }

    fn check(&self, schema: &Value, value: &Value, path: &str, strict: bool) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = reference.strip_prefix("#/$defs/").map(|name| &self.0["$defs"][name]);
            let target = target.filter(|target| target.is_object());
            let target = target.ok_or_else(|| format!("{path}: {reference} does not exist"))?;
            self.check(target, value, path, strict)?;
        }
        if let Some(expected) = schema.get("type") {
            let names: Vec<&str> = match expected {
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                name => name.as_str().into_iter().collect(),
            };
            if !names.iter().any(|name| is_of_type(value, name)) {
                return Err(format!("{path}: expected {expected}, got {value}"));
            }
        }
        if schema.get("const").is_some_and(|expected| expected != value) {
            return Err(format!("{path}: expected {}, got {value}", schema["const"]));
        }
        let described = schema["properties"].as_object();
        for (name, inner) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{name}");
            match described.and_then(|described| described.get(name)) {
                Some(schema) => self.check(schema, inner, &path, strict)?,
                None if strict && described.is_some() && schema.get("oneOf").is_none() => {
                    return Err(format!("{path} is not described"));
                }
                None => {}
            }
        }
        // After the properties, one of which says what kind of object it is.
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // What may also be null has its fields only if it is an object.
            if value.is_object() && value.get(name).is_none() {
                return Err(format!("{path}: it has no `{name}`: {value}"));
            }
        }
        if let (Some(schema), Some(items)) = (schema.get("items"), value.as_array()) {
            for item in items {
                self.check(schema, item, &format!("{path}[]"), strict)?;
            }
        }
        self.check_one_of(schema, value, path, strict)
    }

    fn check_one_of(&self, schema: &Value, value: &Value, path: &str, strict: bool) -> Result<(), String> {
        let Some(choices) = schema["oneOf"].as_array() else { return Ok(()) };
        let mut problems = Vec::new();
        let mut fitting = 0;
        for choice in choices {
            match self.check(choice, value, path, strict) {
                Ok(()) => fitting += 1,
                Err(problem) => problems.push(problem),
            }
        }
        // Of an object of a known kind, the problem that is not about its kind.
        let is_other_kind = |problem: &String| problem.starts_with("/event: expected");
        match fitting {
            1 => Ok(()),
            0 => Err(problems
                .iter()
                .find(|problem| !is_other_kind(problem))
                .cloned()
                .unwrap_or_else(|| format!("{path}: no kind of object is like {value}"))),
            _ => Err(format!("{path}: {fitting} kinds of objects are like {value}")),
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn check_keywords(schema: &Value) -> Result<(), String> {
    for (keyword, inner) in schema.as_object().into_iter().flatten() {
        if !KEYWORDS.contains(&keyword.as_str()) {
            return Err(format!("the keyword {keyword} is not checked"));
        }
        match keyword.as_str() {
            "$defs" | "properties" => {
                inner.as_object().into_iter().flatten().try_for_each(|(_, inner)| check_keywords(inner))?;
            }
            "oneOf" => inner.as_array().into_iter().flatten().try_for_each(check_keywords)?,
            "items" => check_keywords(inner)?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let text = r##"{
            "type": "object", "required": ["event", "time"], "properties": {"time": {"type": "string"}},
            "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
            "$defs": {
                "a": {"required": ["n"], "properties": {
                    "event": {"const": "a"}, "time": {}, "n": {"type": ["integer", "null"]},
                    "list": {"type": "array", "items": {"type": "string"}}}},
                "b": {"properties": {"event": {"const": "b"}, "time": {}}}
            }
        }"##;
        Schema::parse(text).unwrap()
    }

    #[test]
    fn an_object_is_of_one_kind_and_has_its_fields() {
        let schema = schema();
        assert_eq!(schema.kinds(), BTreeSet::from(["a", "b"]));
        for object in [
            json!({"event": "a", "time": "", "n": 1, "list": ["x"]}),
            json!({"event": "a", "time": "", "n": null}),
            json!({"event": "b", "time": ""}),
        ] {
            assert_eq!(schema.problem_strictly(&object), None, "{object}");
        }
        for (object, part) in [
            (json!({"event": "a", "n": 1}), "no `time`"),
            (json!({"event": "a", "time": 1, "n": 1}), "/time: expected"),
            (json!({"event": "a", "time": ""}), "no `n`"),
            (json!({"event": "a", "time": "", "n": "1"}), "/n: expected"),
            (json!({"event": "a", "time": "", "n": 1.5}), "/n: expected"),
            (json!({"event": "a", "time": "", "n": 1, "list": [1]}), "/list[]: expected"),
            (json!({"event": "c", "time": ""}), "no kind"),
            (json!([]), "expected \"object\""),
        ] {
            let problem = schema.problem(&object).unwrap_or_default();
            assert!(problem.contains(part), "{object}: {problem}");
        }
    }

    #[test]
    fn a_field_that_is_not_described_is_wrong_only_strictly() {
        let object = json!({"event": "b", "time": "", "more": 1});
        assert_eq!(schema().problem(&object), None);
        assert!(schema().problem_strictly(&object).is_some_and(|problem| problem.contains("/more")));
    }

    #[test]
    fn what_may_be_null_has_its_fields_only_if_it_is_an_object() {
        let text = r#"{"type": ["null", "object"], "properties": {"n": {}}, "required": ["n"]}"#;
        let schema = Schema::parse(text).unwrap();
        assert_eq!([json!(null), json!({"n": 1})].map(|value| schema.problem(&value)), [None, None]);
        assert!(schema.problem(&json!({})).is_some_and(|problem| problem.contains("no `n`")));
    }

    #[test]
    fn a_keyword_that_is_not_checked_is_refused() {
        for text in [r#"{"minimum": 1}"#, r#"{"properties": {"a": {"pattern": "x"}}}"#, "nonsense"] {
            assert!(Schema::parse(text).is_err(), "{text}");
        }
    }
}
