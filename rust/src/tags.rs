//! `{% generation %}` … `{% endgeneration %}`: a tag of transformers that marks what an assistant said, for training.
//! minijinja has no custom tags, so they become `{% with %}` … `{% endwith %}`, which has the same scope and prints
//! the same; white-space control marks and line numbers stay.
//!
//! `{% set ns.x = … %}`: only a namespace can be changed, so only by one can a value come to hold itself, or a loop nest
//! values without end. What is kept there goes through the filter `KEPT`.

pub const KEPT: &str = "__kept";

/// Bytes of one tag: minijinja's search for constants takes the square of a chain of operators.
const MAX_TAG: usize = 16 << 10;

/// Rewrites the tags of a template's source; raw blocks, comments and string literals are left alone. The error is the
/// length of a tag that is too long.
pub fn rewrite(source: &str) -> Result<String, usize> {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with("{#") {
            end_after(rest, "#}")
        } else if rest.starts_with("{{") {
            bounded(code_end(rest, "}}"))?
        } else if rest.starts_with("{%") {
            let end = bounded(code_end(rest, "%}"))?;
            match tag_name(&rest[..end]) {
                "generation" => return_tag(&mut out, &mut rest, end, "generation", "with"),
                "endgeneration" => return_tag(&mut out, &mut rest, end, "endgeneration", "endwith"),
                "set" => {
                    out.push_str(&kept(&rest[..end]));
                    rest = &rest[end..];
                    0
                }
                "raw" => raw_end(rest, end),
                _ => end,
            }
        } else {
            1
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Ok(out)
}

fn bounded(tag_size: usize) -> Result<usize, usize> {
    if tag_size > MAX_TAG {
        Err(tag_size)
    } else {
        Ok(tag_size)
    }
}

/// Writes the tag with its new name; nothing of it is left to copy.
fn return_tag(out: &mut String, rest: &mut &str, end: usize, old: &str, new: &str) -> usize {
    out.push_str(&rest[..end].replacen(old, new, 1));
    *rest = &rest[end..];
    0
}

/// A set tag whose value goes through `KEPT` if its target is in a namespace: the value after "=", or what the filters
/// of a block make of it.
fn kept(tag: &str) -> String {
    let Some(inner) = tag.strip_suffix("%}") else { return tag.to_string() };
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let mark = &tag[inner.len()..];
    let target_end = inner.find(['=', '|']).unwrap_or(inner.len());
    let (target, value) = inner.split_at(target_end);
    if value.is_empty() || !target.contains('.') {
        return tag.to_string();
    }
    match value.strip_prefix('=') {
        Some(value) => format!("{target}=({value})|{KEPT}{mark}"),
        None => format!("{inner}|{KEPT}{mark}"),
    }
}

fn end_after(text: &str, mark: &str) -> usize {
    text.find(mark).map_or(text.len(), |at| at + mark.len())
}

/// Where the code that starts `text` ends: after `mark` outside of string literals.
fn code_end(text: &str, mark: &str) -> usize {
    let bytes = text.as_bytes();
    let mut quote = 0u8;
    let mut at = 2;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote != 0 => at += 1,
            b if quote != 0 => quote = if b == quote { 0 } else { quote },
            b @ (b'"' | b'\'') => quote = b,
            _ if bytes[at..].starts_with(mark.as_bytes()) => return at + mark.len(),
            _ => {}
        }
        at += 1;
    }
    text.len()
}

fn tag_name(tag: &str) -> &str {
    let body = tag[2..].trim_start_matches(['-', '+']).trim_start();
    let end = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
    &body[..end]
}

/// The end of a raw block whose opening tag ends at `from`.
fn raw_end(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(next) = text[at..].find("{%") {
        at += next;
        if tag_name(&text[at..]) == "endraw" {
            return at + end_after(&text[at..], "%}");
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    fn rewrite(source: &str) -> String {
        super::rewrite(source).unwrap()
    }

    #[test]
    fn tags_become_with_blocks() {
        assert_eq!(rewrite("a{%- generation -%}\nb{% endgeneration +%}c"), "a{%- with -%}\nb{% endwith +%}c");
    }

    #[test]
    fn what_a_namespace_keeps_is_checked() {
        assert_eq!(rewrite("{% set namespace.x = 1, 2 -%}"), "{% set namespace.x =( 1, 2 )|__kept-%}");
        assert_eq!(rewrite("{% set a, namespace.x=b == c%}"), "{% set a, namespace.x=(b == c)|__kept%}");
        assert_eq!(rewrite("{% set namespace.x | f(a=1) %}"), "{% set namespace.x | f(a=1) |__kept%}");
    }

    #[test]
    fn other_places_stay() {
        for source in [
            "{% set x = namespace(a=b.c) %}",
            "{% set x | f(a.b=1) %}namespace",
            "{% set namespace.x %}y{% endset %}",
            "{# {% generation %} #}x",
            "{% raw %}{% generation %}{% endraw %}",
            "{{ '{% generation %}' }}",
            "{% if generation %}{{ generation }}{% endif %}",
            "{% set x = '%} {% generation %}' %}",
            "generation { {% {{",
            "{%",
            "{{ 'generation \\",
        ] {
            assert_eq!(rewrite(source), source);
        }
    }
}
