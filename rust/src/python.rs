//! Where Python shows through a template: json.dumps, repr of floats, and str methods that minijinja-contrib lacks.

use minijinja::value::{from_args, Kwargs, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

const MAX_DEPTH: usize = 256;
const MAX_KEPT_DEPTH: usize = 100;
const MAX_WIDTH: usize = 1 << 20;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// repr(float): the shortest digits that read back as the same number, in Python's notation.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// What json.dumps was asked for; transformers' tojson has the same arguments.
struct JsonStyle {
    ensure_ascii: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

impl JsonStyle {
    fn new(ensure_ascii: Option<Value>, indent: Option<Value>, kwargs: Kwargs) -> Result<Self, Error> {
        let pick = |positional: Option<Value>, name: &str| -> Result<Option<Value>, Error> {
            let value = if positional.is_some() { positional } else { kwargs.get::<Option<Value>>(name)? };
            Ok(value.filter(|value| !value.is_none() && !value.is_undefined()))
        };
        let ensure_ascii = pick(ensure_ascii, "ensure_ascii")?.is_some_and(|value| value.is_true());
        let indent = match pick(indent, "indent")? {
            None => None,
            Some(value) => Some(match value.as_str() {
                Some(text) => text.to_string(),
                None => {
                    let width = value.as_i64().unwrap_or(i64::from(value.is_true())).max(0);
                    " ".repeat(
                        usize::try_from(width)
                            .ok()
                            .filter(|w| *w <= 64)
                            .ok_or_else(|| invalid("tojson: an indent of more than 64 spaces"))?,
                    )
                }
            }),
        };
        let mut style = JsonStyle {
            ensure_ascii,
            item_separator: if indent.is_some() { ",".into() } else { ", ".into() },
            key_separator: ": ".into(),
            indent,
            sort_keys: false,
        };
        if let Some(pair) = pick(None, "separators")? {
            let part = |index| -> Result<String, Error> {
                let part = pair.get_item_by_index(index)?;
                part.as_str().map(str::to_string).ok_or_else(|| invalid("tojson: separators are two strings"))
            };
            style.item_separator = part(0)?;
            style.key_separator = part(1)?;
        }
        style.sort_keys = pick(None, "sort_keys")?.is_some_and(|value| value.is_true());
        kwargs.assert_all_used()?;
        Ok(style)
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(indent);
            }
        }
    }

    fn write_string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
                c if self.ensure_ascii && ((c as u32) > 0x7e) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }

    /// Pays as it goes: a list that holds another one twice, and so on, is a small value and a long text.
    fn write(&self, state: &State, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid("tojson: the value is nested too deeply"));
        }
        let before = out.len();
        self.write_value(state, out, value, depth)?;
        let leaf = !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map);
        let written = if leaf { out.len() - before } else { depth * self.indent.as_ref().map_or(0, String::len) };
        state.consume_fuel(1 + written as u64 / 64)
    }

    fn write_value(&self, state: &State, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value, true)),
            ValueKind::String => self.write_string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let mut count = 0;
                out.push('[');
                for item in value.try_iter()? {
                    out.push_str(if count > 0 { &self.item_separator } else { "" });
                    self.new_line(out, depth + 1);
                    self.write(state, out, &item, depth + 1)?;
                    count += 1;
                }
                if count > 0 {
                    self.new_line(out, depth);
                }
                out.push(']');
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()? {
                    entries.push((json_key(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                }
                out.push('{');
                for (index, (key, item)) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { &self.item_separator } else { "" });
                    self.new_line(out, depth + 1);
                    self.write_string(out, key);
                    out.push_str(&self.key_separator);
                    self.write(state, out, item, depth + 1)?;
                }
                if !entries.is_empty() {
                    self.new_line(out, depth);
                }
                out.push('}');
            }
            kind => return Err(invalid(format!("Object of type {kind} is not JSON serializable"))),
        }
        Ok(())
    }
}

