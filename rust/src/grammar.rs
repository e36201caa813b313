//! The `tenon_vocabulary_*`, `tenon_grammar_*` and `tenon_matcher_*` entries: llguidance.

use std::ptr;
use std::sync::Arc;

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};

use crate::abi::{enter, invalid, on_deep_stack, quiet, slice, text, Bytes, Outcome, Status};

/// States of a lexer take one to two KiB each, for each running request.
const MAX_LEXER_STATES: usize = 20_000;
/// 20,000 of these take about a millisecond.
const INITIAL_LEXER_FUEL: u64 = 2_000_000;
const MAX_GRAMMAR_SIZE: usize = 200_000;
const MAX_NESTING: usize = 200;
pub struct Vocabulary {
    factory: ParserFactory,
}

pub struct Grammar {
    matcher: Matcher,
}

pub struct MatcherHandle {
    matcher: Matcher,
    mask: SimpleVob,
}

fn vocabulary(words: Vec<Vec<u8>>, eos: &[u32]) -> anyhow::Result<Vocabulary> {
    let size = words.len() as u32;
    let trie = TokTrie::from(&TokRxInfo::new(size, eos.first().copied().unwrap_or(u32::MAX)), &words);
    let trie = if eos.is_empty() { trie } else { trie.with_eos_tokens(eos) };
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&env)?;
    factory.quiet();
    let limits = factory.limits_mut();
    limits.max_lexer_states = MAX_LEXER_STATES;
    limits.initial_lexer_fuel = INITIAL_LEXER_FUEL;
    limits.max_grammar_size = MAX_GRAMMAR_SIZE;
    limits.verbose_errors = false;
    Ok(Vocabulary { factory })
}

