#!/usr/bin/env python3
"""Makes model.gguf of cases of tests/golden/ by llama.cpp's own converter, in float32: the weights of model.safetensors,
in the names, order and metadata that its files have.

The converter is convert_hf_to_gguf.py of llama.cpp with its folders conversion/ and gguf-py/, as the source distribution
of llama-cpp-python 0.3.36 on PyPI holds them under vendor/llama.cpp. The cases have no tokenizer, so a minimal one of
the config's vocab_size takes the place of what the converter would read from one.

Usage: tools/make_gguf.py --converter PATH/vendor/llama.cpp [--outtype f32] [--out FILE] [CASE…]
CASE: a folder of tests/golden; without one, every folder that holds a model.gguf. --outtype q8_0 is for trials.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile

GOLDEN = pathlib.Path(__file__).parent.parent / "tests" / "golden"


def tokens(size):
    """Three special tokens, then one printable character each."""
    return [f"<{i}>" if i < 3 else chr(30 + i) for i in range(size)]


def set_vocab(model):
    """Stands in for TextModel.set_vocab of the converter."""
    from conversion.base import gguf
    writer, vocab = model.gguf_writer, tokens(model.hparams["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocab)
    writer.add_token_types([gguf.TokenType.CONTROL if i < 3 else gguf.TokenType.NORMAL for i in range(len(vocab))])
    writer.add_token_merges(["! !"])
    for kind in ("bos", "eos", "pad"):
        if isinstance(token := model.hparams.get(f"{kind}_token_id"), int):
            getattr(writer, f"add_{kind}_token_id")(token)


def load_hparams(load):
    """ModelBase.load_hparams of the converter, with the field of GPT-NeoX that transformers 5 no longer writes."""
    def loaded(*args):
        hparams = load(*args)
        if hparams.get("model_type") == "gpt_neox":
            hparams.setdefault("rotary_pct", hparams["rope_parameters"]["partial_rotary_factor"])
        return hparams
    return staticmethod(loaded)


def convert(case, out, outtype):
    import convert_hf_to_gguf
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    ModelBase.load_hparams = load_hparams(ModelBase.load_hparams)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        shutil.copytree(case, folder, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("reference.safetensors", "embedding.safetensors", "*.gguf"))
        size = json.loads((folder / "config.json").read_text())["vocab_size"]
        # Some classes count the entries of this file to tell which rows of the embedding are real.
        (folder / "tokenizer.json").write_text(json.dumps(
            {"model": {"vocab": {token: i for i, token in enumerate(tokens(size))}}, "added_tokens": []}))
        get_model_class(get_model_architecture(ModelBase.load_hparams(folder, False), ModelType.TEXT)).set_vocab = set_vocab
        sys.argv = ["convert_hf_to_gguf.py", name, "--outtype", outtype, "--outfile", str(out), "--model-name", "tiny"]
        convert_hf_to_gguf.main()
    print(f"{case}: {out.stat().st_size / 1024:.0f} KiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--converter", type=pathlib.Path, required=True, help="folder of convert_hf_to_gguf.py")
    parser.add_argument("--out", type=pathlib.Path, help="the file to write, of one case; else model.gguf in its folder")
    parser.add_argument("--outtype", default="f32")
    parser.add_argument("cases", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    cases = args.cases or sorted(path.parent for path in GOLDEN.glob("*/*/model.gguf"))
    if args.out and len(cases) > 1:
        parser.error("--out is of one case")
    sys.path.insert(0, str(args.converter.resolve()))
    for case in cases:
        convert(case, args.out or case / "model.gguf", args.outtype)


if __name__ == "__main__":
    main()