/// A number as str() prints it, or, `json`, as json.dumps does.
fn number(value: &Value, json: bool) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let value = f64::try_from(value.clone()).unwrap_or(f64::NAN);
    match float_repr(value) {
        name if json && !value.is_finite() => name.replace("inf", "Infinity").replace("nan", "NaN"),
        text => text,
    }
}

fn json_key(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_string()),
        ValueKind::None => Ok("null".into()),
        ValueKind::Bool => Ok(if key.is_true() { "true".into() } else { "false".into() }),
        ValueKind::Number => Ok(number(key, true)),
        kind => Err(invalid(format!("keys must be str, int, float, bool or None, not {kind}"))),
    }
}

/// json.dumps with transformers' defaults: no escapes for HTML, ensure_ascii off.
pub fn tojson(
    state: &State,
    value: &Value,
    ensure_ascii: Option<Value>,
    indent: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let style = JsonStyle::new(ensure_ascii, indent, kwargs)?;
    let mut out = String::new();
    style.write(state, &mut out, value, 0)?;
    Ok(Value::from(out))
}

/// What a template may keep in a namespace (see tags.rs): no namespace, which could then hold itself, and nothing that a
/// loop has nested without end. Printing, comparing and freeing recurse.
pub fn kept(state: &State, value: Value) -> Result<Value, Error> {
    check_kept(state, &value, 0)?;
    Ok(value)
}

fn check_kept(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_KEPT_DEPTH {
        return Err(invalid(format!("a namespace cannot keep values that nest more than {MAX_KEPT_DEPTH} deep")));
    }
    let is_map = value.kind() == ValueKind::Map;
    if is_map && value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace")) {
        return Err(invalid("a namespace cannot keep a namespace"));
    }
    if !is_map && !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(());
    }
    for (index, item) in value.try_iter()?.enumerate() {
        state.consume_fuel(u64::from(index % 16 == 0))?;
        let item = if is_map { value.get_item(&item)? } else { item };
        check_kept(state, &item, depth + 1)?;
    }
    Ok(())
}

/// Jinja's int filter: what is no number becomes `default`.
pub fn int(value: &Value, default: Option<Value>, base: Option<u32>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = default.or(kwargs.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(kwargs.get("base")?).filter(|base| (2..=36).contains(base)).unwrap_or(10);
    kwargs.assert_all_used()?;
    if value.is_integer() || value.kind() == ValueKind::Bool {
        return Ok(i128::try_from(value.clone()).map_or(default, Value::from));
    }
    let parsed = match value.as_str().map(str::trim) {
        Some(text) => {
            let digits = if base == 16 { text.trim_start_matches("0x").trim_start_matches("0X") } else { text };
            let whole = i128::from_str_radix(&digits.replace('_', ""), base).ok();
            whole.or_else(|| text.parse().ok().and_then(truncated))
        }
        None => f64::try_from(value.clone()).ok().and_then(truncated),
    };
    Ok(parsed.map_or(default, Value::from))
}

fn truncated(value: f64) -> Option<i128> {
    (value.abs() < 1e38).then_some(value as i128)
}

/// Jinja's float filter: what is no number becomes `default`.
pub fn float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = default.or(kwargs.get("default")?).unwrap_or_else(|| Value::from(0.0));
    kwargs.assert_all_used()?;
    let parsed = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(parsed.map_or(default, Value::from))
}

/// str(value) for `{{ value }}`, where minijinja prints it otherwise: floats in scientific notation.
pub fn printed(value: &Value) -> Option<String> {
    (value.kind() == ValueKind::Number && !value.is_integer()).then(|| number(value, false))
}

