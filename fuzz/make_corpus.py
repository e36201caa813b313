"""Writes the seeds of the fuzzers: small files that reach as much of each parser as they can."""
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).parent / "corpus"


def put(folder, name, data):
    path = ROOT / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def safetensors(header, size):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def t(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def string(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def gguf(keys, tensors, data, version=3, align=32):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    for name, kind, value in keys:
        out += string(name) + struct.pack("<I", kind) + value
    for name, dims, kind, offset in tensors:
        out += string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        out += struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % align) + data


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


put("safetensors", "empty", safetensors("{}", 0))
put("safetensors", "two", safetensors({"a": t("F32", [2, 3], 0, 24), "b": t("BF16", [4], 24, 32)}, 32))
put("safetensors", "all", safetensors(
    {"__metadata__": {"format": "pt"}, "s": t("F64", [], 0, 8), "z": t("I64", [0, 9], 8, 8), "f": t("F8_E4M3", [3], 8, 11),
     "g": t("F8_E5M2", [1], 11, 12), "i": t("I8", [1], 12, 13), "u": t("U8", [1, 1, 1], 13, 14), "b": t("BOOL", [2], 14, 16),
     "h": t("F16", [1], 16, 18), "w": t("I16", [1], 18, 20), "v": t("I32", [1], 20, 24)}, 24))
put("safetensors", "padded", safetensors(json.dumps({"a": t("U8", [1], 0, 1)}) + "    ", 1))
put("safetensors", "overlap", safetensors({"a": t("F32", [2], 0, 8), "b": t("F32", [2], 4, 12)}, 12))

scalars = [("u8", 0, b"\x01"), ("i8", 1, b"\xff"), ("u16", 2, b"\1\2"), ("i16", 3, b"\1\2"), ("u32", 4, b"\1\2\3\4"),
           ("i32", 5, b"\1\2\3\4"), ("f32", 6, struct.pack("<f", 1.5)), ("bool", 7, b"\1"), ("string", 8, string("héllo")),
           ("u64", 10, bytes(8)), ("i64", 11, b"\xff" * 8), ("f64", 12, struct.pack("<d", 0.1))]
arrays = [("tokens", 9, array(8, [string("<s>"), string("▁a"), string("")])),
          ("scores", 9, array(6, [struct.pack("<f", x) for x in (0, -1, float("nan"))])),
          ("nested", 9, array(9, [array(4, [b"\1\0\0\0"]), array(9, [array(0, [])])]))]
put("gguf", "empty", gguf([], [], b""))
put("gguf", "v2", gguf(scalars, [], b"", version=2))
put("gguf", "arrays", gguf(arrays, [], b""))
put("gguf", "tensors", gguf([("general.architecture", 8, string("llama"))],
                            [("f", [3], 0, 0), ("q8", [32, 2], 8, 32), ("bf", [], 30, 128)], bytes(130)))
put("gguf", "aligned", gguf([("general.alignment", 4, struct.pack("<I", 64))], [("a", [256], 12, 0), ("b", [1], 24, 192)],
                            bytes(193), align=64))

put("json", "values", '{"a": [1, -2.5e3, true, false, null, "\\u00e9\\n\\ud83d\\ude00"], "b": {"c": {}}, "": []}')
put("json", "request", '{"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.7, "stream": true}')
put("json", "numbers", "[0, -0, 1e400, 18446744073709551616, -9223372036854775808, 0.1, 1E-5]")
put("json", "deep", "[" * 20 + "]" * 20)
put("json", "wrong", '{"a": 1,}')
put("json", "white_space", "\n" * 200 + "[1,")
put("json", "nul", '{"a": 1}\0{')

put("hub_names", "repo", "org/name/dir/model-00001-of-00003.gguf")
put("hub_names", "etag", 'W/"0123456789abcdef0123456789abcdef01234567"')
put("hub_names", "index", '{"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "../x"}}')
put("hub_names", "list", "config.json\ntokenizer.json\nmodel.safetensors.index.json\nsub/x.safetensors\nx.gguf\na.bin")
put("hub_names", "list_single", "config.json\nchat_template.jinja\nmodel.safetensors")
put("hub_names", "escape", "../../x")

put("gbnf", "list", """# a list
root  ::= "- " Item-name ("\\n- "
          Item-name)*   # continued
Item-name ::= [a-zA-Z_] [^\\n \\]-]{0,3} | "\\x41\\u00e9\\"\\\\" | other?
other ::= .{2} "!" | [0-9+-]+
""")
put("gbnf", "recursive", 'root ::= "(" root ")" | "x" | ""\n')
put("gbnf", "repeat", 'root ::= a{2} a{2,} a{,3}\na ::= ([/&~[]+ "/")?\n')


def body(choice, value):
    """A request: the byte that chooses the endpoint (% 5; from 128 on /v1/responses in the place of chats) and the model's
    notation (/ 8), and its body."""
    return bytes([choice]) + (value if isinstance(value, str) else json.dumps(value)).encode()


USER = {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "you"}]}
CALL = {"role": "assistant", "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]}
TOOLS = [{"type": "function", "function": {"name": "f", "description": None, "strict": True, "parameters": {
    "type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}}}]
put("requests", "chat", body(0, {
    "model": "m", "messages": [{"role": "system", "content": "s"}, USER], "temperature": 0.7, "top_p": 0.9, "min_p": 0.1,
    "top_k": -1, "seed": -7, "stop": ["a", "b"], "max_completion_tokens": 5, "min_tokens": 1, "n": 2, "logprobs": True,
    "top_logprobs": 3, "logit_bias": {"5": -100, "7": 2.5}, "stream": True, "stream_options": {"include_usage": True},
    "frequency_penalty": -2, "presence_penalty": 2, "repetition_penalty": 1.1, "user": "u", "stop_token_ids": [3]}))
put("requests", "tools", body(10, {"model": "m", "messages": [USER, CALL, {"role": "tool", "content": "2"}],
                                   "tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}))
put("requests", "named_tool", body(20, {"model": "m", "messages": [USER], "tools": TOOLS, "reasoning_effort": "low",
                                        "tool_choice": {"type": "function", "function": {"name": "f"}}}))
put("requests", "schema_beside_tools", body(20, {
    "model": "m", "messages": [USER], "tools": TOOLS, "chat_template_kwargs": {"enable_thinking": False},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1]}}}}))
put("requests", "harmony", body(40, {"model": "m", "messages": [USER], "tools": TOOLS, "reasoning_effort": "high"}))
put("requests", "guided", body(0, {"model": "m", "messages": [USER], "guided_choice": ["a", "b\n"], "timeout": 1.5,
                                   "priority": -1, "cache_salt": "x"}))
put("requests", "structured", body(1, {"model": "m", "prompt": "p", "structured_outputs": {"json": "{\"type\": \"null\"}"}}))
put("requests", "gbnf", body(1, {"model": "m", "prompt": "p", "structured_outputs": {"grammar": "root ::= \"a\" | root"}}))
put("requests", "completion", body(1, {"model": "m", "prompt": ["a", [1, 2]], "echo": True, "max_tokens": 0, "logprobs": 1,
                                       "n": 2, "best_of": 2, "suffix": "", "stop": "x", "ignore_eos": True}))
put("requests", "completion_ids", body(46, {"model": "m", "prompt": [1, 2, 3], "anything": {}}))
put("requests", "embeddings", body(2, {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8,
                                       "truncate_prompt_tokens": -1, "user": "u"}))
put("requests", "embeddings_ids", body(2, {"model": "m", "input": [[1, 2], [3]]}))
put("requests", "tokenize", body(3, {"model": "m", "prompt": "é", "add_special_tokens": True, "return_token_strs": True}))
put("requests", "tokenize_chat", body(43, {"messages": [USER], "tools": TOOLS, "add_generation_prompt": False}))
put("requests", "responses", body(200, {
    "model": "m", "instructions": "s", "input": [
        {"role": "developer", "content": "d"}, {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\": 1}"},
        {"type": "function_call_output", "call_id": "a", "output": "2"}],
    "tools": [{"type": "function"} | TOOLS[0]["function"]], "tool_choice": {"type": "function", "name": "f"},
    "max_output_tokens": 5, "reasoning": {"effort": "low", "summary": "auto"}, "store": True, "metadata": {"a": "b"},
    "include": ["message.output_text.logprobs"], "top_logprobs": 2, "stream": True}))
put("requests", "responses_schema", body(130, {
    "model": "m", "input": "hi", "background": False, "truncation": "disabled", "top_k": 3, "seed": 1,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"enum": [1]}, "strict": True}}}))
put("requests", "responses_unknown", body(150, {"model": "m", "input": "hi", "anything": {}, "text": {"other": 1}}))
put("requests", "detokenize", body(4, {"tokens": [104, 105, 255]}))


def reply(form, text):
    """A reply: the byte that chooses its format (% 8; 16: calls in pieces, 32: the prompt began the reasoning)."""
    return bytes([form]) + text.encode()


CALL_TEXT = '{"name": "f", "arguments": {"a": [1, {"b": "}\\""}]}}'
put("reply", "hermes", reply(0, f"I look.\n<tool_call>\n{CALL_TEXT}\n</tool_call>\n<tool_call>{{\"name\": \"get\"}}</tool_c"))
put("reply", "hermes_in_pieces", reply(17, f"<think>\nso\n</think>\n\nhm <tool_call>{CALL_TEXT} </tool_call> end <tool_call>{{\"x"))
put("reply", "llama3", reply(2, '{"name": "f", "parameters": {"a": 1}}; {"name": "get", "parameters": {}} then <|python_tag|>{"a'))
put("reply", "llama3_in_pieces", reply(18, '<|python_tag|>{"type": "function", "name": "f", "parameters": "{}"} tail'))
put("reply", "mistral_list", reply(3, f"so [TOOL_CALLS] [{CALL_TEXT}, {{\"name\": \"get\", \"arguments\": {{}}}}] tail"))
put("reply", "mistral_named", reply(20, 'a[TOOL_CALLS]f[CALL_ID]ab1[ARGS]{"a": 1}[TOOL_CALLS]get {"b": "["} ['))
put("reply", "gemma", reply(5, "<start_function_call>call:f{a:<escape>x}<escape>,b:[1, true],c:{d:1.50}}<end_function_call> x"))
put("reply", "gemma_nul", reply(5, "<start_function_call>call:f{a:true\0,b:1}<end_function_call>"))
put("reply", "harmony", reply(6, "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary "
                                 "to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>"))
put("reply", "reasoning", reply(39, "so it is\n</think>\n\nYes <think>"))

GOLDEN = pathlib.Path(__file__).parent.parent / "tests" / "golden"


def files(**contents):
    """The files of a directory; __ in a name stands for a dot, ___ for a slash."""
    out = ""
    for name, value in contents.items():
        name = name.replace("___", "/").replace("__", ".")
        out += f"== {name}\n" + (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))) + "\n"
    return out


