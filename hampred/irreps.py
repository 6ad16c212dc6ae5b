"""e3nn's irreps, `o3`, without the compiler of torch.

One function of e3nn is decorated with ``torch.compiler.disable``, which imports that compiler: a third of the time that
a prediction takes to start, for a mark that only code to be compiled would read (`change_basis_real_to_complex`).
"""

from typing import Any
from unittest.mock import patch

import torch


def _unmarked(function: Any = None, **_: Any) -> Any:
    """A function as it is; or, where options are given, what returns one as it is."""
    return _unmarked if function is None else function


with patch.object(torch.compiler, "disable", _unmarked):
    from e3nn import o3

__all__ = ["o3"]
