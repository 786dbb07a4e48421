//! Numbers about a peer in the text format of Prometheus (version 0.0.4), written by hand: it is a few lines, and a crate for
//! it would keep a second copy of every counter.
//!
//! Labels are words of this program, never of another peer: a database keeps each of their values for ever, and a peer that
//! could choose one could fill it.

use std::fmt;

/// What a peer counts and measures, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics(Vec<MetricFamily>);

/// All samples of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricFamily {
    /// Its name; that of a counter ends in `_total`.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// How it changes.
    pub kind: MetricKind,
    /// Its samples.
    pub samples: Vec<MetricSample>,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricSample {
    /// Names and values of its labels.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: u64,
}

/// How a metric changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, until the peer starts again.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Metrics {
    /// The families, in the order in which they are written.
    pub fn families(&self) -> &[MetricFamily] {
        &self.0
    }

    /// As text, whose content type is [`Self::CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.to_string()
    }

    /// The content type of the text.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str) -> &mut MetricFamily {
        self.family(name, help, MetricKind::Counter)
    }

    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut MetricFamily {
        self.family(name, help, MetricKind::Gauge)
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: MetricKind) -> &mut MetricFamily {
        self.0.push(MetricFamily { name, help, kind, samples: Vec::new() });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

impl MetricFamily {
    /// Adds the only sample.
    pub(crate) fn is(&mut self, value: u64) {
        self.with(&[], value);
    }

    /// Adds a sample with labels.
    pub(crate) fn with(&mut self, labels: &[(&'static str, &str)], value: u64) -> &mut Self {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.samples.push(MetricSample { labels, value });
        self
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for MetricFamily { name, help, kind, samples } in &self.0 {
            let kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            writeln!(formatter, "# HELP {name} {help}")?;
            writeln!(formatter, "# TYPE {name} {kind}")?;
            for MetricSample { labels, value } in samples {
                formatter.write_str(name)?;
                for (index, (label, text)) in labels.iter().enumerate() {
                    let begin = if index == 0 { '{' } else { ',' };
                    write!(formatter, "{begin}{label}=\"{}\"", escaped(text))?;
                }
                let end = if labels.is_empty() { "" } else { "}" };
                writeln!(formatter, "{end} {value}")?;
            }
        }
        Ok(())
    }
}

/// The value of a label between its quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
pub(crate) mod tests;
