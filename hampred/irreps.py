"""e3nn's irreps, `o3`, without the compiler of torch.

One function of e3nn is decorated with ``torch.compiler.disable``, which imports that compiler: a third of the time that
a prediction takes to start, for a mark that only code to be compiled would read.
"""

from unittest.mock import patch

import torch

with patch.object(torch.compiler, "disable", lambda function: function):
    from e3nn import o3

__all__ = ["o3"]
