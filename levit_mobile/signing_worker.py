"""What talks to model-signing; run as a program, by whichever Python has that package.

It reads one JSON object from standard input and writes one to standard output: ``{"refused": why}``, or ``{}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Sign or verify, as asked."""
    asked = json.load(sys.stdin)
    told = sys.stdout
    sys.stdout = sys.stderr  # the package prints warnings
    try:
        _sign(asked) if asked["sign"] else _verify(asked)
        answer = {}
    except Exception as error:  # parsers of keys and of signatures each raise their own
        answer = {"refused": str(error) or type(error).__name__}
    json.dump(answer, told)


def _sign(asked: dict[str, Any]) -> None:
    from model_signing import signing

    password = asked["password"].encode() if asked["password"] else None
    config = signing.Config().use_elliptic_key_signer(private_key=asked["key"], password=password)
    config.sign(asked["bundle"], asked["signature"])


def _verify(asked: dict[str, Any]) -> None:
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=asked["key"]).verify(asked["bundle"], asked["signature"])


if __name__ == "__main__":
    main()
