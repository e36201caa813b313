#!/usr/bin/env python3
"""Makes tests/conformance/config_defaults.json: what transformers takes where a config.json says next to nothing.

For each class: "given", the fields of that config.json, and "defaults", what its config class makes of it, flattened
("rope_parameters.rope_theta"). Fields without a value are left out.

Usage: tools/make_config_defaults.py [--out tests/conformance/config_defaults.json]
"""
import argparse
import json
import pathlib

import transformers

from make_golden import CASES, EMBEDDING_CASES

# So many heads that the defaults of num_key_value_heads divide them.
GIVEN = dict(vocab_size=96, hidden_size=1024, intermediate_size=48, num_hidden_layers=4, num_attention_heads=128)
# What has no default, and what would be derived from other defaults.
ALSO_GIVEN = {"DeepseekV2ForCausalLM": dict(num_experts_per_tok=6)}


def flatten(values, path=""):
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{path}{name}.")
        elif value is not None:
            flat[path + name] = value
    return flat


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default="tests/conformance/config_defaults.json")
    args = parser.parse_args()
    # What every config class has is not of the model.
    common = (GIVEN.keys() | transformers.PreTrainedConfig().to_dict().keys()) - {"tie_word_embeddings"}
    result = {}
    for name in sorted({case[0] for case in (CASES | EMBEDDING_CASES).values()}):
        given = GIVEN | ALSO_GIVEN.get(name, {})
        config = getattr(transformers, name).config_class(**given)
        own = {field: value for field, value in config.to_dict().items() if field not in common and field not in given}
        result[name] = {"given": given, "defaults": flatten(own)}
    args.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
