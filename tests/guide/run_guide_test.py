#!/usr/bin/env python3
"""What run_guide.py must notice on a page that has drifted."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from run_guide import Wrong, run_page  # noqa: E402

PAGE = """# A page
```sh
mkdir part
tenon | tee part/printed
```

```text
one
t…o
```

```cpp part/a.cpp
int a;
```
Words.
```cpp part/a.cpp
int b;
```

<!-- exit 3 -->
```sh
sleep 1000 &
grep one part/printed && rm part/printed && exit 3
```

<!-- reference Python -->
```sh
python -c 'print(6 * 7)'
```

```text
42
```
"""


class RunGuide(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = pathlib.Path(self.temporary.name)
        self.tenon = self.root / "program"
        self.tenon.write_text("#!/bin/sh\necho one; echo more; echo two\n")
        self.tenon.chmod(0o755)
        (self.root / "part").mkdir()
        (self.root / "part" / "a.cpp").write_text("int a;\n\nint b;\n")

    def run_page(self, page, reference=sys.executable):
        return run_page(page, self.tenon, self.root, self.root / "part", reference)

    def changed(self, old, new, says):
        self.assertIn(old, PAGE)
        with self.assertRaisesRegex(Wrong, says):
            self.run_page(PAGE.replace(old, new))

    def test_a_page_that_is_right(self):
        self.assertEqual(self.run_page(PAGE), (3, []))

    def test_without_the_reference(self):
        self.assertEqual(self.run_page(PAGE, reference=None), (2, [27]))

    def test_a_reference_that_is_asked_for_and_not_there(self):
        command = [sys.executable, str(pathlib.Path(__file__).parent / "run_guide.py"), "--reference", "a", "b", "c", "d"]
        environment = {name: value for name, value in os.environ.items() if name != "TENON_REFERENCE_PYTHON"}
        skipped = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(skipped.returncode, 77)
        self.assertRegex(skipped.stdout, "^skipped: TENON_REFERENCE_PYTHON does not name")

    def test_a_reference_that_fails(self):
        self.changed("6 * 7", "7 * 7", "line 31: this is not printed")
        self.changed("print(6 * 7)", "exit(5)", "line 27: the exit status is 5, not 0")

    def test_a_command_that_fails(self):
        self.changed("mkdir part", "mkdir part; false", "line 2: the exit status is 1, not 0")

    def test_a_command_that_should_fail(self):
        self.changed("exit 3\n", "exit 0\n", "line 21: the exit status is 0, not 3")

    def test_an_output_of_other_lines(self):
        self.changed("one\nt…o", "one\nthr…e", "line 7: this is not printed")

    def test_an_output_in_another_order(self):
        self.changed("one\nt…o", "t…o\none", "line 7: this is not printed")

    def test_a_source_that_is_not_the_examples(self):
        self.changed("int b;", "int  b;", "the blocks of part/a.cpp are not the file")

    def test_a_source_that_is_not_shown(self):
        (self.root / "part" / "b.cpp").write_text("int c;\n")
        self.changed("# A page", "# A page", "the page does not show part/b.cpp")

    def test_a_folder_among_the_sources_is_not_of_the_page(self):
        (self.root / "part" / "tiny").mkdir()
        self.assertEqual(self.run_page(PAGE), (3, []))

    def test_what_is_not_understood(self):
        self.changed("```text", "```console", "line 7: neither sh")
        self.changed("```text", "```", "line 7: neither sh")
        self.changed("exit 3 -->", "exits 3 -->", "a marker that is not understood: exits 3")
        self.changed("reference Python", "Python", "a marker that is not understood: Python")
        self.changed("42\n```", "42\n", "line 31: the block does not end")


if __name__ == "__main__":
    unittest.main()