/// Methods of str and list that Python has, beside those of minijinja-contrib.
pub fn call_method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            match string_method(text, method, args) {
                Some(result) => {
                    let result = result?;
                    state.consume_fuel(text.len() as u64 / 64)?;
                    Ok(result)
                }
                None => pycompat::unknown_method_callback(state, value, method, args),
            }
        }
        ValueKind::Seq if method == "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let at = value.try_iter()?.position(|item| item == *wanted);
            at.map(Value::from).ok_or_else(|| invalid(format!("{wanted:?} is not in list")))
        }
        ValueKind::Map if method == "copy" => {
            let () = from_args(args)?;
            Ok(value.clone())
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "removeprefix" => one(args).map(|prefix| Value::from(text.strip_prefix(prefix).unwrap_or(text))),
        "removesuffix" => one(args).map(|suffix| Value::from(text.strip_suffix(suffix).unwrap_or(text))),
        "partition" => one(args).and_then(separator).map(|sep| match text.split_once(sep) {
            Some((head, tail)) => triple([head, sep, tail]),
            None => triple([text, "", ""]),
        }),
        "rpartition" => one(args).and_then(separator).map(|sep| match text.rsplit_once(sep) {
            Some((head, tail)) => triple([head, sep, tail]),
            None => triple(["", "", text]),
        }),
        "rsplit" => rsplit(text, args),
        "index" => one(args).and_then(|part| position(text, part, text.find(part))),
        "rindex" => one(args).and_then(|part| position(text, part, text.rfind(part))),
        "swapcase" => none(args).map(|()| {
            let swapped = text.chars().flat_map(|c| -> Box<dyn Iterator<Item = char>> {
                if c.is_uppercase() {
                    Box::new(c.to_lowercase())
                } else {
                    Box::new(c.to_uppercase())
                }
            });
            Value::from(swapped.collect::<String>())
        }),
        "casefold" => none(args).map(|()| Value::from(text.to_lowercase())),
        "ljust" | "rjust" | "center" | "zfill" => pad(text, method, args),
        _ => return None,
    })
}

fn triple(parts: [&str; 3]) -> Value {
    Value::from(Tuple::new(parts.into_iter().map(Value::from).collect()))
}

fn strings<'a>(parts: impl IntoIterator<Item = &'a str>) -> Value {
    parts.into_iter().map(Value::from).collect()
}

fn none(args: &[Value]) -> Result<(), Error> {
    from_args(args)
}

fn one(args: &[Value]) -> Result<&str, Error> {
    from_args::<(&str,)>(args).map(|(arg,)| arg)
}

fn separator(sep: &str) -> Result<&str, Error> {
    if sep.is_empty() {
        Err(invalid("empty separator"))
    } else {
        Ok(sep)
    }
}

/// Python counts characters where Rust counts bytes.
fn position(text: &str, part: &str, at: Option<usize>) -> Result<Value, Error> {
    let at = at.ok_or_else(|| invalid(format!("substring {part:?} not found")))?;
    Ok(Value::from(text[..at].chars().count()))
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (sep, max): (Option<&str>, Option<i64>) = from_args(args)?;
    let limit = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX - 1);
    let mut parts = Vec::new();
    let mut rest = if sep.is_some() { text } else { text.trim_end() };
    while parts.len() < limit {
        let split = match sep {
            Some(sep) => rest.rsplit_once(separator(sep)?),
            None => rest.rsplit_once(char::is_whitespace).map(|(head, tail)| (head.trim_end(), tail)),
        };
        let Some((head, tail)) = split else { break };
        parts.push(tail);
        rest = head;
    }
    if sep.is_some() || !rest.is_empty() {
        parts.push(rest);
    }
    parts.reverse();
    Ok(strings(parts))
}

fn pad(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    if width > MAX_WIDTH {
        return Err(invalid(format!("{method}: a width over {MAX_WIDTH}")));
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = fill.unwrap_or(if method == "zfill" { "0" } else { " " });
    if fill.chars().count() != 1 {
        return Err(invalid("The fill character must be exactly one character long"));
    }
    // Where the padding is odd, Python's center puts the odd one on the left if the width is odd.
    let left = match method {
        "ljust" => 0,
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let (sign, body) = match text.strip_prefix(['+', '-']) {
        Some(body) if method == "zfill" => text.split_at(text.len() - body.len()),
        _ => ("", text),
    };
    Ok(Value::from(format!("{sign}{}{body}{}", fill.repeat(left), fill.repeat(missing - left))))
}

#[cfg(test)]
mod tests {
    use super::float_repr;

    #[test]
    fn floats_print_as_in_python() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1.25e-5, "1.25e-05"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(float_repr(value), text);
        }
    }
}
