//! The `tenon_template_*` entries: chat templates in the environment that transformers gives to them
//! (`transformers/utils/chat_template_utils.py`: trim_blocks, lstrip_blocks, loop controls, tojson, raise_exception,
//! strftime_now, generation blocks).

use std::fmt;
use std::ptr;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use crate::abi::{enter, invalid, on_deep_stack, quiet, text, Bytes, Failure, Outcome, Status};
use crate::{python, strftime, tags};

/// Instructions a rendering may run, and 64 times as many bytes it may make: half a second of work, so that a template
/// cannot hang a server. Conversations of many megabytes take a tenth.
const FUEL: u64 = 5_000_000;
/// Bytes: real ones have less than 64 KiB. Parsing and compiling recurse over long chains of operators.
const MAX_SOURCE: usize = 256 << 10;
const NAME: &str = "chat template";

pub struct Handle {
    environment: Environment<'static>,
}

/// What raise_exception was given; found again as a source of the error that reaches the caller.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: Value) -> Result<Value, Error> {
    let message = message.to_string();
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn failure(error: &Error) -> Failure {
    let mut innermost = error;
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(Raised(message)) = cause.downcast_ref::<Raised>() {
            return Failure { status: Status::Raised, message: message.clone() };
        }
        innermost = cause.downcast_ref::<Error>().unwrap_or(innermost);
        source = cause.source();
    }
    let place = innermost.line().or(error.line()).map(|line| format!(", line {line}")).unwrap_or_default();
    let detail = innermost.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    invalid(format!("{NAME}{place}: {}{detail}", innermost.kind()))
}

fn print(out: &mut Output, _state: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        out.write_str(text)?;
    } else if let Some(text) = python::printed(value) {
        out.write_str(&text)?;
    } else {
        write!(out, "{value}")?;
    }
    Ok(())
}

fn create(source: &str) -> Outcome<Handle> {
    if source.len() > MAX_SOURCE {
        let size = source.len();
        return Err(invalid(format!("{NAME}: {size} bytes are more than the limit of {MAX_SOURCE}")));
    }
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build();
    environment.set_syntax(syntax.map_err(|e| failure(&e))?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_debug(true); // errors name the undefined variable
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(print);
    environment.set_unknown_method_callback(python::call_method);
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("int", python::int);
    environment.add_filter("float", python::float);
    environment.add_filter(tags::KEPT, python::kept);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    // minijinja iterates over None as over an empty list; templates ask which of the two a content is.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    // In Jinja whatever has a length and items is a sequence: strings and mappings too.
    environment.add_test("sequence", |value: &Value| {
        value.is_undefined() || matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    // Jinja reads every kind of line end as \n.
    let source = tags::rewrite(&source.replace("\r\n", "\n").replace('\r', "\n"))
        .map_err(|size| invalid(format!("{NAME}: a tag of {size} bytes is too long")))?;
    environment.add_template_owned(NAME, source).map_err(|e| failure(&e))?;
    Ok(Handle { environment })
}

fn render(handle: &Handle, variables: &str, now: i64) -> Outcome<String> {
    let variables: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(variables).map_err(|e| invalid(format!("the template's variables: {e}")))?;
    let strftime_now = Value::from_function(move |format: &str| strftime::strftime(format, now));
    let variables = variables.into_iter().map(|(name, value)| (name, Value::from(Serde(value))));
    let context = Value::from_pairs(std::iter::once(("strftime_now".to_string(), strftime_now)).chain(variables));
    let template = handle.environment.get_template(NAME).map_err(|e| failure(&e))?;
    template.render(context).map_err(|e| failure(&e))
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_template_create(
    source: *const u8,
    source_size: usize,
    out: *mut *mut Handle,
    error: *mut Bytes,
) -> Status {
    enter(out, ptr::null_mut(), error, || {
        let source = text(source, source_size, "the chat template")?;
        on_deep_stack("template", || create(source)).map(|handle| Box::into_raw(Box::new(handle)))
    })
}

/// Safety: `handle` came from `tenon_template_create`, or is null, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn tenon_template_free(handle: *mut Handle) {
    if !handle.is_null() {
        quiet((), || drop(Box::from_raw(handle)));
    }
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_template_render(
    handle: *const Handle,
    variables: *const u8,
    variables_size: usize,
    now: i64,
    out: *mut Bytes,
    error: *mut Bytes,
) -> Status {
    enter(out, Bytes::empty(), error, || {
        let variables = text(variables, variables_size, "the template's variables")?;
        let handle = &*handle;
        // Values nest as deep as the template makes them.
        on_deep_stack("template", || render(handle, variables, now)).map(|text| Bytes::from_vec(text.into_bytes()))
    })
}
