#!/usr/bin/env python3
"""Renders the conversations of FOLDER/chat_golden.json anew, by Jinja2 as transformers sets it up.

  tools/make_chat_golden.py FOLDER… [--check]

A case names its template (FOLDER/chat_template.NAME.jinja), messages, tools, add_generation_prompt and maybe kwargs and
continue_final_message; what comes of it is written beside them: "rendered", or "error" and "error_kind". A folder for another model begins as a copy
of one that is there, with the names of its template and its special_tokens. --check writes nothing, and fails where
something else comes out than the file has.
"""
import argparse
import datetime
import json
import pathlib
import sys

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

NOW = datetime.datetime(2025, 6, 15, 12)
OUTCOME = ("rendered", "error", "error_kind")


def render(source, case, special_tokens):
    variables = dict(special_tokens, tools=case["tools"], documents=None,
                     add_generation_prompt=case["add_generation_prompt"])
    variables.update(case.get("kwargs", {}))
    template = _compile_jinja_template(source)  # the same object each time
    template.globals["strftime_now"] = NOW.strftime
    try:
        if case.get("continue_final_message"):
            [text], _ = render_jinja_template([case["messages"]], chat_template=source, continue_final_message=True,
                                              **variables)
            return {"rendered": text}
        return {"rendered": template.render(messages=case["messages"], **variables)}
    except Exception as error:
        # A TemplateError is what the template raises itself; others are an operator and a wrong type.
        kind = type(error).__name__
        own = isinstance(error, jinja2.exceptions.TemplateError)
        return {"error": str(error), "error_kind": kind if own else f"python:{kind}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    wrong = 0
    for folder in arguments.folders:
        path = folder / "chat_golden.json"
        golden = json.loads(path.read_text())
        templates = {}
        for case in golden["cases"]:
            name = case["template"]
            if name not in templates:
                templates[name] = (folder / f"chat_template.{name}.jinja").read_text()
            outcome = render(templates[name], case, golden["special_tokens"])
            if outcome == {key: case[key] for key in OUTCOME if key in case}:
                continue
            wrong += 1
            print(f"{path}: {name}/{case['name']}: {outcome}")
            for key in OUTCOME + ("ids", "js_agrees"):  # the last two were of the old text
                case.pop(key, None)
            case.update(outcome)
        if not arguments.check:
            head = {key: value for key, value in golden.items() if key != "cases"}
            lines = [json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in golden["cases"]]
            text = json.dumps(head, ensure_ascii=False, indent=1)[:-2]
            path.write_text(text + ',\n "cases": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n")
        print(f"{path}: {len(golden['cases'])} cases by Jinja2 {jinja2.__version__}, transformers "
              f"{transformers.__version__}")
    return 1 if arguments.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