/// Brackets that are open at once, at most: a bound of what recursive parsers will recurse.
fn nesting(source: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn top_level(kind: &str, source: &str) -> Outcome<TopLevelGrammar> {
    if nesting(source) > MAX_NESTING {
        return Err(invalid(format!("brackets are nested more than {MAX_NESTING} deep")));
    }
    let grammar = match kind {
        "json_schema" => {
            let schema = serde_json::from_str(source).map_err(|e| invalid(format!("not JSON: {e}")))?;
            GrammarWithLexer::from_json_schema(schema)
        }
        "regex" => GrammarWithLexer::from_regex(source),
        "lark" => GrammarWithLexer::from_lark(source.to_string()),
        _ => return Err(invalid(format!("there is no kind of grammar '{kind}'"))),
    };
    Ok(TopLevelGrammar::from_grammar(grammar))
}

/// What a client can use of a message: llguidance adds its state to some, and quotes the whole source in others.
fn message(error: &str) -> String {
    if error.contains("NoExtension") {
        return "no text satisfies it".to_string();
    }
    let end = [error.find("\n<"), error.find("\n  while")].into_iter().flatten().min().unwrap_or(error.len());
    error[..end].trim().chars().take(300).collect()
}

fn compile(vocabulary: &Vocabulary, kind: &str, source: &str) -> Outcome<Grammar> {
    on_deep_stack("grammar", || {
        let mut matcher = Matcher::new(vocabulary.factory.create_parser(top_level(kind, source)?));
        if let Some(error) = matcher.get_error() {
            return Err(invalid(message(&error)));
        }
        // A grammar of which no text is a sentence, and one that is too complex to begin with, fail here.
        let mask = matcher.compute_mask_or_eos().map_err(|e| invalid(message(&e.to_string())))?;
        if mask.is_zero() && !matcher.is_accepting().unwrap_or(false) {
            return Err(invalid("no token of this model can begin such a text"));
        }
        Ok(Grammar { matcher })
    })
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_vocabulary_create(
    bytes: *const u8,
    lengths: *const u32,
    special: *const bool,
    count: usize,
    eos: *const i32,
    eos_count: usize,
    out: *mut *mut Vocabulary,
    error: *mut Bytes,
) -> Status {
    enter(out, ptr::null_mut(), error, || {
        let mut words = Vec::with_capacity(count);
        let mut begin = 0;
        for (&length, &special) in slice(lengths, count).iter().zip(slice(special, count)) {
            let token = slice(bytes.wrapping_add(begin), length as usize);
            begin += length as usize;
            let mut word = Vec::with_capacity(token.len() + 1);
            if special {
                word.push(TokTrie::SPECIAL_TOKEN_MARKER);
            }
            word.extend_from_slice(token);
            words.push(word);
        }
        let eos: Vec<u32> = slice(eos, eos_count).iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        if let Some(id) = eos.iter().find(|&&id| id as usize >= count) {
            return Err(invalid(format!("the end of text is token {id}, of {count}")));
        }
        let made = vocabulary(words, &eos).map_err(|e| invalid(e.to_string()))?;
        Ok(Box::into_raw(Box::new(made)))
    })
}

/// Safety: `vocabulary` came from `tenon_vocabulary_create`, or is null, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn tenon_vocabulary_free(vocabulary: *mut Vocabulary) {
    if !vocabulary.is_null() {
        quiet((), || drop(Box::from_raw(vocabulary)));
    }
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_grammar_create(
    vocabulary: *const Vocabulary,
    kind: *const u8,
    kind_size: usize,
    source: *const u8,
    source_size: usize,
    out: *mut *mut Grammar,
    error: *mut Bytes,
) -> Status {
    enter(out, ptr::null_mut(), error, || {
        let kind = text(kind, kind_size, "the kind")?;
        let grammar = compile(&*vocabulary, kind, text(source, source_size, "the source")?)?;
        Ok(Box::into_raw(Box::new(grammar)))
    })
}

/// Safety: `grammar` came from `tenon_grammar_create`, or is null, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn tenon_grammar_free(grammar: *mut Grammar) {
    if !grammar.is_null() {
        quiet((), || drop(Box::from_raw(grammar)));
    }
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_matcher_create(
    grammar: *const Grammar,
    out: *mut *mut MatcherHandle,
    error: *mut Bytes,
) -> Status {
    enter(out, ptr::null_mut(), error, || {
        // Deep: a lexer that several requests shared would count their states together.
        let matcher = (*grammar).matcher.deep_clone();
        Ok(Box::into_raw(Box::new(MatcherHandle { matcher, mask: SimpleVob::new() })))
    })
}

/// Safety: `matcher` came from `tenon_matcher_create`, or is null, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn tenon_matcher_free(matcher: *mut MatcherHandle) {
    if !matcher.is_null() {
        quiet((), || drop(Box::from_raw(matcher)));
    }
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_matcher_mask(
    matcher: *mut MatcherHandle,
    words: *mut *const u32,
    word_count: *mut usize,
    error: *mut Bytes,
) -> Status {
    let mut mask: (*const u32, usize) = (ptr::null(), 0);
    let status = enter(&mut mask, (ptr::null(), 0), error, || {
        let handle = &mut *matcher;
        handle.mask = handle.matcher.compute_mask_or_eos().map_err(|e| invalid(message(&e.to_string())))?;
        let words = handle.mask.as_slice();
        Ok((words.as_ptr(), words.len()))
    });
    words.write(mask.0);
    word_count.write(mask.1);
    status
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_matcher_accept(
    matcher: *mut MatcherHandle,
    token: i32,
    complete: *mut bool,
    error: *mut Bytes,
) -> Status {
    enter(complete, false, error, || {
        let handle = &mut *matcher;
        let token = u32::try_from(token).map_err(|_| invalid(format!("token id {token} is negative")))?;
        handle.matcher.consume_token(token).map_err(|e| invalid(message(&e.to_string())))?;
        Ok(handle.matcher.is_stopped())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token for each byte, then a few words, a special token and an end of text.
    fn bytes_vocabulary() -> Vocabulary {
        let mut words: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
        words.push(b"\": \"".to_vec());
        words.push(b"\xff<|call|>".to_vec());
        words.push(b"\xff<|end|>".to_vec());
        vocabulary(words, &[258]).unwrap()
    }

    fn error(kind: &str, source: &str) -> String {
        match compile(&bytes_vocabulary(), kind, source) {
            Ok(_) => String::new(),
            Err(failure) => failure.message,
        }
    }

    /// Whether all of `text` is a sentence, byte by byte.
    fn accepts(kind: &str, source: &str, text: &str) -> bool {
        let grammar = compile(&bytes_vocabulary(), kind, source).map_err(|f| f.message).unwrap();
        let mut matcher = grammar.matcher.deep_clone();
        for byte in text.bytes() {
            let mask = matcher.compute_mask_or_eos().unwrap();
            if !mask.is_allowed(byte.into()) {
                return false;
            }
            matcher.consume_token(byte.into()).unwrap();
        }
        matcher.compute_mask_or_eos().unwrap().is_allowed(258)
    }

    #[test]
    fn json_schema() {
        let schema = r#"{"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "n": {"type": "integer"}},
                         "required": ["a", "n"], "additionalProperties": false}"#;
        assert!(accepts("json_schema", schema, r#"{"a": "x", "n": -12}"#));
        assert!(accepts("json_schema", schema, "{\n  \"a\":\"y\",\"n\":0}"));
        assert!(!accepts("json_schema", schema, r#"{"a": "z", "n": 1}"#));
        assert!(!accepts("json_schema", schema, r#"{"a": "x"}"#));
        assert!(accepts("json_schema", "{}", "[1, {\"q\": null}]"));
    }

    #[test]
    fn references_recurse() {
        let schema = r##"{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties":
                         {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["next"],
                         "additionalProperties": false}}}"##;
        assert!(accepts("json_schema", schema, r#"{"next": {"next": null}}"#));
        assert!(!accepts("json_schema", schema, r#"{"next": {}}"#));
    }

    #[test]
    fn regex_and_lark() {
        assert!(accepts("regex", "a/b+|[0-9]{3}", "a/bbb"));
        assert!(accepts("regex", "a/b+|[0-9]{3}", "123"));
        assert!(!accepts("regex", "a/b+|[0-9]{3}", "12"));
        let lark = "start: item (\",\" item)*\nitem: /[a-z]+/ | \"(\" start \")\"";
        assert!(accepts("lark", lark, "a,(b,c)"));
        assert!(!accepts("lark", lark, "a,(b,c"));
    }

    #[test]
    fn special_tokens_are_no_text() {
        let grammar = compile(&bytes_vocabulary(), "lark", "start: /[a-z<|>]*/ <[257]>").map_err(|f| f.message);
        let mut matcher = grammar.unwrap().matcher;
        let mask = matcher.compute_mask().unwrap();
        assert!(mask.is_allowed(257) && mask.is_allowed(b'<'.into()) && !mask.is_allowed(258) && !mask.is_allowed(255));
        matcher.consume_token(257).unwrap();
        assert!(matcher.is_stopped());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (kind, source) in [
            ("json_schema", "{"),
            ("json_schema", r#"{"type": "objct"}"#),
            ("json_schema", r##"{"$ref": "#/nowhere"}"##),
            ("json_schema", r##"{"$ref": "#"}"##),
            ("json_schema", r#"{"type": "integer", "minimum": 5, "maximum": 4}"#),
            ("json_schema", r#"{"type": "string", "pattern": "("}"#),
            ("regex", "("),
            ("regex", "[z-a]"),
            ("lark", "start: nowhere"),
            ("lark", "rule: \"a\""),
            ("nonsense", ""),
        ] {
            let error = error(kind, source);
            assert!(!error.is_empty() && error.len() < 400, "{kind} {source}: {error}");
            assert!(!error.contains("panic") && !error.contains("\n<"), "{kind} {source}: {error}");
        }
    }

    #[test]
    fn bombs_are_refused_or_harmless() {
        let deep = |open: &str, close: &str, n: usize| format!("{}a{}", open.repeat(n), close.repeat(n));
        let chain: Vec<String> =
            (0..3000).map(|i| format!(r##""d{i}": {{"$ref": "#/$defs/d{}"}}"##, (i + 1) % 3001)).collect();
        let chained =
            format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{}, "d3000": {{"type": "null"}}}}}}"##, chain.join(","));
        let all: Vec<String> = (0..3000).map(|i| format!(r#""property_{i}": {{"type": "string"}}"#)).collect();
        let bombs = [
            ("regex", deep("(", ")", 100_000)),
            ("regex", deep("(", ")*", 150)),
            ("regex", "(((((a{1,100}){1,100}){1,100}){1,100}){1,100})".to_string()),
            ("regex", "a{1000000}".to_string()),
            ("regex", "(a|b)*a(a|b){20}".to_string()),
            ("regex", "(a|b)*a(a|b){2000}".to_string()),
            ("regex", r"(\w|\d|\s|.){1,5000}x".to_string()),
            ("regex", "(x+x+)+y".to_string()),
            ("regex", "a".repeat(8192)),
            ("regex", "a|".repeat(4096)),
            ("regex", "a?".repeat(2700) + &"a".repeat(2700)),
            ("lark", format!("start: A\nA: {}", "\"a\"? ".repeat(5000))),
            ("json_schema", format!(r#"{{"type": "string", "pattern": "{}"}}"#, "a?".repeat(4000))),
            ("lark", format!("start: {}", deep("(", ")", 100_000))),
            ("lark", format!("start: {}", "\"a\" ".repeat(10_000))),
            ("lark", "start: start start | start | \"a\" |".to_string()),
            ("lark", "start: a{100000}\na: b{100000}\nb: \"x\"".to_string()),
            ("json_schema", chained),
            ("json_schema", format!(r#"{{"type":"object","properties":{{{}}}}}"#, all.join(","))),
            ("json_schema", r#"{"type":"array","minItems":1000000,"maxItems":2000000}"#.to_string()),
            ("json_schema", r#"{"type":"string","minLength":1000000}"#.to_string()),
            ("json_schema", format!("{}{}{}", r#"{"items":"#.repeat(100), "{}", "}".repeat(100))),
            ("json_schema", r##"{"$ref": "#"}"##.to_string()),
            ("json_schema", r##"{"allOf": [{"$ref": "#"}, {"$ref": "#"}]}"##.to_string()),
            ("json_schema", r##"{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}"##.to_string()),
        ];
        let vocabulary = bytes_vocabulary();
        for (kind, source) in bombs {
            let begin = std::time::Instant::now();
            let result = compile(&vocabulary, kind, &source);
            let compiled = begin.elapsed();
            let mut slowest = std::time::Duration::ZERO;
            let what = match result {
                Err(failure) => failure.message,
                Ok(grammar) => {
                    let mut matcher = grammar.matcher.deep_clone();
                    let mut end = "harmless".to_string();
                    for _ in 0..60 {
                        let begin = std::time::Instant::now();
                        let mask = match matcher.compute_mask_or_eos() {
                            Ok(mask) => mask,
                            Err(error) => {
                                end = message(&error.to_string());
                                break;
                            }
                        };
                        let Some(token) = mask.iter().find(|&token| token != 258) else { break };
                        if matcher.consume_token(token).is_err() || matcher.is_stopped() {
                            break;
                        }
                        slowest = slowest.max(begin.elapsed());
                    }
                    end
                }
            };
            let shown: String = source.chars().take(60).collect();
            println!("{kind} {shown}: {compiled:?}, a step at most {slowest:?}: {what}");
            assert!(compiled.as_secs() < 10, "{kind} {shown}: {compiled:?}");
        }
    }
}
