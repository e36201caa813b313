#!/usr/bin/env python3
"""Runs a page of the documentation: run_guide.py [--reference] PAGE TENON SOURCE FOLDER.

In an empty directory, with the program TENON as `tenon` on the PATH and $TENON_SOURCE, block after block:

  ```sh           is run by `bash -euo pipefail`; its exit status must be 0, or N after a line <!-- exit N -->
  ```text         is what the sh block before it prints: its lines, in this order, among others; … stands for anything
  ```cpp PATH     is written to PATH: the first block of a path begins the file, the next ones continue it

A line <!-- reference Python --> before an sh block says that it needs the reference side. Without --reference it is left
out, and the page must hold without it. With --reference it is run too, with the `python` that TENON_REFERENCE_PYTHON names,
which has tools/requirements.txt and tools/eval/requirements.txt; without that variable the exit status is 77: skipped. At
last each file written must be, byte for byte, the one of the same name in FOLDER, and each file there (not what is in its
folders) must have been written. Exit status 1: the page is wrong, and where. Only the standard library is needed.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

LEFT_OUT = object()  # in place of what a block prints
LIMIT = 600  # seconds for a block, which may compile on a busy machine
SKIPPED = 77


class Wrong(Exception):
    """What is wrong with the page, with the line of its block."""


class Block:
    def __init__(self, line, language, argument, marker):
        self.line, self.language, self.argument, self.marker = line, language, argument, marker
        self.text = ""


def blocks_of(page):
    """The fenced blocks of a page, each with the marker in the line above it ("" if there is none)."""
    blocks, block, above = [], None, ""
    for number, line in enumerate(page.splitlines(keepends=True), 1):
        fence = re.fullmatch(r"```(\w*) ?(\S*)\n", line)
        if block is None and fence:
            marker = re.fullmatch(r"<!-- (.*) -->\n", above)
            block = Block(number, fence[1], fence[2], marker[1] if marker else "")
            blocks.append(block)
        elif block is not None and line.rstrip() == "```":
            block = None
        elif block is not None:
            block.text += line
        elif line.lstrip().startswith("```"):
            raise Wrong(f"line {number}: a fence that is not understood: {line.strip()}")
        above = line
    if block is not None:
        raise Wrong(f"line {block.line}: the block does not end")
    return blocks


def run(block, directory, environment, expected):
    """Runs a block's commands; returns what they print. The processes that it leaves behind are ended."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", block.text], cwd=directory, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = f"none within {LIMIT} s"
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if status != expected:
        raise Wrong(f"line {block.line}: the exit status is {status}, not {expected}:\n{block.text}printed\n{printed}")
    return printed


def compare_output(block, printed):
    """Each line of the block is found after the one before it."""
    rest = iter(printed.splitlines())
    for line in block.text.splitlines():
        pattern = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
        if not any(re.fullmatch(pattern, candidate.rstrip()) for candidate in rest):
            raise Wrong(f"line {block.line}: this is not printed, or not in this order:\n{line}\nprinted is\n{printed}")


def compare_sources(written, directory, folder):
    expected = {path.relative_to(folder.parent).as_posix() for path in folder.iterdir() if path.is_file()}
    for name in sorted(expected - written):
        raise Wrong(f"the page does not show {name}")
    for name in sorted(written):
        if (directory / name).read_bytes() != (folder.parent / name).read_bytes():
            raise Wrong(f"the blocks of {name} are not the file {folder.parent / name}")


def run_page(page, tenon, source, folder, reference=None):
    """Returns how many blocks ran, and the lines of those that did not. `reference`: a Python for the blocks that need it."""
    ran, left_out, written, printed = 0, [], set(), None
    with tempfile.TemporaryDirectory(prefix="tenon_guide_") as temporary:
        home = pathlib.Path(temporary)
        directory = home / "work"
        for path in (directory, home / "bin"):
            path.mkdir()
        (home / "bin" / "tenon").symlink_to(tenon.resolve())
        if reference:
            (home / "bin" / "python").write_text(f'#!/bin/sh\nexec "{reference}" "$@"\n')
            (home / "bin" / "python").chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = os.environ | {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "TENON_SOURCE": str(source.resolve()),
                                    "XDG_CACHE_HOME": str(home / "cache"), "PORT": str(port)}
        for block in blocks_of(page):
            needs_reference = block.marker == "reference Python"
            status = re.fullmatch(r"exit (\d+)", block.marker)
            if block.marker and not (block.language == "sh" and (needs_reference or status)):
                raise Wrong(f"line {block.line}: a marker that is not understood: {block.marker}")
            if needs_reference and not reference:
                left_out.append(block.line)
                printed = LEFT_OUT
            elif block.language == "sh":
                printed = run(block, directory, environment, int(status[1]) if status else 0)
                ran += 1
            elif block.language == "text" and printed is not None:
                if printed is not LEFT_OUT:
                    compare_output(block, printed)
            elif block.language == "cpp" and block.argument:
                path = directory / block.argument
                path.parent.mkdir(exist_ok=True)
                with open(path, "a" if block.argument in written else "w", encoding="utf-8") as file:
                    # What is between two blocks of a file is an empty line.
                    file.write(("\n" if block.argument in written else "") + block.text)
                written.add(block.argument)
            else:
                raise Wrong(f"line {block.line}: neither sh, nor text after an sh block that was run, nor cpp with a path")
        compare_sources(written, directory, folder)
    return ran, left_out


def main():
    arguments = sys.argv[1:]
    reference = None
    if arguments[0] == "--reference":
        reference = os.environ.get("TENON_REFERENCE_PYTHON")
        if not reference:
            print("skipped: TENON_REFERENCE_PYTHON does not name a Python with tools/requirements.txt and "
                  "tools/eval/requirements.txt")
            sys.exit(SKIPPED)
        arguments = arguments[1:]
    page, tenon, source, folder = map(pathlib.Path, arguments)
    try:
        ran, left_out = run_page(page.read_text(encoding="utf-8"), tenon, source, folder, reference)
    except Wrong as wrong:
        sys.exit(f"{page}: {wrong}")
    print(f"{page.name}: {ran} blocks ran; left out, of --reference: {left_out}")


if __name__ == "__main__":
    main()
