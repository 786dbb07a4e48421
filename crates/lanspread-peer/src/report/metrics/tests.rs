use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Samples by name and labels, as they are written.
pub(crate) type Samples = BTreeMap<String, u64>;

/// Reads the text format, and refuses what a scraper could take for something else.
pub(crate) fn read(text: &str) -> Result<Samples, String> {
    let mut samples = Samples::new();
    let (mut helped, mut typed): (BTreeSet<&str>, BTreeMap<&str, &str>) = Default::default();
    let mut last = "";
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    for line in text.lines() {
        let refuse = |why: &str| Err(format!("{why}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else { return refuse("no help") };
            if help.trim() != help || help.is_empty() || help.contains('\\') || !helped.insert(name) {
                return refuse("help that is empty, or said twice");
            }
            last = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return refuse("no type") };
            if name != last || !["counter", "gauge"].contains(&kind) || typed.insert(name, kind).is_some() {
                return refuse("a type that does not follow its help");
            }
            let of_counter = name.ends_with("_total");
            if (kind == "counter") != of_counter {
                return refuse("counters, and they alone, end in _total");
            }
        } else {
            let Some((series, value)) = line.rsplit_once(' ') else { return refuse("no value") };
            let name = series.split('{').next().unwrap_or_default();
            let is_word = |word: &str| {
                !word.is_empty()
                    && word.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_')
            };
            if name != last || !typed.contains_key(name) || !is_word(name) {
                return refuse("a sample away from its type");
            }
            if let Some(labels) = series[name.len()..].strip_prefix('{') {
                let Some(labels) = labels.strip_suffix('}') else { return refuse("labels without an end") };
                let names = read_labels(labels).ok_or_else(|| format!("labels: {line}"))?;
                if names.iter().any(|name| !is_word(name))
                    || names.iter().collect::<BTreeSet<_>>().len() != names.len()
                {
                    return refuse("names of labels");
                }
            } else if name != series {
                return refuse("something behind the name");
            }
            let value = value.parse().map_err(|_| format!("no whole number: {line}"))?;
            if samples.insert(series.to_owned(), value).is_some() {
                return refuse("a sample twice");
            }
        }
    }
    if helped.len() != typed.len() {
        return Err("a name without a type".to_owned());
    }
    Ok(samples)
}

/// The names of labels, whose values are whole and escaped.
fn read_labels(mut text: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        names.push(name);
        let mut escapes = false;
        let end = rest.char_indices().find_map(|(at, one)| match (escapes, one) {
            (true, '\\' | '"' | 'n') => {
                escapes = false;
                None
            }
            (true, _) | (false, '\n') => Some(None),
            (false, '\\') => {
                escapes = true;
                None
            }
            (false, '"') => Some(Some(at)),
            _ => None,
        });
        text = &rest[end?? + 1..];
        match text.strip_prefix(',') {
            Some(rest) => text = rest,
            None => return text.is_empty().then_some(names),
        }
    }
}

fn example(label: &str) -> Metrics {
    let mut metrics = Metrics::default();
    metrics.counter("a_total", "Counts").with(&[("kind", label), ("of", "x")], 1).with(&[("kind", "b")], 2);
    metrics.gauge("b", "Measures").is(u64::MAX);
    metrics
}

#[test]
fn the_text_is_as_the_format_says() {
    let expected = "# HELP a_total Counts\n# TYPE a_total counter\na_total{kind=\"a\",of=\"x\"} 1\na_total{kind=\"b\"} 2\n\
                    # HELP b Measures\n# TYPE b gauge\nb 18446744073709551615\n";
    assert_eq!(example("a").render(), expected);
    assert_eq!(read(expected).unwrap().len(), 3);
}

#[test]
fn labels_cannot_break_out_of_their_quotes() {
    for label in ["\"", "\\", "\n", "a\"} 7\nb_total 1", "\\\"", "\\n\\"] {
        let text = example(label).render();
        assert_eq!(read(&text).map(|samples| samples.len()), Ok(3), "{text}");
    }
}

#[test]
fn the_reader_of_these_tests_is_strict() {
    let whole = example("a").render();
    for (from, to) in [
        ("# HELP b Measures\n", ""),
        ("# TYPE b gauge\n", ""),
        ("# TYPE b gauge", "# TYPE b counter"),
        ("kind=\"b\"} 2", "kind=\"a\",of=\"x\"} 2"),
        ("kind=\"b\"", "kind=\"b"),
        ("kind=\"b\"", "kind=\"\\b\""),
        ("of=\"x\"", "kind=\"x\""),
        ("} 2", "} two"),
        ("b 18446744073709551615\n", "b 18446744073709551615"),
        ("b 18446744073709551615", "c 1"),
    ] {
        let broken = whole.replacen(from, to, 1);
        assert!(broken != whole && read(&broken).is_err(), "{broken}");
    }
}
