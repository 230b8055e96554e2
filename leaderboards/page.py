"""The self-contained pages: the leaderboard, and one run. They load nothing, and a policy in them forbids it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboards.runs import Unusable

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """What a page is made of besides its content. `policy` names the digest of each part, and lets nothing else in."""

    style: str
    theme: str
    scripts: tuple[str, ...]
    policy: str


@cache
def assets(*names: str) -> Assets:
    """Return the styles and these scripts of `static/`, in this order."""
    style, theme = _static("page.css"), _static("theme.js")
    scripts = tuple(_static(name) for name in names)
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(_source(script) for script in (theme, *scripts)),
            "style-src " + _source(style),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return Assets(style=style, theme=theme, scripts=scripts, policy=policy)


def _static(name: str) -> str:
    text = (HERE / "static" / name).read_text(encoding="utf-8")
    # The address of a source map would be asked for by developer tools.
    return "\n".join(line for line in text.splitlines() if not line.startswith("//# sourceMappingURL")).strip()


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise Unusable("pages need jinja2: pip install 'code-harness[leaderboard]'") from None
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, scripts: Sequence[str], **values: Any) -> str:
    """Return a page. Every text in `values` is escaped, except `data`, which `script_json` has made."""
    return _environment().get_template(template).render(assets=assets(*scripts), **values).lstrip()
