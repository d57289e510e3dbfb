"""What is inside a ``.pte``, read without running it: the calls of a method, and the graphs that its delegates got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from levit_mobile.quiet import quiet
from levit_mobile.runtimes.executorch_graph import DelegateGraph

__all__ = ["DELEGATES", "MethodPlan", "read_method"]

# ExecuTorch's name of a delegate -> ours, and the module with ``read_graph(payload, constants)``
DELEGATES: dict[str, tuple[str, str]] = {
    "XnnpackBackend": ("XNNPACK", "levit_mobile.runtimes.executorch_xnnpack"),
    "CoreMLBackend": ("Core ML", "levit_mobile.runtimes.executorch_coreml"),
    "VulkanBackend": ("Vulkan", "levit_mobile.runtimes.executorch_vulkan"),
}


@dataclass(frozen=True)
class MethodPlan:
    """A method's calls.

    Attributes:
        delegates: ExecuTorch's names of the delegates that it needs.
        calls: the graph of each delegate call, in order; a delegate that is not in ``DELEGATES`` has an empty one.
        outside: the operators that ExecuTorch's own kernels compute.
        constants: (name, bytes) of what those operators read.
        in_order: the one delegate call takes the method's inputs and gives its outputs as they are, and nothing else happens.
    """

    delegates: list[str]
    calls: list[DelegateGraph]
    outside: Counter[str]
    constants: list[tuple[str, int]]
    in_order: bool


def read_method(data: bytes, name: str) -> MethodPlan:
    """Read a method of a program; ``data`` is the whole file.

    What is wrong with a damaged file is said by whichever exception its reader raises.
    """
    with quiet():
        from executorch.exir._serialize._program import deserialize_pte_binary

        read = deserialize_pte_binary(data)
    plan = next(plan for plan in read.program.execution_plan if plan.name == name)
    steps = [instruction.instr_args for instruction in plan.chains[0].instructions]
    outside = Counter(
        plan.operators[step.op_index].name.rpartition("::")[2] for step in steps if hasattr(step, "op_index")
    )
    named = _named_data(read)
    graphs = []
    for step in steps:
        if hasattr(step, "delegate_index"):
            delegate = plan.delegates[step.delegate_index]
            payload = bytes(read.program.backend_delegate_data[delegate.processed.index].data)
            graphs.append(_graph(delegate.id, payload, named))
    whole = [*plan.inputs, *plan.outputs]
    constants = [
        (f"constant {i}", len(b.storage)) for i, b in enumerate(read.program.constant_buffer) if len(b.storage)
    ]
    return MethodPlan(
        delegates=[delegate.id for delegate in plan.delegates],
        calls=graphs,
        outside=outside,
        constants=constants,
        in_order=len(steps) == 1 and bool(graphs) and list(steps[0].args) == whole,
    )


def _graph(delegate: str, payload: bytes, named: Mapping[str, bytes]) -> DelegateGraph:
    if delegate not in DELEGATES:
        return DelegateGraph(Counter(), [])
    with quiet():
        graph: DelegateGraph = import_module(DELEGATES[delegate][1]).read_graph(payload, named)
    return graph


def _named_data(read: Any) -> dict[str, bytes]:
    """Constants that a program keeps once for all delegates, by name."""
    if read.named_data is None:
        return {}
    return {key: read.named_data.buffers[entry.buffer_index] for key, entry in read.named_data.pte_data.items()}
