//! `{% generation %}` … `{% endgeneration %}`: a tag of transformers that marks what an assistant said, for training.
//! minijinja has no custom tags, so they become `{% with %}` … `{% endwith %}`, which has the same scope and prints
//! the same; white-space control marks and line numbers stay.

/// Rewrites the tags of a template's source; raw blocks, comments and string literals are left alone.
pub fn rewrite(source: &str) -> String {
    if !source.contains("generation") {
        return source.to_string();
    }
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with("{#") {
            end_after(rest, "#}")
        } else if rest.starts_with("{{") {
            code_end(rest, "}}")
        } else if rest.starts_with("{%") {
            let end = code_end(rest, "%}");
            match tag_name(&rest[..end]) {
                "generation" => return_tag(&mut out, &mut rest, end, "generation", "with"),
                "endgeneration" => return_tag(&mut out, &mut rest, end, "endgeneration", "endwith"),
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
    out
}

/// Writes the tag with its new name; nothing of it is left to copy.
fn return_tag(out: &mut String, rest: &mut &str, end: usize, old: &str, new: &str) -> usize {
    out.push_str(&rest[..end].replacen(old, new, 1));
    *rest = &rest[end..];
    0
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
    use super::rewrite;

    #[test]
    fn tags_become_with_blocks() {
        assert_eq!(rewrite("a{%- generation -%}\nb{% endgeneration +%}c"), "a{%- with -%}\nb{% endwith +%}c");
    }

    #[test]
    fn other_places_stay() {
        for source in [
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
