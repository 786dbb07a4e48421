//! The content of a config file, checked against the options of all commands.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, value_parser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::one_call;
use crate::exit::Failure;

/// Options that choose the file cannot be in it.
const NOT_IN_THE_FILE: [&str; 1] = ["config"];
/// Options that have another name in the file, where they are no part of a sentence.
const OTHER_KEYS: [(&str, &str); 1] = [("from", "sources")];

/// Every key of a config file with its value; each fits at least one option.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<String, Setting>);

/// A value, and the line of its key.
#[derive(Debug)]
struct Setting {
    value: Value,
    line: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    One(Scalar),
    List(Vec<Scalar>),
}

#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Flag(bool),
    Integer(String),
    Text(String),
}

impl Value {
    fn replace_tilde(&mut self, home: Option<&Path>) -> Result<(), String> {
        let scalars = match self {
            Self::One(scalar) => std::slice::from_mut(scalar),
            Self::List(scalars) => scalars,
        };
        for scalar in scalars {
            let Scalar::Text(text) = scalar else { continue };
            let Some(rest) = text.strip_prefix("~/") else { continue };
            let home = home.and_then(Path::to_str);
            let home =
                home.ok_or("`~/` has no meaning here: HOME is not set to an absolute path".to_owned())?;
            *text = format!("{}/{rest}", home.trim_end_matches('/'));
        }
        Ok(())
    }
}

/// The kind of value that an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    Integer,
    Text,
}

impl Settings {
    /// Reads the text of a file. The reason of a refusal begins with the line that is wrong. In a path, a leading `~/` is
    /// the folder `home`: a shell replaces it on the command line, and nothing would replace it here.
    pub(super) fn parse(text: &str, command: &Command, home: Option<&Path>) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| match error.span() {
            Some(span) => at_line(text, &span, error.message()),
            None => error.message().to_owned(),
        })?;
        // The table is sorted by key, but the first wrong line is the one to report.
        let mut entries: Vec<_> = table.into_inner().into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut settings = BTreeMap::new();
        for (key, value) in entries {
            let span = key.span();
            let key = key.into_inner().into_owned();
            let value = check(command, &key, &value, &span, home)
                .map_err(|(span, reason)| at_line(text, &span, &reason))?;
            settings.insert(key, Setting { value, line: line_of(text, &span) });
        }
        Ok(Self(settings))
    }

    /// The command with these settings as the defaults of its options.
    pub(super) fn as_defaults(&self, command: Command) -> Command {
        command
            .mut_args(|option| self.with_default(option))
            .mut_subcommands(|subcommand| self.as_defaults(subcommand))
    }

    fn with_default(&self, option: Arg) -> Arg {
        let Some(value) = key_of(&option).and_then(|key| Some(&self.0.get(key)?.value)) else {
            return option;
        };
        let Some(texts) = texts(&option, value) else { return option };
        // An empty list gives no value, and a flag that is off counts as not given.
        let is_given = !texts.is_empty() && *value != Value::One(Scalar::Flag(false));
        let is_required = option.is_required_set() && !is_given;
        option.default_values(texts).required(is_required)
    }
}

impl Settings {
    /// The values that the file gives an option, and the line of their key.
    pub(super) fn of(&self, option: &Arg) -> Option<(Vec<String>, usize)> {
        let setting = self.0.get(key_of(option)?)?;
        Some((texts(option, &setting.value)?, setting.line))
    }
}

/// The place of what is wrong, and the reason.
type Wrong = (Range<usize>, String);

/// The value of a key, if an option of that name takes values of its kind and every option that does accepts it.
fn check(
    command: &Command,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    key_span: &Range<usize>,
    home: Option<&Path>,
) -> Result<Value, Wrong> {
    let options = options_named(command, key);
    if options.is_empty() {
        return Err((key_span.clone(), unknown(command, key)));
    }
    let must_be = |span: Range<usize>| (span, format!("`{key}` must be {}", wanted(&options)));
    let (mut value, spans) = convert(value).map_err(must_be)?;
    if options.iter().any(|option| option.get_value_parser().type_id() == TypeId::of::<PathBuf>()) {
        value.replace_tilde(home).map_err(|reason| (spans.first().unwrap_or(key_span).clone(), reason))?;
    }
    let fitting: Vec<_> =
        options.iter().filter_map(|option| Some((option, texts(option, &value)?))).collect();
    if fitting.is_empty() {
        return Err(must_be(spans.first().unwrap_or(key_span).clone()));
    }
    for (option, texts) in fitting {
        for (text, span) in texts.iter().zip(&spans) {
            accept(option, text).map_err(|reason| (span.clone(), reason))?;
        }
    }
    Ok(value)
}

