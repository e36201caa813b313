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