def golden(case):
    """The config.json of a small model, without the fields that change nothing."""
    config = json.loads((GOLDEN / case / "config.json").read_text())
    for name in ("transformers_version", "initializer_range", "use_cache", "dtype", "attention_dropout", "pad_token_id"):
        config.pop(name, None)
    return config


for family in sorted(GOLDEN.iterdir()):
    cases = sorted(path.parent.name for path in family.glob("*/config.json")) if family.is_dir() else []
    for case in [cases[0], cases[-1]] if family.name in ("llama", "deepseek_v2", "deepseek_v3") else cases[:1]:
        put("model_files", f"{family.name}_{case}", files(config__json=golden(f"{family.name}/{case}")))
llama = golden("llama/mha")
put("model_files", "text", files(
    config__json={**llama, "eos_token_id": [2, -1]},
    tokenizer_config__json={"bos_token": "<s>", "eos_token": {"content": "</s>"},
                            "chat_template": [{"name": "default", "template": "{{ messages }}"}]},
    special_tokens_map__json={"pad_token": "<pad>", "eos_token": "no"},
    generation_config__json={"temperature": 0.6, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.1, "eos_token_id": [2, 3]}))
put("model_files", "template_file", files(config__json=llama, chat_template__json={"chat_template": "{{ bos_token }}"}))
put("model_files", "shapes", files(config__json=llama, tensors__json={
    "storage_dtype": "BF16", "tensors": [{"name": "model.layers.{i}.mlp.up_proj.weight", "shape": [48, 32], "range": {"i": [0, 1]}},
                                         {"name": "lm_head.weight", "dtype": "F32", "shape": [96, 32]}]}))
