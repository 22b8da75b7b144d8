# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the public headers declare, with the comment that stands above it.

No C parser: it understands the plain declarations that HACKING asks of public
headers, and stops with an error at anything else.
"""

import os
import re
from pathlib import Path

TOP = Path(os.environ.get("top_srcdir", Path(__file__).resolve().parents[2]))
FOLDER = TOP / "include" / "vmmigrate"


def paths():
    return sorted(FOLDER.glob("*.h"))


class Doc:
    """A gtk-doc comment: name, parameters, words, and "Thread:" and so on."""

    def __init__(self, comment):
        lines = [re.sub(r"^\s*\* ?", "", line)
                 for line in comment[3:-2].strip("\n").split("\n")]
        self.name = ""
        self.parameters = {}
        self.sections = {}
        self.words = ""
        entry = None
        for i, line in enumerate(lines):
            parameter = re.match(r"@(\w+):\s*(.*)", line)
            section = re.match(r"(Thread|Locks|May|Must not|Order|Since|"
                               r"Returns):\s*(.*)", line)
            if i == 0:
                self.name = line.rstrip().rstrip(":")
            elif parameter:
                entry = (self.parameters, parameter[1])
                self.parameters[parameter[1]] = parameter[2]
            elif section:
                entry = (self.sections, section[1])
                self.sections[section[1]] = section[2]
            elif entry and line.startswith(" "):
                kind, key = entry
                kind[key] = (kind[key] + " " + line.strip()).strip()
            elif line.strip():
                entry = None
                self.words += line + "\n"


class Declaration:
    def __init__(self, kind, name, doc, path, **more):
        self.kind, self.name, self.doc, self.path = kind, name, doc, path
        self.members, self.parameters, self.result = [], [], "void"
        self.__dict__.update(more)

    def __str__(self):
        return "%s: %s" % (self.path, self.name)


def bare(text):
    """Without preprocessor lines and what only C++ sees."""
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.S)
    return re.sub(r"^#(?:.*\\\n)*.*\n", "", text, flags=re.M)


def statements(text):
    """Yields (comment or None, code) for all that ends in a semicolon."""
    comment, code, depth = None, "", 0
    for token in re.finditer(r"/\*.*?\*/|[{};]|[^{};/]+|/", text, flags=re.S):
        token = token[0]
        if token.startswith("/*"):
            if depth:
                code += token
            elif not code.strip():
                comment = token if token.startswith("/**") else None
            continue
        depth += {"{": 1, "}": -1}.get(token, 0)
        if token == ";" and depth == 0:
            yield comment, code.strip()
            comment, code = None, ""
        else:
            code += token
    if code.strip():
        raise ValueError("not understood: " + code.strip()[:60])


def without_comments(code):
    return re.sub(r"/\*.*?\*/", "", code, flags=re.S)


def parameter_names(arguments):
    if arguments.strip() == "void":
        return []
    return [re.search(r"(\w+)\s*$", one)[1] for one in arguments.split(",")]


CALLBACK = r"(?P<result>[\w\s*]+?)\(\*(?P<name>\w+)\)\((?P<args>[^()]*)\)$"


def member_declarations(body, path):
    for comment, code in statements(body):
        doc = Doc(comment) if comment else None
        callback = re.match(CALLBACK, code)
        if callback:
            yield Declaration("callback", callback["name"], doc, path,
                              result=callback["result"].strip(),
                              parameters=parameter_names(callback["args"]))
            continue
        plain = re.match(r"[\w\s*]*?(\w+)$", code)
        if not plain:
            raise ValueError("%s: not understood: %s" % (path, code[:60]))
        yield Declaration("member", plain[1], doc, path, code=code)


def declarations(text, path):
    """Everything that the text of one header declares."""
    for comment, code in statements(bare(text)):
        doc = Doc(comment) if comment else None
        struct = re.match(r"struct (\w+)\s*(?:\{(.*)\})?$", code, flags=re.S)
        enum = re.match(r"enum\s*\{(.*)\}$", code, flags=re.S)
        callback = re.match("typedef " + CALLBACK, code)
        function = re.match(r"VMMIG_API (?P<result>[\w\s*]*?)\b(?P<name>\w+)"
                            r"\((?P<args>[^()]*)\)$", code)
        if struct and struct[2] is None:
            yield Declaration("opaque", struct[1], doc, path)
        elif struct:
            yield Declaration("struct", struct[1], doc, path,
                              members=list(member_declarations(struct[2],
                                                               path)))
        elif enum:
            yield Declaration("enum", "enum", doc, path, values=[
                value.strip() for value in
                without_comments(enum[1]).split(",") if value.strip()])
        elif callback or function:
            found = callback or function
            yield Declaration("callback" if callback else "function",
                              found["name"], doc, path,
                              result=" ".join(found["result"].split()),
                              parameters=parameter_names(found["args"]))
        elif code == "typedef struct _GError vmmig_error":
            yield Declaration("opaque", "vmmig_error", doc, path)
        else:
            raise ValueError("%s: not understood: %s" % (path, code[:60]))


def all_declarations():
    return [declaration for path in paths()
            for declaration in declarations(path.read_text(), path.name)]