/// The value without its place, and the place of each element; or the place of a value that no option takes.
fn convert(value: &Spanned<DeValue<'_>>) -> Result<(Value, Vec<Range<usize>>), Range<usize>> {
    if let DeValue::Array(elements) = value.get_ref() {
        let scalars: Result<_, _> = elements.iter().map(scalar).collect();
        return Ok((Value::List(scalars?), elements.iter().map(Spanned::span).collect()));
    }
    Ok((Value::One(scalar(value)?), vec![value.span()]))
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Result<Scalar, Range<usize>> {
    match value.get_ref() {
        DeValue::Boolean(on) => Ok(Scalar::Flag(*on)),
        DeValue::String(text) => Ok(Scalar::Text(text.clone().into_owned())),
        DeValue::Integer(digits) => {
            let number = i128::from_str_radix(digits.as_str(), digits.radix()).map_err(|_| value.span())?;
            Ok(Scalar::Integer(number.to_string()))
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(value.span()),
    }
}

/// The key of an option in a config file, if it has one. An option without a variable is for one call only.
pub(super) fn key_of(option: &Arg) -> Option<&str> {
    let is_setting = matches!(
        option.get_action(),
        ArgAction::Set | ArgAction::Append | ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count
    );
    let is_setting = is_setting && option.get_env().is_some();
    let long = option.get_long().filter(|long| is_setting && !NOT_IN_THE_FILE.contains(long))?;
    Some(OTHER_KEYS.iter().find(|(option, _)| *option == long).map_or(long, |(_, key)| key))
}

/// Whether an option of that name, of any command, is for the command line only.
fn is_for_one_call(command: &Command, key: &str) -> bool {
    let has = |option: &Arg| option.get_long() == Some(key) && one_call::is_for_one_call(option);
    command.get_arguments().any(has)
        || command.get_subcommands().any(|subcommand| is_for_one_call(subcommand, key))
}

/// The options of that name in all commands.
fn options_named<'a>(command: &'a Command, key: &str) -> Vec<&'a Arg> {
    let own = command.get_arguments().filter(|option| key_of(option) == Some(key));
    own.chain(command.get_subcommands().flat_map(|subcommand| options_named(subcommand, key))).collect()
}

fn kind(option: &Arg) -> Kind {
    let parsed = option.get_value_parser().type_id();
    let is_integer = [TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>()]
        .into_iter()
        .chain([TypeId::of::<usize>(), TypeId::of::<i32>(), TypeId::of::<i64>()])
        .any(|integer| parsed == integer);
    match option.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Kind::Flag,
        ArgAction::Count => Kind::Integer,
        _ if is_integer && !has_unit(option) => Kind::Integer,
        _ => Kind::Text,
    }
}

/// Whether the number of an option is written with a unit, as its default is (`1GiB`).
fn has_unit(option: &Arg) -> bool {
    let defaults = option.get_default_values().iter().filter_map(|value| value.to_str());
    defaults.into_iter().any(|value| value.parse::<u64>().is_err())
}

fn takes_several(option: &Arg) -> bool {
    let values_max = option.get_num_args().map_or(1, |range| range.max_values());
    matches!(option.get_action(), ArgAction::Append) || values_max > 1
}

/// The words that give an option this value, if the value is of the option's kind. An option that takes one value also
/// takes a list of one. A longer list does not apply to it, so it must be given on the command line.
fn texts(option: &Arg, value: &Value) -> Option<Vec<String>> {
    let scalars = match value {
        Value::One(scalar) => std::slice::from_ref(scalar),
        Value::List(scalars) if takes_several(option) => scalars.as_slice(),
        Value::List(scalars) if scalars.len() == 1 && kind(option) != Kind::Flag => scalars.as_slice(),
        Value::List(_) => return None,
    };
    let kind = kind(option);
    let text = |scalar: &Scalar| match (kind, scalar) {
        (Kind::Flag, Scalar::Flag(on)) => Some(on.to_string()),
        (Kind::Integer, Scalar::Integer(text)) | (Kind::Text, Scalar::Text(text)) => Some(text.clone()),
        _ => None,
    };
    scalars.iter().map(text).collect()
}

/// Lets the option's own parser judge a value, on a command line with nothing else.
pub(super) fn accept(option: &Arg, text: &str) -> Result<(), String> {
    if kind(option) == Kind::Flag {
        return Ok(());
    }
    // An option that is counted gets its parser only when the command is built.
    let parser = match option.get_action() {
        ArgAction::Count => value_parser!(u8).into(),
        _ => option.get_value_parser().clone(),
    };
    let mut alone = Arg::new(option.get_id().clone())
        .long(option.get_long().unwrap_or_default().to_owned())
        .value_parser(parser)
        .value_names(option.get_value_names().unwrap_or_default().iter().cloned());
    if let Some(delimiter) = option.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let word = format!("--{}={text}", option.get_long().unwrap_or_default());
    let parsed = Command::new("").no_binary_name(true).arg(alone).try_get_matches_from([word]);
    parsed.map(|_| ()).map_err(|error| Failure::from(error).message)
}

/// The values that the options of one name take, in words.
fn wanted(options: &[&Arg]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for option in options {
        let words = match (kind(option), takes_several(option)) {
            (Kind::Flag, _) => "true or false",
            (Kind::Integer, false) => "a number",
            (Kind::Integer, true) => "a list of numbers",
            (Kind::Text, false) => "a text in quotes",
            (Kind::Text, true) => "a list of texts in quotes",
        };
        if !kinds.contains(&words) {
            kinds.push(words);
        }
    }
    kinds.join(" or ")
}

fn unknown(command: &Command, key: &str) -> String {
    let with_dashes = key.replace('_', "-");
    if NOT_IN_THE_FILE.contains(&key) {
        format!("`{key}` chooses the file and cannot be in it")
    } else if is_for_one_call(command, key) {
        format!("`{key}` is for one call: give --{key} on the command line")
    } else if with_dashes != key && !options_named(command, &with_dashes).is_empty() {
        format!("there is no option `{key}`; it is `{with_dashes}`")
    } else {
        format!("there is no option `{key}`")
    }
}

fn at_line(text: &str, span: &Range<usize>, reason: &str) -> String {
    format!("line {}: {reason}", line_of(text, span))
}

/// The line of a place, from 1.
fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.get(..span.start).unwrap_or_default().matches('\n').count() + 1
}
