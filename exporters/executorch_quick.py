"""Lowering in half the time: what ExecuTorch does over and over to a graph that has no use for it is left out.

The file that comes out is the same, byte for byte; a test lowers with and without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from torch.fx.traceback import NodeSource

__all__ = ["quick_lowering"]

# Passes of the XNNPACK delegate about operators that the deploy form never has. Each traces the whole graph anew.
_IDLE = frozenset(
    {
        "Conv1dUnsqueezePass",
        "ConvertToSDPAPass",
        "ConvertToUpsampleBilinear2d",
        "DecomposeBatchNorm",
        "DecomposeConcatenate",
        "FuseActivationPass",
        "FuseBatchNormPass",
        "PReLUReshapePass",
        "PropagateCustomMetaPass",
        "RemoveGetItemPass",
    }
)


@contextmanager
def quick_lowering() -> Iterator[None]:
    """While it lasts, XNNPACK's idle passes do not run, and a copy of a ``NodeSource`` is that ``NodeSource``.

    Every pass notes where each node came from by a deep copy of all that was noted before; nothing changes such a note.
    """
    from executorch.backends.xnnpack._passes import XNNPACKPassManager

    begin = XNNPACKPassManager.__init__

    def without_idle(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self.passes = [each for each in self.passes if each.__name__ not in _IDLE]

    with (
        mock.patch.object(XNNPACKPassManager, "__init__", without_idle),
        mock.patch.object(NodeSource, "__deepcopy__", lambda self, _: self, create=True),
    ):
        yield