put("model_files", "index", files(config__json=llama, model__safetensors__index__json={
    "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "config.json"}}))
put("model_files", "sentence", files(
    config__json={**golden("bert/gelu"), "is_matryoshka": True, "matryoshka_dimensions": [8, 16]},
    modules__json=[{"type": "sentence_transformers.models.Transformer", "path": ""},
                   {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
                   {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"}],
    **{"1_Pooling___config__json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}},
    sentence_bert_config__json={"max_seq_length": 64, "do_lower_case": False}))
put("model_files", "nested", files(config__json={
    "architectures": llama["architectures"], "text_config": {**llama, "layer_types": None},
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}, "tie_word_embedings": True}))
put("model_files", "unknown", files(config__json={**llama, "architectures": ["LlamaForCausalLm"]}))
put("model_files", "range", files(config__json=llama, tensors__json={
    "tensors": [{"name": "{i}", "shape": [1], "range": {"i": [2 ** 63 - 1, 2 ** 63 - 1]}}]}))
put("model_files", "large_heads", files(config__json={**llama, "num_attention_heads": 65536, "num_key_value_heads": 65536,
                                                      "head_dim": 65536}))
put("model_files", "large_part", files(config__json={**golden("phi3/longrope_long"), "partial_rotary_factor": 1e300}))
put("model_files", "own_keys", files(config__json={**llama, "vocab_size": "x", "gguf_metadata_keys": {"vocab_size": 1}}))


def typed(value):
    """A metadata value with its type."""
    if isinstance(value, bool):
        return 7, bytes([value])
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, string(value)
    kinds = [typed(item) for item in value]
    return 9, array(kinds[0][0], [data for _, data in kinds])


def gguf_model(architecture, own, tokens, **tokenizer):
    keys = {"context_length": 64, "embedding_length": 32, "block_count": 2, "feed_forward_length": 48,
            "attention.head_count": 4, "attention.head_count_kv": 2, "attention.layer_norm_rms_epsilon": 1e-5,
            "rope.freq_base": 10000.0, **own}
    metadata = {"general.architecture": architecture}
    metadata |= {f"{architecture}.{name}": value for name, value in keys.items() if value is not None}
    metadata |= {"tokenizer.ggml.tokens": tokens} | {f"tokenizer.{name.replace('__', '.')}": v for name, v in tokenizer.items()}
    return gguf([(name, *typed(value)) for name, value in metadata.items()], [], b"")


SPM = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "  "]
BPE = ["a", "b", "Ġ", "ab", "Ġa", "<|im_end|>", "l", "o"]
spm = dict(ggml__model="llama", ggml__scores=[0.0, 0.0, 0.0, 0.0, -4.0, -5.0, -6.0, -1.0, -2.0, -3.0],
           ggml__token_type=[2, 3, 3, 6, 1, 1, 1, 1, 1, 4], ggml__bos_token_id=1, ggml__eos_token_id=2, ggml__unknown_token_id=0)
bpe = dict(ggml__model="gpt2", ggml__pre="qwen2", ggml__merges=["a b", "Ġ a"], ggml__token_type=[1] * 5 + [3, 1, 1],
           ggml__eos_token_id=5, ggml__add_bos_token=False)
put("gguf_model", "llama", gguf_model("llama", {"rope.dimension_count": 8, "vocab_size": 10}, SPM, chat_template="{{ messages }}",
                                      ggml__add_eos_token=True, **spm))
put("gguf_model", "llama_linear", gguf_model("llama", {"rope.scaling.type": "linear", "rope.scaling.factor": 2.0}, SPM,
                                             ggml__add_space_prefix=False, **spm))
put("gguf_model", "qwen2", gguf_model("qwen2", {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                                                "rope.scaling.original_context_length": 16}, BPE, **bpe))
put("gguf_model", "gemma3", gguf_model("gemma3", {"attention.key_length": 8, "attention.value_length": 8,
                                                  "attention.sliding_window": 16}, SPM, **spm))
put("gguf_model", "bert", gguf_model(
    "bert", {"attention.layer_norm_rms_epsilon": None, "attention.layer_norm_epsilon": 1e-12, "attention.causal": False,
             "pooling_type": 2, "rope.freq_base": None},
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁a", "b", "▁hello"], ggml__model="bert", ggml__token_type=[3, 3, 3, 3, 1, 1, 1],
    ggml__unknown_token_id=1, ggml__cls_token_id=2, ggml__seperator_token_id=3, ggml__token_type_count=2))
put("gguf_model", "deepseek2", gguf_model("deepseek2", {
    "attention.head_count_kv": 4, "attention.key_length": 12, "attention.value_length": 8, "rope.dimension_count": 4,
    "attention.q_lora_rank": 8, "attention.kv_lora_rank": 8, "expert_count": 4, "expert_used_count": 2,
    "expert_feed_forward_length": 16, "expert_shared_count": 1, "leading_dense_block_count": 1, "expert_weights_scale": 1.0,
    "expert_weights_norm": False, "expert_gating_func": 1}, BPE, **bpe))
put("gguf_model", "gpt_oss", gguf_model("gpt-oss", {
    "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32, "attention.sliding_window": 16,
    "attention.key_length": 8, "attention.value_length": 8}, BPE, **{**bpe, "ggml__pre": "gpt-4o"}))
put("gguf_model", "lfm2", gguf_model("lfm2", {"attention.head_count_kv": [0, 2], "shortconv.l_cache": 3}, BPE,
                                     **{**bpe, "ggml__pre": "lfm2"}))


def dump(prompts, vocab=4, taps=(), metadata=None):
    tensors, data = {}, b""
    def add(name, dtype, shape, raw):
        nonlocal data
        tensors[name] = t(dtype, shape, len(data), len(data) + len(raw))
        data += raw
    for i, ids in enumerate(prompts):
        add(f"prompt.{i}.ids", "I32", [len(ids)], struct.pack(f"<{len(ids)}i", *ids))
        add(f"prompt.{i}.logits", "F32", [len(ids), vocab], struct.pack("<f", 0.5) * len(ids) * vocab)
    for name in taps:
        add(f"tap.{name}", "F32", [len(prompts[0]), 2], struct.pack("<f", -1) * len(prompts[0]) * 2)
    header = json.dumps({"__metadata__": metadata, **tensors} if metadata else tensors).encode()
    return struct.pack("<Q", len(header)) + header + data


put("reference", "two", dump([[0, 3], [1]]))
put("reference", "taps", dump([[0, 3]], taps=["layers.0", "norm"], metadata={
    "architecture": "LlamaForCausalLM", "dtype": "float32", "transformers": "5.0",
    "config": json.dumps({"hidden_size": 2, "num_hidden_layers": 2, "text_config": {"a": 2}, "rope_theta": 5.0})}))


def grammar(kind, text, walk=0):
    """A source: the bytes that choose the language and which of the allowed tokens are taken."""
    return bytes([kind, walk]) + (text if isinstance(text, str) else json.dumps(text)).encode()


put("grammar", "object", grammar(0, {"type": "object", "properties": {"a": {"enum": ["x", 1, None]}, "n": {"$ref": "#/$defs/n"}},
                                     "required": ["a"], "additionalProperties": False, "$defs": {"n": {"type": "integer"}}}))
put("grammar", "array", grammar(0, {"type": "array", "prefixItems": [{"const": [1]}], "items": {"anyOf": [
    {"type": "string", "pattern": "^a+$", "maxLength": 4}, {"type": "number", "minimum": -1.5, "multipleOf": 0.5}]},
    "minItems": 1, "maxItems": 3}, 3))
put("grammar", "formats", grammar(0, {"allOf": [{"type": "string", "format": "date-time"}, {"minLength": 2}], "not": {}}))
put("grammar", "regex", grammar(1, "(a|b+)[^c-z]{0,3}\\d?(?i:x)\\p{L}&~q|$", 5))
put("grammar", "lark", grammar(2, 'start: item ("," item)* <[258]>?\nitem[max_tokens=5]: /[a-z]{1,3}/ | "(" start ")" | @n\nn: NUM\n'
                                  'NUM: "1".."9" ("0" | /[0-9]/)~0..3\n%ignore / /\n', 9))
put("grammar", "lark_json", grammar(2, 'start: "x" body\nbody[capture, lazy]: %json {"type": "boolean"}\n%import common.INT\n'))


def chat(template, **conversation):
    return template + ("\n----\n" + json.dumps(conversation) if conversation else "")


put("chat_template", "loop", chat("{% for m in messages %}{{ '<|' ~ m.role ~ '|>' }}\n{{ m['content'] | trim }}{% if not loop.last %}"
                                  "{{ eos_token }}{% else %}{% break %}{% endif %}{% endfor -%}\n{{ bos_token }}"))
put("chat_template", "tools", chat(
    "{%- set ns = namespace(n=0) %}{% macro show(x) %}{{ x | tojson(indent=2) }}{% endmacro %}{% for t in tools %}"
    "{% set ns.n = ns.n + 1 %}{{ show(t) }}{% endfor %}{{ ns.n }}{% if n is defined and n is not none %}{{ n // 2 }}{% endif %}",
    tools=[{"type": "function", "function": {"name": "f", "x": 1.5}}], kwargs={"n": 5}))
put("chat_template", "python", chat("{{ messages[0].content.split(' ')[::-1] | join(',') }}{{ 'a b'.title().strip('A').replace('b','c') }}"
                                    "{{ strftime_now('%d %b %Y') }}{{ {'a': 1}.items() | list }}{{ '%s' | format(1) }}"))
put("chat_template", "raise", chat("{% if messages[0]['role'] != 'user' %}{{ raise_exception('no ' + 'system') }}{% endif %}",
                                   messages=[{"role": "user", "content": [{"type": "text", "text": "a"}]}]))
put("chat_template", "generation", chat("{% generation %}{{ range(3) | map('string') | list }}{% endgeneration %}{% call x() %}{% endcall %}"))


def tokenizer(model, **parts):
    return json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                       "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model})


def added(id, content, special=True):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special}


BOS = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
       "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
       "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}}
put("tokenizer", "bpe", tokenizer(
    {"type": "BPE", "dropout": None, "unk_token": "a", "continuing_subword_prefix": None, "end_of_word_suffix": None,
     "fuse_unk": False, "byte_fallback": False, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    added_tokens=[added(3, "<s>"), added(4, "Hello", False)], post_processor=BOS,
    pre_tokenizer={"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}| ?\\w+|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
    decoder={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}))
put("tokenizer", "sentencepiece", tokenizer(
    {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
     "vocab": {"<unk>": 0, "<0x0A>": 1, "▁": 2, "a": 3, "▁a": 4}, "merges": ["▁ a"]},
    normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    decoder={"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                              {"type": "ByteFallback"}, {"type": "Fuse"},
                                              {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}))
put("tokenizer", "unigram", tokenizer(
    {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["a", -3.5], ["▁a", -1.0]], "byte_fallback": False},
    normalizer={"type": "NFKC"}, pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}))
put("tokenizer", "wordpiece", tokenizer(
    {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
     "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4}},
    normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
    pre_tokenizer={"type": "BertPreTokenizer"}, post_processor={"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
    decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}))
