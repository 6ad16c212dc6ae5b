"""The directive ``{messages} PLACE …``: all messages of some source files or folders, read from the sources."""

import re
from pathlib import Path
from typing import Any

import messages
from docutils import nodes
from docutils.parsers.rst import Directive

ROOT = Path(__file__).parent.parent


class Messages(Directive):
    """A list of messages, in the order of the alphabet, with what comes of them where that is not exit code 2."""

    has_content = False
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Builds the list."""
        found = [message for place in self.arguments[0].split() for message in messages.of(ROOT, place)]
        listed = nodes.bullet_list(classes=["messages"])
        for message in sorted(found, key=lambda each: each.text):
            self.state.document.settings.env.note_dependency(str(ROOT / message.file))
            told = nodes.paragraph()
            for k, part in enumerate(re.split("‹(.*?)›", message.text)):
                told += nodes.emphasis(part, part) if k % 2 else nodes.Text(part)
            if message.kind != "exit 2":
                told += nodes.inline("", f" ({message.kind})", classes=["kind"])
            listed += nodes.list_item("", told)
        return [listed]


def setup(app: Any) -> dict[str, bool]:
    """Adds the directive to Sphinx."""
    app.add_directive("messages", Messages)
    return {"parallel_read_safe": True}
